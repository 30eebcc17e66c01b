"""Whatever fails at whatever moment: the same command again finishes, nothing is lost, the originals stay as they were.

    make fault-matrix          or: python -m benchmarks.fault_matrix --cells 60 --seed 7 --etcd 3.4.23 --lab f1
    make fault-matrix ARGS="--restore --cells 10"

Each cell: a fresh cluster of three is written to and loses its quorum (power cut of all, one disk corrupt, one wiped), `recover`
is run, and at one command of one step the controller is killed, or a host loses power, network or dockerd. The host is
mended and the same command is run again until it ends well. A client goes on writing all the while. Then every
acknowledged write is looked for on every member, the survivor's kept data is compared with what it was, and nothing of
ours may be left running. Every cell is a line in benchmarks/results/fault-matrix.jsonl; the table is docs/fault-matrix.md.

With `--reseed` it is `recover --method reseed` that is broken, and every host keeps its container.

With `--restore` the same is done to `snapshot restore`: a snapshot is taken before more is written and the quorum lost, and
Kubernetes' containers run beside etcd. Then every key of the snapshot, and every write that was acknowledged while it was
restored, is looked for on every member; no key from after the snapshot may be there; Kubernetes' containers must run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.faulty import SURVIVOR, Fault, Point, hash_tree, mend
from fleetrecover.errors import FleetRecoverError
from fleetrecover.lab import EtcdFailed, Lab

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "fault-matrix.jsonl"
TABLE = ROOT / "docs" / "fault-matrix.md"
CORRUPT, WIPED = "etcd2", "etcd3"
HOSTS = (SURVIVOR, CORRUPT, WIPED)
SNAPSHOT, LATER = "snap", "/later/"
RERUNS = 3
WANTED = 150


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    etcd: str
    point: Point
    kind: str
    moment: str
    target: str
    lasting: bool = False
    elsewhere: bool = False
    delay: float = 0.1
    then: str = "recover"
    job: str = "recover"

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it this cell and no other."""
        p = self.point
        at = (self.etcd, p.step, p.node, p.command, str(p.nth))
        return (*at, self.kind, self.moment, self.target, self.then, self.job)


@dataclass(frozen=True)
class Finding:
    """What came of a cell. `codes` are the exit codes, the broken run's first."""

    codes: tuple[int, ...]
    converged: bool
    acknowledged: int
    lost: int
    intact: bool
    leftovers: tuple[str, ...]
    seconds: float
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        faultless = 1 not in self.codes  # a fault of the program itself, whatever came after it
        return self.converged and faultless and not self.lost and self.intact and not self.leftovers


# --- the scene ---------------------------------------------------------------------------------------------------------


def break_cluster(lab: Lab) -> dict[str, str]:
    """Write under load and lose quorum for good; returns what was acknowledged by way of the member that stays."""
    writer = lab.client().writer(prefix="/before/", threads=4, hosts=[SURVIVOR])
    writer.start()
    writer.wait_for(40)
    lab.remove_etcd(WIPED)
    writer.wait_for(120)
    lab.kill_all_at_once(power=True)
    acknowledged = writer.stop()
    damage(lab)
    return acknowledged


def damage(lab: Lab) -> None:
    """While all hosts are off: one disk corrupt, one wiped. Then the power comes back."""
    flip_bits(lab.host(CORRUPT).path("/var/lib/etcd/member/wal"))
    clear(lab.host(WIPED).path("/var/lib/etcd"))
    lab.power_on(*HOSTS)


def break_keeping_containers(lab: Lab) -> dict[str, str]:
    """As `break_cluster`, but every host keeps its container: one disk corrupt, one wiped, and no etcd starts by itself."""
    writer = lab.client().writer(prefix="/before/", threads=4, hosts=[SURVIVOR])
    writer.start()
    writer.wait_for(120)
    for name in HOSTS:  # an emptied member that starts by itself would begin a quorum that has forgotten
        lab.shell(name, "docker update --restart=no etcd")
    lab.kill_all_at_once(power=True)
    acknowledged = writer.stop()
    damage(lab)
    for name in HOSTS:
        lab.shell(name, "docker update --restart=always etcd")
    return acknowledged


