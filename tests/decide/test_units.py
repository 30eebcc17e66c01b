"""Units that start etcd: held before anything is stopped, stopped before anything is moved, given back, whatever happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover import steps as s
from fleetrecover.decide import undo as u
from fleetrecover.decide.basis import basis, differences
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from fleetrecover.decide.finding import Severity
from fleetrecover.decide.managers import UNIT_HELD, cannot_hold, manager_findings, remakes
from fleetrecover.decide.plan import Plan, make_plan
from fleetrecover.decide.units import HOLD, RELEASE, TOUCHING, Units, made_by_unit, names_of, unheld, units_of
from fleetrecover.decide.untouchable import refusal
from fleetrecover.errors import Refused
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, NodeFacts, Survey
from fleetrecover.steps.words import headline, limit_of
from tests.decide import surveys
from tests.decide.test_resume import RUN, all_steps, assert_whole, finish, interrupted_everywhere, planned
from tests.decide.test_undo import UndoFleet, put_back
from tests.fakes.nodes import FakeFleet, Unit

REMAKES, ATTACHES = Unit(), Unit(remakes=False)
KINDS = {
    "makes it anew": REMAKES,
    "starts it": ATTACHES,
    "makes it anew, and is stopped": replace(REMAKES, active=False),
    "starts it, and is stopped": replace(ATTACHES, active=False),
}


def with_units(fleet: FakeFleet, unit: Unit, *without: str) -> FakeFleet:
    """Every reachable node but those has that unit."""
    for node in fleet.nodes:
        if node.accessible and node.name not in without:
            node.unit = unit
    return fleet


def lost(unit: Unit = REMAKES, nodes: int = 3, wiped: int = 2, *without: str) -> UndoFleet:
    fleet = UndoFleet(FakeFleet.broken(nodes, wiped).nodes)
    with_units(fleet, unit, *without)
    return fleet


def first_plan(fleet: FakeFleet) -> Plan:
    _, plan = planned(fleet, Wish())
    assert plan is not None
    return plan


def change(survey: Survey, number: int, **parts: object) -> Survey:
    """The survey in which the unit of that node is otherwise."""
    nodes = list(survey.nodes)
    [unit] = nodes[number].starters
    nodes[number] = replace(nodes[number], starters=(replace(unit, **parts),))  # type: ignore[arg-type]
    return replace(survey, nodes=tuple(nodes))


# --- to the end, from wherever it was interrupted ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("nodes", "wiped", "version"),
    [(1, 0, "3.4.23"), (3, 2, "3.3.25"), (3, 2, "3.4.23"), (3, 1, "3.4.23"), (5, 2, "3.4.23")],
)
def test_a_recovery_interrupted_anywhere_ends_with_the_units_as_they_were(
    kind: str, nodes: int, wiped: int, version: str
) -> None:
    """The fake fleet fails where data is touched beside a unit that runs, or that could start."""
    fleet = with_units(FakeFleet.broken(nodes, wiped, version=version), KINDS[kind])
    assert interrupted_everywhere(fleet, Wish()) > 0
    assert [node.unit for node in fleet.nodes] == [replace(KINDS[kind], was_active=KINDS[kind].active)] * nodes
    made = [node.made > 0 for node in fleet.nodes]
    assert made == [KINDS[kind] is REMAKES] * nodes, "who makes its container anew has done so, and proven that it can"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("nodes", "wiped"), [(3, 2), pytest.param(4, 2, marks=pytest.mark.long)])
def test_undo_after_every_effect_gives_the_units_back(kind: str, nodes: int, wiped: int) -> None:
    """As they were, with the data that was; who had none, or has forgotten some, stays held: it would begin another cluster."""
    unit = KINDS[kind]
    fleet = lost(unit, nodes, wiped)
    before = [(node.data, [c.name for c in node.containers]) for node in fleet.nodes]
    tried = 0
    for _ in range(9):
        _, plan = planned(fleet, Wish())
        if plan is None or plan.remedy is not Remedy.RESET:
            break
        for step in all_steps(plan):
            for effect in fleet.effects(step):
                effect()
                if not any(RUN in node.keeps for node in fleet.nodes):
                    continue
                stages = u.make_undo(fleet.survey(), RUN).stages
                total = sum(1 for part in stages for one in part.steps for _ in fleet.copy().effects(one))
                for stop in range(total + 1):
                    again = fleet.copy()
                    for do in [do for part in stages for one in part.steps for do in again.effects(one)][:stop]:
                        do()
                    put_back(again)
                    tried += 1
                    for node, (data, names) in zip(again.nodes, before, strict=True):
                        assert node.data == data, (type(step).__name__, stop)
                        theirs = [c.name for c in node.containers if c.kept_name is None]
                        assert theirs in (names, []), (type(step).__name__, stop)
                        assert node.unit is not None
                        back = (theirs, node.unit.active, node.unit.held_by) == (names, unit.active, "")
                        assert back or (node.name != "n1" and not node.unit.active and node.unit.held_by == RUN)
    assert tried > 20


def test_only_some_hosts_have_a_unit() -> None:
    fleet = lost(REMAKES, 3, 2, "n1", "n3")
    plan = first_plan(fleet)
    assert {step.node for step in plan.steps if isinstance(step, s.HoldUnit | s.StopUnit | s.ReleaseUnit)} == {"n2"}
    assert_whole(fleet, finish(fleet, Wish())[0], Wish())


def test_a_member_that_serves_keeps_its_unit() -> None:
    """Repaired while quorum stands: only the host that is replaced is touched, and only its unit is held."""
    fleet = with_units(FakeFleet.broken(3), REMAKES)
    finish(fleet, Wish())
    third = fleet.node("n3")
    third.data, third.keeps = None, {}
    for node in fleet.nodes:
        node.keeps = {}
    made = [node.made for node in fleet.nodes]
    plan = first_plan(fleet)
    assert plan.remedy is Remedy.REPAIR
    assert {step.node for step in plan.steps if isinstance(step, s.HoldUnit | s.ReleaseUnit)} == {"n3"}
    assert_whole(fleet, finish(fleet, Wish())[0], Wish())
    assert [node.made for node in fleet.nodes] == [*made[:2], made[2] + 1]


# --- the order ---


def test_held_first_stopped_before_the_first_touch_and_given_back_last() -> None:
    plan = first_plan(lost())
    assert (plan.stages[0].name, plan.stages[-1].name) == (HOLD, RELEASE)
    last = plan.stage(RELEASE)
    assert last is not None
    assert len(last.lanes) == 1, "one after another: each start may take a member away for a moment"
    assert last.essential == {"n1", "n2", "n3"}
    for part in plan.stages:
        for lane in part.lanes:
            kinds = [type(step) for step in lane]
            if any(kind in TOUCHING for kind in kinds) and part.name == "fence":
                first = next(n for n, kind in enumerate(kinds) if kind in TOUCHING)
                assert kinds[first - 1] is s.StopUnit
                assert kinds.index(s.OpenRun) < first - 1, (
                    "what the containers were is written down before they are renamed"
                )


def test_a_start_gives_nothing_back_before_the_rest_is_whole() -> None:
    fleet = lost(REMAKES, 5, 2)
    plan = first_plan(fleet)
    assert plan.remedy is Remedy.START
    hold = plan.stage(HOLD)
    assert hold is not None
    assert {step.node for step in hold.steps} == {node.name for node in fleet.nodes}, (
        "the others are repaired right after"
    )
    assert plan.stage(RELEASE) is None


def test_what_was_left_out_is_given_back_without_waiting_for_it() -> None:
    """Its etcd is not to be expected: nobody has brought it in."""
    fleet = lost(REMAKES, 3, 2)
    survey = fleet.survey()
    crowded = survey.nodes[2]
    assert crowded.data is not None
    full = replace(crowded, data=replace(crowded.data, inner=("member/wal is a mount point",)))
    survey = replace(survey, nodes=(*survey.nodes[:2], full))
    plan = make_plan(survey, diagnose(survey, Wish()), Wish(), run=RUN, started="t")
    assert list(plan.left_out) == ["n3"]
    given = {step.node: step.waits for step in plan.steps if isinstance(step, s.ReleaseUnit)}
    assert given == {"n1": True, "n2": True, "n3": False}


def test_a_unit_that_did_not_run_is_not_started() -> None:
    plan = first_plan(lost(KINDS["makes it anew, and is stopped"]))
    given = [(step.starts, step.waits) for step in plan.steps if isinstance(step, s.ReleaseUnit)]
    assert given == [(False, False)] * 3
    assert not any(isinstance(step, s.StopUnit) for step in plan.steps)


# --- who cannot be held ---

SHUT: dict[str, dict[str, object]] = {
    "type": {"service": ""},
    "transient": {"lasting": False},
    "no right": {"settings": False},
}


@pytest.mark.parametrize("why", SHUT)
def test_a_unit_that_cannot_be_held_refuses_the_plan_and_says_what_to_type(why: str) -> None:
    survey = lost().survey()
    for number in range(3):
        shut = change(survey, number, **SHUT[why])
        reason = cannot_hold(shut.nodes[number], shut.nodes[number].starters[0])
        assert reason
        [told] = [each for each in manager_findings(shut) if each.node == f"n{number + 1}"]
        assert (told.severity, reason in told.message) == (Severity.ERROR, True)
        with pytest.raises(Refused, match=r"etcd\.service") as caught:
            make_plan(shut, diagnose(shut, Wish()), Wish(), run=RUN, started="t")
        assert "systemctl disable --now etcd.service" in (caught.value.hint or "")


def test_a_path_that_cannot_stand_in_a_unit_and_a_command_with_the_force_flag() -> None:
    node = lost().survey().nodes[0]
    [unit] = node.starters
    assert cannot_hold(node, unit) == ""
    assert node.data is not None
    assert "my data" in cannot_hold(replace(node, data=replace(node.data, keep_root="/my data")), unit)
    assert cannot_hold(replace(node, data=replace(node.data, keep_root="/100%/etcd")), unit)
    forced = replace(node, containers=(replace(node.containers[0], forced=True),))
    assert "--force-new-cluster" in cannot_hold(forced, unit)
    assert cannot_hold(forced, lost(ATTACHES).survey().nodes[0].starters[0]) == ""


def test_a_step_that_nothing_holds_a_unit_for_is_refused() -> None:
    """A restore, which holds none, is refused as before; so is a plan of another run than the one that holds it."""
    survey = lost().survey()
    node = survey.nodes[0]
    base = first_plan(lost()).steps[0]
    where = (base.node, base.paths, base.data)
    fence, hold = s.Fence(*where, ()), s.HoldUnit(*where, "etcd.service")
    told = refusal(survey, [fence])
    assert told is not None
    assert (told.code, told.severity) == ("managed-by-unit", Severity.ERROR)
    assert refusal(survey, [hold, fence]) is None
    assert refusal(survey, [replace(hold, unit="other.service"), fence]) is not None
    assert refusal(survey, [replace(hold, node="n2"), fence]) is not None
    for run, free in ((base.paths.run, frozenset[str]()), ("r-other", frozenset({"etcd.service"}))):
        held = change(survey, 0, held_by=run)
        assert unheld(held, held.nodes[0], [fence]) == free
    assert set(units_of(survey, node)) == {"etcd.service"}


def test_a_second_starter_is_not_hidden_by_a_unit_that_can_be_held() -> None:
    """A unit and cron: the unit is held, and cron refuses the plan all the same."""
    from tests.decide.test_untouchable import CRON

    survey = lost().survey()
    nodes = (replace(survey.nodes[0], starters=(*survey.nodes[0].starters, CRON)), *survey.nodes[1:])
    both = replace(survey, nodes=nodes)
    with pytest.raises(Refused, match=r"/etc/cron\.d/etcd"):
        make_plan(both, diagnose(both, Wish()), Wish(), run=RUN, started="t")


def test_a_unit_of_another_name_is_nobodys_business() -> None:
    survey = change(lost().survey(), 0, commands="/usr/bin/docker run --name=redis redis")
    assert units_of(survey, survey.nodes[0]) == {}
    assert not remakes(survey.nodes[0].starters[0], "etcd")


def test_which_names_a_unit_may_be_about() -> None:
    """Of a container that was set aside its old name, of none the one that it would get; a joiner of ours has none of its own."""
    [node] = (survey := surveys.survey(surveys.node(1, containers=()))).nodes
    assert names_of(survey, node) == ("etcd",)
    aside = surveys.container(id="a", name="etcd9.fleetrecover-r1")
    beside = surveys.container(id="b", name="etcd8", state="exited")
    ours = surveys.container(id="q", name="etcd-quarantine-r1", labels={ROLE_LABEL: "quarantine", RUN_LABEL: "r1"})
    [node] = (survey := surveys.survey(surveys.node(1, containers=(aside, beside, ours)))).nodes
    assert set(names_of(survey, node)) >= {"etcd8", "etcd9"}
    assert not any("quarantine" in name or "fleetrecover" in name for name in names_of(survey, node))


def test_only_a_unit_makes_containers_anew() -> None:
    from tests.decide.test_untouchable import CRON

    survey = lost().survey()
    node = survey.nodes[0]
    [unit] = node.starters
    [own] = node.containers
    cron = replace(CRON, commands=unit.commands)
    with_cron = replace(node, starters=(cron,))
    assert units_of(replace(survey, nodes=(with_cron, *survey.nodes[1:])), with_cron) == {}
    aside = replace(own, name="etcd.fleetrecover-r1")
    for container, starter, made in (
        (own, unit, True),
        (aside, unit, True),
        (replace(own, name="redis"), unit, False),
        (own, cron, False),
        (own, replace(unit, commands="docker start -a etcd"), False),
    ):
        assert made_by_unit(replace(node, starters=(starter,)), container) is made


def test_a_step_on_another_node_holds_nothing_here() -> None:
    survey = lost().survey()
    [first, second] = [step for step in first_plan(lost()).steps if isinstance(step, s.HoldUnit)][:2]
    assert unheld(survey, survey.nodes[0], [second]) == {"etcd.service"}
    assert unheld(survey, survey.nodes[0], [first, second]) == frozenset()
    held = change(survey, 0, held_by="r-there")
    there = replace(second, paths=replace(second.paths, run="r-there"))
    assert unheld(held, held.nodes[0], [replace(first, unit="x"), there]) == {"etcd.service"}


def test_a_host_that_is_away_is_neither_held_nor_given_back() -> None:
    fleet = lost(REMAKES, 4, 2)
    fleet.node("n4").accessible = False
    survey = fleet.survey()
    away = replace(survey.nodes[3], starters=survey.nodes[0].starters)
    survey = replace(survey, nodes=(*survey.nodes[:3], away))
    wish = Wish(dead=frozenset({"n4"}))
    plan = make_plan(survey, diagnose(survey, wish), wish, run=RUN, started="t")
    assert {step.node for step in plan.steps if isinstance(step, s.HoldUnit | s.ReleaseUnit)} == {"n1", "n2", "n3"}


def around(*steps: s.Step, spared: set[str]) -> list[str]:
    """The names of the stages around one of these steps, and whose units are held."""
    survey = lost().survey()
    units = Units(survey, RUN, lambda node: (steps[0].paths, steps[0].data))
    stages = units.around([s.stage("x", "X", [steps])], spared=frozenset(spared), alone=frozenset(), release=True)
    first = next((part for part in stages if part is not None and part.name == HOLD), None)
    return sorted({step.node for step in first.steps}) if first else []


def test_what_cannot_be_held_is_not_given_back_either() -> None:
    survey = lost().survey()
    base = first_plan(lost()).steps[0]
    for settings, given in ((True, ["etcd.service"]), (False, [])):
        one = change(survey, 0, settings=settings)
        units = Units(one, RUN, lambda node: (base.paths, base.data))
        node = one.nodes[0]
        assert [step.unit for step in units.hold(node) if isinstance(step, s.HoldUnit)] == given
        back = units.release(node, waits=True, held={"n1"})
        assert [step.unit for step in back if isinstance(step, s.ReleaseUnit)] == given
        assert [step.unit for step in units.stop(node, ())] == given
    held = change(survey, 0, settings=False, held_by="r0")
    units = Units(held, RUN, lambda node: (base.paths, base.data))
    assert units.release(held.nodes[0], waits=True) != []
    assert list(units.stop(held.nodes[0], ())) != []


def test_a_unit_is_stopped_with_its_own_containers_alone() -> None:
    fleet = lost()
    first = fleet.nodes[0]
    assert first.container is not None
    first.others = [replace(first.container, id="beside", name="etcd-events")]
    survey, base = fleet.survey(), first_plan(lost()).steps[0]
    units = Units(survey, RUN, lambda node: (base.paths, base.data))
    [step] = units.stop(survey.nodes[0], units.aside(survey.nodes[0]))
    assert [(target.id, target.keep_as) for target in step.targets] == [("own1", base.paths.kept_name("etcd"))]


def test_who_serves_is_held_only_where_it_is_touched_and_nobody_where_nothing_is() -> None:
    base = first_plan(lost()).steps[0]
    fence, note = s.Fence("n1", base.paths, base.data, ()), s.FinishRun("n1", base.paths, base.data)
    everybody = {"n1", "n2", "n3"}
    assert around(fence, spared=everybody) == ["n1"]
    assert around(fence, spared={"n1", "n2"}) == ["n1", "n3"]
    assert around(note, spared=set()) == []
    assert around(note, fence, spared=everybody) == ["n1"]


# --- what is told ---


def test_it_is_told_for_information_and_a_hold_that_was_left_is_told_with_what_to_type() -> None:
    survey = lost().survey()
    for told in manager_findings(survey):
        assert (told.code, told.severity, "gives it back" in told.advice) == ("managed-by-unit", Severity.INFO, True)
    left = change(survey, 0, held_by="r-gone", was_active=True, active=False)
    [found] = [each for each in manager_findings(left) if each.code == UNIT_HELD]
    assert (found.node, found.severity) == ("n1", Severity.WARNING)
    assert "rm /etc/systemd/system/etcd.service.d/50-fleetrecover.conf" in found.advice
    assert "systemctl start etcd.service" in found.advice
    [other] = [each for each in manager_findings(change(left, 0, was_active=False)) if each.code == UNIT_HELD]
    assert "systemctl start" not in other.advice


def test_a_run_under_way_holds_its_unit_rightly() -> None:
    fleet = lost()
    for part in (plan := first_plan(fleet)).stages[:1]:
        fleet.do(part.steps)
    fleet.do(step for step in first_plan(fleet).steps if isinstance(step, s.OpenRun))
    assert plan.run == RUN
    assert not any(each.code == UNIT_HELD for each in manager_findings(fleet.survey()))


def test_a_container_that_its_unit_makes_anew_does_not_change_what_was_agreed_to() -> None:
    """A unit that crashes and restarts makes one with another id every few seconds."""
    survey = lost().survey()
    plan = make_plan(survey, diagnose(survey, Wish()), Wish(), run=RUN, started="t")
    third = survey.nodes[2]
    anew = replace(third, containers=(replace(third.containers[0], id="anew"),))
    again = replace(survey, nodes=(*survey.nodes[:2], anew))
    fresh = make_plan(again, diagnose(again, Wish()), Wish(), run=RUN, started="t")
    assert differences(basis(survey, plan), basis(again, fresh)) == ()
    plain, other = (replace_starters(each) for each in (survey, again))
    one, two = (make_plan(each, diagnose(each, Wish()), Wish(), run=RUN, started="t") for each in (plain, other))
    assert differences(basis(plain, one), basis(other, two)), "without a unit, another id is another container"
    free = change(survey, 1, name="other.service")
    held = make_plan(free, diagnose(free, Wish()), Wish(), run=RUN, started="t")
    assert differences(basis(survey, plan), basis(free, held)), "which units are held is agreed to"


def replace_starters(survey: Survey) -> Survey:
    nodes: list[NodeFacts] = [replace(node, starters=()) for node in survey.nodes]
    return replace(survey, nodes=tuple(nodes))


@pytest.mark.parametrize("unit", [REMAKES, ATTACHES])
def test_the_words_say_what_becomes_of_the_unit(unit: Unit) -> None:
    fleet = lost(unit)
    plan = first_plan(fleet)
    said = {type(step).__name__: headline(step, fleet.survey().fleet) for step in plan.steps}
    assert "keep the unit" in said["HoldUnit"][0]
    assert "50-fleetrecover.conf" in " ".join(said["HoldUnit"][1].commands)
    assert "daemon-reload" in said["HoldUnit"][1].undo
    assert "systemctl stop etcd.service" in " ".join(said["StopUnit"][1].commands)
    assert ("makes etcd anew" in said["ReleaseUnit"][0]) is unit.remakes
    waits = [limit_of(step, fleet.survey().fleet) for step in plan.steps if isinstance(step, s.ReleaseUnit)]
    assert all(limit is not None and limit > 200 for limit in waits)
