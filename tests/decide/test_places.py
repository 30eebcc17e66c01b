"""What is planned for data directories as they are in the field: no space, another place for it, data that is scattered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.decide.plan import Plan, make_plan
from fleetrecover.decide.room import SPACE_MARGIN
from fleetrecover.errors import Refused
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.facts import Survey, WorkDir
from fleetrecover.steps import CopyData, KeepElsewhere, ProbeReflink
from tests.decide.test_resume import RUN, all_steps, assert_whole, finish
from tests.fakes.nodes import FakeFleet

WISH = Wish()
SIZE = 10**9
WORK = WorkDir("/spare", "/spare", free=10**10)


def survey_with(fleet: FakeFleet, node: str, **data: Any) -> Survey:
    """A survey in which a node's data directory is as told."""
    survey = fleet.survey()
    changed = [
        replace(n, data=replace(n.data, **data)) if n.name == node and n.data is not None else n for n in survey.nodes
    ]
    return replace(survey, nodes=tuple(changed))


def plan_of(survey: Survey, work: WorkDir | None = None) -> Plan:
    diagnosis = diagnose(survey, WISH)
    return make_plan(survey, diagnosis, WISH, run=RUN, started="2026-01-01T00:00:00Z", work=work)


def kinds(plan: Plan, node: str = "n1") -> list[str]:
    return [type(step).__name__ for step in plan.steps if step.node == node]


def test_not_enough_space_is_refused_with_what_can_be_done() -> None:
    with pytest.raises(Refused) as caught:
        plan_of(survey_with(FakeFleet.broken(3, wiped=2), "n1", size=SIZE, free=SIZE // 2))
    assert "needs 1,067 MB, only 500 MB are free" in caught.value.message
    assert "--work-dir DIR" in str(caught.value.hint)


@pytest.mark.parametrize(("filesystem", "works"), [("btrfs", True), ("xfs", True), ("ext2/ext3", False)])
def test_a_copy_that_takes_no_space(filesystem: str, works: bool) -> None:
    """Tried before anything is stopped; where there is enough space nothing is asked of the filesystem."""
    fleet = FakeFleet.broken(3, wiped=2)
    crowded = survey_with(fleet, "n1", size=SIZE, free=2 * SPACE_MARGIN, filesystem=filesystem)
    if not works:
        with pytest.raises(Refused):
            plan_of(crowded)
        return
    plan = plan_of(crowded)
    fence = plan.stage("fence")
    assert fence is not None
    assert [type(step) for step in fence.lanes[0]][1] is ProbeReflink
    assert [step.reflink for step in plan.steps if isinstance(step, CopyData)] == [True]
    assert "ProbeReflink" not in kinds(plan_of(survey_with(fleet, "n1", filesystem=filesystem)))
    for step in fence.steps:
        if type(step) is not ProbeReflink:
            for effect in fleet.effects(step):
                effect()
    again = survey_with(fleet, "n1", size=SIZE, free=2 * SPACE_MARGIN, filesystem=filesystem)
    assert plan_of(again).stage("fence") is None, "or it would look as if somebody had started an etcd"


def test_with_a_work_directory_nothing_is_copied_where_there_is_no_space() -> None:
    plan = plan_of(survey_with(FakeFleet.broken(3, wiped=2), "n1", size=SIZE, free=SPACE_MARGIN), WORK)
    assert not {"KeepData", "CopyData"} & set(kinds(plan))
    [step] = [step for step in plan.steps if isinstance(step, KeepElsewhere)]
    assert (step.work, step.need) == ("/spare", SIZE)


@pytest.mark.parametrize(
    ("work", "free", "why"),
    [
        (replace(WORK, free=SIZE), SPACE_MARGIN, "only 1,000 MB are free"),
        (replace(WORK, problem="everybody may write there"), SPACE_MARGIN, "everybody may write there"),
        (replace(WORK, real="/var/lib/etcd/x"), SPACE_MARGIN, "inside of the data directory"),
        (WORK, SPACE_MARGIN - 1, "a whole segment"),
    ],
)
def test_a_work_directory_that_will_not_do(work: WorkDir, free: int, why: str) -> None:
    with pytest.raises(Refused, match=why):
        plan_of(survey_with(FakeFleet.broken(3, wiped=2), "n1", size=SIZE, free=free), work)


def test_replanning_after_every_effect_without_naming_the_directory_again() -> None:
    """Wherever it was interrupted, the node tells where the original is; the end is the same."""
    fleet = FakeFleet.broken(3, wiped=2)
    seen = 0
    for _ in range(6):
        survey = fleet.survey()
        diagnosis = diagnose(survey, WISH)
        plan = make_plan(survey, diagnosis, WISH, run=RUN, started="2026-01-01T00:00:00Z", work=WORK)
        for step in all_steps(plan):
            seen += isinstance(step, KeepElsewhere)
            for effect in fleet.effects(step):
                effect()
                interrupted = fleet.copy()
                end, survivors = finish(interrupted, WISH)
                assert_whole(interrupted, end, WISH)
                assert set(survivors) <= {"n1"}
        if plan.closing is not None and not any(part.name == "fence" for part in plan.stages):
            break
    assert seen == 1


def test_scattered_data() -> None:
    """A survivor is refused, a joiner is left out and told why."""
    fleet = FakeFleet.broken(5, wiped=3)
    inner = ("member/wal is a mount point",)
    with pytest.raises(Refused, match="member/wal is a mount point"):
        plan_of(survey_with(fleet, "n1", inner=inner))
    plan = plan_of(survey_with(fleet, "n2", inner=inner))
    assert "member/wal is a mount point" in plan.left_out["n2"]
    assert "Fence" in kinds(plan, "n2")
    assert not {"KeepData", "Join"} & set(kinds(plan, "n2"))


def test_a_joiner_without_space_for_new_data() -> None:
    """Its old data stays, so the new must fit beside it."""
    survey = survey_with(FakeFleet.broken(5, wiped=3), "n2", free=10**8)
    db = DbFacts(4096, 1, SIZE, 1, 1, 1, 0, 0, None, (), frozenset(), "3.4.0", "", (), False, ())
    plan = plan_of(replace(survey, nodes=tuple(replace(n, db=db) if n.name == "n1" else n for n in survey.nodes)))
    assert "the new needs 1,134 MB, but only 100 MB are free" in plan.left_out["n2"]