def break_after_snapshot(lab: Lab) -> dict[str, str]:
    """Take a snapshot, write more, lose quorum as `break_cluster` does; returns what is in the snapshot."""
    for name in HOSTS:
        lab.shell(name, "rm -rf /opt/rke/etcd-snapshots/*")
    writer = lab.client().writer(prefix="/before/", threads=4, hosts=[SURVIVOR])
    writer.start()
    writer.wait_for(120)
    acknowledged = writer.stop()
    code, said = run(lab, Fault(lab.name), "snapshot", "save", SNAPSHOT)
    if code != 0:
        raise SystemExit(f"no snapshot could be saved, {code}:\n{said}")
    for attempt in range(5):
        try:
            lab.client().fill(LATER, 20, 100)
            break
        except EtcdFailed:  # a slow machine elects another leader now and then
            if attempt == 4:
                raise
            time.sleep(2)
    lab.remove_etcd(WIPED)
    lab.kill_all_at_once(power=True)
    damage(lab)
    return acknowledged


def flip_bits(wal: Path) -> None:
    """Damage a value in the middle of a WAL, as a failing disk does: etcd refuses it, for its checksum is wrong.

    In a value, not in a frame's length: that one etcd would take for a torn end, cut the log there, and start.
    """
    segment = sorted(wal.glob("*.wal"))[-1]
    content = segment.read_bytes()
    place = content.index(b"xxxxxxxx", 4000)
    with segment.open("r+b") as file:
        file.seek(place)
        file.write(b"y")


def clear(directory: Path) -> None:
    """Empty a host's data directory while the host is off."""
    import shutil

    for entry in directory.iterdir():
        shutil.rmtree(entry)


class Trickle:
    """A client that keeps writing, twenty times a second, and remembers what was acknowledged."""

    def __init__(self, lab: Lab) -> None:
        self.acknowledged: dict[str, str] = {}
        self._client = lab.client(timeout=2.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Trickle:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=20)

    def _work(self) -> None:
        count = 0
        while not self._stop.wait(0.05):
            key = f"/during/{count:06d}"
            count += 1
            try:
                self._client.put(key, f"value of {key}", SURVIVOR)
            except EtcdFailed:
                self._stop.wait(0.3)
                continue
            self.acknowledged[key] = f"value of {key}"


