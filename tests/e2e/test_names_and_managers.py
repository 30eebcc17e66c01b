"""Containers that are called otherwise than the inventory says come back as they were; what others start is left alone."""

from __future__ import annotations

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.test_recover import assert_whole, write_and_kill
from tests.e2e.tool import leader_of, state_of

pytestmark = pytest.mark.lab

HOSTS = ("etcd1", "etcd2", "etcd3")


def names(lab: Lab) -> dict[str, dict[str, str]]:
    """Name → restart policy of every container of each host that is or was an etcd."""
    template = "{{.Name}} {{.HostConfig.RestartPolicy.Name}} {{.State.Status}}"
    found = {}
    for host in HOSTS:
        rows = lab.shell(host, f"docker ps -aq | xargs -r docker inspect -f '{template}'").splitlines()
        found[host] = {row.split()[0].lstrip("/"): " ".join(row.split()[1:]) for row in rows}
    return found


def named_by_member(lab: Lab) -> None:
    """Each container is called as Kubespray calls it."""
    for host in HOSTS:
        lab.shell(host, f"docker rename etcd {host}")


def back_to_etcd(lab: Lab) -> None:
    """For the tests after this one, which know them as etcd."""
    for host in HOSTS:
        lab.shell(host, f"docker rename {host} etcd || true")


def test_each_container_under_its_own_name(fleet: Fleet) -> None:
    """etcd1, etcd2, etcd3, and the inventory says nothing: found by what runs, recovered whole, and called so again."""
    lab, tool = fleet(3, "3.5.30")
    leader = leader_of(lab)
    named_by_member(lab)
    try:
        writer = lab.client().writer(prefix="/load/", threads=8)
        writer.start()
        writer.wait_for(600)
        lab.kill_all_at_once(power=True)
        acknowledged = writer.stop()
        lab.power_on(*HOSTS)
        for name in HOSTS:
            if name != leader:
                lab.wipe(name)
        done = tool.recover(lab.name).document
        assert (done["outcome"], done["survivor"]["name"]) == ("recovered", leader)
        assert names(lab) == {host: {host: "always running"} for host in HOSTS}
        assert_whole(lab, tool, acknowledged)
        assert tool.run("diagnose").code == 0
    finally:
        back_to_etcd(lab)


def test_a_container_that_cron_starts_is_left_alone(fleet: Fleet) -> None:
    """It would come back on the directory that was just moved: refused before the first change, with what to do."""
    lab, tool = fleet(3, "3.5.30")
    _, _, others = write_and_kill(lab)
    for name in others:
        lab.wipe(name)
        # dockerd starts it again, on nothing: what it makes there is no change of ours
        lab.shell(name, "for _ in $(seq 100); do [ -d /var/lib/etcd/member ] && exit 0; sleep 0.2; done; exit 1")
    held = others[0]
    lab.shell(held, "mkdir -p /etc/cron.d; echo '@reboot root /usr/bin/docker start etcd' > /etc/cron.d/etcd")
    try:
        before = {host: state_of(lab, host) for host in HOSTS}
        ran = tool.run("recover", "--yes", lab.name)
        assert ran.code == 20, ran.err
        assert held in ran.err
        assert "/etc/cron.d/etcd" in ran.err
        assert {host: state_of(lab, host) for host in HOSTS} == before
        assert tool.run("plan").code == 20
    finally:
        lab.shell(held, "rm -f /etc/cron.d/etcd")
    assert tool.recover(lab.name).document["outcome"] == "recovered"
