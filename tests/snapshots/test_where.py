"""Where things lie: a snapshot by its path on the nodes, where a save has put it, and how etcd was started when nobody knows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.errors import FormatError, InputError, Refused
from fleetrecover.facts import Keep, Survey
from fleetrecover.report.snapshots import print_saved, saved_document
from fleetrecover.report.terminal import SafeConsole
from fleetrecover.snapshots.catalogue import make_catalogue, named_time, select
from fleetrecover.snapshots.listing import local_file, named_by_path
from fleetrecover.snapshots.restore import Means, Wanted, _Looker
from fleetrecover.snapshots.save import Saved
from tests.decide.surveys import node, survey
from tests.fakes.transport import FakeTransport
from tests.snapshots.test_prune import file
from tests.test_odd_nodes import INSPECT

DIRECTORY = "/opt/rke/etcd-snapshots"
ZIP, BARE = "2022-11-16T03:42:54Z_etcd.zip", "16.12.2019_backup"
REAL = "/data/snap shots"
MADE = make_catalogue(
    [
        *(replace(file(node, ZIP, "a" * 64), path=f"{DIRECTORY}/{ZIP}") for node in ("etcd1", "etcd2")),
        replace(file("etcd3", BARE, "b" * 64), path=f"{REAL}/{BARE}"),
    ]
)


@pytest.mark.parametrize(
    ("wanted", "identity"),
    [
        (f"{DIRECTORY}/{ZIP}", "a"),
        (f"{DIRECTORY}//{ZIP}", "a"),
        (f"{DIRECTORY}/./{ZIP.removesuffix('.zip')}", "a"),
        (f"etcd2:{DIRECTORY}/{ZIP}", "a"),
        (f"{DIRECTORY}/{BARE}", "b"),  # its node has the directory behind a link
        (f"{REAL}/{BARE}", "b"),
        (f"etcd3:{REAL}/{BARE}", "b"),
        (ZIP, "a"),
        (f"{ZIP}@etcd1", "a"),
    ],
)
def test_a_path_on_the_nodes_means_what_lies_there(wanted: str, identity: str) -> None:
    assert select(MADE, named_by_path(MADE, wanted, DIRECTORY)).first.identity == identity * 64


@pytest.mark.parametrize(
    "wanted",
    [
        "/backup/x.zip",
        f"/elsewhere/{ZIP}",
        f"{DIRECTORY}/gone.zip",
        f"etcd3:{DIRECTORY}/{ZIP}",
        f"etcd9:{DIRECTORY}/{ZIP}",
        f"./{ZIP}",
        "s3://bucket/x.zip",
        f"{DIRECTORY}/../{ZIP}",
    ],
)
def test_a_path_that_is_nowhere_says_that_the_name_alone_will_do(wanted: str) -> None:
    with pytest.raises(InputError, match="no such file here") as caught:
        named_by_path(MADE, wanted, DIRECTORY)
    assert "snapshot list" in str(caught.value.hint)
    assert "its name alone, without the path" in str(caught.value.hint)


def test_a_file_here_comes_first(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"x")
    assert local_file(str(tmp_path / "x.zip")) == tmp_path / "x.zip"
    assert local_file(str(tmp_path / "y.zip")) is None
    assert local_file(ZIP) is None
    assert local_file(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("etcd-snapshot-node1-1612346789", "2021-02-03T10:06:29+00:00"),  # K3s
        ("on-demand-node1-1612346789.zip", "2021-02-03T10:06:29+00:00"),
        ("20190405T101112Z.db", "2019-04-05T10:11:12+00:00"),
        ("etcd-2019-04-05_10:11:12", "2019-04-05T10:11:12+00:00"),  # Kubespray
        ("etcd-snapshot-2019-04-05-10-11-12.db", "2019-04-05T10:11:12+00:00"),
        ("2019-04-05T10:11:12.123456789Z_etcd", "2019-04-05T10:11:12+00:00"),
        ("2019-04-05T10:11:12.5+02:00", "2019-04-05T08:11:12+00:00"),
        ("c-98sfm-rl-t8gp9_2019-10-23T18:30:52Z.zip", "2019-10-23T18:30:52+00:00"),
        ("16.12.2019_backup", None),
        ("20191399T999999Z", None),
        ("c-1612346-rl-x", None),
        ("123456789012345678901234", None),
    ],
)
def test_times_as_others_write_them(name: str, moment: str | None) -> None:
    time = named_time(name)
    assert (time.isoformat() if time else None) == moment


def test_a_save_says_host_and_path(capsys: pytest.CaptureFixture[str]) -> None:
    from types import SimpleNamespace

    content: Any = SimpleNamespace(revision=5, keys=3, size=4096, identity="a")
    saved = Saved("sn", "etcd1", True, content, 99, "b", {"etcd1": "", "etcd2": "no room"}, None, f"{DIRECTORY}/sn.zip")
    print_saved(SafeConsole(highlight=False, width=200), saved)
    out = capsys.readouterr().out
    assert f"etcd1:{DIRECTORY}/sn.zip" in out
    assert "etcd2: not there: no room" in out
    assert saved_document("prod", saved)["path"] == f"{DIRECTORY}/sn.zip"


# --- the command of a container that is gone ---


class Notes:
    """Remembers what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def looker(files: dict[str, str], like: Path | None = None) -> tuple[_Looker, Notes]:
    """One that finds these contents of containers.json by node."""
    notes: Any = Notes()
    transport = FakeTransport({name: {"file": text} for name, text in files.items()})
    means = Means(survey().fleet, transport, notes, lambda *_: None)
    return _Looker(means, Wanted("x", like=like), Path("/nowhere")), notes


