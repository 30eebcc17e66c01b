"""PURE: from facts to values. Nothing here looks at a node, a clock or a file.

`membership` says who is a member and where; `survivor` chooses; `diagnosis` judges the whole; `plan` orders the steps;
`verdict` judges the end. Each can be called in a REPL with a Survey.
"""
