"""PURE: what is taken from a node at most: bytes, memory, time. Each bound once, with its unit and its reason.

A node is not trusted: it may be broken, odd, or somebody else's. Whatever it sends, the bastion must stay alive for the
other nodes, so more than this is that node's problem, and is said.
"""

from __future__ import annotations

MIB = 1 << 20
GIB = 1 << 30

# --- what a command may print ---

ANSWER = 8 * MIB
"""Bytes on each stream of a command, where nothing else is said: `inspect` of a hundred containers has 3 MB."""
LISTING = 32 * MIB
"""Bytes of the listing of a data directory: it brings `containers.json` of every run that was not cleaned away, 30 kB each."""
NOISE = MIB
"""Bytes that a login shell may print on each stream before `sh` starts: a message of the day has some kB."""
IMAGE = 16 * GIB
"""Bytes of a container image that is brought from node to node. It is not held here, only passed on."""

# --- a member's log ---

SEGMENT = 256 * MIB
"""Bytes of a WAL segment: they are cut at 64 MB, after what was being written; a flush of raft is far below 192 MB."""
LOG = 16 * GIB
"""Bytes of all segments of a log that are read: 100,000 entries of 160 kB each since the last snapshot."""
LOG_SEGMENTS = 256
"""How many segments of a log are read: 16 GiB in segments of 64 MB. One at a time is held, and the one before it."""
SEGMENTS_AT_ONCE = 4
"""How many segments are being received at the same time, of all nodes: more gain nothing, and each is held thrice."""
SNAP = 64 * MIB
"""Bytes of a `.snap` file: the v2 store of a cluster that also kept data there; without that some 10 kB."""
STORE = 32 * MIB
"""Bytes of the v2 store's JSON in a `.snap`: see SNAP."""

# --- JSON ---

JSON = 8 * MIB
"""Bytes of one JSON document. Parsed, a byte takes up to 30 bytes of memory."""
JSON_VALUES = 400_000
"""Values in one JSON document, counted by its brackets and commas: parsed, each takes some 100 bytes."""
JSON_DEPTH = 64
"""How deep a JSON document may be nested: `inspect` has 7 levels, the v2 store 12."""

# --- time, in seconds ---

OVERTIME = 30.0
"""How long a command may go on beyond its own limit while its node goes on sending: what it wrote is still on the way."""
SNAPSHOTS = 6 * 3600.0
"""How long the snapshots of one node may take to be looked into: packed ones are fetched whole."""
LOOK = 3600.0
"""How long one node may take for one look at everything that it has, however often it gives a sign of life."""
