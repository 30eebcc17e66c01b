"""`fab` looks for a file of this name; the tasks are in tasks.py."""

from tasks import *
