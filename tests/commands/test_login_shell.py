"""Root's shell through the container engine: its command line with a stand-in for the engine, and what a host offers for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fleetrecover.commands import containers
from fleetrecover.commands.environment import LOGIN, NO_ENGINE, THROUGH, WHO
from fleetrecover.commands.login_shell import (
    PLAIN,
    SUDO,
    Offer,
    engine_offer,
    is_root,
    not_enough,
    through_engine,
    without_root,
)
from fleetrecover.errors import FormatError
from fleetrecover.facts import HELPER_LABEL
from fleetrecover.model import Command, Result
from tests.commands.shells import SHELLS, program, run

IMAGE = "sha256:" + "5" * 64
LOGIN_SHELLS = [name for name in ("dash", "bash", "fish", "tcsh", "zsh", "ksh") if shutil.which(name)]

ENGINE = """
printf '%s\\n' "$@" >"{seen}"
while [ "$1" != -- ]; do shift; done; shift
{more}
"$@" </dev/null >"{lost}" 2>&1 &
wait $!
exit $?
"""


def engine(directory: Path, more: str = "") -> Path:
    """An engine that runs what a container would run after `nsenter`; its own streams lead elsewhere."""
    body = ENGINE.format(seen=directory / "seen", lost=directory / "lost", more=more)
    return program(directory / "bin", "docker", body) / "docker"


def fed(login: str, cli: Path, script: str, source: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """What a session of that login's shell answers to a script on its standard input, a pipe unless it is a file."""
    shell = through_engine(str(cli), Offer(image=IMAGE, nsenter="/usr/bin/nsenter"))
    argv = [login, "-c", " ".join(shell.words)]
    if source is None:
        return subprocess.run(argv, input=script.encode(), capture_output=True, check=False)
    source.write_text(script)
    with source.open("rb") as stdin:
        return subprocess.run(argv, stdin=stdin, capture_output=True, check=False)


@pytest.mark.parametrize("login", LOGIN_SHELLS)
def test_a_script_and_its_streams_do_not_pass_through_the_engine(login: str, tmp_path: Path) -> None:
    """Whatever shell the login has: the session's own pipes are the script's, and no argument says what is in it."""
    script = f"echo word ${THROUGH}; echo oops >&2; readlink /proc/${LOGIN}/fd/1 /proc/$$/fd/1; exit 7\n"
    cli = engine(tmp_path)
    told = fed(login, cli, script)
    out = told.stdout.decode().splitlines()
    assert (told.returncode, out[0], told.stderr) == (7, f"word {cli}", b"oops\n")
    assert out[1] == out[2]
    assert (tmp_path / "lost").read_bytes() == b""
    seen = (tmp_path / "seen").read_text()
    assert "oops" not in seen and "word" not in seen


def test_what_the_engine_is_told(tmp_path: Path) -> None:
    """An image that is there, by its id; nothing of the host below a writable mount; no log, and a label of ours."""
    fed("sh", engine(tmp_path), "exit 0")
    words = (tmp_path / "seen").read_text().splitlines()
    assert words[:2] == ["run", "--rm"]
    assert words[words.index("--label") + 1] == f"{HELPER_LABEL}=root"
    assert words[words.index("--log-driver") + 1] == "none"
    assert words[words.index("--entrypoint") + 1 :][:2] == ["/usr/bin/nsenter", IMAGE]
    mounts = [words[at + 1] for at, word in enumerate(words) if word == "-v"]
    assert "/usr:/usr:ro" in mounts
    assert all(each.endswith(":ro") and Path(each.split(":")[0]).is_dir() for each in mounts)
    assert "--privileged" not in words and "-i" not in words and "-t" not in words[: words.index(IMAGE)]


def test_the_environment_is_not_the_images(tmp_path: Path) -> None:
    cli = engine(tmp_path, "export ETCDCTL_API=2 DOCKER_HOST=tcp://elsewhere")
    told = fed("sh", cli, "env")
    assert b"ETCDCTL_API" not in told.stdout and b"DOCKER_HOST" not in told.stdout
    assert b"HOME=/root\n" in told.stdout


def test_an_engine_of_another_machine_is_not_taken(tmp_path: Path) -> None:
    """There the process of that number is another one, or none."""
    told = fed("sh", engine(tmp_path, 'set -- "$1" "$2" "$3" "$4" 1 "$6" "$7"'), "echo never")
    assert (told.returncode, told.stdout) == (96, b"")
    assert "on another machine" in (tmp_path / "lost").read_text()


