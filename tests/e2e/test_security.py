"""Whatever a node says or holds is only data: nothing of it runs, nothing of it acts on a terminal, no secret gets out."""

from __future__ import annotations

import io
import json
import shlex
import zipfile
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Ran, restart_policy

pytestmark = pytest.mark.lab

NASTY = "$(touch /tmp/pwned)`touch /tmp/pwned`;touch /tmp/pwned;'\"|&\x1b[2J\x1b]0;pwned\x07"
SECRETS = [f"hunter{number}-planted" for number in range(1, 9)]
PROGRAMS = ("sh", "etcd", "etcdctl", "docker", "stat", "cp", "cat", "du", "awk", "sha256sum", "openssl")
MEMBER_NAME = "etcd-$(touch /tmp/pwned)`id`'\"\x1b[31m"


def started_with(
    lab: Lab, name: str, *, env: tuple[str, ...] = (), labels: tuple[str, ...] = (), member: str = ""
) -> None:
    """The host's etcd again, with more in its environment and labels, and under another name of its own."""
    [inspect] = json.loads(lab.shell(name, "docker inspect etcd"))
    config, hosting = inspect["Config"], inspect["HostConfig"]
    command = [f"--name={member}" if member and word.startswith("--name=") else word for word in config["Cmd"]]
    words = ["docker", "run", "-d", "--name=etcd", "--network=host", "--restart=always"]
    words += [f"--volume={bind}" for bind in hosting["Binds"]]
    words += [f"--env={entry}" for entry in (*config["Env"], *env)] + [f"--label={label}" for label in labels]
    lab.shell(name, f"docker rm -f etcd >/dev/null\n{shlex.join([*words, config['Image'], *command])}")


def plant(lab: Lab) -> None:
    """Secrets where one finds them, and names that a careless program would run."""
    environment = (
        f"DATABASE_URL=postgres://user:{SECRETS[0]}@db/x",
        f"BACKUP_PASSWORD={SECRETS[1]}",
        f"HARMLESS_LOOKING={SECRETS[2]}",
        f"ETCD_ROOT_SECRET={SECRETS[3]}",
        f"ETCD_NONSENSE_TOKEN={SECRETS[4]}",
    )
    labels = (f"registry-token={SECRETS[5]}", f"note={NASTY}")
    started_with(lab, "etcd1", env=environment, labels=labels)
    started_with(lab, "etcd2", env=environment, labels=labels, member=MEMBER_NAME)
    lab.wait_healthy()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../../../tmp/pwned", "x")
        archive.writestr(NASTY, SECRETS[6])
    for name in ("etcd1", "etcd2"):
        host = lab.host(name)
        snapshots, data = host.path("/opt/rke/etcd-snapshots"), host.path("/var/lib/etcd")
        named = NASTY.replace("/", "\u2044")
        (snapshots / f"{named}.zip").write_bytes(packed.getvalue())
        (snapshots / f"x\n{named}").write_text(SECRETS[6])
        (snapshots / "plain").write_text(SECRETS[6])
        for directory in (data, snapshots):
            (directory / f"{named}\nkeep=r9").touch()
            for program in PROGRAMS:
                (directory / program).write_text(f"#!/bin/sh\ntouch /tmp/pwned\necho {SECRETS[7]}\n")
                (directory / program).chmod(0o755)
    image = lab.shell("etcd1", "docker inspect -f '{{.Config.Image}}' etcd").strip()
    stray = ["docker", "create", "--name=stray", f"--env=A={SECRETS[2]}", f"--env={NASTY}={NASTY}", image]
    lab.shell("etcd1", shlex.join([*stray, "/usr/local/bin/etcd", f"--name={NASTY}", f"--data-dir=/x{NASTY}"]))


def watch_processes(lab: Lab, name: str) -> None:
    """Note every command line of the host until it is stopped."""
    lab.shell(
        name,
        "touch /tmp/watching; (while [ -e /tmp/watching ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
        " >> /tmp/seen; sleep 0.05; done) >/dev/null 2>&1 &",
    )


def assert_quiet(what: str, text: str) -> None:
    """No secret, nothing that a terminal would act on."""
    assert not [secret for secret in SECRETS if secret in text], what
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(text), what


