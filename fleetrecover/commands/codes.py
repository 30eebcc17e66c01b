"""The exit codes with which a script that writes refuses what it finds; nothing is changed then."""

from __future__ import annotations

from collections.abc import Mapping

OCCUPIED = 65
"""There is data where there must be none."""
NOT_BLANK = 66
"""The WAL has bytes where its end should be."""
MISWRITTEN = 67
"""What was written did not read back."""
NAME_TAKEN = 68
"""Another container has the name."""
NO_SPACE = 69
"""Not enough free space."""
DIFFERS = 70
"""The copy is not equal to the original."""
STILL_RUNNING = 71
"""A container still runs on the data."""
NOT_OURS = 72
"""The place for what runs keep is a symbolic link, or belongs to somebody else."""
NO_REFLINK = 73
"""The filesystem copies nothing without taking space."""
ELSEWHERE = 74
"""The WAL's directory is another one than when the run began."""

REFUSALS: Mapping[int, str] = {
    OCCUPIED: "there is data where there must be none",
    NOT_BLANK: "the WAL has bytes after its end",
    MISWRITTEN: "what was written did not read back as written",
    NAME_TAKEN: "another container has that name",
    NO_SPACE: "not enough free space",
    DIFFERS: "the copy differs from the original",
    STILL_RUNNING: "a container still runs on that data",
    NOT_OURS: "the directory for what runs keep is a symbolic link or belongs to somebody else, so it is not used",
    ELSEWHERE: "its etcd keeps its WAL in another directory now than when the run began, so what was kept of it would not be "
    "put where it belongs; give its command the --wal-dir that it had",
    NO_REFLINK: "the filesystem cannot copy without taking space (no reflinks), and there is not enough of it",
}
