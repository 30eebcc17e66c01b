"""Members are compared at the revision of the one that has most: who lacks it is told, and is no part of a whole cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fleetrecover.decide.verdict import judge
from fleetrecover.facts import Survey
from fleetrecover.model import Command, Host, Result
from fleetrecover.verify import take_hashes, whole_fleet
from tests.decide.test_verdict import whole

REVISIONS = {"n1": 41, "n2": 40, "n3": 41}


class Etcds:
    """Answers a linearizable read and hashkv for members that have these revisions."""

    def __init__(self, revisions: dict[str, int], *, reads: bool = True) -> None:
        self.revisions, self.reads = revisions, reads
        self.asked: list[tuple[str, list[str]]] = []

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        self.asked.append((host.name, [command.name for command in commands]))
        return [self.answer(host.name, command) for command in commands]

    def answer(self, name: str, command: Command) -> Result:
        if command.name == "endpoint-health":
            said = b"127.0.0.1:2379 is healthy: successfully committed proposal\n"
            return Result(command, 0, said, b"") if self.reads else Result(command, 1, b"", b"is unhealthy")
        wanted = int(command.script.partition("--rev=")[2].split("'")[0].split()[0])
        if wanted > self.revisions[name]:
            said = b"Failed to get the hash (etcdserver: mvcc: required revision is a future revision)"
            return Result(command, 1, b"", said)
        answer = b'[{"Endpoint":"e","HashKV":{"header":{"revision":41},"hash":7,"compact_revision":-1}}]'
        return Result(command, 0, answer, b"")


def seen(revisions: dict[str, int]) -> Survey:
    found = whole()
    nodes = []
    for node in found.nodes:
        assert node.status is not None
        config = replace(node.containers[0], state="running")
        status = replace(node.status, revision=revisions[node.name])
        nodes.append(replace(node, status=status, containers=(config,)))
    return replace(found, nodes=tuple(nodes))


def hashes(revisions: dict[str, int], etcds: Any) -> Any:
    return take_hashes(seen(revisions), etcds)


def test_who_lacks_what_another_has_is_not_of_the_same_content() -> None:
    """Two of three serve without what was acknowledged on the first: their hashes at what all have say nothing of it."""
    less = {"n1": 41, "n2": 1, "n3": 1}
    found = hashes(less, Etcds(less))
    assert (found.revision, found.behind) == (41, ("n2", "n3"))
    judgement = judge(seen(less), found, whole_fleet(seen(less)))
    [check] = [each for each in judgement.checks if each.name == "same content"]
    assert (check.ok, judgement.hash_equal, judgement.ok) == (False, False, False)
    assert "n2, n3 lack revision 41, which n1 has" in check.detail


def test_one_that_was_behind_when_it_was_surveyed_reads_first_and_has_it_then() -> None:
    etcds = Etcds({"n1": 41, "n2": 41, "n3": 41})
    found = hashes(REVISIONS, etcds)
    assert (found.revision, found.behind) == (41, ())
    assert set(found.found.values()) == {(7, -1)}
    assert all(asked == ["endpoint-health", "hashkv"] for _, asked in etcds.asked)


@pytest.mark.parametrize("reads", [True, False])
def test_only_who_answers_a_linearizable_read_is_said_to_lack_something(reads: bool) -> None:
    found = hashes(REVISIONS, Etcds(REVISIONS, reads=reads))
    assert found.behind == (("n2",) if reads else ())
    assert found.found["n2"] is None
