"""Where a run keeps its things on a node. The one place that knows; see docs/ON-NODE-STATE.md."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from fleetrecover.facts import KEPT_INFIX, DataDir

DEFAULT_DATA = "/var/lib/etcd"


@dataclass(frozen=True)
class RunPaths:
    """The paths of one run on one node.

    `keep_root` is `<data>.fleetrecover`, or `<data>/.fleetrecover` where the data directory is a filesystem of its own.
    The names tell how far the run is, so nothing else has to remember it:

    original/   the data as it was, moved here whole; never written to
    partial/    a copy that is being made and whose commit is being raised
    work/       a copy that equals the original but for the raised commit
    booted/     the copy while the reset runs on it; dirty until it is called reset/
    reset/      the copy after a reset that has answered; `proof.json` is what it answered
    discarded-N/  data of a join that did not come to its end
    withdrawn/  what the run had put in place, moved here by `undo`

    `wal` is the WAL's directory, links resolved, where etcd has one of its own: its data then is two directories, perhaps on
    two filesystems. What is moved whole (original, discarded-N, withdrawn) has its WAL beside the WAL's directory, in
    `<wal>.fleetrecover/RUN/PART`, so that this is a rename, too; the link `wal-of-PART` says where. A copy is in one piece:
    its WAL lies in its `member/wal`, until it is adopted.
    """

    keep_root: str
    run: str
    wal: str = ""

    @classmethod
    def of(cls, data: DataDir | None, run: str) -> RunPaths:
        """The paths of that run on the node with that data directory."""
        if data is None:
            return cls(DEFAULT_DATA + ".fleetrecover", run)
        return cls(data.keep_root, run, data.wal)

    @property
    def wal_keep_root(self) -> str:
        """Where runs keep WALs, where etcd has a WAL directory of its own."""
        return f"{self.wal}.fleetrecover"

    def wal_at(self, part: str) -> str:
        """Where the WAL of a part that was moved whole lies."""
        return posixpath.join(self.wal_keep_root, self.run, part)

    def wal_link(self, part: str) -> str:
        """The link that says where the WAL of that part lies. It leads nowhere where there is none."""
        return self.at(f"wal-of-{part}")

    @property
    def root(self) -> str:
        """The run's directory."""
        return posixpath.join(self.keep_root, self.run)

    def at(self, name: str) -> str:
        """The path of one of its parts."""
        return posixpath.join(self.root, name)

    @property
    def pin(self) -> str:
        """`run.json`, which pins the survivor."""
        return self.at("run.json")

    @property
    def containers(self) -> str:
        """What `inspect` said of the node's etcd containers before anything was done."""
        return self.at("containers.json")

    @property
    def proof(self) -> str:
        """What the quarantined reset answered."""
        return self.at("proof.json")

    @property
    def hold(self) -> str:
        """The directory that says who holds this node, for all runs."""
        return posixpath.join(self.keep_root, "hold")

    @property
    def token(self) -> str:
        """The file with the token of the run that holds this node."""
        return posixpath.join(self.hold, "token")

    @property
    def no_data(self) -> str:
        """A mark: the node had no data when the run began."""
        return self.at("no-data")

    def kept_name(self, container: str) -> str:
        """The name under which this run sets a container aside."""
        return f"{container}{KEPT_INFIX}{self.run}"

    def quarantine_name(self, container: str) -> str:
        """The name of this run's quarantined container."""
        return f"{container}-quarantine-{self.run}"
