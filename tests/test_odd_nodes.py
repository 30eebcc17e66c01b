"""One odd node among sound ones, in every command that looks: it is a row with a problem, and the others are as they are."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fleetrecover.commands import actions
from fleetrecover.commands.probes import machine
from fleetrecover.errors import FormatError, OddAnswer, RemoteError, TooMuch, Undetermined
from fleetrecover.facts import NodeFacts
from fleetrecover.hold import Holder, NodeHold
from fleetrecover.model import Command, Fleet, Host
from fleetrecover.recover import run_paths
from fleetrecover.remote import fan_out, look_at
from fleetrecover.snapshots import schedule
from fleetrecover.snapshots.listing import list_snapshots
from fleetrecover.survey import Reader, take_survey
from fleetrecover.verify import verify
from tests.fakes.transport import Answer, FakeTransport, Reply, failed
from tests.odd import SEED, odd_answer

HOSTS = tuple(Host(f"etcd{number}", f"10.0.0.{number}") for number in (1, 2, 3))
FLEET = Fleet("prod", HOSTS)
INSPECT = """[{"Id": "aa", "Name": "/etcd", "Image": "sha256:e", "Created": "2026-01-01T00:00:00Z",
 "Config": {"Image": "etcd:v3.4.23", "Cmd": ["etcd", "--data-dir=/data", "--name=n"], "Labels": {}},
 "State": {"Status": "exited"}, "HostConfig": {"NetworkMode": "host", "Binds": ["/var/lib/etcd:/data"],
 "RestartPolicy": {"Name": "always"}},
 "Mounts": [{"Type": "bind", "Source": "/var/lib/etcd", "Destination": "/data", "RW": true, "Mode": "",
 "Propagation": "rprivate"}]}]"""


def sound(number: int) -> dict[str, Answer]:
    """What a node with a stopped etcd and no data answers."""
    return {
        "machine": f"hostname=etcd{number}\nmachine=m{number}\nclock=0\nuid=0\n",
        "cli-version": "20.10\n",
        "containers": INSPECT,
        "images": "[]",
        "data-listing": "real=/var/lib/etcd\nexists=1\nfree=1000000\n",
        "signs": "",
        "certificates": "",
        "peer-ports": "",
        "snapshot-listing": "real=/opt/rke/etcd-snapshots\nfree=1000\n",
        "schedule-status": "clock=5\n",
        "neighbours": "",
        "*": "",
    }


def odd(seed: str) -> dict[str, Answer]:
    """What a node answers that answers anything to everything, or one in three times what it should."""
    rng = random.Random(f"{SEED} {seed}")
    right = sound(2)

    def answer(_host: Host, command: Command) -> Reply:
        if rng.random() < 0.33:
            return Reply(str(right.get(command.name, "")).encode())
        return Reply(odd_answer(rng, command.script), odd_answer(rng, ""), rng.choice((0, 0, 0, 0, 1, 124)))

    return {"*": answer}


def fleet_with(answers: Any) -> FakeTransport:
    """Three nodes of which the second is odd."""
    return FakeTransport({"etcd1": sound(1), "etcd2": answers, "etcd3": sound(3)})


def fine(node: NodeFacts) -> bool:
    """Whether a sound node was seen as it is."""
    return node.accessible and node.hostname == node.name and len(node.containers) == 1 and node.data is not None


@pytest.mark.parametrize("seed", range(60))
def test_a_survey_has_a_row_for_an_odd_node(seed: int) -> None:
    found = take_survey(
        FLEET, fleet_with(odd(f"survey {seed}")), sleep=lambda _: None, clock=iter(range(9**9)).__next__
    )
    assert [node.name for node in found.nodes] == ["etcd1", "etcd2", "etcd3"]
    assert fine(found.nodes[0])
    assert fine(found.nodes[2])
    assert found.nodes[1].reachable, "it answers: it can never be declared dead for what it says"


@pytest.mark.parametrize("seed", range(40))
def test_the_other_looks_have_a_row_for_it_too(seed: int) -> None:
    listed = list_snapshots(FLEET, fleet_with(odd(f"list {seed}")))
    assert {name for name, _ in listed.problems} <= {"etcd2"}
    rows = schedule.status(FLEET, fleet_with(odd(f"status {seed}")))
    assert [row.node for row in rows] == ["etcd1", "etcd2", "etcd3"]
    assert not rows[0].problem
    assert not rows[2].problem
    seen, judgement = verify(FLEET, fleet_with(odd(f"verify {seed}")))
    assert not judgement.ok
    assert fine(seen.nodes[0])


@pytest.mark.parametrize(
    ("probe", "answer"),
    [
        ("machine", "clock=inf\nuid=nan\n"),
        ("containers", '[{"State":[1]}]'),
        ("containers", INSPECT.replace('"Labels": {}', '"Labels": ["x"]')),
        ("containers", INSPECT.replace('"Cmd"', '"Env": 5, "Cmd"')),
        ("images", '[{"Id": 5}]'),
        ("data-listing", "real=/d\nsize=inf\n"),
        ("data-listing", "[" * 9999),
        ("data-listing", ""),
    ],
)
def test_the_problem_names_the_probe(probe: str, answer: str) -> None:
    node = take_survey(FLEET, fleet_with({**sound(2), probe: answer})).node("etcd2")
    problems = [p for p in (node.problem, node.cli_problem, node.log_problem, node.status_problem) if p is not None]
    told = " ".join(p.message for p in problems)
    if probe == "machine":
        assert node.accessible, "its name and clock are not needed"
    else:
        assert any(word in told for word in (probe, "inspect", "data listing")), told
    if probe in ("containers", "images"):
        assert not node.accessible, "what runs there is not known, so nothing there can be stopped"


def test_a_node_that_sends_too_much_is_reachable_and_not_accessible() -> None:
    node = take_survey(FLEET, fleet_with(TooMuch("etcd2", "containers printed more than 1 bytes"))).node("etcd2")
    assert node.reachable
    assert not node.accessible
    assert node.cli_problem is not None
    assert "printed more than" in node.cli_problem.message


def test_a_fault_of_ours_in_reading_is_one_nodes_and_in_writing_it_ends_the_command() -> None:
    def work(host: Host) -> str:
        if host.name == "etcd2":
            raise ZeroDivisionError("a fault of ours")
        return "fine"

    found = look_at(HOSTS, work)
    assert [found["etcd1"], found["etcd3"]] == ["fine", "fine"]
    error = found["etcd2"]
    assert isinstance(error, OddAnswer)
    assert error.host == "etcd2"
    assert "ZeroDivisionError" in error.message
    assert "test_odd_nodes" not in error.message, "places are those of the program"
    with pytest.raises(ZeroDivisionError):
        fan_out(HOSTS, work)


def test_a_readers_error_is_a_remote_one_with_the_node_and_the_probe() -> None:
    reader = Reader(HOSTS[1], fleet_with({"*": failed(3, "no luck")}))
    with pytest.raises(FormatError, match="etcd2: machine: exit code 3: no luck") as caught:
        reader.read(machine())
    assert isinstance(caught.value, RemoteError)
    assert caught.value.code == 12


def test_a_hold_that_cannot_be_looked_at_changes_nothing() -> None:
    """Somebody holds etcd2, and what it says of the holder cannot be read: it is not broken, and etcd1 is let go."""
    nodes = take_survey(FLEET, fleet_with(sound(2))).nodes
    transport = fleet_with({"take-hold": actions.HELD, "*": "[" * 999})
    holder = Holder("t", "r1", "me", "here", 1, "1", "now")
    with (
        pytest.raises(Undetermined, match="nothing was changed"),
        NodeHold(transport, nodes, lambda node: run_paths(node, "r1"), holder, sleep=lambda _: None),
    ):
        pytest.fail("it was entered")
    assert "break-hold" not in transport.names("etcd2")
    assert transport.names("etcd1")[-1] == "release-hold"
