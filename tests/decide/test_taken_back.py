"""What an undo loses and brings back, who is started after it, and what clean must not remove."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide import undo as u
from fleetrecover.decide.kept import Loss, ahead_of_serving, check_kept
from fleetrecover.decide.taken_back import who_starts
from fleetrecover.errors import Refused
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.log import Log
from fleetrecover.facts import Keep, KeptData, NodeFacts, Survey
from fleetrecover.steps import PutContainerBack
from tests.decide.test_resume import RUN
from tests.decide.test_undo import UndoFleet, recovered

PATH = f"/var/lib/etcd.fleetrecover/{RUN}"


def database(revision: int) -> DbFacts:
    return DbFacts(4096, 1, 4096, 1, None, revision, -1, -1, None, (), frozenset(), "", "", (), False, ())


def changed(survey: Survey, name: str, **parts: object) -> Survey:
    nodes = tuple(replace(n, **parts) if n.name == name else n for n in survey.nodes)  # type: ignore[arg-type]
    return replace(survey, nodes=nodes)


def kept(survey: Survey, name: str, **parts: object) -> Survey:
    """The survey with the run's keep on a node changed."""
    node = survey.node(name)
    keeps = tuple(replace(k, **parts) if k.run == RUN else k for k in node.keeps)  # type: ignore[arg-type]
    return changed(survey, name, keeps=keeps)


def serving(survey: Survey, revision: int, commit: int = 50) -> Survey:
    nodes = tuple(
        replace(n, status=replace(n.status, revision=revision, commit=commit)) if n.status else n for n in survey.nodes
    )
    return replace(survey, nodes=nodes)


def original(revision: int | None, commit: int | None = 23, **more: object) -> KeptData:
    values: dict[str, object] = {"index": commit, "cluster_id": 0xC1, "member_id": 1, "voters": frozenset({1, 2, 3})}
    return KeptData(f"{PATH}/original", revision, commit=commit, **(values | more))  # type: ignore[arg-type]


# --- in both directions --------------------------------------------------------------------------------------------------


def test_without_the_survivor_nobody_knows_what_was_written_since() -> None:
    """5000 revisions may have been: None is not 0, and the plan says so."""
    fleet = recovered()
    fleet.node("n1").accessible = False
    plan = u.make_undo(fleet.survey(), RUN)
    assert plan.written_since is None
    assert plan.blind
    assert any("cannot be told" in text for text in plan.warnings)


def test_what_was_agreed_to_once_is_not_asked_for_again() -> None:
    """An undo that was interrupted has set the proof aside."""
    survey = kept(recovered().survey(), "n1", proof=None, undoing=True)
    plan = u.make_undo(survey, RUN)
    assert (plan.written_since, plan.blind) == (None, False)


def test_a_run_that_never_served_loses_nothing() -> None:
    survey = kept(recovered().survey(), "n1", proof=None)
    assert u.make_undo(survey, RUN).written_since == 0


def test_only_members_of_the_recovered_cluster_count_as_what_was_written_since() -> None:
    """A host that was declared dead with the best log is back: its 76 revisions are no loss, they come back."""
    survey = recovered().survey()
    back = replace(
        survey.node("n3"), status=None, db=database(76), keeps=(), members=None, log=replace_id(survey.node("n3"), 3)
    )
    survey = replace(survey, nodes=(*survey.nodes[:2], back))
    plan = u.make_undo(survey, RUN)
    assert (plan.written_since, plan.gains) == (0, 46)
    assert not any("LOSES" in text for text in plan.warnings)
    assert any("46 revisions ahead" in text and "come back" in text for text in plan.warnings)


def replace_id(node: NodeFacts, number: int) -> Log:
    assert node.log is not None
    return replace(node.log, node_id=number)


def test_when_nobody_serves_the_disks_of_the_recovered_cluster_are_counted_and_no_others() -> None:
    """The survivor's and those whom its log counts; one that cannot be read makes it unknown."""
    survey = recovered().survey()
    for name, revision in (("n1", 35), ("n2", 90), ("n3", 90)):
        survey = changed(survey, name, status=None, db=database(revision))
    assert u.make_undo(survey, RUN).written_since == 5, "n2 and n3 are not in n1's log"
    survey = changed(survey, "n1", db=None)
    assert u.make_undo(survey, RUN).written_since is None


def test_the_member_that_is_furthest_ahead_is_what_was_written() -> None:
    """One that lags says nothing of what the others have."""
    survey = serving(recovered().survey(), 40)
    lags = survey.node("n2").status
    assert lags is not None
    survey = changed(survey, "n2", status=replace(lags, revision=31))
    assert u.make_undo(survey, RUN).written_since == 10