def assert_private(directory: Path) -> None:
    """Everything below is for its owner alone."""
    loose = [
        path for path in (directory, *directory.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o077
    ]
    assert loose == []


def test_hostile_nodes_and_planted_secrets(fleet: Fleet, tmp_path: Path) -> None:
    """A whole recovery over nodes full of traps, everything that is printed or written looked through."""
    lab, tool = fleet(3)
    plant(lab)
    written = lab.client().fill("/before/", 100)
    restart_policy(lab, "no")
    lab.shell("etcd3", "docker rm -f etcd; rm -rf /var/lib/etcd/*")
    for name in ("etcd1", "etcd2"):
        lab.shell(name, "docker stop etcd")
    lab.shell("etcd2", "rm -f /var/lib/etcd/member/wal/*")
    watch_processes(lab, "etcd1")
    html, plan = tmp_path / "report.html", tmp_path / "plan.json"
    said: list[tuple[str, Ran]] = []

    def run(*words: str) -> Ran:
        said.append((" ".join(words), tool.run(*words)))
        return said[-1][1]

    assert run("diagnose", "--json").code == 11
    assert run("plan", "-v", "-o", str(plan)).code == 0
    assert run("snapshot", "list").code == 0
    assert run("recover", "-v", "--json", "--yes", lab.name).code == 0, said[-1][1].err
    done = said[-1][1].document
    assert run("runs").code == 0
    assert run("report", done["run"], "--html", str(html)).code == 0
    lab.shell("etcd1", "rm -f /tmp/watching")
    for host in lab.hosts:
        assert lab.client().verify(written, host.name).whole
    members = json.loads(lab.etcdctl("etcd1", "member", "list", "-w", "json").stdout)["members"]
    assert MEMBER_NAME in {member["name"] for member in members}

    for words, ran in said:
        assert_quiet(words, ran.out + ran.err)
    for path in (html, plan, *(path for path in tool.state.rglob("*") if path.is_file())):
        assert_quiet(str(path), path.read_text())
    seen = lab.shell("etcd1", "cat /tmp/seen")
    assert "docker" in seen
    # a label is no secret on the node: whoever may ask the engine sees it, and it has no other way than the command line
    assert not [secret for secret in SECRETS if secret in seen and secret != SECRETS[5]]
    for host in lab.hosts:
        assert lab.shell(host.name, "ls /tmp/pwned 2>/dev/null || true") == ""
        lab.shell(host.name, "! grep -rlF planted /var/log/sshd.log /var/log/auth.log 2>/dev/null")
        root = host.path("/var/lib/etcd.fleetrecover")
        for path in (root, root / done["run"]):
            assert path.stat().st_mode & 0o777 == 0o700
        files = [path for path in (root / done["run"]).iterdir() if path.is_file()]
        assert {path.name for path in files} >= {"run.json", "containers.json", "finished"}
        assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert not Path("/tmp/pwned").exists()
    assert_private(tool.state)
    assert {path.stat().st_mode & 0o777 for path in (html, plan)} == {0o600}


def test_a_record_of_a_run_that_was_forged(fleet: Fleet) -> None:
    """A node that lies about a run leads us nowhere: no path of its making, no survivor that is none, no crash."""
    lab, tool = fleet(3)
    for name in ("etcd2", "etcd3"):
        lab.remove_etcd(name)
        lab.wipe(name)
    pin = {
        "run": "../../../tmp/pwned",
        "cluster": lab.name,
        "survivor": "nobody\x1b[2J",
        "started": "9",
        "kind": "reset",
    }
    root = lab.host("etcd3").path("/var/lib/etcd.fleetrecover")
    for run in ("r9", "r9..x", "..", "r 9"):
        (root / run / "original" / "member").mkdir(parents=True, exist_ok=True)
        (root / run / "run.json").write_text(json.dumps(pin))
    ran = tool.run("recover", "--yes", lab.name)
    assert ran.code in (12, 20), ran.err
    assert "Traceback" not in ran.err
    assert_quiet("recover", ran.out + ran.err)
    (root / "r9" / "run.json").write_text("[" * 100_000)
    ran = tool.run("diagnose", "--json")
    assert ran.code in (11, 12), ran.err
    assert "Traceback" not in ran.err
    for host in lab.hosts:
        assert lab.shell(host.name, "ls -d /tmp/pwned* /var/tmp/pwned* 2>/dev/null || true") == ""
