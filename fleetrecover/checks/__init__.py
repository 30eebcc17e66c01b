"""PURE: what would stop a recovery, seen on a healthy day: one file for each thing, and the table `ALL`.

A new check is one file with a function from what was observed to findings, and a row in `table.py`.
"""
