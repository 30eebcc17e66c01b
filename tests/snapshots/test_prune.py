"""What is superfluous: points in time, never the newest, and what somebody named only if that is said."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fleetrecover import cli, cli_snapshot
from fleetrecover.commands.snapshots import PREFIX
from fleetrecover.errors import Refused
from fleetrecover.snapshots import prune as flow
from fleetrecover.snapshots.catalogue import Catalogue, Found, State, make_catalogue
from fleetrecover.snapshots.prune import Pruning, automatic, points_in_time, superfluous
from tests.decide.surveys import node, status, survey
from tests.odd import SEED

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=400)
HOURS = 3600


def file(node: str, name: str, identity: str = "", state: State = State.WHOLE) -> Found:
    """A whole snapshot; its content is its own if not said otherwise."""
    return Found(node, f"/s/{name}", name, 100, 0.0, state, identity=identity or f"{node} {name}", revision=1)


def scheduled(seconds: float) -> str:
    """The name that our schedule gives so many seconds after the start."""
    return f"{PREFIX}{START + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def fleet_of(period: int, times: int, offsets: dict[str, float]) -> Catalogue:
    """What the schedule of each node has left: each at its own second."""
    return make_catalogue(file(n, scheduled(k * period + off)) for k in range(times) for n, off in offsets.items())


@pytest.mark.parametrize("offsets", [(0, 1, 2), (0, 17, 59), (5, 5, 5), (0, 1800, 3500)])
@pytest.mark.parametrize("keep", [1, 2, 6])
def test_keep_counts_points_in_time_not_files_of_the_schedule(offsets: tuple[int, ...], keep: int) -> None:
    """`--keep 6` kept two points in time of three nodes: each node names its own second."""
    made = fleet_of(HOURS, 10, {f"etcd{n}": float(offset) for n, offset in enumerate(offsets, 1)})
    found = superfluous(made, keep, 0, NOW, HOURS)
    contents = {row.first.identity for row in found.kept}
    assert len(contents) == 3 * keep
    for name in ("etcd1", "etcd2", "etcd3"):
        mine = sorted(row.time for row in found.kept if name in row.places)
        assert mine == sorted(row.time for row in made.rows if name in row.places)[-keep:]


def test_random_fleets_keep_the_newest_of_each_node() -> None:
    rng = random.Random(f"{SEED} prune")
    for _ in range(300):
        period = rng.choice((60, 600, HOURS, 12 * HOURS))
        offsets = {f"etcd{n}": rng.uniform(0, period) for n in range(1, rng.randint(1, 7) + 1)}
        times, keep = rng.randint(1, 8), rng.randint(1, 8)
        made = fleet_of(period, times, offsets)
        found = superfluous(made, keep, 0, NOW, period)
        assert len(found.rows) + len(found.kept) == len(made.rows)
        assert made.newest in found.kept
        for point in points_in_time(made.rows, period):
            places = [place for row in point for place in row.places]
            assert len(places) == len(set(places)), "one of each node"


def test_two_of_one_node_are_two_points_however_near() -> None:
    made = make_catalogue([file("etcd1", scheduled(0)), file("etcd1", scheduled(1)), file("etcd2", scheduled(1))])
    assert [len(point) for point in points_in_time(made.rows, HOURS)] == [2, 1]


def test_one_name_on_several_nodes_is_one_point() -> None:
    name = "2026-01-01T00:00:00Z_etcd.zip"
    other = "2026-01-02T00:00:00Z_etcd.zip"
    made = make_catalogue([file(place, each) for place in ("etcd1", "etcd2") for each in (name, other)])
    assert [len(point) for point in points_in_time(made.rows, HOURS)] == [2, 2]
    assert {row.names[0] for row in superfluous(made, 1, 0, NOW).rows} == {name}


def test_names_of_others_are_not_joined_by_their_time() -> None:
    made = make_catalogue([file("etcd1", "a_2026-01-01T00:00:00Z"), file("etcd2", "b_2026-01-01T00:00:01Z")])
    assert len(points_in_time(made.rows, HOURS)) == 2


@pytest.mark.parametrize("keep", [0, -1, 1])
def test_the_newest_is_never_superfluous(keep: int) -> None:
    made = fleet_of(HOURS, 3, {"etcd1": 0.0})
    found = superfluous(made, keep, 0, NOW, HOURS)
    assert made.newest in found.kept
    assert len(found.kept) == 1


def test_the_newest_whole_one_stays_though_a_damaged_one_is_newer() -> None:
    made = make_catalogue([file("etcd1", scheduled(0)), file("etcd1", scheduled(HOURS), state=State.DAMAGED)])
    found = superfluous(made, 1, 0, NOW, HOURS)
    assert not found.rows
    assert [row.state for row in found.kept] == [State.WHOLE], "damaged ones are left alone"


@pytest.mark.parametrize(
    ("name", "program"),
    [
        (scheduled(0), True),
        ("2022-11-16T03:42:54Z_etcd", True),
        ("2022-11-16T03:42:54Z_etcd.zip", True),
        ("rke_etcd_snapshot_2019-04-05T10:11:12+02:00.zip", True),
        ("c-abcde-rl-xyz12_2020-03-01T04:00:00Z.zip", True),
        ("before-upgrade.zip", False),
        ("16.12.2019_backup", False),
        ("before 2022-11-16T03:42:54Z_etcd", False),
        ("c-abcde-ml-xyz12_2020-03-01T04:00:00Z.zip", False),
    ],
)
def test_which_names_programs_give(name: str, program: bool) -> None:
    [row] = make_catalogue([file("etcd1", name)]).rows
    assert automatic(row) is program


def test_what_somebody_named_goes_only_if_that_is_said() -> None:
    files = [file("etcd1", "before-upgrade_2020-01-01T00:00:00Z"), *(file("etcd1", scheduled(n)) for n in range(3))]
    found = superfluous(make_catalogue(files), 1, 0, NOW, HOURS)
    assert [row.names[0] for row in found.by_hand] == ["before-upgrade_2020-01-01T00:00:00Z"]
    assert len(found.rows) == 2
    assert len(found.kept) == 1
    assert len(found.with_named().rows) == 3
    assert not found.with_named().by_hand
    assert len(found.without_named().kept) == 2
    assert not found.without_named().by_hand
    both = make_catalogue([*files, file("etcd2", "copy of it", identity=files[1].identity)])
    assert len(superfluous(both, 1, 0, NOW, HOURS).by_hand) == 2, "a scheduled one of which somebody has a copy, too"


# --- what it rests on ---


def looked(monkeypatch: pytest.MonkeyPatch, *nodes: Any, problems: tuple[tuple[str, str], ...] = ()) -> Pruning:
    """Plan over these nodes, each with two scheduled snapshots an hour apart, at seconds of their own."""
    seen = survey(*nodes)
    files = [file(each.name, scheduled(k * HOURS + n)) for k in (0, 1) for n, each in enumerate(nodes)]
    made = make_catalogue(files, problems=problems)
    rows = [SimpleNamespace(status=SimpleNamespace(installed=True, every=HOURS)), SimpleNamespace(status=None)]
    monkeypatch.setattr(flow, "take_survey", lambda *_, **__: seen)
    monkeypatch.setattr(flow, "list_snapshots", lambda *_, **__: made)
    monkeypatch.setattr("fleetrecover.snapshots.schedule.status", lambda *_: rows)
    return flow.plan(seen.fleet, None, 1, 0, lambda *_: None)  # type: ignore[arg-type]


def test_the_interval_is_the_nodes_own(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node(n, status=status(n, healthy=True, leader=1)) for n in (1, 2, 3)]
    found = looked(monkeypatch, *nodes)
    assert (len(found.rows), len(found.kept)) == (3, 3)


def test_nothing_goes_without_quorum_or_without_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = node(1, status=status(1, healthy=True, leader=1))
    with pytest.raises(Refused, match="no quorum"):
        looked(monkeypatch, node(1), node(2))
    with pytest.raises(Refused, match="etcd2 cannot be looked at"):
        looked(monkeypatch, healthy, node(2, reachable=False))
    with pytest.raises(Refused, match=r"not known what is newest.*odd answer"):
        looked(monkeypatch, healthy, node(2), problems=(("etcd2", "odd answer"),))


# --- through the command line ---


@pytest.fixture
def prune(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command on two superfluous ones, one of them named by hand; gives what was removed, and what was said."""
    files = [file("etcd1", "mine_2020-01-01T00:00:00Z"), file("etcd1", scheduled(0)), file("etcd1", scheduled(9))]
    plan = superfluous(make_catalogue(files), 1, 0, NOW, 5)
    removed: list[Pruning] = []

    class Reached:
        def __enter__(self) -> Any:
            return SimpleNamespace(cluster="prod", hosts=()), None

        def __exit__(self, *_: object) -> None:
            return None

    class Shown(Reached):
        def __enter__(self) -> Any:
            return SimpleNamespace(stop=lambda: None)

    monkeypatch.setattr(cli_snapshot, "reached", Reached)
    monkeypatch.setattr(cli_snapshot, "progress_shown", Shown)
    monkeypatch.setattr(flow, "plan", lambda *_: plan)
    monkeypatch.setattr(flow, "apply", lambda _fleet, _transport, pruning: removed.append(pruning))
    monkeypatch.setattr(cli.settings, "json", False)

    def run(*answers: str, terminal: bool = True, **options: Any) -> tuple[list[str], str, str]:
        removed.clear()
        cli.settings._consoles.clear()
        given = iter(answers)
        monkeypatch.setattr("builtins.input", lambda: next(given))
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: terminal))
        cli_snapshot.prune(**{"keep": 1, "keep_for": None, "by_hand": False, "yes": None, **options})
        out, err = capsys.readouterr()
        assert next(given, None) is None, "it did not ask as often as that"
        return [name for plan in removed for row in plan.rows for name in row.names], out, err

    return run


MINE, OURS = "mine_2020-01-01T00:00:00Z", scheduled(0)


def test_it_is_asked_apart(prune: Any) -> None:
    assert prune("prod", "prod")[0] == [OURS, MINE]
    names, out, err = prune("prod", "no")
    assert names == [OURS], "the other answer was no"
    assert err.count(OURS) == 1
    assert OURS not in out
    assert "removed: 1 snapshot, 1 file; 2 snapshots kept" in out


def test_with_yes_they_stay_unless_that_is_said_too(prune: Any) -> None:
    names, out, err = prune(yes="prod", terminal=False)
    assert names == [OURS]
    assert "--by-hand" in err
    assert "removed: 1 snapshot" in out
    names, out, err = prune(yes="prod", terminal=False, by_hand=True)
    assert names == [OURS, MINE]
    assert err.count(MINE) == 1
    assert "removed: 2 snapshots, 2 files; 1 snapshot kept" in out
