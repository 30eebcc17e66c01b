"""How much space is free, in POSIX sh: the one place that reads `df`.

With -P there is one line for a filesystem: its name, three sizes, the capacity in percent, the mount point. The name and
the mount point may hold blanks, so no field is counted from either end: the one that is wanted stands right before the
percentage, which the name cannot be taken for, since three numbers stand before it.
"""

from __future__ import annotations

# the line's fields from the left: the first three numbers in a row with a percentage (or a dash) behind them
_AVAILABLE = (
    "awk 'END { for (i = 2; i + 3 <= NF; i++) if ($i ~ /^[0-9]+$/ && $(i+1) ~ /^[0-9]+$/ && $(i+2) ~ /^-?[0-9]+$/ &&"
    " $(i+3) ~ /^([0-9]+%|-)$/) { print ($(i+2) < 0 ? 0 : $(i+2)); exit } }'"
)


def free_kib(where: str) -> str:
    """A command line that prints how many KiB are free where `where` (one word of sh, quoted already) lies.

    It prints nothing where `df` gives no such line: a check must then fail, not pass.
    """
    return f"df -Pk {where} | {_AVAILABLE}"


def unless_free(where: str, need_kib: str, otherwise: str) -> list[str]:
    """Lines that set `free`, and run `otherwise` unless so many KiB are free, or where it is not known how many are.

    `where` and `need_kib` are words of sh.
    """
    return [
        f"free=$({free_kib(where)})",
        'case $free in ""|*[!0-9]*) free=unknown ;; esac',
        f'if [ "$free" = unknown ] || [ "$free" -lt {need_kib} ]; then {otherwise}; fi',
    ]
