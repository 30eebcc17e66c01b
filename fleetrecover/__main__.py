"""`python -m fleetrecover`."""

from fleetrecover.cli import main

main()
