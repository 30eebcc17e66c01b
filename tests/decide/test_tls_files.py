"""Files of TLS that are missing, empty or not what they should be: seen on the node, told, and never waited for."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetrecover.commands import evidence, probes
from fleetrecover.commands.evidence import CertificateBytes, CertificateFiles
from fleetrecover.decide.certificates import files_missing, read_certificate, start_blocked_by_files
from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.errors import Refused
from fleetrecover.facts import Certificate, FileFault, Survey
from fleetrecover.model import Result
from fleetrecover.recover import refuse
from fleetrecover.steps import StartOriginal
from tests.fakes.nodes import FakeFleet, make_log

CA, CERT, KEY = "/etc/kubernetes/ssl/kube-ca.pem", "/etc/kubernetes/ssl/n.pem", "/etc/kubernetes/ssl/n-key.pem"


def certificate(*faults: FileFault, matches: bool | None = True) -> Certificate:
    return Certificate(
        CERT, "n", "", "", expired=False, names=(), key_matches=matches, ca_matches=None, key=KEY, ca=CA, faults=faults
    )


def with_certificates(survey: Survey, **given: Certificate) -> Survey:
    nodes = tuple(replace(n, certificates=(given.get(n.name, certificate()),)) for n in survey.nodes)
    return replace(survey, nodes=nodes)


def whole(state: str = "exited") -> Survey:
    """Three nodes with sound data whose etcds are down."""
    fleet = FakeFleet.broken(3)
    for each in fleet.nodes:
        assert each.container is not None
        each.container = replace(each.container, state=state)
        each.data = make_log(each.number, 3, 10)
    return fleet.survey()


def judged(survey: Survey) -> Diagnosis:
    return diagnose(survey, Wish())


# --- what the node says ---


def ask(*files: CertificateFiles) -> tuple[CertificateBytes, ...]:
    probe = evidence.certificates(files)
    done = subprocess.run(["sh"], input=probe.command.script.encode(), capture_output=True, check=True)
    return probe.parse(Result(probe.command, 0, done.stdout, b""))


@pytest.fixture
def pair(tmp_path: Path) -> CertificateFiles:
    """A certificate with its key, and the same as its CA."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    cert, key, ca = tmp_path / "the cert's.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(cert),
        "-subj",
        "/CN=n",
    ]
    subprocess.run(words, check=True, capture_output=True)
    shutil.copy(cert, ca)
    return CertificateFiles(str(cert), str(key), str(ca))


def test_files_that_are_as_they_should_be_have_no_fault(pair: CertificateFiles) -> None:
    [found] = ask(pair)
    assert found.states == ("there", "there", "there")
    read = read_certificate(found, datetime.now(UTC))
    assert (read.faults, read.problem, read.key_matches, read.ca_matches) == ((), None, True, True)


@pytest.mark.parametrize("which", ["cert", "key", "ca"])
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("gone", "is missing"),
        ("empty", "is empty"),
        ("directory", "is a directory, and should be a file"),
        ("junk", "holds no"),
    ],
)
def test_each_file_that_is_not_is_a_fault(pair: CertificateFiles, which: str, how: str, told: str) -> None:
    path = Path(getattr(pair, which))
    path.unlink()
    if how == "empty":
        path.touch()
    elif how == "directory":
        path.mkdir()
    elif how == "junk":
        path.write_text("junk\n")
    [found] = ask(pair)
    read = read_certificate(found, datetime.now(UTC))
    [fault] = read.faults
    assert fault.path == str(path)
    assert fault.what.startswith(told)


def test_what_we_may_not_judge_is_no_fault(pair: CertificateFiles) -> None:
    """A link that leads somewhere only inside the container, a file that etcd's command does not name."""
    Path(pair.ca).unlink()
    Path(pair.ca).symlink_to("/only/in/the/container.pem")
    [found] = ask(CertificateFiles(pair.cert, "", pair.ca))
    assert found.states == ("there", "", "dangling")
    assert read_certificate(found, datetime.now(UTC)).faults == ()
    hidden = replace(found, states=("there", "hidden", "hidden"))
    assert read_certificate(hidden, datetime.now(UTC)).faults == ()


def test_empty_keys_are_missing_for_a_joiner_too_and_directories_are_not(tmp_path: Path) -> None:
    key, directory = tmp_path / "key.pem", tmp_path / "ssl"
    key.touch()
    directory.mkdir()
    probe = probes.missing_files([str(key), str(directory), str(tmp_path / "gone")])
    done = subprocess.run(["sh"], input=probe.command.script.encode(), capture_output=True, check=True)
    assert probe.parse(Result(probe.command, 0, done.stdout, b"")) == (str(key), str(tmp_path / "gone"))


