"""Hosts whose etcd a systemd unit starts: held while a run works, given back, through power cuts, and taken back by undo."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

import pytest

from fleetrecover.lab import Lab, rke
from fleetrecover.lab.system import find_tool
from tests.e2e import systemd
from tests.e2e.conftest import Fleet
from tests.e2e.snapshots import saved
from tests.e2e.test_recover import assert_whole, write_and_kill
from tests.e2e.tool import Tool, leader_of, tree_hash

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not systemd.PROGRAM.exists(), reason="systemd is not installed on this machine"),
]

HOSTS = ("etcd1", "etcd2", "etcd3")
MAKES = """\
[Unit]
Description=etcd docker wrapper
StartLimitIntervalSec=0

[Service]
User=root
ExecStart=/usr/local/bin/etcd
ExecStartPre=-@DOCKER@ rm -f etcd
ExecStop=@DOCKER@ stop etcd
Restart=always
RestartSec=2s
TimeoutStartSec=30s

[Install]
WantedBy=lab.target
"""
"""As Kubespray writes it, but for what waits for Docker's own unit: the lab starts dockerd otherwise."""
STARTS = """\
[Unit]
Description=etcd
StartLimitIntervalSec=0

[Service]
ExecStart=@DOCKER@ start -a etcd
ExecStop=@DOCKER@ stop etcd
Restart=always
RestartSec=2s

[Install]
WantedBy=lab.target
"""
DROP_IN = "/etc/systemd/system/etcd.service.d/50-fleetrecover.conf"


@pytest.fixture
def managed() -> Iterator[list[Lab]]:
    """Labs whose hosts are to be without a unit afterwards: others use them."""
    labs: list[Lab] = []
    yield labs
    for lab in labs:
        lab.power_off(*HOSTS)
        lab.power_on(*HOSTS)
        for name in HOSTS:
            lab.shell(
                name, "rm -rf /etc/systemd/system/etcd.service* /etc/systemd/system/lab.target* /usr/local/bin/etcd"
            )


def manage(lab: Lab, unit: str) -> None:
    """Give every host's etcd to a unit, and boot the hosts' systemd."""
    docker = find_tool("docker")
    assert docker is not None
    for spec in lab.state.hosts:
        systemd.install(lab, spec.name)
        run = [word for word in rke.etcd_run(spec, lab.state.hosts, lab.version) if word != "--detach"]
        run = ["--restart=on-failure:5" if word == "--restart=always" else word for word in run]
        rest = run[1:]
        # over several lines, as people and Kubespray write it
        text = "#!/bin/sh\nexec " + " \\\n  ".join([docker, *(shlex.quote(word) for word in rest)]) + "\n"
        for path, content, mode in (
            ("/usr/local/bin/etcd", text, "755"),
            ("/etc/systemd/system/etcd.service", unit.replace("@DOCKER@", docker), "644"),
        ):
            done = lab.exec(spec.name, ["sh", "-c", f"cat > {path} && chmod {mode} {path}"], input=content.encode())
            assert done.returncode == 0
        lab.shell(spec.name, "/usr/bin/systemctl enable etcd.service")
    boot(lab)
    lab.wait_healthy(HOSTS)


def boot(lab: Lab) -> None:
    for name in HOSTS:
        systemd.boot(lab, name)


def power_cycle(lab: Lab) -> None:
    lab.power_off(*HOSTS)
    lab.power_on(*HOSTS)
    boot(lab)


def states(lab: Lab) -> dict[str, str]:
    """Of each host: whether the unit is active, its drop-ins, and the containers with their policies."""
    said = (
        "systemctl is-active etcd.service || true; ls /etc/systemd/system/etcd.service.d 2>/dev/null || true; "
        "docker ps -a --format '{{.Names}}' | sort | xargs -r docker inspect "
        "-f '{{.Name}} {{.HostConfig.RestartPolicy.Name}} {{.State.Status}}'"
    )
    return {name: " ".join(lab.shell(name, said).split()) for name in HOSTS}


def lose(lab: Lab) -> tuple[dict[str, str], str, list[str]]:
    """Killed under load, booted again by their units, two disks emptied under their running etcds."""
    acknowledged, leader, others = write_and_kill(lab)
    boot(lab)
    for name in others:
        lab.wipe(name)
    return acknowledged, leader, others