def test_leases_users_and_roles_count() -> None:
    """They have no revision; the log tells that something was."""
    plan = u.make_undo(serving(recovered().survey(), 30, commit=60), RUN)
    assert plan.written_since == 0
    assert plan.entries_since == 60 - 22
    assert any("leases, users and roles" in text for text in plan.warnings)


def repaired(revision: int) -> Survey:
    """A repair that exchanged n1 while the others served at revision 30; its original is at that revision."""
    survey = recovered().survey()
    for name in ("n1", "n2", "n3"):
        keep = survey.node(name).keep(RUN)
        assert keep is not None
        assert keep.pin is not None
        survey = kept(survey, name, pin=replace(keep.pin, kind="repair"), proof=None, no_data=False)
    return kept(survey, "n1", kept=(original(revision),))


def test_a_repair_is_undone_where_what_is_kept_is_ahead_of_what_serves() -> None:
    """An emptied quorum has exchanged the one member that had the data."""
    with pytest.raises(Refused, match="by vote"):
        u.make_undo(repaired(30), RUN)
    plan = u.make_undo(repaired(61), RUN)
    assert (plan.written_since, plan.gains) == (0, 31)
    assert "n1" in plan.nodes


def test_a_repair_without_quorum_is_compared_with_what_lies_in_place() -> None:
    """It has no proof. 40 in place on the node whose 30 are put back: ten are lost; unreadable: not known."""
    survey = repaired(30)
    for name in ("n1", "n2", "n3"):
        survey = changed(survey, name, status=None, db=database(40))
    survey = changed(survey, "n2", db=database(12))
    survey = changed(survey, "n3", db=database(12))
    assert u.make_undo(survey, RUN).written_since == 10
    assert u.make_undo(changed(survey, "n1", db=None), RUN).written_since is None


def test_a_run_that_moved_nothing_takes_nothing_out() -> None:
    survey = kept(repaired(30), "n1", original=False, kept=())
    for name in ("n1", "n2", "n3"):
        survey = changed(survey, name, status=None)
    assert u.make_undo(survey, RUN).written_since == 0


# --- who starts ----------------------------------------------------------------------------------------------------------


def started(plan: u.UndoPlan) -> list[list[str]]:
    return [
        [s.node for s in part.steps if isinstance(s, PutContainerBack) and s.start]
        for part in plan.stages
        if part.name.startswith("containers")
    ]


def running_before(fleet: UndoFleet) -> UndoFleet:
    """As if every container had run before the run."""
    for node in fleet.nodes:
        node.keeps[RUN] = replace(node.keeps[RUN], ran=frozenset(node.keeps[RUN].names))
    return fleet


def test_empty_members_are_not_started_by_an_undo() -> None:
    """They would begin an empty quorum, and the one with the data would be the stranger. Their policy stays away, too."""
    plan = u.make_undo(running_before(recovered()).survey(), RUN)
    assert started(plan) == [["n1"]]
    assert {s.node: s.restart_policy for p in plan.stages for s in p.steps if isinstance(s, PutContainerBack)} == {
        "n1": "always",
        "n2": "no",
        "n3": "no",
    }
    assert set(plan.held_back) == {("n2", "etcd"), ("n3", "etcd")}
    assert any("n2: etcd is not started" in text for text in plan.warnings)


def test_what_is_held_back_is_as_it_is_to_be() -> None:
    fleet = running_before(recovered())
    plan = u.make_undo(fleet.survey(), RUN)
    for part in plan.stages:
        fleet.do(part.steps)
    assert u.remains(fleet.survey(), RUN, plan.held_back) == []
    assert u.remains(fleet.survey(), RUN) != []


def three_originals(*commits: int) -> Survey:
    survey = running_before(recovered()).survey()
    for number, commit in enumerate(commits, 1):
        data = original(30, commit, member_id=number)
        survey = kept(survey, f"n{number}", original=True, no_data=False, kept=(data,))
    return survey


def test_the_member_with_the_most_data_is_first_and_waited_for() -> None:
    """The others follow, where they are too few to be a quorum without it."""
    plan = u.make_undo(three_originals(20, 23, 23), RUN)
    assert plan.held_back == {}
    assert started(plan) == [["n2"], ["n1", "n3"]]
    first = [s for p in plan.stages for s in p.steps if isinstance(s, PutContainerBack) and s.wait]
    assert [s.node for s in first] == ["n2"]


def test_a_quorum_that_has_forgotten_is_not_started() -> None:
    """Two of three end before what the third knows to be decided: one of them has forgotten it."""
    plan = u.make_undo(three_originals(4, 5, 23), RUN)
    assert started(plan) == [["n3"]]
    assert {node for node, _ in plan.held_back} == {"n1", "n2"}


