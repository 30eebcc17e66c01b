"""Members that were left behind and are there again."""

from __future__ import annotations

from dataclasses import replace

from fleetrecover.decide.diagnosis import Remedy, Severity, Verdict, Wish, diagnose
from fleetrecover.decide.verdict import Expectation, judge
from fleetrecover.facts import Survey
from tests.decide.test_resume import finish
from tests.fakes.nodes import CLUSTER, FakeFleet, make_log


def with_old_ones(count: int) -> FakeFleet:
    """A cluster that was recovered without its last `count` hosts, and then these hosts are there again, as they were."""
    fleet = FakeFleet.broken(3, dead=count)
    finish(fleet, Wish(dead=frozenset(node.name for node in fleet.nodes if not node.accessible)))
    for node in fleet.nodes[3 - count :]:
        node.accessible, node.data = True, make_log(node.number, 3, 20 - node.number)
    return fleet


def test_one_is_found_and_brought_in_as_a_new_member() -> None:
    """A warning, and the remedy is a repair: fenced, data kept, added anew."""
    fleet = with_old_ones(1)
    fleet.live = [replace(m, id=m.id + 50) if m.id == 3 else m for m in fleet.live if m.id != 3]
    found = diagnose(fleet.survey(), Wish())
    assert (found.verdict, found.remedy) == (Verdict.DEGRADED, Remedy.REPAIR)
    [finding] = [f for f in found.findings if f.code == "returned-member"]
    assert (finding.node, finding.severity) == ("n3", Severity.WARNING)
    finish(fleet, Wish())
    assert {m.peer_urls for m in fleet.live} == {(f"https://10.0.0.{n}:2380",) for n in (1, 2, 3)}
    assert 3 not in {m.id for m in fleet.live}


def test_two_could_form_the_old_quorum() -> None:
    """That is an error, and it is said who."""
    found = diagnose(with_old_ones(2).survey(), Wish())
    loud = [f for f in found.findings if f.code == "returned-member"]
    assert [f.severity for f in loud] == [Severity.ERROR, Severity.ERROR]
    assert "n2, n3 could form the OLD quorum" in loud[0].message
    checked = {c.name: c for c in judge(with_old_ones(2).survey(), None, Expectation(("n1",), {})).checks}
    assert not checked["no returned member"].ok
    assert "OLD quorum" in checked["no returned member"].detail


def test_disarmed_ones_are_only_a_warning() -> None:
    """What is stopped and starts by nothing forms no quorum."""
    fleet = with_old_ones(2)
    for node in fleet.nodes[1:]:
        assert node.container is not None
        node.container = replace(node.container, restart_policy="no", state="exited")
    found = diagnose(fleet.survey(), Wish())
    assert {f.severity for f in found.findings if f.code == "returned-member"} == {Severity.WARNING}


def test_two_sides_that_serve_are_a_split_brain() -> None:
    """Nothing is done before one side is stopped."""
    fleet = with_old_ones(2)
    survey = fleet.survey()
    status = survey.nodes[0].status
    members = survey.nodes[0].members
    assert status is not None and members is not None
    old = tuple(replace(members[0], id=n, name=f"etcd-n{n}") for n in (1, 2, 3))
    nodes = [survey.nodes[0]] + [
        replace(n, status=replace(status, member_id=i, cluster_id=CLUSTER), members=old)
        for i, n in enumerate(survey.nodes[1:], 2)
    ]
    found = diagnose(Survey(survey.fleet, tuple(nodes), survey.taken_at), Wish())
    assert (found.verdict, found.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED)
    assert "SPLIT BRAIN" in found.why
