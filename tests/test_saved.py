"""A survey in a file gives the judgement that the nodes gave: over drawn worlds, and at each step of a recovery."""

from __future__ import annotations

import ast
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import codec, redact, saved
from fleetrecover.codec import Malformed, decode, encode
from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.docker.argv import from_argv
from fleetrecover.errors import FleetRecoverError, InputError
from fleetrecover.facts import Certificate, EtcdStatus, Survey
from fleetrecover.model import Fleet, Host, SshSettings
from fleetrecover.recover import effective
from fleetrecover.report.document import diagnosis_document, plan_document, survey_document
from fleetrecover.saved import SavedSurvey
from fleetrecover.snapshots.catalogue import Catalogue, Found, Row, State
from tests.decide.surveys import members, node, survey
from tests.fakes.nodes import FakeFleet, make_log
from tests.worlds.breaks import draw

RUN, STARTED = "r20260101T000000Z-0001", "2026-01-01T00:00:00.000Z"


def all_told(held: SavedSurvey, wish: Wish) -> list[Any]:
    """Every document that a survey leads to, or the error that it ends with."""
    told: list[Any] = []
    try:
        found, conclusion = saved.concluded(held, wish)
        told += [survey_document(found), diagnosis_document(found, conclusion.diagnosis), conclusion.next]
        found, diagnosis, plan = saved.plan_of(held, wish, run=RUN, started=STARTED)
        told += [plan_document(found, diagnosis, plan) if plan else None]
    except FleetRecoverError as error:
        told += [type(error).__name__, error.message, error.hint]
    return told


def again(held: SavedSurvey) -> SavedSurvey:
    return saved.parse(saved.text_of(held).encode(), "s.json")


def steps_of_a_recovery(fleet: FakeFleet) -> Iterator[tuple[Survey, Wish]]:
    """The survey before each step of the plan, to the end."""
    wish = Wish(frozenset(each.name for each in fleet.nodes if not each.accessible))
    for _ in range(60):
        found = fleet.survey()
        yield found, wish
        told = diagnose(found, wish)
        try:
            plan = make_plan(found, told, wish, run=RUN, started=STARTED, tool="t")
        except FleetRecoverError:
            return
        left = list(plan.steps)
        if not left:
            return
        fleet.do(left[:1])


FLEETS = [
    pytest.param({"nodes": 3, "wiped": 2}, id="two disks lost"),
    pytest.param({"nodes": 3, "dead": 2}, id="two hosts lost"),
    pytest.param({"nodes": 3}, id="all can be started"),
    pytest.param({"nodes": 5, "wiped": 1, "dead": 2}, id="of five"),
    pytest.param({"nodes": 3, "wiped": 2, "wal": True}, id="a WAL directory of its own"),
]


@pytest.mark.parametrize("made", FLEETS)
def test_the_same_judgement_at_each_step(made: dict[str, Any]) -> None:
    count = 0
    for found, wish in list(steps_of_a_recovery(FakeFleet.broken(**made)))[::4]:
        held = SavedSurvey(found)
        assert all_told(again(held), wish) == all_told(held, wish)
        count += 1
    assert count > 1


def test_the_same_judgement_in_drawn_worlds() -> None:
    """Every kind of break that the worlds draw, with the words that the operator typed there."""
    verdicts = set()
    for seed in range(40):
        drawn = draw(seed)
        held = SavedSurvey(drawn.world.survey(True))
        for wish in (Wish(), *(Wish(frozenset([each.name])) for each in held.survey.nodes[:1])):
            told = all_told(held, wish)
            assert all_told(again(held), wish) == told, seed
        verdicts.add(told[1]["verdict"] if isinstance(told[1], dict) else "")
    assert {"degraded", "quorum-lost", "undetermined"} <= verdicts


def test_what_is_read_is_what_was_saved() -> None:
    found = FakeFleet.broken(3, wiped=1).survey()
    held = SavedSurvey(found, None, Catalogue((), None, (("n1", "no answer"),)), "")
    read = again(held)
    assert read.snapshots == held.snapshots
    for mine, theirs in zip(found.nodes, read.survey.nodes, strict=True):
        assert mine.log == theirs.log and mine.keeps == theirs.keeps and mine.data == theirs.data
        assert [c.config for c in mine.containers] == [c.config for c in theirs.containers]


