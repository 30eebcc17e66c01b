"""Each check is silent on a healthy day, and tells the one thing that it is there to see; no finding of diagnose is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fleetrecover.checks.base import Observed, SnapshotSeen
from fleetrecover.checks.table import ALL, CheckReport, check_all
from fleetrecover.checks.without import without
from fleetrecover.decide.conclusion import conclude
from fleetrecover.decide.diagnosis import Wish
from fleetrecover.decide.finding import Severity
from fleetrecover.decide.loss import seconds
from fleetrecover.decide.words import Verdict
from fleetrecover.errors import InputError
from fleetrecover.facts import Certificate, FileFault, PeerPort, Problem, Starter, StarterKind, Survey
from fleetrecover.report.metrics import Metrics
from tests.checks.exposition import read
from tests.decide.test_verdict import SAME, changed, whole, with_container

NAMES = ("n1", "n2", "n3")


def young(seen: Survey, **more: Any) -> SnapshotSeen:
    taken = (seconds(seen.taken_at) or 0.0) - 3600
    values: dict[str, Any] = {"name": "s.db", "taken": taken, "whole": True}
    return SnapshotSeen("n1", **(values | more))


def observed(seen: Survey, **more: Any) -> Observed:
    image = seen.node("n1").containers[0].image
    values: dict[str, Any] = {
        "images": {name: {image: "sha256:1"} for name in NAMES},
        "snapshots": (young(seen),),
    }
    return Observed(seen, conclude(seen, Wish(), SAME), **(values | more))


def report(seen: Survey, **more: Any) -> CheckReport:
    return check_all(observed(seen, **more))


def bad(made: CheckReport) -> dict[str, list[str]]:
    """By check the codes of what is wrong."""
    wrong = {
        each.check.name: [f.code for f in each.findings if f.severity is not Severity.INFO] for each in made.checked
    }
    return {name: codes for name, codes in wrong.items() if codes}


def certificate(**more: Any) -> Certificate:
    values: dict[str, Any] = {
        "path": "/k/c.pem",
        "subject": "CN=n1",
        "not_before": "2020-01-01T00:00:00Z",
        "not_after": "2099-01-01T00:00:00Z",
        "expired": False,
        "names": (),
        "key_matches": True,
        "ca_matches": True,
        "key": "/k/k.pem",
        "ca": "/k/ca.pem",
    }
    return Certificate(**(values | more))


def test_a_healthy_day() -> None:
    made = report(whole())
    assert bad(made) == {}
    assert (made.verdict, made.exit_code, made.ok) == (Verdict.HEALTHY, 0, True)


def unit() -> Starter:
    command = "/usr/bin/docker start etcd"
    return Starter(StarterKind.UNIT, "etcd.service", command, active=True, restarts=True, service="simple")


def soon(seen: Survey) -> str:
    return datetime.fromtimestamp((seconds(seen.taken_at) or 0) + 5 * 86400, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


CHANGES: dict[str, tuple[Callable[[Survey], Survey], str, str]] = {
    "clock": (lambda s: changed(s, "n1", clock_offset=90.0), "clock", "clock"),
    "expires": (
        lambda s: changed(s, "n1", certificates=(certificate(not_after=soon(s)),)),
        "certificates",
        "certificate-expires",
    ),
    "other key": (
        lambda s: changed(s, "n1", certificates=(certificate(key_matches=False),)),
        "certificates",
        "certificate-key",
    ),
    "other CA": (
        lambda s: changed(s, "n1", certificates=(certificate(ca_matches=False),)),
        "certificates",
        "certificate-ca",
    ),
    "empty file": (
        lambda s: changed(s, "n1", certificates=(certificate(faults=(FileFault("/k/k.pem", "is empty"),)),)),
        "certificates",
        "certificate-file",
    ),
    "port": (
        lambda s: changed(s, "n1", ports=(PeerPort("n2", "10.0.0.2", 2380, "silent"),)),
        "ports",
        "peer-port",
    ),
    "policy": (lambda s: with_container(s, "n1", restart_policy="no"), "autostart", "no-restart-policy"),
    "unit": (lambda s: changed(s, "n1", starters=(unit(),)), "managers", "managed-by-unit"),
    "unseen units": (
        lambda s: changed(s, "n1", starters_problem=Problem("format", "no systemctl")),
        "managers",
        "managers-unknown",
    ),
    "swarm": (
        lambda s: with_container(s, "n1", labels={"com.docker.swarm.service.name": "etcd"}),
        "managers",
        "managed-by-swarm",
    ),
    "unreadable setting": (
        lambda s: with_container(s, "n1", spec=None, spec_problem="HostConfig.Frobnicate"),
        "engine",
        "container-unread",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_thing_is_told_by_its_check_though_it_serves(change: str) -> None:
    change_it, name, code = CHANGES[change]
    made = report(change_it(whole()))
    assert bad(made) == {name: [code]}
    assert made.exit_code == 10
    assert made.observed.conclusion.exit_code in (0, 10)


def test_space_for_a_copy() -> None:
    seen = whole()
    data = seen.node("n1").data
    assert data is not None
    big = replace(data, size=10**9, free=5 * 10**8)
    assert bad(report(changed(seen, "n1", data=big))) == {"space": ["space"]}


def test_versions_that_differ() -> None:
    seen = whole()
    status = seen.node("n2").status
    assert status is not None
    made = report(changed(seen, "n2", status=replace(status, version="9.9.9")))
    assert bad(made) == {"versions": ["versions-differ"]}
    assert "9.9.9 on n2" in made.findings[0].message


def test_a_login_that_may_not_write() -> None:
    seen = whole()
    data = seen.node("n1").data
    assert data is not None
    poor = replace(data, who="op (uid 1000)", unwritable="/var/lib")
    assert bad(report(changed(seen, "n1", data=poor))) == {"login": ["unwritable"]}


@pytest.mark.parametrize(
    ("n2", "n3", "codes"),
    [
        (None, "sha256:1", ["image-missing"]),
        ("sha256:2", "sha256:1", []),
        ("sha256:1", "sha256:1", []),
    ],
)
def test_images(n2: str | None, n3: str | None, codes: list[str]) -> None:
    seen = whole()
    image = seen.node("n1").containers[0].image
    images = {"n1": {image: "sha256:1"}, "n2": {image: n2}, "n3": {image: n3}}
    made = report(seen, images=images)
    assert bad(made).get("image", []) == codes
    assert ("image-differs" in {found.code for found in made.findings}) == (n2 == "sha256:2")


def test_an_image_that_nobody_has_is_an_error_and_one_that_was_not_asked_for_is_none() -> None:
    seen = whole()
    image = seen.node("n1").containers[0].image
    made = report(seen, images={name: {image: None} for name in NAMES})
    assert [found.severity for found in made.findings if found.code == "image-missing"] == [Severity.ERROR] * 3
    assert bad(report(seen, images={})) == {}


@pytest.mark.parametrize(
    ("snapshots", "codes"),
    [
        ((), ["no-snapshot"]),
        (({"taken": 0.0},), ["snapshot-old"]),
        (({"whole": False},), ["snapshot-unproven"]),
        (({"whole": False}, {}), []),
        (({"late": "the last good one is 90 min old"},), ["snapshot-late"]),
    ],
)
def test_snapshots(snapshots: tuple[dict[str, Any], ...], codes: list[str]) -> None:
    seen = whole()
    made = report(seen, snapshots=tuple(young(seen, **each) for each in snapshots))
    assert bad(made).get("snapshots", []) == codes


def test_snapshots_that_could_not_be_looked_at_are_not_none() -> None:
    assert bad(report(whole(), snapshots=(), snapshots_problem="n1: no")) == {"snapshots": ["snapshots-unread"]}


def test_no_finding_of_diagnose_is_lost_and_none_is_told_twice() -> None:
    """Nodes away, alarms, a forced container: each finding stands below one check, and the code is diagnose's."""
    seen = changed(whole(), "n3", reachable=False, problem=Problem("unreachable", "n3: refused"), status=None, log=None)
    seen = changed(with_container(seen, "n2", forced=True), "n1", alarms=("NOSPACE",))
    made = report(seen)
    told = [found for each in made.checked for found in each.findings]
    for found in made.observed.findings:
        same = [
            each for each in told if (each.code, each.node, each.message) == (found.code, found.node, found.message)
        ]
        assert len(same) == 1, found
    assert made.exit_code == made.observed.conclusion.exit_code != 0


