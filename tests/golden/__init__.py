"""What the program says and would do in some fifty situations, kept as text: `python -m tests.golden --write` makes it anew."""