def kept(number: int, *runs: str) -> Any:
    """A node without containers where these runs have kept what they found."""
    keeps = tuple(Keep(run, f"/var/lib/etcd.fleetrecover/{run}", None, containers=True) for run in runs)
    return node(number, containers=(), keeps=keeps)


def all_lost(*runs: str) -> Survey:
    return survey(node(1, containers=()), kept(2, *runs))


def test_what_a_run_has_kept_on_a_node_is_found() -> None:
    found, notes = looker({"etcd2": INSPECT})
    like = found.like(all_lost("r20260101T000000Z-aaaa"))
    assert like["like"].image == "etcd:v3.4.23"
    assert "etcd2:/var/lib/etcd.fleetrecover/r20260101T000000Z-aaaa/containers.json" in notes.notes[0]
    assert found.like(all_lost("r20260101T000000Z-aaaa")) == like
    assert len(notes.notes) == 1, "it is read once, and both looks are of the same"


def test_the_youngest_that_saw_one() -> None:
    nothing = looker({"etcd2": "[]"})[0]
    assert nothing.like(all_lost("r1", "r2")) == {}
    several, notes = looker({"etcd2": INSPECT})
    several.like(all_lost("r20260101T000000Z-aaaa", "r20260301T000000Z-cccc", "r20260201T000000Z-bbbb"))
    assert "cccc" in notes.notes[0]


def test_the_etcd_among_several() -> None:
    other = json.loads(INSPECT)[0] | {"Name": "/nginx", "Config": {"Image": "nginx", "Cmd": ["nginx"]}}
    found, _ = looker({"etcd2": json.dumps([other, *json.loads(INSPECT)])})
    assert found.like(all_lost("r1"))["like"].image == "etcd:v3.4.23"


def test_nothing_is_looked_for_where_a_container_is_there_or_one_was_given(tmp_path: Path) -> None:
    found, notes = looker({})
    assert found.like(survey(node(1), kept(2, "r1"))) == {}
    (tmp_path / "like.json").write_text(INSPECT)
    given, _ = looker({}, like=tmp_path / "like.json")
    assert given.like(all_lost("r1"))["like"].image == "etcd:v3.4.23"
    assert not notes.notes


@pytest.mark.parametrize("text", ["{", "[5]", '[{"Config": [1]}]', "[" * 999])
def test_what_cannot_be_read_names_its_place(text: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"etcd2:/var/lib/etcd.fleetrecover/r1/containers.json") as caught:
        looker({"etcd2": text})[0].like(all_lost("r1"))
    assert "nothing was changed" in caught.value.message
    (tmp_path / "like.json").write_text(text)
    with pytest.raises(FormatError):
        looker({}, like=tmp_path / "like.json")[0].like(all_lost("r1"))


@pytest.mark.parametrize("text", [None, "[]"])
def test_a_file_that_is_given_and_has_nothing(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "like.json").write_text(text)
    with pytest.raises(InputError, match=r"--like .*like\.json"):
        looker({}, like=tmp_path / "like.json")[0].like(all_lost("r1"))