def test_each_code_belongs_to_one_check() -> None:
    codes = [code for check in ALL for code in check.codes]
    assert len(codes) == len(set(codes))


# --- --without ---


def asked(seen: Survey, host: str) -> Any:
    return without(seen, conclude(seen, Wish(), SAME), host)


def test_one_of_three_may_be_taken_down_and_none_may_fail_meanwhile() -> None:
    found = asked(whole(), "n1")
    assert (found.allowed, found.voters, found.quorum, found.left, found.spare) == (True, 3, 2, 2, 0)
    assert "none of them may fail meanwhile" in found.sentence


def test_where_one_is_down_already_no_other_may_be() -> None:
    down = changed(whole(), "n3", status=None, reachable=False, problem=Problem("unreachable", "n3: refused"))
    assert not asked(down, "n1").allowed
    assert "1 healthy voter of 3 is left" in asked(down, "n1").sentence
    assert asked(down, "n3").allowed, "it is down already: nothing is lost by it"


def test_where_nothing_serves_nobody_may_be() -> None:
    seen = whole()
    for name in NAMES:
        seen = changed(seen, name, status=None)
    found = asked(seen, "n1")
    assert (found.allowed, found.reasons) == (False, ("the cluster has no quorum now",))


def test_a_host_that_is_not_there() -> None:
    with pytest.raises(InputError, match="--without n9"):
        asked(whole(), "n9")


def test_refused_without_is_ten() -> None:
    down = changed(whole(), "n3", status=None, reachable=False, problem=Problem("unreachable", "n3: refused"))
    assert check_all(observed(down), asked(down, "n1")).exit_code == 10
    assert check_all(observed(whole()), asked(whole(), "n1")).exit_code == 0


# --- metrics ---


def test_the_metrics_pass_a_strict_reader_and_say_what_the_report_says() -> None:
    metrics = Metrics()
    fine, ill = whole(), changed(whole(), "n1", clock_offset=90.0)
    ill = replace(ill, fleet=replace(ill.fleet, cluster='od"d\\na\nme'))
    metrics.add(report(fine))
    metrics.add(report(ill))
    metrics.add_failure("broken", 3)
    found = read(metrics.text())
    by_cluster = {
        dict(labels)["cluster"]: v for (name, labels), v in found.items() if name == "fleetrecover_check_exit_code"
    }
    assert by_cluster == {fine.fleet.cluster: 0, 'od"d\\na\nme': 10, "broken": 3}
    [(labels, count)] = [
        (dict(lab), v)
        for (n, lab), v in found.items()
        if n == "fleetrecover_check_findings" and ("severity", "info") not in lab
    ]
    assert (labels["host"], labels["check"], labels["severity"], count) == ("n1", "clock", "warning", 1)
    verdicts = {dict(lab)["verdict"]: v for (n, lab), v in found.items() if n == "fleetrecover_check_verdict"}
    assert verdicts == {"healthy": 1, "degraded": 0, "quorum-lost": 0, "undetermined": 0}