def test_a_snapshot_that_was_seen_is_told_again() -> None:
    lost = survey(*(node(n) for n in (1, 2, 3)))
    row = Row((Found("etcd1", "/opt/s/x", "x", 5, 1.0, State.WHOLE, identity="a", revision=7),), newest=True)
    told = saved.concluded(again(SavedSurvey(lost, None, Catalogue((row,), None))), Wish())[1]
    assert "snapshot-instead" in {each.code for each in told.diagnosis.findings}
    unread = saved.concluded(again(SavedSurvey(lost, None, None, "no answer")), Wish())[1]
    assert "snapshots-unread" in {each.code for each in unread.diagnosis.findings}


# --- what is refused ---


def good() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(saved.text_of(SavedSurvey(FakeFleet.broken(3, wiped=2).survey())))
    return document


def refused(document: Any, *, seal: bool = True) -> str:
    if seal:
        document["digest"] = saved.digest(document["saved"])
    with pytest.raises(InputError) as caught:
        saved.parse(json.dumps(document).encode(), "s.json")
    assert caught.value.hint
    return caught.value.message


def test_a_file_that_is_too_new_is_refused_by_name() -> None:
    document = good() | {"schema": 2, "tool": "fleetrecover 9.9"}
    told = refused(document)
    assert "s.json: schema: it is of version 2, written by fleetrecover 9.9" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d["saved"]["survey"].pop("nodes"), "s.json: saved.survey: nodes is missing"),
        (
            lambda d: d["saved"]["survey"]["nodes"][1].update(odd=1),
            "s.json: saved.survey.nodes[1]: 'odd' is not a known key",
        ),
        (
            lambda d: d["saved"]["survey"]["nodes"][0].update(reachable=1),
            "saved.survey.nodes[0].reachable: int '1' stands",
        ),
        (
            lambda d: d["saved"]["survey"]["nodes"][0]["log"].update(node_id="x"),
            "saved.survey.nodes[0].log.node_id: str",
        ),
        (
            lambda d: d["saved"]["survey"]["nodes"][0]["log"]["entries"].update(digests="AAA"),
            "entries.digests: not base64",
        ),
        (lambda d: d["saved"]["survey"]["nodes"].pop(), "saved.survey.nodes: not one for each host"),
        (lambda d: d.update(kind="x"), "s.json: not a saved survey: kind is not"),
        (lambda d: d.update(schema=True), "s.json: schema: 'True' is none"),
    ],
)
def test_a_wrong_file_is_refused_by_place(change: Any, told: str) -> None:
    document = good()
    change(document)
    assert told in refused(document)


