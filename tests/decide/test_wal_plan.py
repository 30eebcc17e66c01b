"""What is planned for members whose WAL has a directory of its own, and what is refused or left out by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleetrecover import steps as s
from fleetrecover.decide import undo as u
from fleetrecover.decide.by_hand import set_aside
from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.decide.plan import Plan, make_plan
from fleetrecover.decide.room import JOIN_MARGIN, SPACE_MARGIN
from fleetrecover.decide.surroundings import surroundings
from fleetrecover.decide.taken_back import moves
from fleetrecover.errors import Refused
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.facts import Keep, Pin, Survey, WorkDir
from fleetrecover.runtime.containers import Containers
from tests.decide.surveys import database
from tests.fakes.nodes import DATA, WAL, FakeFleet

RUN = "r1"


def lost(**on_n1: Any) -> Survey:
    """Three nodes with WALs apart, one of them left; of its data directory so much is otherwise."""
    return changed(FakeFleet.broken(3, wiped=2, wal=True).survey(), "n1", **on_n1)


def changed(seen: Survey, name: str, **data: Any) -> Survey:
    def one(node: Any) -> Any:
        return replace(node, data=replace(node.data, **data)) if node.name == name else node

    return replace(seen, nodes=tuple(one(node) for node in seen.nodes))


def plan_of(seen: Survey, wish: Wish | None = None, work: WorkDir | None = None) -> Plan:
    wish = wish or Wish()
    return make_plan(seen, diagnose(seen, wish), wish, run=RUN, started="t", work=work)


def test_every_step_knows_of_it() -> None:
    """The paths of all of them name it, the reset runs on the copy of it, and what is shown says what happens to it."""
    plan = plan_of(lost())
    assert {step.paths.wal for step in plan.steps} == {WAL}
    [reset] = [step for step in plan.steps if isinstance(step, s.Quarantine)]
    booted = reset.paths.at("booted")
    binds = {bind.split(":")[1]: bind.split(":")[0] for bind in reset.spec.binds}
    assert (binds["/wal/etcd"], binds["/var/lib/rancher/etcd"]) == (f"{booted}/member/wal", booted)
    for kind, said in (
        (s.KeepData, f"mv {WAL} {WAL}.fleetrecover/{RUN}/original"),
        (s.Join, f"WAL directory {WAL}, empty"),
    ):
        step = next(each for each in plan.steps if isinstance(each, kind))
        assert any(said in command for command in step.explain(Containers()).commands), kind


def test_where_there_is_none_no_script_speaks_of_it() -> None:
    plan = plan_of(FakeFleet.broken(3, wiped=2).survey())
    shown = "".join(command for step in plan.steps for command in step.explain(Containers()).commands)
    assert "wal-of" not in shown and ".fleetrecover/r1/original" in shown


def test_its_own_filesystem_must_have_room_for_it() -> None:
    need = 10**5 + SPACE_MARGIN
    assert plan_of(lost(wal_free=need)).survivor == "n1"
    with pytest.raises(Refused, match="n1: the copy of its WAL needs") as caught:
        plan_of(lost(wal_free=need - 1))
    assert f"on the filesystem of {WAL} on n1" in (caught.value.hint or "")


def test_on_the_same_filesystem_it_is_there_once_more() -> None:
    need = 10**6 + 10**5 + SPACE_MARGIN
    assert plan_of(lost(wal_shared=True, wal_free=0, free=need)).survivor == "n1"
    with pytest.raises(Refused, match="n1: the copy of its data needs"):
        plan_of(lost(wal_shared=True, wal_free=0, free=need - 1))


def test_with_a_work_directory_the_log_still_is_copied_beside_the_data() -> None:
    work = WorkDir("/spare", "/spare", 10**10)
    need = 10**5 + SPACE_MARGIN
    assert any(isinstance(step, s.KeepElsewhere) for step in plan_of(lost(free=need), work=work).steps)
    with pytest.raises(Refused, match="even with --work-dir"):
        plan_of(lost(free=need - 1), work=work)


def test_what_was_moved_aside_counts_as_before() -> None:
    """The size of a WAL that is kept is the run's to know, since there is none in place."""
    seen = lost(wal_size=0, wal_free=10**5 + SPACE_MARGIN - 1)
    one = seen.node("n1")
    pin = Pin(RUN, "fake", "n1", "t", "reset")
    keep = Keep(RUN, f"{DATA}.fleetrecover/{RUN}", pin, containers=True, original=True, bytes=10**6, wal_bytes=10**5)
    nodes = tuple(replace(n, keeps=(keep,)) if n is one else n for n in seen.nodes)
    with pytest.raises(Refused, match="n1: the copy of its WAL needs"):
        plan_of(replace(seen, nodes=nodes))


