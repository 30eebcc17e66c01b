"""PURE: every question to a running etcd, and every change of its membership, spelled once.

All of them go through `etcdctl` inside the node's own container (`CLI exec`): no shell is needed in the image, and no port
has to be reachable from the bastion. Endpoint and TLS files are given as ETCDCTL_* variables, not as options: RKE's
containers have those variables, and etcdctl 3.4 and later dies of one that an option shadows, even of an empty one
(pkg/flags/flag.go, "conflicting environment variable").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fleetrecover import limits
from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.shell import quote
from fleetrecover.etcd import etcdctl as answers
from fleetrecover.etcd.membership import Member, hex_id
from fleetrecover.model import Command, Result

PASSING = (
    "unhealthy cluster",
    "re-configuration failed due to not enough started members",
    "too many learner members",
    "leader changed",
    "request timed out",
    "no leader",
    "context deadline exceeded",
)
"""What etcd says where the same question a little later is answered well (etcdserver/errors.go, 3.3 to 3.5)."""

NOT_IN_SYNC = "in sync with leader"
"""What `member promote` says of a learner that has not caught up yet."""


class Executor(Protocol):
    """Runs a program where an instance of etcd runs: in its network, with its files."""

    def exec(self, name: str, environment: Sequence[tuple[str, str]], words: Sequence[str]) -> tuple[str, ...]:
        """The words that do."""
        ...


@dataclass(frozen=True)
class Etcdctl:
    """How to reach one node's etcd: where which instance runs (`container`), at which endpoint, with which TLS files.

    `tls` are the files as that one sees them: CA, certificate and key; empty for plain HTTP.
    """

    via: Executor
    container: str
    endpoint: str
    tls: tuple[str, ...] = ()

    def words(self, words: Sequence[str], *, timeout: int = limits.ETCDCTL, json: bool = True) -> tuple[str, ...]:
        """Return the whole argv."""
        files = self.tls or ("", "", "")
        environment = [
            ("ETCDCTL_API", "3"),
            ("ETCDCTL_ENDPOINTS", self.endpoint),
            *zip(("ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"), files, strict=True),
        ]
        limits_of = (f"--dial-timeout={limits.DIAL}s", f"--command-timeout={timeout}s")
        told = ("-w", "json") if json else ()
        return self.via.exec(self.container, environment, ("etcdctl", *limits_of, *words, *told))

    def command(self, name: str, words: Sequence[str], *, timeout: int = limits.ETCDCTL, json: bool = True) -> Command:
        """Return the command; the node ends it some seconds after etcdctl's own limit."""
        script = " ".join(quote(word) for word in self.words(words, timeout=timeout, json=json))
        return Command(name, script + "\n", timeout=timeout + limits.ETCDCTL_MORE)

    def status(self, timeout: int = limits.STATUS) -> Probe[answers.EndpointStatus]:
        """What the member says of itself; answers at once and without quorum.

        Not one that has started without quorum: it listens, but takes no client until it is published. So it gets
        `timeout` seconds.
        """
        command = self.command("endpoint-status", ["endpoint", "status"], timeout=timeout)
        return Probe(command, lambda r: answers.parse_endpoint_status(r.text)[0])

    def health(self, timeout: int = limits.STATUS) -> Probe[bool]:
        """Whether a linearizable read succeeds: quorum stands behind this member."""
        command = self.command("endpoint-health", ["endpoint", "health"], timeout=timeout, json=False)
        # exit 1 is "unhealthy": an answer, not a failure
        return Probe(Command(command.name, command.script, command.timeout, ok_codes=(0, 1)), _says_healthy)

    def members(self) -> Probe[tuple[Member, ...]]:
        """The member list, linearizable from 3.5 on."""
        return Probe(
            self.command("member-list", ["member", "list"]), lambda r: answers.parse_member_list(r.text).members
        )

    def alarms(self) -> Probe[tuple[str, ...]]:
        """Alarms that are raised, as `NOSPACE 8e9e05c52164694d`."""
        return Probe(
            self.command("alarm-list", ["alarm", "list"]),
            lambda r: tuple(f"{alarm.kind} {hex_id(alarm.member_id)}" for alarm in answers.parse_alarm_list(r.text)),
        )

    def hashkv(self, revision: int) -> Probe[answers.HashKV]:
        """The content hash at a revision (0: the present one). Large databases take long."""
        return Probe(
            self.command("hashkv", ["endpoint", "hashkv", f"--rev={revision}"], timeout=limits.HASH),
            lambda r: answers.parse_endpoint_hashkv(r.text)[0],
        )

    def key_count(self) -> Probe[int]:
        """How many keys there are, which etcd counts whatever the limit is; linearizable."""
        words = ["get", "", "--prefix", "--limit=1", "--keys-only"]
        return Probe(self.command("key-count", words, timeout=limits.COUNT), lambda r: answers.parse_count(r.text))

    def add(self, name: str, peer_urls: Sequence[str], *, learner: bool) -> Action:
        """Add a member, as a learner where etcd knows them (3.4 and later)."""
        words = ["member", "add", name, f"--peer-urls={','.join(peer_urls)}", *(["--learner"] if learner else [])]
        return Action(
            self.command("member-add", words, timeout=limits.MEMBER_CHANGE),
            undo="member remove, while it has not started",
        )

    def remove(self, member_id: int) -> Action:
        """Remove a member."""
        return Action(
            self.command(
                "member-remove", ["member", "remove", hex_id(member_id)], timeout=limits.MEMBER_CHANGE, json=False
            ),
            undo="it is added anew, as a new member",
        )

    def update(self, member_id: int, peer_urls: Sequence[str]) -> Action:
        """Give a member other peer URLs; etcd refuses one that another member has."""
        words = ["member", "update", hex_id(member_id), f"--peer-urls={','.join(peer_urls)}"]
        return Action(
            self.command("member-update", words, timeout=limits.MEMBER_CHANGE, json=False),
            undo="member update with the URLs of before",
        )

    def promote(self, member_id: int) -> Action:
        """Make a learner a voter; etcd refuses until it has caught up."""
        return Action(
            self.command(
                "member-promote", ["member", "promote", hex_id(member_id)], timeout=limits.MEMBER_CHANGE, json=False
            ),
            undo="member remove",
        )


def _says_healthy(result: Result) -> bool:
    """Tell from `endpoint health`: exit 0 and the word, on stdout (3.3, 3.4) or stderr (3.5).

    >>> 'https://10.0.0.1:2379 is healthy: successfully committed proposal: took = 2.1ms'

    3.5 calls a member with an alarm unhealthy, after its linearizable read has succeeded: quorum stands behind it.

    >>> 'http://127.0.0.1:56491 is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE'
    """
    said = result.text + result.error_text
    return (result.exit_code == 0 and " is healthy" in said) or "Active Alarm(s)" in said