def test_streams_that_cannot_be_opened_anew_are_told(tmp_path: Path) -> None:
    told = fed("sh", engine(tmp_path), "echo never", tmp_path / "script")
    assert (told.returncode, told.stdout) == (95, b"")
    assert b"gives commands no pipes" in told.stderr
    assert not (tmp_path / "seen").exists()


# --- what a host offers

OFFERS = {
    "root": ("echo 0", "exit 9", Offer(root=True)),
    "in use": (
        "echo 1901",
        f"case $1 in version) echo 20.10;; ps) echo c1;; images) exit 1;; inspect) echo {IMAGE};; esac",
        Offer(image=IMAGE, nsenter="/usr/bin/nsenter"),
    ),
    "another image": (
        "echo 1901",
        f"case $* in version*) echo 20.10;; ps*) echo c1;; images*) echo {IMAGE};; *container*) echo gone;;"
        " *gone*) exit 1;; esac",
        Offer(image=IMAGE, nsenter="/usr/bin/nsenter"),
    ),
    "no image": ("echo 1901", "case $1 in version) echo 20.10;; esac", "`docker` has no image"),
    "denied": ("echo 1901", "echo 'permission denied while trying to connect' >&2; exit 1", "log in anew"),
    "stopped": ("echo 1901", "echo 'Cannot connect to the Docker daemon' >&2; exit 1", "does not answer"),
}


# busybox has an `id` of its own, which a stand-in does not replace
@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell[0] != "busybox"], ids=" ".join)
@pytest.mark.parametrize("case", OFFERS)
def test_what_a_host_offers(case: str, shell: list[str], tmp_path: Path) -> None:
    uid, docker, wanted = OFFERS[case]
    path = program(program(tmp_path, "id", uid), "docker", docker)
    program(path, "nsenter", "exit 1")
    probe = engine_offer("docker")
    done = run(shell, probe.command, path)
    assert done.returncode == 0, done.stderr
    text = done.stdout.replace(str(path / "nsenter").encode(), b"/usr/bin/nsenter")
    offer = probe.parse(Result(probe.command, 0, text, b""))
    if isinstance(wanted, Offer):
        assert offer == wanted
    else:
        assert str(wanted) in offer.problem
        assert offer.passing == (case == "stopped")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image=--privileged\nnsenter=/usr/bin/nsenter\n",
        f"image={IMAGE}\nnsenter=/tmp/nsenter\n",
        "problem=of yours\n",
    ],
)
def test_an_odd_answer_is_none(text: str) -> None:
    probe = engine_offer("docker")
    with pytest.raises(FormatError):
        probe.parse(Result(probe.command, 0, text.encode(), b""))


def test_whether_it_is_root() -> None:
    probe = is_root()
    assert probe.parse(Result(probe.command, 0, b"root=1\n", b""))
    assert not probe.parse(Result(probe.command, 1, b"", b""))


@pytest.mark.parametrize("login", LOGIN_SHELLS)
def test_why_not_is_told_by_the_nodes_own_answers(login: str) -> None:
    """It goes into the environment of what runs there, so that whoever finds something forbidden can say it."""
    shell = without_root(not_enough("docker", "it's `denied`!\nby $(policy)"))
    told = subprocess.run([login, "-c", " ".join(shell.words)], input=WHO.encode(), capture_output=True, check=True)
    assert (
        "no-engine=being in the group of docker is not enough there: it s denied by (policy)\n" in told.stdout.decode()
    )
    assert NO_ENGINE in shell.words[1]
    plain = subprocess.run(["sh"], input=WHO.encode(), capture_output=True, check=True)
    assert plain.stdout.endswith(b"no-engine=\n")


def test_the_shells_that_were_there_before() -> None:
    assert (" ".join(PLAIN.words), PLAIN.sudo, PLAIN.engine) == ("sh", False, "")
    assert (" ".join(SUDO.words), SUDO.sudo, SUDO.engine) == ("sudo -n sh", True, "")


def test_what_lends_us_its_rights_is_never_an_etcd() -> None:
    """It may have etcd's own image."""
    helper = {"Name": "/fleetrecover-1", "Config": {"Image": "etcd", "Labels": {HELPER_LABEL: "root"}}}
    etcd = {"Name": "/etcd", "Config": {"Image": "etcd", "Labels": None}}
    probe = containers.containers("docker", "etcd")
    assert probe.parse(Result(Command("x", ""), 0, json.dumps([helper, etcd]).encode(), b"")) == (etcd,)
