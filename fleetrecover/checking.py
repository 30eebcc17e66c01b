"""`check`: looks at one cluster, or at many, and says what would stop a recovery. Read only."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from fleetrecover import limits
from fleetrecover.checks.base import Observed, SnapshotSeen
from fleetrecover.checks.image import wanted_images
from fleetrecover.checks.table import CheckReport, check_all
from fleetrecover.checks.without import without as judge_without
from fleetrecover.decide.conclusion import Conclusion
from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.errors import FleetRecoverError, InputError, RemoteError
from fleetrecover.facts import Survey
from fleetrecover.inventory import load_fleet
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.recover import concluded, survey_for
from fleetrecover.remote import look_at
from fleetrecover.runtime import runtime_of
from fleetrecover.snapshots import schedule
from fleetrecover.snapshots.advice import reachable
from fleetrecover.snapshots.catalogue import Catalogue, State
from fleetrecover.snapshots.listing import list_snapshots
from fleetrecover.survey import Reader

AT_ONCE = 8
"""So many clusters are looked at at the same time: each asks its own hosts at once."""
NEWEST = 1
"""So many of each host's snapshots are looked into."""


def check(fleet: Fleet, transport: Transport, without: str | None = None) -> CheckReport:
    """Look at one cluster. Raises InputError where `without` is no host of it."""
    if without is not None and without not in {host.name for host in fleet.hosts}:
        names = ", ".join(host.name for host in fleet.hosts)
        raise InputError(f"--without {without}: there is no such host in the inventory", hint=f"hosts: {names}")
    survey, wish = survey_for(fleet, transport, Wish())
    conclusion = concluded(survey, diagnose(survey, wish), transport, wish)
    observed = observe(fleet, transport, survey, conclusion)
    return check_all(observed, judge_without(survey, conclusion, without) if without is not None else None)


def observe(fleet: Fleet, transport: Transport, survey: Survey, conclusion: Conclusion) -> Observed:
    """What only `check` asks for, beside the survey: images and snapshots."""
    bare = Observed(survey, conclusion)
    there = reachable(fleet, survey)
    images = _images(there, transport, survey, wanted_images(bare))
    snapshots, problem = _snapshots(there, transport) if there.hosts else ((), "no host was reached")
    return Observed(survey, conclusion, images, snapshots, problem)


def _images(
    fleet: Fleet, transport: Transport, survey: Survey, wanted: Sequence[str]
) -> dict[str, dict[str, str | None]]:
    """For each host with an engine that answers the id of each wanted image, or None; a host that fails is left out."""

    def one(host: Host) -> dict[str, str | None]:
        reader, rt = Reader(host, transport), runtime_of(fleet, host)
        asked = [rt.has_image(image) for image in wanted]
        results = reader.batch(asked)
        return {image: reader.parse(probe, result) for image, probe, result in zip(wanted, asked, results, strict=True)}

    hosts = [host for host in fleet.hosts if survey.node(host.name).accessible]
    found = look_at(hosts, one) if wanted else {}
    return {name: images for name, images in found.items() if not isinstance(images, RemoteError)}


def _snapshots(fleet: Fleet, transport: Transport) -> tuple[tuple[SnapshotSeen, ...], str]:
    """The newest of each host, and what its schedule says; why they could not be looked at, where that is so."""
    try:
        found = list_snapshots(fleet, transport, newest=NEWEST)
        late = {row.node: row.problem for row in schedule.status(fleet, transport) if row.status is not None}
    except FleetRecoverError as error:
        return (), error.message
    seen = _newest(found)
    rows = [replace(seen.get(h.name, SnapshotSeen(h.name)), late=late.get(h.name, "")) for h in fleet.hosts]
    unread = "; ".join(why for _, why in found.problems)
    return tuple(rows), "" if seen else unread


def _newest(catalogue: Catalogue) -> dict[str, SnapshotSeen]:
    """The newest of each host."""
    files = [file for row in catalogue.rows for file in row.files if file.node is not None]
    files.sort(key=lambda file: file.time)
    whole = State.WHOLE
    return {f.node or "": SnapshotSeen(f.node or "", f.name, f.time.timestamp(), f.state is whole) for f in files}


@dataclass(frozen=True)
class Cluster:
    """One inventory's row of `--all`: what is kept of it. `verdict` is "" and `error` says why where it could not be judged."""

    inventory: str
    cluster: str
    hosts: int
    exit_code: int
    verdict: str = ""
    errors: int = 0
    warnings: int = 0
    first: str = ""
    error: str = ""