# --- what follows ---


def test_a_missing_ca_is_an_error_that_says_who_has_it() -> None:
    survey = with_certificates(whole(), n2=certificate(FileFault(CA, "is missing")))
    [found] = [f for f in judged(survey).findings if f.code == "certificate-file"]
    assert (found.severity.value, found.message) == ("error", f"n2: {CA} is missing")
    assert found.advice == "copy it from n1, then run this again"


def test_nobody_is_named_who_does_not_have_it() -> None:
    gone = certificate(FileFault(CA, "is missing"))
    found = judged(with_certificates(whole(), n1=gone, n2=gone, n3=gone)).findings
    advice = {f.advice for f in found if f.code == "certificate-file"}
    assert len(advice) == 1 and "copy" not in advice.pop()


def test_a_key_of_another_certificate_is_not_copied_from_another_node() -> None:
    survey = with_certificates(whole(), n2=certificate(matches=False))
    [found] = [f for f in judged(survey).findings if f.code == "certificate-key"]
    assert found.message == f"n2: {KEY} does not belong to the certificate {CERT}"
    assert "copy" not in found.advice
    assert files_missing(survey.node("n2")) and not files_missing(survey.node("n1"))


def test_where_quorum_can_start_without_it_the_node_is_not_started() -> None:
    survey = with_certificates(whole(), n2=certificate(FileFault(KEY, "is empty")))
    found = judged(survey)
    assert (found.remedy, found.startable) == (Remedy.START, ("n1", "n3"))
    plan = make_plan(survey, found, Wish(), run="r1", started="", tool="")
    assert {step.node for step in plan.steps if isinstance(step, StartOriginal)} == {"n1", "n3"}


def test_where_it_cannot_nothing_is_begun() -> None:
    gone = certificate(FileFault(CA, "is missing"))
    found = judged(with_certificates(whole(), n2=gone, n3=gone))
    assert (found.verdict, found.remedy) == (Verdict.QUORUM_LOST, Remedy.BLOCKED)
    with pytest.raises(Refused, match=f"n2: {CA} is missing; nothing was changed") as caught:
        refuse(found)
    assert caught.value.code == 20
    assert caught.value.hint == "copy it from n1, then run this again"


def test_a_reset_of_a_survivor_that_could_not_start_is_not_begun() -> None:
    survey = FakeFleet.broken(3, wiped=2).survey()
    assert judged(survey).remedy is Remedy.RESET
    found = judged(with_certificates(survey, n1=certificate(FileFault(KEY, "is empty"))))
    assert (found.remedy, found.why) == (Remedy.BLOCKED, f"n1: {KEY} is empty")
    joiner = judged(with_certificates(survey, n3=certificate(FileFault(KEY, "is empty"))))
    assert joiner.remedy is Remedy.RESET


def test_of_all_hosts_the_first_that_cannot_start_is_named() -> None:
    survey = with_certificates(whole(), n3=certificate(FileFault(CA, "is missing")))
    assert start_blocked_by_files(survey, ("n1", "n2")) is None
    blocked = start_blocked_by_files(survey, ("n1", "n3"))
    assert blocked is not None and blocked.node == "n3"


def test_a_container_that_crashes_again_and_again_is_told_and_started_afresh() -> None:
    survey = whole("restarting")
    found = judged(survey)
    assert found.remedy is Remedy.START
    assert [f.node for f in found.findings if f.code == "crash-loop"] == ["n1", "n2", "n3"]
    plan = make_plan(survey, found, Wish(), run="r1", started="", tool="")
    assert {step.node for step in plan.steps if isinstance(step, StartOriginal)} == {"n1", "n2", "n3"}
    assert not any(isinstance(step, StartOriginal) for step in _plan(whole("running")))


def _plan(survey: Survey) -> tuple[object, ...]:
    return make_plan(survey, judged(survey), Wish(), run="r1", started="", tool="").steps


@pytest.mark.parametrize(("restarting", "verb"), [("true", "restart"), ("false", "start")])
def test_dockers_back_off_is_not_waited_for(tmp_path: Path, restarting: str, verb: str) -> None:
    from fleetrecover.commands.containers import start_original

    log = tmp_path / "log"
    fake = tmp_path / "docker"
    fake.write_text(
        f'#!/bin/sh\necho "$1" >> {log}\ncase "$*" in *Restarting*) echo {restarting} ;; *Name*) echo /etcd ;; '
        "*Id*) echo c1 ;; esac\n"
    )
    fake.chmod(0o755)
    script = start_original(str(fake), "c1", "etcd", "always").command.script
    subprocess.run(["sh"], input=script.encode(), check=True)
    assert [word for word in log.read_text().split() if word in ("start", "restart")] == [verb]
