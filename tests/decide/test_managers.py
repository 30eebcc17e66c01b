"""Who else starts etcd: told for each manager there is, and not told where nobody does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.commands.managers import starters
from fleetrecover.decide.finding import Severity
from fleetrecover.decide.managers import held_by_others, lines_about, manager_findings, manager_of
from fleetrecover.facts import ROLE_LABEL, Starter, StarterKind
from fleetrecover.model import Result
from tests.decide.surveys import container, node, survey

UNIT = """units
Id=etcd.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
Restart=always
ExecStartPre={ path=/usr/bin/docker ; argv[]=/usr/bin/docker rm -f etcd1 ; ignore_errors=yes ; start_time=[n/a] ; pid=0 }
ExecStart={ path=/usr/local/bin/etcd ; argv[]=/usr/local/bin/etcd ; ignore_errors=no ; start_time=[n/a] ; pid=0 }

Id=gone.service
LoadState=not-found
ExecStart={ path=/usr/bin/docker ; argv[]=/usr/bin/docker start etcd1 ; ignore_errors=no }
script /usr/local/bin/etcd /usr/bin/docker run --restart=on-failure:5 --name=etcd2 quay.io/coreos/etcd "$@"
cron /etc/cron.d/etcd @reboot root /usr/bin/docker start etcd3
"""


def answered(text: str) -> tuple[Starter, ...]:
    probe = starters(["etcd"])
    return probe.parse(Result(probe.command, 0, text.encode(), b""))


def test_units_scripts_and_cron_are_read() -> None:
    unit, cron = answered(UNIT)
    assert (unit.kind, unit.name, unit.active, unit.enabled, unit.restarts) == (
        StarterKind.UNIT,
        "etcd.service",
        True,
        True,
        True,
    )
    assert "docker rm -f etcd1" in unit.commands
    assert "--name=etcd2" in unit.commands
    assert (cron.kind, cron.name) == (StarterKind.CRON, "/etc/cron.d/etcd")


@pytest.mark.parametrize(
    ("name", "code"), [("etcd1", "unit"), ("etcd2", "unit"), ("etcd3", "cron"), ("etcd", None), ("etcd22", None)]
)
def test_the_unit_that_handles_a_container(name: str, code: str | None) -> None:
    where = node(1, containers=(container(name=name),), starters=answered(UNIT))
    manager = manager_of(where, where.containers[0])
    assert (manager.code if manager else None) == code


@pytest.mark.parametrize(
    ("line", "handles"),
    [
        ("/usr/bin/docker run --name=etcd1 quay.io/coreos/etcd", True),
        ("/usr/bin/docker run --name etcd1 quay.io/coreos/etcd", True),
        ("/usr/bin/docker run --name other -v /etcd1:/data etcd1", False),
        ('/usr/bin/docker run --name=etcd2 quay.io/coreos/etcd "$@"', False),
        ("/usr/bin/docker run --name=${NAME} quay.io/coreos/etcd", True),
        ("/usr/bin/docker run --name $NAME $OPTIONS quay.io/coreos/etcd", True),
        ("/usr/bin/docker run --name=${NAME} redis", False),
        ("/usr/bin/docker start -a $ETCD_CONTAINER # etcd", True),
        ("/usr/bin/docker rm -f ${CONTAINER}", False),
        ("/usr/bin/docker exec etcd1 etcdctl snapshot save", False),
        ("/usr/bin/dockerd run etcd1", False),
    ],
)
def test_a_command_about_a_container(line: str, handles: bool) -> None:
    """A name in a variable may be any, so one about an etcd counts: to hold a unit too many does no harm."""
    unit = Starter(StarterKind.UNIT, "x.service", line, active=True)
    assert bool(lines_about(unit, "etcd1")) is handles
    assert not lines_about(replace(unit, active=False, enabled=False), "etcd1")
    assert bool(lines_about(replace(unit, active=False, enabled=False, held_by="r1"), "etcd1")) is handles


def test_one_that_was_set_aside_is_still_its_units() -> None:
    where = node(1, containers=(container(name="etcd1.fleetrecover-r1"),), starters=answered(UNIT))
    assert held_by_others(where)


@pytest.mark.parametrize("change", [{"active": False, "enabled": False}])
def test_a_unit_that_neither_runs_nor_will_is_nobody(change: dict[str, bool]) -> None:
    [unit, _] = answered(UNIT)
    for active, enabled in ((True, False), (False, True), (False, False)):
        where = node(
            1, containers=(container(name="etcd1"),), starters=(replace(unit, active=active, enabled=enabled),)
        )
        assert bool(held_by_others(where)) is (active or enabled)


LABELS = {
    "kubelet": {"io.kubernetes.pod.name": "etcd-n1", "io.kubernetes.container.name": "etcd"},
    "swarm": {"com.docker.swarm.task.id": "x"},
    "scheduler": {"com.hashicorp.nomad.alloc_id": "x"},
    "unit": {"PODMAN_SYSTEMD_UNIT": "etcd.service"},
}


@pytest.mark.parametrize("code", LABELS)
def test_a_managers_labels(code: str) -> None:
    where = node(1, containers=(container(labels=LABELS[code]),))
    [finding] = manager_findings(survey(where))
    assert finding.code == f"managed-by-{code}"
    assert finding.severity is Severity.ERROR
    assert finding.advice
    assert [manager.code for _, manager in held_by_others(where)] == [code]


def test_compose_is_noted_and_harmless() -> None:
    where = node(1, containers=(container(labels={"com.docker.compose.project": "demo"}),))
    [finding] = manager_findings(survey(where))
    assert finding.severity is Severity.INFO
    assert held_by_others(where) == ()


def test_nobody_manages_a_plain_container_or_ours() -> None:
    ours = container(id="q", labels={ROLE_LABEL: "quarantine", **LABELS["kubelet"]})
    assert manager_findings(survey(node(1, containers=(container(), ours)))) == []
    assert held_by_others(node(1, containers=(container(), ours))) == ()


def test_an_etcd_of_the_hosts_own_beside_the_container() -> None:
    text = (
        "units\nId=etcd.service\nLoadState=loaded\nActiveState=%s\nUnitFileState=%s\n"
        "ExecStart={ path=/usr/bin/etcd ; argv[]=/usr/bin/etcd ; x }\n"
    )
    for active, enabled, severity in (("active", "enabled", Severity.ERROR), ("inactive", "enabled", Severity.WARNING)):
        where = node(1, containers=(container(),), starters=answered(text % (active, enabled)))
        [finding] = manager_findings(survey(where))
        assert (finding.code, finding.severity) == ("etcd-unit", severity)
    assert (
        manager_findings(survey(node(1, containers=(container(),), starters=answered(text % ("inactive", "disabled")))))
        == []
    )
    for active, found in (("active", ["etcd-unit"]), ("inactive", ["etcd-unit"])):
        alone = survey(node(1, containers=(), starters=answered(text % (active, "enabled"))))
        assert [each.code for each in manager_findings(alone)] == found


COMPOSED = {
    "com.docker.compose.project": "kv",
    "com.docker.compose.project.working_dir": "/srv/kv",
    "com.docker.compose.project.config_files": "/srv/kv/docker-compose.yml",
}


@pytest.mark.parametrize(
    ("line", "manages"),
    [
        ("/usr/bin/docker compose up\nWorkingDirectory=/srv/kv", True),
        ("/usr/bin/docker compose up -d\nWorkingDirectory=/srv/other", False),
        ("/usr/local/bin/docker-compose -f /srv/kv/docker-compose.yml up", True),
        ("/usr/bin/docker compose -p kv up -d", True),
        ("/usr/bin/docker compose --project-directory=/srv/kv/ up -d", True),
        ("/bin/sh -c 'cd /srv/kv && docker-compose up -d'", True),
        ("/bin/sh -c 'cd /srv/web && docker-compose up -d'", False),
        ("/usr/bin/podman-compose up -d # etcd", True),
        ("/usr/bin/docker compose up -d", False),
        ("/usr/bin/docker compose -p kv logs -f", False),
    ],
)
def test_a_unit_that_runs_compose(line: str, manages: bool) -> None:
    unit = Starter(StarterKind.UNIT, "x.service", line, active=True, enabled=True, service="oneshot", settings=True)
    where = node(1, containers=(replace(container(name="kv-etcd-1"), labels=COMPOSED),), starters=(unit,))
    assert bool(held_by_others(where)) is manages
    assert not held_by_others(replace(where, starters=(replace(unit, active=False, enabled=False),)))
    if manages:
        [told] = [each for each in manager_findings(survey(where)) if each.code == "managed-by-unit"]
        assert told.severity is Severity.ERROR
        assert "x.service" in told.message
        assert "systemctl disable --now x.service" in (told.advice or "")


def test_where_a_unit_runs_compose_is_told() -> None:
    said = (
        "units\nId=kv.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nWorkingDirectory=!/srv/kv\n"
        "ExecStart={ path=/usr/bin/docker ; argv[]=/usr/bin/docker compose up ; ignore_errors=no }\n"
    )
    assert answered(said)[0].commands.splitlines()[-1] == "WorkingDirectory=/srv/kv"
