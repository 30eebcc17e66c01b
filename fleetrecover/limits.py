"""PURE: how long at most: every wait, retry and timeout, once, in seconds, with its reason.

How many bytes are taken from a node stands in `bounds.py`. `docs/limits.md` is made of both:
`python -m tests.limits >docs/limits.md`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tries:
    """How often something is tried again: `attempts` at most, for `total` seconds at most, whichever ends first.

    The pauses grow from `first` to `longest` seconds by doubling; where both are equal they are constant.
    """

    attempts: int
    total: float
    first: float
    longest: float

    def __str__(self) -> str:
        pauses = f"{self.first:g} s" if self.first == self.longest else f"{self.first:g} to {self.longest:g} s"
        return f"{self.attempts} tries in {self.total:g} s, {pauses} apart"


# --- reaching a host ---

CONNECT = 10.0
"""For each stage of a connection (name, TCP, keys, login), where the inventory's `connect_timeout` says nothing else."""
AGENT = 60.0
"""For one answer of the ssh agent: it may ask for a touch of the hardware key, or a confirmation."""
SSH_CONFIG = 60.0
"""For one `ssh -G`: it may run `Match exec` commands and look names up."""
KEEPALIVE = 5
"""Between two signs of life that are asked of a connection."""
DEAD_PEER = 30.0
"""Until the kernel gives a connection up whose other side acknowledges nothing any more."""
ENGINE_SHELL = 50.0
"""More than for a plain `sh`, for one that the container engine has to make a container for, on a slow disk."""
CLOSE = 2.0
"""For the exit code of a command whose streams have ended."""
SILENCE = 15.0
"""Without a word beyond a command's own bound, after which the node is taken to have stopped answering."""
NO_SIGN = 30.0
"""Without a sign of life, which is asked for every KEEPALIVE, after which the connection is taken for dead."""
LISTEN = 1.0
"""Between two looks at these bounds while nothing is heard."""
PROXY_END = 2.0
"""Between SIGTERM and SIGKILL for a ProxyCommand whose connection has ended."""
CLIENT_END = 5.0
"""The same for an `ssh` of ours."""
MASTER_POLL = 0.005
"""Between two looks whether an `ssh` that others go through has its socket."""
SESSION_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Before a session is asked for again: a server with few (MaxSessions) has a free one as soon as another has closed."""
RECONNECT = Tries(attempts=60, total=120.0, first=1.0, longest=5.0)
"""After a command whose outcome is unknown: until the node answers again, so that what is there can be looked at."""
READ = Tries(attempts=3, total=60.0, first=0.5, longest=5.0)
"""A read from a node that could not be reached, or was lost in the middle."""
LOOK = Tries(attempts=3, total=60.0, first=0.5, longest=2.0)
"""A look at a node that was lost in the middle; one that cannot be reached at all is a row of the survey at once."""
KILL_GRACE = 5
"""Between SIGTERM and SIGKILL for a command that ran out of its time, on the node."""

# --- one read on a node ---

PEEK = 20.0
"""A few files, or the machine itself."""
COMMAND = 30.0
"""A command of which nothing else is said."""
ENGINE = 30.0
"""A question to the container engine: it answers in milliseconds, one whose storage is busy in seconds."""
LISTING = 40.0
"""`inspect` of every container; a data directory with the files of all runs that were not cleaned away; the snapshots."""
PAGES = 60.0
"""Ranges of one file: pages of a database of several gigabytes, from a cold disk."""
SEGMENT = 600.0
"""One WAL segment, 64 MB as a rule, over a slow line."""
TOOL = 60.0
"""Which tool can restore here: images are asked for their etcdutl."""
PORT = 2
"""For one connection to a peer's port."""
PORTS = 10.0
"""For the command that tries them, beside PORT for each."""

# --- etcdctl ---

DIAL = 3
"""For etcdctl's connection to the member on its own host."""
ETCDCTL = 5
"""For a question that needs a leader."""
STATUS = 3
"""For `endpoint status` and `endpoint health`: a member that has started without quorum listens, but takes no client."""
STATUS_SOON = 1
"""The same, for an etcd that was started less than SOON ago and is looked at again and again."""
SOON = 20.0
"""Until then a started etcd is expected to answer within STATUS_SOON; a machine on which it takes longer gets STATUS."""
MEMBER_CHANGE = 10
"""For one `member add`, `remove`, `update` or `promote`."""
HASH = 120
"""For `hashkv`, which reads the whole database."""
COUNT = 60
"""For how many keys there are, which etcd counts one by one."""
ETCDCTL_MORE = 10.0
"""How much later than etcdctl's own limit the node ends it."""

# --- one change on a node ---