def run(lab: Lab, fault: Fault, *words: str, limit: float = 400.0) -> tuple[int, str]:
    """Run the program with a fault (or none); exit code and what it said. Each time as from a bastion that knows nothing."""
    with tempfile.TemporaryDirectory() as state:
        spec = Path(state) / "fault.json"
        spec.write_text(fault.dumps())
        argv = [sys.executable, "-m", "benchmarks.faulty", str(spec), "--inventory", str(lab.inventory), *words]
        try:
            done = subprocess.run(
                argv,
                env=os.environ | {"FLEETRECOVER_STATE": state},
                capture_output=True,
                text=True,
                timeout=limit,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return -1, f"did not end in {limit:g} s: {str(error.stderr)[-600:]}"
    return done.returncode, done.stderr[-1500:]


@dataclass(frozen=True)
class Job:
    """What is broken and run again: the command's words, and the scene, which returns what must be there in the end."""

    words: tuple[str, ...]
    scene: Callable[[Lab], dict[str, str]]


JOBS = {
    "recover": Job(("recover",), break_cluster),
    "restore": Job(("snapshot", "restore", SNAPSHOT), break_after_snapshot),
    "reseed": Job(("recover", "--method", "reseed"), break_keeping_containers),
}


def points(lab: Lab, job: str = "recover") -> list[tuple[Point, float]]:
    """Every command of every step of this plan with the seconds that it takes: one run without a fault, written down."""
    lab.reset_etcd()
    JOBS[job].scene(lab)
    with tempfile.TemporaryDirectory() as directory:
        trace = Path(directory) / "trace"
        code, said = run(lab, Fault(lab.name, trace=str(trace)), *JOBS[job].words, "--yes", lab.name)
        if code != 0:
            raise SystemExit(f"the run without a fault ended with {code}:\n{said}")
        rows = [json.loads(line) for line in trace.read_text().splitlines()]
    return [(Point(r["step"], r["node"], r["command"], r["nth"]), r["seconds"]) for r in rows]


def all_cells(
    etcd: str, found: Iterable[tuple[Point, float]], random_: random.Random, job: str = "recover"
) -> list[Cell]:
    """Every cell of one version, in a random order."""
    cells: list[Cell] = []
    for point, seconds in found:
        for moment in ("before", "during", "after"):
            delay = round(max(0.02, seconds * random_.uniform(0.2, 0.9)), 3)
            elsewhere = random_.random() < 0.1
            cells.append(Cell(etcd, point, "kill", moment, "controller", elsewhere=elsewhere, delay=delay))
        for kind in ("power", "cut", "dockerd"):
            for target in (SURVIVOR, point.node if point.node != SURVIVOR else random_.choice((CORRUPT, WIPED))):
                how = "dockerd-crash" if kind == "dockerd" and random_.random() < 0.5 else kind
                moment = random_.choice(("before", "during", "after"))
                delay = round(max(0.02, seconds * random_.uniform(0.2, 0.9)), 3)
                cells.append(Cell(etcd, point, how, moment, target, random_.random() < 0.4, delay=delay))
    random_.shuffle(cells)
    return [replace(cell, then=job, job=job) for cell in cells]


def undo_cells(
    etcd: str, found: Iterable[tuple[Point, float]], random_: random.Random, job: str = "recover"
) -> list[Cell]:
    """The controller is killed during or after each command, and then comes `undo`; in a random order."""
    cells = []
    for point, seconds in found:
        delay = round(max(0.02, seconds * random_.uniform(0.2, 0.9)), 3)
        moment = random_.choice(("during", "after"))
        cells.append(Cell(etcd, point, "kill", moment, "controller", delay=delay, then="undo", job=job))
    random_.shuffle(cells)
    return cells


# --- one cell ----------------------------------------------------------------------------------------------------------


def try_cell(lab: Lab, cell: Cell) -> Finding:
    """Run one cell to its end."""
    begun = time.monotonic()
    job = JOBS[cell.job]
    lab.reset_etcd()
    acknowledged = job.scene(lab)
    with tempfile.TemporaryDirectory() as directory, Trickle(lab) as trickle:
        before = Path(directory) / "hash"
        fault = Fault(
            lab.name,
            point=cell.point,
            kind=cell.kind,
            target=cell.target,
            moment=cell.moment,
            delay=cell.delay,
            mend_after=None if cell.lasting or cell.kind == "kill" else 4.0,
            hash_file=str(before),
        )
        codes = []
        code, said = first = run(lab, fault, *job.words, "--yes", lab.name)
        codes.append(code)
        for name in HOSTS:
            mend(lab, name)
        healed = Fault(lab.name, elsewhere=cell.elsewhere, hash_file=str(before))
        if code != 0:
            for _ in range(RERUNS):
                code, said = run(lab, healed, *job.words, "--yes", lab.name)
                codes.append(code)
                if cell.job == "restore" and code == 20 and all_finished(lab):
                    code = (
                        0  # it was killed right after its very end; another restore of a cluster that serves is refused
                    )
                if code == 0:
                    break
        hashed = before.read_text() if before.exists() else ""
    acknowledged |= trickle.acknowledged
    lost = count_lost(lab, acknowledged) if code == 0 else 0
    kept = original_of(lab)
    intact = bool(hashed) and kept is not None and hash_tree(kept) == hashed
    left = leftovers(lab) if code == 0 else ()
    if codes[-1] == 20:
        # nothing was left to do for a run that would have taken the dead one's hold over; it blocks nobody
        left = tuple(text for text in left if not text.endswith("hold is left"))
    if code == 0 and cell.job == "restore" and any(lab.client().count(LATER, name) for name in HOSTS):
        left += ("a key from after the snapshot is there",)
    if code == 0:
        checked, said = run(lab, Fault(lab.name), "verify")
        if cell.lasting and codes == [0]:
            # the host came back after the run had ended: the hold there is a dead one, which blocks nobody
            left = tuple(text for text in left if text != f"{cell.target}: hold is left")
        left += (f"verify: {checked}: {said[-300:]}",) if checked else ()
    seconds = round(time.monotonic() - begun, 1)
    finding = Finding(tuple(codes), code == 0, len(acknowledged), lost, intact, left, seconds)
    return finding if finding.good else replace(finding, note=f"first: {first[1]}\nlast: {said}")


def try_undo(lab: Lab, cell: Cell) -> Finding:
    """Kill the controller at a command, then `undo`: containers, names, policies, states and data are as they were."""
    begun = time.monotonic()
    job = JOBS[cell.job]
    lab.reset_etcd()
    acknowledged = job.scene(lab)
    for name in (SURVIVOR, CORRUPT):
        lab.shell(name, "docker kill etcd >/dev/null 2>&1 || docker stop etcd")  # so that nothing changes by itself
    before = {name: picture(lab, name) for name in HOSTS}
    fault = Fault(lab.name, point=cell.point, kind=cell.kind, moment=cell.moment, delay=cell.delay)
    code, said = run(lab, fault, *job.words, "--yes", lab.name)
    codes = [code]
    found = sorted({path.name for host in lab.hosts for path in runs_on(lab, host.name)})
    if not found:
        return Finding(tuple(codes), False, 0, 0, False, (), 0.0, f"no run was begun: {said}")
    for _ in range(RERUNS):
        code, said = run(lab, Fault(lab.name), "undo", found[0], "--yes", lab.name)
        codes.append(code)
        if code == 0:
            break
    after = {name: picture(lab, name) for name in HOSTS}
    differ = tuple(f"{name}: was {before[name]}, is {after[name]}" for name in HOSTS if before[name] != after[name])
    seconds = round(time.monotonic() - begun, 1)
    finding = Finding(tuple(codes), code == 0, len(acknowledged), 0, not differ, differ, seconds)
    return finding if finding.good else replace(finding, note=said)


_PICTURE = """for c in $(docker ps -aq --no-trunc | sort); do
docker inspect -f '{{.Id}} {{.Name}} {{.State.Running}} {{json .HostConfig}} {{json .Config}}' $c; done"""


def picture(lab: Lab, name: str) -> tuple[str, str]:
    """All that undo must bring back on a host: what inspect says of every container, and a hash of the data."""
    member = lab.host(name).path("/var/lib/etcd/member")
    return lab.shell(name, _PICTURE), hash_tree(member) if member.is_dir() else "no data"


def runs_on(lab: Lab, name: str) -> list[Path]:
    """The directories of the runs that have left something on a host."""
    return sorted(lab.host(name).path("/var/lib/etcd.fleetrecover").glob("r*"))


def all_finished(lab: Lab) -> bool:
    """Whether there is one run only, and every host has it marked as finished."""
    found = [path for name in HOSTS for path in runs_on(lab, name)]
    return len({path.name for path in found}) == 1 and all((path / "finished").exists() for path in found)


def original_of(lab: Lab) -> Path | None:
    """The survivor's kept data; there must be one."""
    found = sorted(lab.host(SURVIVOR).path("/var/lib/etcd.fleetrecover").glob("*/original/member"))
    return found[0] if len(found) == 1 else None


def count_lost(lab: Lab, acknowledged: dict[str, str]) -> int:
    """How many acknowledged writes are missing or wrong on the worst member."""
    client = lab.client()
    worst = 0
    for name in HOSTS:
        seen = client.verify(acknowledged, name)
        worst = max(worst, len(seen.missing) + len(seen.wrong))
    return worst


_LOOK = r"""
docker ps -a --format '{{.Names}} {{.State}}' | while read -r name state; do
  case "$name" in
    etcd) [ "$state" = running ] || echo "container $name is $state" ;;
    kube-*) [ "$state" = running ] || echo "container $name is $state" ;;
    etcd.fleetrecover-*) [ "$state" != running ] || echo "container $name runs" ;;
    *) echo "container $name is left" ;;
  esac
done
[ ! -e /var/lib/etcd.fleetrecover/hold ] || echo "hold is left"
ps -eo args | grep -E '^(setsid )?sh$|[ ]alarm [0-9]+ [0-9]+$' || true
"""


def leftovers(lab: Lab) -> tuple[str, ...]:
    """What of ours is left on the hosts beyond what is kept: containers, holds, processes."""
    found: list[str] = []
    for name in HOSTS:
        said: list[str] = []
        for _ in range(8):
            said = [line for line in lab.shell(name, _LOOK).splitlines() if line.strip()]
            if not said:
                break
            time.sleep(1)
        found += [f"{name}: {line}" for line in said]
    return tuple(found)


# --- the whole ---------------------------------------------------------------------------------------------------------


SCENES = 4
"""So often at most a scene is begun that fails by itself."""


def run_cells(
    lab_name: str,
    etcd: str,
    cells: int,
    seed: int,
    results: Path | None,
    *,
    only: str = "",
    undo: bool = False,
    job: str = "recover",
) -> list[Finding]:
    """Make a lab, run a random choice of cells on it, write each down as it ends."""
    random_ = random.Random(f"{seed} {etcd}")
    Lab.clear(lab_name)
    lab = Lab.up(lab_name, nodes=3, etcd=etcd, kubernetes=job == "restore")
    found: list[Finding] = []
    try:
        chosen = (undo_cells if undo else all_cells)(etcd, points(lab, job), random_, job)
        if only:
            chosen = [cell for cell in chosen if any(word in " ".join(cell.key) for word in only.split(","))]
        done = {key for key, row in read_results(results).items() if row["good"]} if results else set()
        chosen = [cell for cell in chosen if cell.key not in done][:cells]
        for number, cell in enumerate(chosen, 1):
            # the scene itself may fail (on a busy machine leaders change while it is written): again, from the start
            for _ in range(SCENES):
                try:
                    finding = try_undo(lab, cell) if cell.then == "undo" else try_cell(lab, cell)
                    break
                except (FleetRecoverError, EtcdFailed, subprocess.SubprocessError) as error:
                    finding = Finding((), False, 0, 0, False, (), 0.0, f"{type(error).__name__}: {error}")
            found.append(finding)
            tell(number, len(chosen), cell, finding)
            if results is not None:
                write_result(results, cell, finding)
    finally:
        lab.down()
    return found


def tell(number: int, total: int, cell: Cell, finding: Finding) -> None:
    """One line on the terminal."""
    word = "ok  " if finding.good else "FAIL"
    where = f"{cell.point.step}({cell.point.node}) {cell.point.command}"
    then = f"{cell.job}, " + ("then undo: " if cell.then == "undo" else "")
    how = f"{then}{cell.kind} of {cell.target} {cell.moment}{', lasting' if cell.lasting else ''}"
    rest = f"codes {list(finding.codes)}, {finding.acknowledged} writes, {finding.lost} lost, {finding.seconds:.0f} s"
    print(f"{word} {number}/{total} {cell.etcd} {where}: {how}: {rest}", flush=True)
    if not finding.good:
        print(f"     intact {finding.intact}; left: {finding.leftovers}; {finding.note}", flush=True)


_write_lock = threading.Lock()


def write_result(path: Path, cell: Cell, finding: Finding) -> None:
    """Append one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = asdict(cell) | {"finding": asdict(replace(finding, note=finding.note[-800:])), "good": finding.good}
    with _write_lock, path.open("a") as sink:
        sink.write(json.dumps(row) + "\n")


def read_results(path: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """The last result of each cell."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            p = row["point"]
            key = (row["etcd"], p["step"], p["node"], p["command"], str(p["nth"]))
            found[
                (*key, row["kind"], row["moment"], row["target"], row.get("then", "recover"), row.get("job", "recover"))
            ] = row
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """docs/fault-matrix.md."""
    bad = [row for row in rows if not row["good"]]
    of_job = {job: [row for row in rows if row.get("job", "recover") == job] for job in JOBS}
    found, restored, reseeded = ([row for row in of_job[job] if row.get("then", job) != "undo"] for job in JOBS)
    undone, taken_back, unseeded = ([row for row in of_job[job] if row.get("then", job) == "undo"] for job in JOBS)
    lines = [
        "# The fault matrix",
        "",
        "Made by `make fault-matrix` (benchmarks/fault_matrix.py): at one command of one step of `recover` something fails; it",
        "is mended, and the same command is run again, as from a bastion that knows only the inventory. A client writes all",
        "the while.",
        "*Converged*: `recover` ended with 0 within three reruns, and `verify` and a look for leftovers agree. *Lost*:",
        "acknowledged writes that any member does not have. *Intact*: the survivor's kept data equals, byte by byte, what it was",
        "right before it was moved. Lines of the runs: benchmarks/results/fault-matrix.jsonl; a cell that was run again counts",
        "with its last run.",
        "",
        _summary(found),
        "",
    ]
    if len(found) < WANTED:
        lines += [f"{WANTED} cells are wanted; the same command goes on with those that have not been run.", ""]
    for title, of in BROKEN:
        lines += [f"## {title}", "", *_rows(found, of), ""]
    if undone:
        lines += ["## The controller killed, then `undo`", "", UNDONE, "", *_rows(undone, _step_word), ""]
    if restored:
        lines += ["## `snapshot restore`", "", *RESTORED, "", _summary(restored), ""]
        for title, of in BROKEN:
            lines += [f"### {title}", "", *_rows(restored, of), ""]
    if taken_back:
        lines += ["### `snapshot restore` killed, then `undo`", "", UNDONE, "", *_rows(taken_back, _step_word), ""]
    if reseeded:
        lines += ["## `recover --method reseed`", "", *RESEEDED, "", _summary(reseeded), ""]
        for title, of in BROKEN:
            lines += [f"### {title}", "", *_rows(reseeded, of), ""]
    if unseeded:
        lines += ["### `recover --method reseed` killed, then `undo`", "", UNDONE, "", *_rows(unseeded, _step_word), ""]
    if bad:
        lines += ["## Not good", ""]
        lines += [f"- {row['etcd']} {row['point']}: {row['kind']} of {row['target']} {row['moment']}" for row in bad]
        lines.append("")
    return "\n".join(lines)


UNDONE = "*Intact*: inspect of every container and the data of every host are as before the run, byte by byte."
RESEEDED = (
    "The same with `make fault-matrix ARGS=--reseed`: one node has its data, one a corrupt log, one is wiped; all have their",
    "containers.",
)
RESTORED = (
    "The same with `make fault-matrix ARGS=--restore`: one node has its data, one a corrupt log, one is wiped and has lost its",
    "container; Kubernetes' containers run beside etcd. *Lost*: keys of the snapshot, and writes that were acknowledged since it",
    "was restored, that any member does not have. *Converged* wants, too, that no key from after the snapshot is there, and that",
    "Kubernetes' containers run again.",
)


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    return (
        f"**{len(rows)} cells, {sum(map(_converged, rows))} converged,"
        f" {sum(r['finding']['lost'] for r in rows)} of {sum(r['finding']['acknowledged'] for r in rows):,} acknowledged writes"
        f" lost, {sum(r['finding']['intact'] for r in rows)} originals intact.**"
    )


def _converged(row: dict[str, Any]) -> bool:
    finding = row["finding"]
    return bool(finding["converged"] and not finding["leftovers"])


def _rows(rows: Sequence[dict[str, Any]], of: Callable[[dict[str, Any]], str]) -> list[str]:
    lines = ["| | cells | converged | writes lost | originals intact | reruns, most |", "|---|---|---|---|---|---|"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(of(row), []).append(row)
    for name in sorted(groups):
        found = [row["finding"] for row in groups[name]]
        whole = sum(map(_converged, groups[name]))
        most = max(len(f["codes"]) - 1 for f in found)
        lost, intact = sum(f["lost"] for f in found), sum(f["intact"] for f in found)
        lines.append(f"| {name} | {len(found)} | {whole} | {lost} | {intact} | {most} |")
    return lines


RESTORE_NODES = {SURVIVOR: "the node with its data", CORRUPT: "the node with a corrupt log", WIPED: "the wiped node"}


def _node_word(row: dict[str, Any], name: str) -> str:
    if row.get("job", "recover") == "restore":
        return RESTORE_NODES[name]
    return "the survivor" if name == SURVIVOR else "another" if row.get("job") == "reseed" else "a joiner"


def _fault_word(row: dict[str, Any]) -> str:
    where = "" if row["target"] == "controller" else f" on {_node_word(row, row['target'])}"
    what = {
        "kill": "controller killed (SIGKILL)",
        "power": "power cut",
        "cut": "network cut",
        "dockerd": "dockerd stopped and started",
        "dockerd-crash": "dockerd killed and started",
    }[row["kind"]]
    if row["kind"] == "kill":
        return f"{what}, {row['moment']} the command"
    return f"{what}{where}{', until the run had ended' if row['lasting'] else ''}"


def _step_word(row: dict[str, Any]) -> str:
    return f"{row['point']['step']} on {_node_word(row, row['point']['node'])}"


def _code_word(codes: Sequence[int]) -> str:
    first = codes[0] if codes else None
    return {-9: "it was killed", 0: "it finished by itself, exit code 0"}.get(first or 0, f"exit code {first}")


BROKEN: Sequence[tuple[str, Callable[[dict[str, Any]], str]]] = (
    ("By etcd version", lambda row: str(row["etcd"])),
    ("By fault", _fault_word),
    ("By step", _step_word),
    ("By what the first, broken run said", lambda row: _code_word(row["finding"]["codes"])),
)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=60, help="how many of each version")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--etcd", action="append", help="repeatable; 3.4.23, 3.5.30 and 3.3.25 if not said")
    parser.add_argument("--lab", default="faults", help="the beginning of the labs' names")
    parser.add_argument("--jobs", type=int, default=1, help="how many labs at once")
    parser.add_argument("--undo", action="store_true", help="kill at every command, then `undo` instead of `recover`")
    parser.add_argument("--restore", action="store_true", help="break `snapshot restore` instead of `recover`")
    parser.add_argument("--reseed", action="store_true", help="break `recover --method reseed` instead of `recover`")
    parser.add_argument("--only", default="", help="only cells whose words contain this, or one of these: A,B")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    chosen = parser.parse_args()
    if not chosen.table:
        versions = chosen.etcd or ["3.4.23", "3.5.30", "3.3.25"]
        print(f"seed {chosen.seed}", flush=True)
        with ThreadPoolExecutor(max_workers=chosen.jobs) as pool:
            work = [
                pool.submit(
                    run_cells,
                    f"{chosen.lab}{n}",
                    version,
                    chosen.cells,
                    chosen.seed,
                    chosen.results,
                    only=chosen.only,
                    undo=chosen.undo,
                    job="restore" if chosen.restore else "reseed" if chosen.reseed else "recover",
                )
                for n, version in enumerate(versions)
            ]
            found = [finding for future in work for finding in future.result()]
        print(Counter("good" if finding.good else "bad" for finding in found))
    rows = [row for _, row in sorted(read_results(chosen.results).items())]
    TABLE.write_text(table(rows))
    print(f"{len(rows)} cells in {TABLE}")


if __name__ == "__main__":
    main()
