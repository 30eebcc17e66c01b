"""Snapshots: list, save, restore and schedule them. `archive` and `catalogue` are pure; the rest are flows."""