CHANGE = 60.0
"""A change of which nothing else is said: a few renames."""
STOP_GRACE = 30
"""Between SIGTERM and SIGKILL for an etcd that is stopped: it writes what it has and hands on its lead."""
CONTAINER = 90.0
"""Stop, start, rename or remove a container; STOP_GRACE is within it."""
RUN = 120.0
"""Create and start a container, its image being there."""
START_REBUILT = 120.0
"""Remove the container of an earlier try, and start the one that was set aside."""
UNIT = 120.0
"""Hold a systemd unit: `daemon-reload` waits for every generator."""
UNIT_MORE = 40.0
"""For each container of a unit that is stopped, beside CONTAINER."""
UNIT_RELEASE = 180.0
"""Give a unit back and start it: its script may fetch its image anew."""
COPY = 7200.0
"""A copy of a whole data directory on one disk: 100 GB at 14 MB/s."""
COMPARE = 3600.0
"""The same, where most of it is there already; also a trial's copy."""
IMAGE = 3600.0
"""An image that is saved or loaded."""
MOVE = 1800.0
"""A move that may cross file systems, or the removal of what was kept."""
SETTLED = 600.0
"""New data beside the old: its directories, its lengths and its owner; and until the disk has it."""
REMOVE = 300.0
"""The removal of a copy of ours."""
BEAT = 10.0
"""A sign of life of this run."""
NEIGHBOUR = 30.0
"""To stop or start one container that lives by etcd; as much again for all."""
BYTES_A_SECOND = 20_000_000
"""What a disk or a line does at the least: the time for a file is its size by this, and a minute or two."""


def for_bytes(size: float, least: float = CHANGE) -> float:
    """How long a command may take that reads or writes so many bytes: as long as they take a slow disk, and `least`."""
    return least + size / BYTES_A_SECOND


# --- waits of a run ---

HEALTHY = 90.0
"""Until a started member answers a linearizable read: its election, and a replay of some gigabytes of log."""
QUARANTINE = 120.0
"""Until a copy in quarantine answers."""
TRIAL = 180.0
"""Until a restored snapshot answers in quarantine: it is opened for the first time."""
JOINED = 120.0
"""Until a joiner's etcd runs, and the others have heard of it."""
MEMBER = Tries(attempts=361, total=90.0, first=0.25, longest=0.25)
"""A change of membership, which etcd refuses for some 5 s after the last join. Each try looks first whether it was done."""
PROMOTE = Tries(attempts=1801, total=900.0, first=0.5, longest=0.5)
"""`member promote`, refused until the learner has caught up: long, because a database may be large."""
FENCE = Tries(attempts=8, total=20.0, first=0.5, longest=4.0)
"""`docker update`, which fails when the container ends, or starts again, in that moment, as a crashing etcd does."""
SETTLE = 4.0
"""Between the last join and the next change of membership: etcd wants every member to have been active for 5 s."""
HEAD_START = 20.0
"""What the member with the most data has before the others are started, if it does not answer sooner."""
VERIFY_PAUSE = 2.0
"""Before the result is looked at again, where something is only not yet so."""
VERIFY_LOOKS = 10
"""How often it is looked at."""

# --- how often something is looked at ---

BUSY = 3.0
"""Between two looks at a script of ours that still runs on a node."""
POLL = 1.0
"""Between two looks at whatever is waited for, where nothing else is said."""
POLL_HEALTH = 0.2
"""… at a member that was started; while it has no leader a look takes STATUS_SOON."""
POLL_QUARANTINE = 0.2
"""… at a copy in quarantine, which answers within half a second."""
POLL_JOIN = 0.3
"""… at a joiner."""
LONGEST_POLL = 2.0
"""A pause is as long as the look took, but no longer than this: who answers slowly is not kept busy by being asked."""
ELECTION_PAUSE = 0.5
"""Between two looks at members that may be electing a leader."""
ELECTIONS = 4
"""For how many election timeouts they are looked at: one passes before anybody stands, and where just a quorum is left it takes
a second vote now and then (seen with four of seven after a power cut)."""
LONGEST_ELECTIONS = 25.0
"""… but no longer than this, whatever timeout the members have."""

# --- what is said meanwhile ---

TELL_AFTER = 2.0
"""Until a wait is told."""
TELL_AGAIN = 10.0
"""Until it is told again."""
TELL_TICK = 0.25
"""How often it is looked whether one is to be told."""

# --- who holds the cluster ---

HEARTBEAT = 3.0
"""Between two signs of life of a run, in its hold on each node."""
WATCH = 15.0
"""For how long another's hold is watched before it is taken for dead: five of its beats."""
TELL_HOLD = 9.0
"""How often it is told that another's hold is watched."""
LET_GO = 12.0
"""How much longer than a beat the last beats may take at the end of a run."""

# --- on the bastion ---

READER = 1.0
"""For a reader of `--events` to make room; one that does not is left out from then on."""
GLANCE = 0.05
"""Between two looks at what another thread of ours does."""
WAKE = 0.5
"""The same, where that thread wakes us as a rule."""
FEW_PACKETS = 0.002
"""For what is on its way at that moment, before a wait that costs more."""

ANSIBLE = 60.0
"""For `ansible-inventory`: it takes about one; an inventory plugin may ask a cloud."""