def test_a_disk_that_cannot_be_looked_at_is_not_taken_for_an_empty_one() -> None:
    survey = kept(three_originals(20, 23, 23), "n1", kept=(KeptData(f"{PATH}/original", problem="corrupt"),))
    assert u.make_undo(survey, RUN).held_back == {}
    survey = changed(recovered().survey(), "n2", data=None, keeps=())
    assert "n2" not in who_starts(survey, RUN, survey.nodes).not_these


# --- clean ---------------------------------------------------------------------------------------------------------------


def test_clean_refuses_while_what_is_kept_is_ahead_of_what_serves() -> None:
    """61 revisions kept beside 30 that serve: unless the number is typed."""
    survey = kept(recovered().survey(), "n1", kept=(original(61),))
    with pytest.raises(Refused, match="31 revisions ahead") as told:
        check_kept(survey, RUN, Loss())
    assert "--accept-loss 31" in (told.value.hint or "")
    with pytest.raises(Refused):
        check_kept(survey, RUN, Loss(30))
    with pytest.raises(Refused):
        check_kept(survey, RUN, Loss(unknown=True))
    check_kept(survey, RUN, Loss(31))


def test_clean_counts_what_an_undo_has_taken_out_and_entries_without_a_revision() -> None:
    withdrawn = replace(original(30, commit=57), part=f"{PATH}/withdrawn")
    survey = kept(recovered().survey(), "n1", kept=(original(30), withdrawn))
    found = ahead_of_serving(survey, RUN)
    assert (found.revisions, found.entries, found.told) == (0, 7, "7 log entries")
    assert ahead_of_serving(survey, RUN, originals_only=True).count == 0
    other = replace(withdrawn, cluster_id=0xC2)
    assert ahead_of_serving(kept(survey, "n1", kept=(other,)), RUN).count == 0, "indexes of another cluster"


def test_clean_refuses_what_cannot_be_told() -> None:
    """Neither log nor database can be read; with either it can be told. Nobody having looked is no better."""
    survey = recovered().survey()
    blind = kept(survey, "n1", kept=(KeptData(f"{PATH}/original", problem="not a WAL"),))
    for seen in (blind, kept(survey, "n1", kept=None)):
        with pytest.raises(Refused, match="cannot be told") as told:
            check_kept(seen, RUN, Loss(99))
        assert "--accept-loss unknown" in (told.value.hint or "")
        check_kept(seen, RUN, Loss(unknown=True))
    check_kept(kept(survey, "n1", kept=(original(30, None, index=None),)), RUN, Loss())


def test_clean_wants_every_node_closed_or_says_which_is_not() -> None:
    survey = recovered().survey()
    open_there = kept(survey, "n2", finished=False)
    assert any("n2" in note for note in u.make_clean(open_there, RUN).notes)
    assert u.make_clean(survey, RUN).notes == ()
    for begun in ({"undone": True}, {"undoing": True, "finished": False}):
        with pytest.raises(Refused, match="n2") as told:
            u.make_clean(kept(open_there, "n3", **begun), RUN)
        assert f"undo {RUN}" in (told.value.hint or "")


def test_a_repair_that_is_not_finished_is_never_sent_in_a_ring() -> None:
    """undo says recover, clean says recover, and neither says the other."""
    survey = repaired(30)
    for name in ("n1", "n2", "n3"):
        survey = kept(survey, name, finished=False)
    with pytest.raises(Refused) as undo:
        u.make_undo(survey, RUN)
    with pytest.raises(Refused) as clean:
        u.make_clean(survey, RUN)
    assert "recover" in (undo.value.hint or "") and "clean" not in (undo.value.hint or "")
    assert "recover" in (clean.value.hint or "") and "undo" not in (clean.value.hint or "")


# --- younger runs --------------------------------------------------------------------------------------------------------


def test_a_younger_run_that_is_undone_does_not_stand_in_the_way() -> None:
    fleet = recovered()
    younger = "r20270101T000000Z-ffff"
    for node in fleet.nodes:
        node.keeps[younger] = replace(node.keeps[RUN], run=younger, undone=True, original=False)
    assert u.make_undo(fleet.survey(), RUN).nodes == ("n1", "n2", "n3")


def test_a_younger_run_where_this_one_is_undone_already_does_not_either() -> None:
    """It missed a node; the others were recovered by another run since."""
    fleet = recovered()
    younger = Keep("r20270101T000000Z-ffff", "/x", fleet.nodes[0].keeps[RUN].pin, containers=True)
    for node in fleet.nodes[1:]:
        node.keeps[RUN] = replace(node.keeps[RUN], undone=True)
        node.keeps[younger.run] = younger
    assert u.make_undo(fleet.survey(), RUN).nodes == ("n1",)