def check_many(
    directory: Path,
    reach: Callable[[Fleet], Transport],
    keep: Callable[[CheckReport], None] = lambda _: None,
    *,
    at_once: int = AT_ONCE,
) -> list[Cluster]:
    """A row for each inventory (`*.toml`) of a directory, in their order; `keep` is called with each report, one at a time.

    Of a cluster nothing is held but its row once it has been judged, so memory is that of `at_once` of them. An inventory
    that is wrong, or a fault while it is looked at, is its row. Raises InputError where there is no inventory.
    """
    if not directory.is_dir():
        raise InputError(f"--all {directory}: there is no such directory")
    paths = sorted(directory.glob("*.toml"))
    if not paths:
        raise InputError(f"--all {directory}: there is no inventory (*.toml) in it")
    todo: queue.SimpleQueue[Path] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Path, Cluster | BaseException]] = queue.SimpleQueue()
    twice = _named_twice(paths)
    for path in paths:
        if path in twice:
            done.put((path, twice[path]))
        else:
            todo.put(path)
    lock = threading.Lock()

    def work() -> None:
        while True:
            try:
                path = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((path, _one(path, reach, keep, lock)))
            except BaseException as error:
                done.put((path, error))

    for number in range(min(at_once, len(paths))):
        threading.Thread(target=work, name=f"check {number}", daemon=True).start()
    return _in_order(paths, done)


def _named_twice(paths: Sequence[Path]) -> dict[Path, Cluster]:
    """The row of each inventory whose cluster is called as another one's before it: in a table they would be one."""
    names: dict[str, Path] = {}
    found: dict[Path, Cluster] = {}
    for path in paths:
        try:
            fleet = load_fleet(path)
        except FleetRecoverError:
            continue  # its row says so when its turn comes
        first = names.setdefault(fleet.cluster, path)
        if first != path:
            error = f"{path}: its cluster is called {fleet.cluster!r} like that of {first}: give each its own `cluster`"
            found[path] = Cluster(str(path), path.stem, len(fleet.hosts), InputError.code, error=error)
    return found


def _in_order(paths: Sequence[Path], done: queue.SimpleQueue[tuple[Path, Cluster | BaseException]]) -> list[Cluster]:
    rows: dict[Path, Cluster] = {}
    while len(rows) < len(paths):
        try:
            path, found = done.get(timeout=limits.WAKE)
        except queue.Empty:  # so that Ctrl-C is heard
            continue
        if isinstance(found, BaseException):
            raise found
        rows[path] = found
    return [rows[path] for path in paths]


def _one(
    path: Path,
    reach: Callable[[Fleet], Transport],
    keep: Callable[[CheckReport], None],
    lock: threading.Lock,
) -> Cluster:
    cluster, hosts = path.stem, 0
    try:
        fleet = load_fleet(path)
        cluster, hosts = fleet.cluster, len(fleet.hosts)
        with closing(reach(fleet)) as transport:
            report = check(fleet, transport)
    except FleetRecoverError as error:
        return Cluster(str(path), cluster, hosts, error.code, error=error.message)
    except Exception as error:  # a fault of ours must not take the other clusters' rows along
        told = f"a fault of the program itself: {type(error).__name__}: {error}"
        return Cluster(str(path), cluster, hosts, FleetRecoverError.code, error=told)
    with lock:
        keep(report)
    return row_of(str(path), report)


def row_of(inventory: str, report: CheckReport) -> Cluster:
    """What is kept of a report."""
    found = report.findings
    first = next((each.message for each in found if each.severity.value != "info"), "")
    return Cluster(
        inventory=inventory,
        cluster=report.observed.survey.fleet.cluster,
        hosts=len(report.observed.survey.nodes),
        exit_code=report.exit_code,
        verdict=report.verdict.value,
        errors=sum(each.severity.value == "error" for each in found),
        warnings=sum(each.severity.value == "warning" for each in found),
        first=first,
    )


_WORST = (11, 12, 10, 0)


def worst(rows: Sequence[Cluster]) -> int:
    """The exit code for many: lost before undetermined before degraded; 3 where only inventories are wrong besides.

    >>> worst([Cluster("a", "a", 3, 0), Cluster("b", "b", 3, 12), Cluster("c", "c", 3, 10)])
    12
    """
    codes = {row.exit_code for row in rows}
    other = max(codes - set(_WORST), default=0)
    found = next((code for code in _WORST if code in codes), 0)
    return found or other