def test_a_mount_point_is_not_moved() -> None:
    with pytest.raises(Refused, match=f"n1: its WAL directory {WAL} is a mount point") as caught:
        plan_of(lost(wal_mount=True))
    assert "--wal-dir" in (caught.value.hint or "")
    plan = plan_of(changed(lost(), "n2", wal_mount=True))
    assert "is a mount point" in plan.left_out["n2"] and plan.joins == ("n3",)


def test_etcd_makes_no_log_in_a_mount_of_its_container() -> None:
    """As `-v /fast/etcd:/wal --wal-dir=/wal`: the survivor goes on with it, a new member could not begin."""
    fleet = FakeFleet.broken(3, wiped=2, wal=True)
    for node in fleet.nodes:
        assert node.container is not None and node.container.spec is not None
        spec = node.container.spec
        binds = tuple(bind.replace("/fast:/wal", "/fast/etcd:/wal/etcd") for bind in spec.binds)
        spec = replace(spec, binds=binds, mount_points=())
        node.container = replace(node.container, spec=spec, config=EtcdConfig.of(spec))
    plan = plan_of(fleet.survey())
    assert plan.survivor == "n1" and plan.joins == ()
    assert "cannot make a new log in /wal/etcd" in plan.left_out["n2"]


def test_a_new_member_needs_room_on_both() -> None:
    """Its segments where its log goes, its database where its data goes."""
    size = 10**6
    for data, name in (({"wal_free": JOIN_MARGIN - 1}, WAL), ({"free": size - 1}, DATA)):
        seen = FakeFleet.broken(3, wiped=1, wal=True).survey()
        db: DbFacts = replace(database(10), size=size)
        nodes = tuple(replace(n, db=db) if n.name == "n1" else n for n in seen.nodes)
        seen = changed(replace(seen, nodes=nodes), "n2", **data)
        plan = plan_of(seen, Wish(survivor="n1"))
        assert f"on the filesystem of {name}" in plan.left_out["n2"], plan.left_out


def test_a_full_filesystem_of_the_log_is_told() -> None:
    told = [found for found in surroundings(lost(wal_free=SPACE_MARGIN - 1)) if found.code == "space"]
    assert [found.node for found in told] == ["n1"] and WAL in told[0].message
    assert not any(found.code == "space" for found in surroundings(lost(wal_free=SPACE_MARGIN)))


def test_parted_data_is_still_to_be_moved_by_an_undo() -> None:
    """The original is in place but for its log: that is not the end of it."""
    [one, *_] = FakeFleet.broken(1, wal=True).survey().nodes
    keep = Keep(RUN, "/k/r1", None)
    assert not moves(one, keep) and moves(one, replace(keep, parted=True))
    seen = Survey(FakeFleet.broken(1).survey().fleet, (replace(one, keeps=(replace(keep, parted=True),)),), "t")
    assert u.remains(seen, RUN) == ["n1: the WAL of its data still lies aside, of run r1"]


def test_by_hand_both_are_set_aside() -> None:
    [one, *_] = FakeFleet.broken(1, wal=True).survey().nodes
    assert set_aside(one.data, "copy") == f"mv {DATA}/member {DATA}/member.copy && mv {WAL} {WAL}.copy"


def test_a_command_that_was_changed_while_a_run_is_open_is_refused() -> None:
    """The run has moved a log that the container's command says nothing of now."""
    seen = FakeFleet.broken(3, wiped=2).survey()
    with pytest.raises(Refused, match="n1: the run that is open there has moved a WAL") as caught:
        plan_of(changed(seen, "n1", wal=WAL, wal_free=10**10))
    assert "--wal-dir" in (caught.value.hint or "")
