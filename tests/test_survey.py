"""What the survey does by itself between its looks at the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleetrecover.errors import RemoteError
from fleetrecover.facts import NodeFacts
from fleetrecover.survey import REREADS, read_again, read_early
from tests.decide.logs import log
from tests.decide.surveys import container, node, status, survey

STOPPED = {"containers": (container("exited"),)}


def early(*nodes: NodeFacts) -> set[str]:
    """Which of them are read again."""
    return set(read_early(survey(*nodes).fleet, nodes, dict.fromkeys((node.name for node in nodes), 0)))


class TestReadAgain:
    def test_one_whose_term_is_behind_a_vote_that_it_may_have_asked_for_a_moment_later(self) -> None:
        assert early(node(1, log(1, [(2, 14), (3, 1)], commit=14)), node(3, log(3, [(2, 14)], commit=13))) == {"etcd3"}

    def test_one_that_lacks_what_a_peer_knows_to_be_decided(self) -> None:
        assert early(node(1, log(1, [(2, 20)], commit=20)), node(2, log(2, [(2, 18)], commit=18))) == {"etcd2"}

    def test_a_stopped_one_cannot_have_moved(self) -> None:
        assert early(node(1, log(1, [(3, 20)])), node(2, log(2, [(2, 18)]), **STOPPED)) == set()

    def test_nobody_while_the_cluster_serves(self) -> None:
        serving = node(1, log(1, [(3, 20)]), status=status(1, healthy=True, leader=1))
        assert early(serving, node(2, log(2, [(2, 18)]))) == set()

    def test_nobody_where_all_agree_and_where_nothing_was_read(self) -> None:
        assert early(node(1, log(1, [(2, 20)])), node(2, log(2, [(2, 20)]))) == set()
        assert early(node(1), node(2)) == set()


def test_what_is_read_again_may_show_that_its_peer_was_read_early() -> None:
    """Two without a quorum take turns in asking for votes: each new term makes the other one's log look forgetful."""
    terms = {"etcd1": [4, 6], "etcd2": [3, 5, 6]}

    def look(names: Iterable[str]) -> dict[str, NodeFacts | RemoteError]:
        return {name: node(int(name[-1]), log(int(name[-1]), [(1, 3)], term=terms[name].pop(0))) for name in names}

    first = {name: found for name, found in look(terms).items() if isinstance(found, NodeFacts)}
    fresh = read_again(survey(*first.values()).fleet, first, look)
    assert not any(terms.values()), "each was read until they agreed"
    assert {n.log.hard_state.term for n in fresh.values() if isinstance(n, NodeFacts) and n.log} == {6}


def test_what_still_lacks_it_when_read_after_its_peer_is_not_read_for_ever() -> None:
    old = node(1, log(1, [(1, 3)], term=1))
    new = node(2, log(2, [(1, 3)], term=9))
    asked: list[frozenset[str]] = []

    def look(names: frozenset[str]) -> dict[str, NodeFacts | RemoteError]:
        asked.append(names)
        return {"etcd1": old}

    read_again(survey(old, new).fleet, {"etcd1": old, "etcd2": new}, look)
    assert asked == [frozenset({"etcd1"})]


def test_what_goes_on_taking_turns_is_not_read_for_ever() -> None:
    terms = {"etcd1": iter(range(2, 99, 2)), "etcd2": iter(range(1, 99, 2))}
    asked = 0

    def look(names: Iterable[str]) -> dict[str, NodeFacts | RemoteError]:
        nonlocal asked
        asked += 1
        return {name: node(int(name[-1]), log(int(name[-1]), [(1, 3)], term=next(terms[name]))) for name in names}

    first = {name: found for name, found in look(terms).items() if isinstance(found, NodeFacts)}
    read_again(survey(*first.values()).fleet, first, look)
    assert asked == 1 + REREADS


def test_one_segment_at_a_time_is_asked_for_and_held() -> None:
    """A node's whole log at once would be as much memory as the node likes."""
    from fleetrecover.commands.probes import WalFile
    from fleetrecover.model import Command, Host, Result
    from fleetrecover.survey import Reader, read_remote_log
    from tests.etcd.writers import WalWriter, put
    from tests.fakes.transport import FakeTransport

    writer = WalWriter(node_id=1, cluster_id=9).open()
    for index in range(1, 30):
        writer.entry(1, index, put(f"k{index}"))
        if index in (10, 20):
            writer.state(1, 1, index).open(index + 1)
    writer.state(1, 1, 29)
    files = dict(writer.done())
    batches: list[int] = []

    class Counting(FakeTransport):
        def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
            batches.append(len(commands))
            return super().batch(host, commands)

    def answer(_host: Host, command: Command) -> bytes:
        data = next(data for name, data in files.items() if name in command.script)
        return f"{len(data)} {len(data)} raw\n".encode() + data

    reader = Reader(Host("etcd1", "10.0.0.1"), Counting({"etcd1": {"wal-file": answer}}))
    listing = [WalFile(f"/d/member/wal/{name}", len(data)) for name, data in files.items()]
    assert read_remote_log(reader, listing).last.index == 29
    assert len(files) == 3
    assert batches == [1, 1, 1]
