"""Every command that is ever sent to a node, with arguments of every kind: its script, and how long and how much it may take.

Whether a script does what it should is judged by running it (tests/commands, tests/snapshots); here it is held as it is, so
that a change of one of them, or of a limit, is seen by whoever reads the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fleetrecover.commands import (
    actions,
    busy,
    containers,
    etcdctl,
    evidence,
    inspect,
    managers,
    probes,
    seed,
    shell,
    snapshots,
    space,
    trial,
    units,
    wal_dir,
)
from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.paths import RunPaths
from fleetrecover.etcd.log import HardState
from fleetrecover.etcd.wal import Append
from fleetrecover.model import Command
from fleetrecover.runtime.containers import Containers
from tests.golden.texts import readable

PLAIN = RunPaths("/d.keep", "r1")
APART = RunPaths("/d.keep", "r1", "/fast/wal")
PLACES = (("", PLAIN), (" wal apart", APART))
CTL = etcdctl.Etcdctl(Containers(), "etcd", "https://127.0.0.1:2379", ("/ca.pem", "/cert.pem", "/key.pem"))
BARE = etcdctl.Etcdctl(Containers("podman"), "etcd-1", "http://127.0.0.1:2379")
WHERE = snapshots.SchedulePaths("/opt/rke/etcd-snapshots")
ONE = snapshots.Identity("n1", ("https://a:2380", "https://b:2380"), (("n1", ("https://a:2380",)), ("n2", ("u",))), "t")
APPEND = Append("0.wal", 512, b"\0record", True, HardState(2, 1, 9))
SHELL_ODD = "it's $HOME; a b"
"""A word that must be quoted wherever it stands."""

Made = tuple[str, Any]


def _actions() -> Iterator[Made]:
    a = actions
    for odd, paths in PLACES:
        yield f"adopt{odd}", a.adopt(paths, "/d")
        yield f"copy_original{odd}", a.copy_original(paths, "/d", need=5000)
        yield f"keep_elsewhere{odd}", a.keep_elsewhere(Containers("docker").quiet, paths, "/d", work="/w", need=5000)
        yield f"move_aside{odd}", a.move_aside(Containers("docker").quiet, paths, "/d")
        yield f"put_data_back{odd}", a.put_data_back(Containers("docker").quiet, paths, "/d")
        yield f"reunite{odd}", a.reunite(Containers("docker").quiet, paths, "/d")
        yield f"remove_run{odd}", a.remove_run(paths)
        yield f"ensure_data_dir{odd}", a.ensure_data_dir("/d", "1000:1000", "0700", "system_u:object_r:x", paths)
        yield f"append_to_wal{odd}", a.append_to_wal(paths, APPEND)
    yield "adopt another part", a.adopt(PLAIN, SHELL_ODD, "restored")
    yield "move_aside another part", a.move_aside(Containers("podman").quiet, APART, "/d", "withdrawn")
    yield "as_data", a.as_data("/d", "/x")
    yield "beat", a.beat(PLAIN, "token", 3)
    yield "break_hold", a.break_hold(PLAIN, "dead")
    yield "copy_original reflink", a.copy_original(PLAIN, "/d", need=5000, reflink=True)
    yield "enough", a.enough("/d.keep", 5000)
    yield "ensure_data_dir nothing known", a.ensure_data_dir("/d", None, None)
    yield "mark", a.mark(PLAIN, "finished")
    yield "mark undone", a.mark(PLAIN, "undone")
    yield "mark undoing", a.mark(PLAIN, "undoing")
    yield "open_run", a.open_run(PLAIN, {"run": "r1", "survivor": "n1"})
    yield "probe_reflink", a.probe_reflink(PLAIN)
    yield "release_hold", a.release_hold(PLAIN, "token")
    yield "rename_part", a.rename_part(PLAIN, "partial", "work")
    yield "still_held", a.still_held()
    yield "take_hold", a.take_hold(PLAIN, {"run": "r1"}, "token")
    yield "write_proof", a.write_proof(PLAIN, {"revision": 30})
    yield "guarded", a.mark(PLAIN, "finished").guarded(PLAIN.hold, "token")
    yield "guarded ends alone", a.copy_original(PLAIN, "/d", need=5000).guarded(PLAIN.hold, "token")


def _containers() -> Iterator[Made]:
    c = containers
    for odd, paths in PLACES:
        yield f"record_containers{odd}", c.record_containers("docker", paths, ["c1", "c2"], "/d")
    yield "fence", c.fence("docker", "c1", "etcd", "etcd.kept")
    yield "fence paused", c.fence("docker", "c1", "etcd", "etcd.kept", paused=True)
    yield "give_name_back", c.give_name_back("docker", "c1", "etcd.kept", "etcd")
    yield "load_image", c.load_image("docker", "reg/etcd:v3", "sha256:1")
    yield "load_image by digest", c.load_image("docker", "reg/etcd@sha256:2", "sha256:1")
    yield "load_image by its id", c.load_image("docker", "sha256:1", "sha256:1")
    yield "load_image nothing known", c.load_image("docker", "reg/etcd:v3", "")
    yield "put_container_back", c.put_container_back("docker", "c1", "etcd", "always", start=True)
    yield "put_container_back stays stopped", c.put_container_back("docker", "c1", "etcd", "no", start=False)
    yield "record_containers none", c.record_containers("docker", PLAIN, [], "/d")
    yield "remove_container", c.remove_container("docker", "etcd-q", "fleetrecover.run", "r1")
    yield "remove_kept_container", c.remove_kept_container("docker", "c1", "etcd.kept")
    yield "restart_container", c.restart_container("docker", "etcd")
    yield (
        "run_container",
        c.run_container("etcd", ["docker", "run", SHELL_ODD], ["A=secret", "B=2"], ["docker", "run", "*"]),
    )
    yield "run_container no environment", c.run_container("etcd", ["docker", "run"], [], ["docker", "run"])
    yield "save_image", c.save_image("docker", "reg/etcd:v3")
    yield "set_restart_policy", c.set_restart_policy("docker", "etcd", "on-failure:5")
    yield "start_existing", c.start_existing("docker", "etcd")
    yield "start_original", c.start_original("docker", "c1", "etcd", "always")
    yield "stop_container", c.stop_container("docker", "etcd")
    yield "cli_version", c.cli_version("docker")
    yield "cli_version of podman", c.cli_version("/usr/bin/podman")
    yield "container_logs", c.container_logs("docker", "etcd")
    yield "container_state", c.container_state("docker", "etcd")
    yield "containers", c.containers("docker", "etcd")
    yield "engine_info", c.engine_info("docker")
    yield "has_image", c.has_image("docker", "reg/etcd:v3")
    yield "images", c.images("docker", ["sha256:1", "sha256:2"])
    yield "images none", c.images("docker", [])
    yield "refuse_running", c.refuse_running("docker", "/d")
    yield "refuse_running wal apart", c.refuse_running("docker", "/d", "/fast/wal")


def _busy() -> Iterator[Made]:
    yield "claim", busy.claim("/d.keep/hold", "fence", 60.0, refused=98)
    yield (
        "claim odd names",
        [line for name in ("", "a b/ä_.-" + "x" * 80) for line in busy.claim("/h", name, 7.0, refused=98)],
    )
    yield "clear_stale", busy.clear_stale("/d.keep", "/d.keep/hold")
    yield "mark_of", busy.mark_of("/d.keep/hold")
    yield "old_mark_of", busy.old_mark_of("/d.keep/hold")


def _etcdctl() -> Iterator[Made]:
    for odd, ctl in (("", CTL), (" plain", BARE)):
        yield f"Etcdctl.command{odd}", ctl.command("get", ["get", SHELL_ODD])
        yield f"Etcdctl.command no json{odd}", ctl.command("get", ["get", "k"], timeout=7, json=False)
        yield f"Etcdctl.status{odd}", ctl.status()
        yield f"Etcdctl.health{odd}", ctl.health()
    yield "Etcdctl.status patient", CTL.status(9)
    yield "Etcdctl.health patient", CTL.health(9)
    yield "Etcdctl.members", CTL.members()
    yield "Etcdctl.alarms", CTL.alarms()
    yield "Etcdctl.hashkv", CTL.hashkv(30)
    yield "Etcdctl.key_count", CTL.key_count()
    yield "Etcdctl.add", CTL.add("n2", ["https://b:2380", "https://c:2380"], learner=False)
    yield "Etcdctl.add learner", CTL.add("n2", ["https://b:2380"], learner=True)
    yield "Etcdctl.remove", CTL.remove(0xBEEF)
    yield "Etcdctl.update", CTL.update(0xBEEF, ["https://b:2380", "https://c:2380"])
    yield "Etcdctl.promote", CTL.promote(0xBEEF)


def _evidence() -> Iterator[Made]:
    files = evidence.CertificateFiles("/c.pem", "/k.pem", "/ca.pem")
    yield "certificates", evidence.certificates([files])
    for odd, wal in (("", ""), (" wal apart", "/fast/wal")):
        yield f"kept_files{odd}", evidence.kept_files("/d/member", wal)
        yield f"made{odd}", evidence.made("/d/member", wal)
        yield f"signs{odd}", evidence.signs("/d/member", wal)
    yield "ports", evidence.ports([("n1", "10.0.0.1", 2380), ("n2", "::1", 2380)])


def _managers() -> Iterator[Made]:
    yield "starters", managers.starters(["etcd", SHELL_ODD])


def _probes() -> Iterator[Made]:
    p = probes
    for odd, wal in (("", ""), (" wal apart", "/fast/wal")):
        yield f"data_listing{odd}", p.data_listing("/d", wal)
        yield f"member_files{odd}", p.member_files("/d/member", wal)
        yield f"files_of_member{odd}", p.files_of_member(wal)
    yield "file_bytes", p.file_bytes(SHELL_ODD)
    yield "file_bytes bounded", p.file_bytes("/f", 100)
    yield "machine", p.machine()
    yield "missing_files", p.missing_files(["/a", SHELL_ODD])
    yield "ranges", p.ranges("/f", [(0, 1000), (4096, 5)])
    yield (
        "restart_policy",
        [
            inspect.restart_policy({"HostConfig": {"RestartPolicy": {"Name": name, "MaximumRetryCount": count}}})
            for name, count in (("on-failure", 5), ("on-failure", 0), ("always", 5), ("", 0))
        ],
    )
    yield "restart_policy of nothing", [inspect.restart_policy(each) for each in ({}, {"HostConfig": None})]
    yield "wal_file", p.wal_file("/f")
    yield "work_dir", p.work_dir("/w")


def _seed() -> Iterator[Made]:
    for odd, paths in PLACES:
        yield f"begin{odd}", seed.begin(paths, "partial", ["work", "booted"], need=5000)
        yield f"copy_database{odd}", seed.copy_database(paths, "/from/db", "partial", 3_000_000)
        yield f"settle{odd}", seed.settle(paths, "partial", "/d", {"snap/db": 4096, "wal/0.wal": 64})
        yield f"throw_away{odd}", seed.throw_away(paths, "work")
    yield "copy_database small", seed.copy_database(PLAIN, "/from/db", "partial", 5)
    yield "send_database", seed.send_database("/from/db", 3_000_000)


def _shell() -> Iterator[Made]:
    yield "copied", shell.copied("/a", "/b")
    yield "join", shell.join(["a b", "c"])
    yield "octal", shell.octal(b"a\0")
    yield "printf", shell.printf(b"a\0")
    yield "printf nothing", shell.printf(b"")
    yield "quote", shell.quote(SHELL_ODD)
    yield "write_file", shell.write_file("/f", b"x")
    yield "write_file of a dash", shell.write_file("-f", b"x", 0)
    yield "write_file any mode", shell.write_file("/f", b"x", 0o7777)


def _snapshots() -> Iterator[Made]:
    s = snapshots
    for odd, paths in PLACES:
        yield f"adopt_restored{odd}", s.adopt_restored(paths, "/d")
        yield f"restore_state{odd}", s.restore_state(paths)
    for odd, tool, bump in (("", s.Tool("etcdctl", False), 0), (" raised", s.Tool("etcdutl", True), 10**9)):
        more: dict[str, Any] = {"size": 1 << 20, "bump": bump, "owner": "0:0"}
        yield f"restore_into{odd}", s.restore_into("docker", "etcd:v3", tool, PLAIN, "restored", ONE, **more)
    yield "boot_proof", s.boot_proof("docker", "etcd:v3", PLAIN, "etcd-q", ["A=1"])
    yield "digest", s.digest("/f", 1 << 20)
    yield "digest no checksum", s.digest("/f", 1 << 20, checksum=False)
    yield "fetch", s.fetch("/f", 1 << 20)
    yield "file_size", s.file_size("/f")
    script = s.schedule_script("docker", CTL, "etcd", "/in/x", "/d/x", WHERE, s.Schedule(3600, 6, 86400))
    yield "schedule_script", script
    yield (
        "schedule_script plain",
        s.schedule_script("podman", BARE, "etcd-1", "/in/x", "/d/x", WHERE, s.Schedule(60, 1)),
    )
    for means in ("systemd", "cron"):
        yield f"install_schedule {means}", s.install_schedule(WHERE, "echo\n", means, 300)
    yield "last_written", s.last_written("/d/member")
    yield "last_written wal apart", s.last_written("/d/member", "/fast/wal")
    yield "listing", s.listing("/opt/rke/etcd-snapshots")
    yield "neighbours", s.neighbours("docker", ["kube-apiserver", "x"])
    yield "prune_files", s.prune_files(["/a", "/b c"])
    yield "receive", s.receive("/f", 1 << 20, "ab" * 32)
    yield "receive in place", s.receive("/f", 1 << 20, "ab" * 32, parents=False, replace=True)
    yield "remove_file", s.remove_file("/f")
    yield "remove_part", s.remove_part(PLAIN, "restored", "trial")
    yield "remove_schedule", s.remove_schedule(WHERE)
    yield "restore_tool", s.restore_tool("docker", "etcd:v3")
    yield "save_by_copy", s.save_by_copy("docker", CTL, "/in/x", "/w/x", need=5000)
    yield "save_in_data_dir", s.save_in_data_dir(CTL, "/in/x", "/d/x", "/w/x", need=5000)
    yield "schedule_status", s.schedule_status(WHERE)
    yield "scheduler", s.scheduler("docker")
    yield "start_neighbours", s.start_neighbours("docker", ["kube-apiserver", "x"])
    yield "stop_neighbours", s.stop_neighbours("docker", PLAIN, ["kube-apiserver", "x"])
    yield "systemd_units", [f"{name}:\n{text}" for name, text in s.systemd_units(WHERE, 300).items()]
    yield "write_note", s.write_note(PLAIN, "restore.json", {"token": "t"})


def _space() -> Iterator[Made]:
    yield "free_kib", space.free_kib("/d")
    yield "unless_free", space.unless_free("/d", "5000", "exit 69")


def _trial() -> Iterator[Made]:
    yield "copy_for_trial", trial.copy_for_trial(PLAIN, "/d/member", "/d", need=5000)
    yield "copy_for_trial wal apart", trial.copy_for_trial(APART, "/d/member", "/d", need=5000, wal="/fast/wal")
    yield "remove_trials", trial.remove_trials("docker", "/d.keep")


def _units() -> Iterator[Made]:
    yield "drop_in", units.drop_in("etcd.service")
    yield "hold_unit", units.hold_unit(PLAIN, "etcd.service")
    for remakes in (True, False):
        label = f"release_unit {'makes it anew' if remakes else 'starts it'}"
        yield label, units.release_unit("docker", PLAIN, "etcd.service", "etcd", remakes=remakes)
    for count in (0, 1, 3):
        targets = [(f"c{n}", f"etcd.kept{n}", bool(n)) for n in range(count)]
        yield f"stop_unit {count}", units.stop_unit("docker", PLAIN, "etcd.service", "etcd", targets)


def _wal_dir() -> Iterator[Made]:
    w = wal_dir
    for odd, paths in PLACES:
        yield f"back{odd}", w.back(paths, "original")
        yield f"data_there{odd}", w.data_there(paths, "/d/member")
        yield f"empty{odd}", w.empty(paths, "/d")
        yield f"into_copy{odd}", w.into_copy(paths, "original", "/copy")
        yield f"out{odd}", w.out(paths, "original")
        yield f"out_to_fresh{odd}", w.out_to_fresh(paths)
        yield f"put{odd}", w.put(paths, "original")
        yield f"removed{odd}", w.removed(paths)
        yield f"reunite{odd}", w.reunite(paths, "/d", ["quiet"])
        yield f"same_place{odd}", w.same_place(paths)
        yield f"withdraw{odd}", w.withdraw(paths, "withdrawn")
    yield "filled", w.filled("/fast/wal")
    yield "into_copy_from", w.into_copy_from("/fast/wal", "/copy")


MADE: dict[str, Callable[[], Iterator[Made]]] = {
    "actions": _actions,
    "busy": _busy,
    "containers": _containers,
    "etcdctl": _etcdctl,
    "evidence": _evidence,
    "managers": _managers,
    "probes": _probes,
    "seed": _seed,
    "shell": _shell,
    "snapshots": _snapshots,
    "space": _space,
    "trial": _trial,
    "units": _units,
    "wal_dir": _wal_dir,
}
"""What the functions of each module make, by the function's name and what is odd about its arguments."""


def told(value: Any) -> str:
    """A command with its limits and its script; lines and words as they are."""
    if isinstance(value, Probe):
        return told(value.command)
    if isinstance(value, Action):
        ends = ", ends with the connection" if value.ends_alone else ""
        return f"{told(value.command)}\nundo: {value.undo or '-'}{ends}"
    if isinstance(value, Command):
        shown = f"\nshown: {readable(value.shown)}" if value.shown and value.shown not in value.script else ""
        codes = ",".join(map(str, value.ok_codes))
        head = f"{value.name}: at most {value.timeout} s, {value.most} bytes, exit codes {codes}"
        return f"{head}{shown}\n{readable(value.script)}"
    return readable(value) if isinstance(value, str) else "\n".join(map(readable, value))


def module_text(module: str) -> str:
    """All of one module."""
    return "".join(f"=== {label}\n{told(value)}\n\n" for label, value in MADE[module]())