def test_a_file_that_was_changed_or_cut_off_is_refused(tmp_path: Path) -> None:
    document = good()
    document["saved"]["survey"]["taken_at"] = "2030"
    assert "digest" in refused(document, seal=False)
    text = saved.text_of(SavedSurvey(FakeFleet.broken(3).survey()))
    for data in (text[: len(text) // 2].encode(), b"[]", b"\xff", b"", b"[" * 100_000, b'{"schema": NaN}'):
        with pytest.raises(InputError, match=r"s\.json"):
            saved.parse(data, "s.json")
    with pytest.raises(InputError, match="No such file"):
        saved.read(tmp_path / "nowhere")


def test_more_values_than_any_survey_has_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(codec, "VALUES", 1000)
    with pytest.raises(Malformed, match=r"more values than the 1,000"):
        decode([0] * 1001, tuple[int, ...], "x")
    monkeypatch.setattr(saved, "MOST", 10)
    (tmp_path / "s.json").write_text(saved.text_of(SavedSurvey(FakeFleet.broken(3).survey())))
    with pytest.raises(InputError, match="larger than 10 bytes"):
        saved.read(tmp_path / "s.json")


def test_the_codec_runs_nothing() -> None:
    """No pickle, no eval, no class that the data names."""
    text = Path(saved.__file__).with_name("codec.py").read_text()
    called = {n.func.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & {"eval", "exec", "__import__", "globals", "import_module"}
    assert "pickle" not in text


@dataclass(frozen=True)
class Sample:
    table: dict[int, frozenset[int]]
    numbers: array[int]
    flag: bool = False
    pairs: tuple[tuple[str, int | None], ...] = ()
    more: dict[str, str] = field(default_factory=dict)


def test_the_codec_knows_each_type() -> None:
    value = Sample({3: frozenset({9, 1})}, array("I", [0, 2**32 - 1]), True, (("a", None), ("b", 4)), {"k": "v"})
    document = json.loads(json.dumps(encode(value)))
    assert document["table"] == {"3": [1, 9]}
    assert decode(document, Sample, "x") == value
    assert "more" not in encode(Sample({}, array("I")))


# --- secrets, and what strangers may see ---

NAMES = (
    "prod",
    "berlin-7",
    "muenchen-2",
    "etcd-rz1.corp.test",
    "10.20.30.",
    "deploy",
    "/home/deploy",
    "registry.corp.test",
)


def telling() -> Survey:
    """A lost cluster in which everything that could give its owner away stands somewhere."""
    spec = from_argv(
        [
            *("docker", "run", "-d", "--name=etcd", "--env=DB_PASSWORD=hunter22", "--env=ETCD_NAME=berlin-7"),
            *("--network=host", "--volume=/var/lib/etcd:/var/lib/rancher/etcd/"),
            *("registry.corp.test/etcd:v3.4.23", "/usr/local/bin/etcd", "--data-dir=/var/lib/rancher/etcd/"),
            *("--name=berlin-7", "--initial-advertise-peer-urls=https://10.20.30.1:2380"),
            *("--advertise-client-urls=https://10.20.30.1:2379", "--initial-cluster=berlin-7=https://10.20.30.1:2380"),
        ]
    )
    found = FakeFleet.broken(3, wiped=2).survey()
    ssh = SshSettings(
        user="deploy", key=Path("/home/deploy/key"), known_hosts=Path("/home/deploy/known"), gateway="g@10.20.30.9"
    )
    hosts = (
        Host("berlin-7", "10.20.30.1", user="deploy"),
        Host("muenchen-2", "10.20.30.2"),
        Host("n3", "etcd-rz1.corp.test"),
    )
    seen = []
    for host, each in zip(hosts, found.nodes, strict=True):
        own = replace(each.containers[0], spec=spec, image=spec.image, error="hunter22 is no flag")
        cert = Certificate("/c.pem", "CN=berlin-7, O=corp", "", "", False, (host.address,), True, True)
        seen.append(replace(each, host=host, hostname=host.name, containers=(own,), certificates=(cert,)))
    return Survey(Fleet("prod", hosts, ssh, source=Path("/home/deploy/hosts.toml")), tuple(seen), found.taken_at)


def test_secrets_are_in_no_file() -> None:
    text = saved.text_of(SavedSurvey(telling()))
    assert "hunter22" not in text and "DB_PASSWORD=***" in text and "*** is no flag" in text


def test_a_redacted_file_names_nobody_and_is_judged_alike() -> None:
    held = SavedSurvey(telling(), None, None, "10.20.30.2 gave no answer")
    made, called = saved.redacted(held)
    text = saved.text_of(made, redacted=True)
    for name in (*NAMES, "hunter22", "corp"):
        assert name not in text, name
    assert json.loads(text)["redacted"] is True
    assert saved.outline(again(made))[:2] == saved.outline(held)[:2]
    assert list(called) == ["berlin-7", "muenchen-2", "n3"] and len(set(called.values())) == 3
    assert [host.name for host in made.survey.fleet.hosts] == list(called.values())


def test_drawn_worlds_are_judged_alike_without_their_names() -> None:
    for seed in range(15):
        held = SavedSurvey(draw(seed).world.survey(True))
        made, _ = saved.redacted(held)
        assert saved.outline(made) == redact.changed(saved.outline(held), redact.Redactor.of(held.survey)), seed
        assert made.survey.fleet.cluster != held.survey.fleet.cluster or held.survey.fleet.cluster in redact.COMMON


def test_addresses_keep_their_order_and_what_is_nobodys_stays() -> None:
    redactor = redact.Redactor({}, redact._stand_ins(["10.0.0.9", "10.0.0.10", "fe80::1"]))
    assert redactor("https://10.0.0.9:2380,https://10.0.0.10:2380") == "https://198.18.0.1:2380,https://198.18.0.2:2380"
    assert (
        redactor("127.0.0.1 0.0.0.0 3.4.23 12:30:05 [fe80::1]:22")
        == "127.0.0.1 0.0.0.0 3.4.23 12:30:05 [2001:db8::3]:22"
    )


def test_a_healthy_one_without_hashes_is_not_called_whole() -> None:
    healthy = EtcdStatus("3.4.23", 1, 9, 1, 2, 20, 10, 4096, is_learner=False, healthy=True)
    one = node(1, make_log(1, 1, 5), status=healthy, members=members(1), alarms=())
    held = SavedSurvey(survey(one))
    assert all_told(again(held), Wish()) == all_told(held, Wish())
    assert effective(Wish(), held.survey) == Wish()
