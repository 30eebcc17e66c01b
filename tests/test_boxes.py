"""Where an etcd's files are, by what its container says: in a mount, in the container itself, the WAL apart, in a file."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.commands import probes
from fleetrecover.commands.probes import DataListing
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.errors import InputError, Refused, Unsupported
from fleetrecover.etcd.config_file import MOST_BYTES
from fleetrecover.facts import Container, Survey
from fleetrecover.model import Command, Fleet, Host
from fleetrecover.run_config import read_config
from fleetrecover.runtime.inspected import container_facts
from fleetrecover.survey import take_survey
from tests.commands.shells import NAMES, SHELLS
from tests.etcd.writers import WalWriter, put
from tests.fakes.nodes import FakeFleet
from tests.fakes.transport import Answer, FakeTransport, failed
from tests.test_odd_nodes import sound


def inspected(
    *words: str, env: tuple[str, ...] = (), binds: Mapping[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """What `inspect` says of a container; `binds`: host path → container path."""
    mounts = {"/var/lib/etcd": "/data"} if binds is None else binds
    return {
        "Id": "aa",
        "Name": "/etcd",
        "Image": "sha256:e",
        "Created": "2026-01-01T00:00:00Z",
        "Config": {"Image": "quay.io/coreos/etcd:v3.5.9", "Cmd": list(words), "Env": list(env), "Labels": {}} | more,
        "State": {"Status": "exited"},
        "HostConfig": {
            "NetworkMode": "host",
            "Binds": [f"{a}:{b}" for a, b in mounts.items()],
            "RestartPolicy": {"Name": "always"},
        },
        "Mounts": [
            {"Type": "bind", "Source": a, "Destination": b, "RW": True, "Mode": "", "Propagation": "rprivate"}
            for a, b in mounts.items()
        ],
    }


def facts(*words: str, file: str | None = None, **more: Any) -> Container:
    return container_facts(inspected(*words, **more), None, file)


INSIDE: dict[str, tuple[Container, str]] = {
    "no volume, single dashes": (facts("etcd", "-name=n1", "-data-dir", "/etcd-data", binds={}), "/etcd-data"),
    "no directory is named": (facts("etcd", "--name=n1"), "/n1.etcd"),
    "by a variable, beside the mount": (facts("etcd", env=("ETCD_DATA_DIR=/srv/x",)), "/srv/x"),
    "a mount of the certificates alone": (facts("etcd", "--data-dir=/d", binds={"/etc/ssl": "/etc/ssl"}), "/d"),
    "only the WAL is": (facts("etcd", "--data-dir=/data", "--wal-dir=/wal"), "/wal"),
    "behind a shell": (facts("sh", "-c", "exec etcd --data-dir=/x", binds={}), "/x"),
}


@pytest.mark.parametrize("name", INSIDE)
def test_data_that_is_in_no_mount_is_in_the_container_itself(name: str) -> None:
    found, inside = INSIDE[name]
    assert found.inside == inside


def test_data_in_a_mount_is_not() -> None:
    assert facts("etcd", "--data-dir=/data/x").inside == ""
    assert facts("etcd", "--data-dir=/data/x").data_path == "/var/lib/etcd/x"


APART: dict[str, Container] = {
    "a flag": facts("etcd", "--data-dir=/data/d", "--wal-dir=/data/w"),
    "a flag of two words, single dash": facts("etcd", "-data-dir", "/data/d", "-wal-dir", "/data/w"),
    "a variable": facts("etcd", env=("ETCD_DATA_DIR=/data/d", "ETCD_WAL_DIR=/data/w")),
    "a file": facts("etcd", "--config-file=/data/c", file="data-dir: /data/d\nwal-dir: /data/w\n"),
    "a file by a variable": facts(
        "etcd", env=("ETCD_CONFIG_FILE=/data/c",), file="{data-dir: /data/d, wal-dir: /data/w}"
    ),
    "behind a shell": facts("sh", "-c", "etcd --data-dir=/data/d --wal-dir=/data/w"),
}


@pytest.mark.parametrize("name", APART)
def test_a_wal_directory_of_its_own(name: str) -> None:
    found = APART[name]
    assert (found.data_path, found.wal_path) == ("/var/lib/etcd/d", "/var/lib/etcd/w")


def test_one_that_is_where_it_is_anyway_is_not_apart() -> None:
    found = facts("etcd", "--data-dir=/data", "--wal-dir=/data/member/wal/")
    assert found.wal_path is None
    assert found.config is not None
    assert (found.config.wal_dir, found.config.wal_apart) == ("/data/member/wal", "")


def test_what_cannot_be_rewritten_says_why_and_is_read_all_the_same() -> None:
    for found, said in (
        (APART["a file"], "--config-file=/data/c"),
        (APART["behind a shell"], "does not start etcd itself"),
    ):
        assert found.config is not None
        assert found.config.opaque
        assert not found.config.scripted
        assert said in (found.spec_problem or "")
    script = facts("/run.sh", env=("ETCD_DATA_DIR=/data",), Entrypoint=["dumb-init"])
    assert script.config is not None
    assert script.config.scripted
    assert facts("etcd", "--config-file=/data/c").config is None, "a file that could not be read is not guessed"


# --- the survey ---


def surveyed(**answers: Answer) -> tuple[FakeTransport, Any]:
    fleet = Fleet("prod", (Host("etcd1", "10.0.0.1"),))
    transport = FakeTransport({"etcd1": sound(1) | {name.replace("_", "-"): value for name, value in answers.items()}})
    return transport, take_survey(fleet, transport, sleep=lambda _: None).node("etcd1")


def test_the_file_is_read_from_the_host_and_bounded() -> None:
    document = json.dumps([inspected("etcd", "--config-file=/data/etcd.yml")])
    transport, node = surveyed(containers=document, file="name: n3\ndata-dir: /data/d\n")
    [asked] = [each for each in transport.asked if each.name == "file"]
    assert f"head -c {MOST_BYTES + 1} /var/lib/etcd/etcd.yml" in asked.command.script
    assert (node.containers[0].etcd_name, node.containers[0].data_path) == ("n3", "/var/lib/etcd/d")


def test_the_wal_of_its_own_is_what_is_listed() -> None:
    document = json.dumps([inspected("etcd", "--data-dir=/data/d", "--wal-dir=/data/w")])
    writer = WalWriter(node_id=1, cluster_id=9).open()
    writer.entry(2, 1, put("k"))
    writer.state(2, 1, 1)
    [(name, content)] = writer.done()
    old = "file=64 /var/lib/etcd/d/member/wal/0000000000000000-0000000000000000.wal\n"
    listing = f"real=/var/lib/etcd/d\nexists=1\nmember=1\n{old}wal=/var/lib/etcd/w\n"
    listing += f"walfile={len(content)} /var/lib/etcd/w/{name}\n"
    sent = f"{len(content)} {len(content)} raw\n".encode() + content
    transport, node = surveyed(containers=document, data_listing=listing, wal_file=sent)
    [asked] = [each for each in transport.asked if each.name == "data-listing"]
    assert "/var/lib/etcd/w" in asked.command.script
    assert node.log is not None, node.log_problem
    assert (node.log.node_id, node.log.last.index) == (1, 1)
    assert all("/var/lib/etcd/w/" in each.command.script for each in transport.asked if each.name == "wal-file")


def test_what_is_only_forbidden_is_said_so_with_what_to_add() -> None:
    listing = "real=/var/lib/etcd\nwho=op (uid 1000)\nforbidden=/var/lib/etcd\nexists=1\nfree=1\n"
    _, node = surveyed(data_listing=listing)
    assert node.log_problem is not None
    assert node.log_problem.kind == "forbidden"
    assert "op (uid 1000) may not read /var/lib/etcd" in node.log_problem.message
    assert "sudo = true" in (node.log_problem.hint or "")


def test_data_in_the_container_is_not_looked_for_on_the_host() -> None:
    transport, node = surveyed(containers=json.dumps([inspected("etcd", "--data-dir=/d", binds={})]))
    assert node.log_problem is not None
    assert node.log_problem.kind == "in-container"
    assert "data-listing" not in transport.names("etcd1")


def test_who_else_starts_it_is_asked_with_the_names_that_there_are() -> None:
    said = "units\ncron /etc/cron.d/etcd @reboot root docker start etcd\n"
    transport, node = surveyed(starters=said)
    [asked] = [each for each in transport.asked if each.name == "starters"]
    assert "docker-etcd.service" in asked.command.script
    assert [each.name for each in node.starters] == ["/etc/cron.d/etcd"]
    assert node.starters_problem is None
    _, blind = surveyed(starters=failed(124))
    assert blind.starters_problem is not None


# --- the listing, on every sh of this machine, as somebody who is not root ---

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        for part in ("etcd/member/wal", "etcd/member/snap", "wal"):
            (Path(made) / part).mkdir(parents=True)
        (Path(made) / "etcd/member/wal/0.wal").write_text("old")
        (Path(made) / "wal/1.wal").write_text("new")
        yield Path(made)


def listed(shell: list[str], data: Path, wal: str = "", *, root: bool = False) -> DataListing:
    script = probes.data_listing(str(data), wal).command.script
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 and not root else {}
    said = subprocess.run(shell, input=script.encode(), capture_output=True, check=True, cwd="/", **who).stdout.decode()
    return probes.parse_listing(str(data), said)


@pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
@pytest.mark.parametrize(
    "shut", ["etcd", "etcd/member", "etcd/member/wal", "etcd/member/snap", "etcd/member/wal/0.wal", "."]
)
def test_the_first_thing_that_may_not_be_read_is_named(shell: list[str], place: Path, shut: str) -> None:
    assert listed(shell, place / "etcd").data.forbidden == ""
    (place / shut).chmod(0)
    try:
        assert listed(shell, place / "etcd").data.forbidden == str((place / shut).resolve())
    finally:
        (place / shut).chmod(0o755)


@pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
def test_a_wal_apart_is_listed_in_place_of_the_members(shell: list[str], place: Path) -> None:
    (place / "link").symlink_to(place / "wal")
    found = listed(shell, place / "etcd", str(place / "link"))
    assert found.data.wal == str((place / "wal").resolve())
    assert [file.path for file in found.files] == [str((place / "wal/1.wal").resolve())]
    (place / "wal").chmod(0)
    assert listed(shell, place / "etcd", str(place / "wal")).data.forbidden == str((place / "wal").resolve())
    assert listed(shell, place / "etcd", str(place / "gone")).data.forbidden == ""


@pytest.mark.skipif(os.getuid() != 0, reason="who is not root may write in what is his own")
@pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
def test_where_nothing_may_be_written(shell: list[str], place: Path) -> None:
    assert listed(shell, place / "etcd").data.unwritable == str((place / "etcd").resolve())
    assert listed(shell, place / "etcd", root=True).data.unwritable == ""
    os.chown(place / "etcd", NOBODY, NOBODY)
    assert listed(shell, place / "etcd").data.unwritable == f"{place.resolve()}/"
    assert "(uid 65534)" in listed(shell, place / "etcd").data.who


# --- what is planned with them ---


def broken(wiped: int, **config: Any) -> Survey:
    fleet = FakeFleet.broken(3, wiped=wiped)
    for each in fleet.nodes:
        assert each.container is not None
        assert each.container.config is not None
        each.container = replace(
            each.container,
            config=replace(each.container.config, **config),
            spec_problem="its command is not etcd itself",
        )
    return fleet.survey()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"opaque": "sh -c etcd"}, "n1: container etcd: its command is not etcd itself"),
        ({"opaque": "--config-file=/c"}, "n1: container etcd: its command is not etcd itself"),
    ],
)
def test_a_reset_is_refused_by_name_and_a_start_is_not(config: dict[str, Any], said: str) -> None:
    lost, enough = broken(2, **config), broken(1, **config)
    with pytest.raises(Unsupported, match=said) as caught:
        make_plan(lost, diagnose(lost, Wish()), Wish(), run="r1", started="t")
    assert caught.value.hint
    plan = make_plan(enough, diagnose(enough, Wish()), Wish(), run="r1", started="t")
    assert plan.remedy is Remedy.START


def test_a_start_is_refused_where_a_script_comes_before_etcd() -> None:
    seen = broken(1, opaque="/run.sh", scripted=True)
    with pytest.raises(Refused, match=r"n1: the command '/run.sh' of container etcd does not start etcd itself"):
        make_plan(seen, diagnose(seen, Wish()), Wish(), run="r1", started="t")


# --- run-config ---


def documents(*names: str, **binds: str) -> str:
    found = []
    for name in names:
        place = binds.get(name, "/var/lib/etcd")
        found.append(inspected("etcd", "--data-dir=/data", binds={place: "/data"}) | {"Name": f"/{name}", "Id": name})
    return json.dumps(found)


def found_by_run_config(answer: str, container: str | None = None) -> str:
    node = Host("etcd1", "10.0.0.1", container=container)

    def one(_: Host, command: Command) -> str:
        """What `inspect` gives of the one that is asked for."""
        return json.dumps([doc for doc in json.loads(answer) if f" {doc['Id']} " in command.script])

    answers = {"containers": answer, "container-state": one, "images": "[]", "engine-info": "null", "*": ""}
    transport = FakeTransport({"etcd1": answers})
    return read_config(Fleet("prod", (node,)), transport, "etcd1").name


def test_run_config_finds_the_nodes_own_whatever_it_is_called() -> None:
    assert found_by_run_config(documents("etcd1")) == "etcd1"
    assert found_by_run_config(documents("etcd1", "etcd")) == "etcd"
    assert found_by_run_config(documents("etcd1", "etcd"), container="etcd1") == "etcd1"
    assert found_by_run_config(documents("etcd1.fleetrecover-r1")) == "etcd1.fleetrecover-r1"
    assert found_by_run_config(documents("etcd.fleetrecover-r1", "etcd1")) == "etcd.fleetrecover-r1"
    with pytest.raises(InputError, match="no container etcd") as caught:
        found_by_run_config(documents("blue", "green", blue="/a", green="/b"))
    assert "blue, green" in (caught.value.hint or "")