@pytest.mark.parametrize(
    ("unit", "policy"),
    [
        pytest.param(MAKES, "on-failure", id="makes"),
        pytest.param(STARTS, "always", id="starts", marks=pytest.mark.slow),
    ],
)
def test_recovered_whole_and_the_units_given_back(fleet: Fleet, managed: list[Lab], unit: str, policy: str) -> None:
    lab, tool = fleet(3, "3.5.30")
    managed.append(lab)
    manage(lab, unit)
    whole = dict.fromkeys(HOSTS, f"active /etcd {policy} running")
    assert states(lab) == whole
    acknowledged, leader, _ = lose(lab)
    done = tool.recover(lab.name, restless=True).document
    assert (done["outcome"], done["survivor"]["name"], len(done["members"])) == ("recovered", leader, 3)
    assert states(lab) == whole
    assert_whole(lab, tool, acknowledged)
    assert tool.run("diagnose").code == 0

    power_cycle(lab)
    lab.wait_healthy(HOSTS)
    assert states(lab) == whole
    assert_whole(lab, tool, acknowledged)


def interrupt(lab: Lab, tool: Tool, when: str) -> None:
    """Begin a recovery, and kill it when a command says yes on every host."""
    process = tool.start("recover", "--json", "--yes", lab.name)
    for _ in range(900):
        if all(lab.exec(name, ["sh", "-c", when]).returncode == 0 for name in HOSTS):
            break
        if process.poll() is not None:
            out, err = process.communicate()
            assert "run the same command again" in err, out + err
            process = tool.start("recover", "--json", "--yes", lab.name)
        time.sleep(0.1)
    process.kill()
    process.wait()


def test_a_power_cut_in_the_middle_starts_no_unit(fleet: Fleet, managed: list[Lab]) -> None:
    """The drop-in holds through a boot, a restart by hand, and until the same command has finished."""
    lab, tool = fleet(3, "3.5.30")
    managed.append(lab)
    manage(lab, MAKES)
    acknowledged, leader, _ = lose(lab)
    interrupt(lab, tool, "docker ps -a --format '{{.Names}} {{.State}}' | grep -q '^etcd.fleetrecover-.* exited'")
    power_cycle(lab)
    time.sleep(5)
    for name in HOSTS:
        assert lab.exec(name, ["systemctl", "is-active", "etcd.service"]).returncode != 0
        started = lab.exec(name, ["systemctl", "start", "etcd.service"])
        assert (started.returncode, b"Assertion failed" in started.stderr) == (1, True), started.stderr
        assert lab.exec(name, ["test", "-e", DROP_IN]).returncode == 0
    done = tool.recover(lab.name, restless=True).document
    assert (done["outcome"], done["survivor"]["name"]) == ("recovered", leader)
    assert states(lab) == dict.fromkeys(HOSTS, "active /etcd on-failure running")
    assert_whole(lab, tool, acknowledged)


def test_a_restore_holds_the_units_and_gives_them_back(fleet: Fleet, managed: list[Lab]) -> None:
    """Under its unit every etcd then serves the snapshot; nothing of the hold is left."""
    lab, tool = fleet(3, "3.5.30")
    managed.append(lab)
    manage(lab, MAKES)
    written = lab.client().fill("/before/", 50)
    saved(tool, "one")
    lose(lab)
    done = tool.run("snapshot", "restore", "one", "--yes", lab.name, "--json")
    assert done.code == 0, done.err
    assert done.document["outcome"] == "restored"
    assert states(lab) == dict.fromkeys(HOSTS, "active /etcd on-failure running")
    for name in HOSTS:
        assert lab.client().verify(written, name).whole
        assert lab.exec(name, ["test", "-e", DROP_IN]).returncode != 0


def test_undo_gives_data_and_units_back(fleet: Fleet, managed: list[Lab]) -> None:
    """After a recovery that came to its end: the survivor's old data under its unit; who had none is not let begin anew."""
    lab, tool = fleet(3, "3.5.30")
    managed.append(lab)
    manage(lab, MAKES)
    leader = leader_of(lab)
    others = [name for name in HOSTS if name != leader]
    lab.client().fill("/before/", 50)
    for name in HOSTS:
        lab.shell(name, "systemctl stop etcd.service")
    for name in others:
        lab.wipe(name)
    before = tree_hash(lab, leader, "/var/lib/etcd/member")
    done = tool.recover(lab.name, restless=True).document
    assert done["outcome"] == "recovered"
    # a unit that was stopped is given back stopped, its etcd running: the container has its own restart policy
    assert states(lab) == dict.fromkeys(HOSTS, "inactive /etcd on-failure running")
    ran = tool.run("undo", done["run"], "--yes", lab.name)
    assert ran.code == 0, ran.err
    assert lab.exec(leader, ["test", "-e", DROP_IN]).returncode != 0
    for name in others:
        assert "/etcd on-failure running" not in states(lab)[name]
        assert lab.exec(name, ["test", "-e", "/var/lib/etcd/member"]).returncode != 0
    assert tree_hash(lab, leader, "/var/lib/etcd/member") == before
