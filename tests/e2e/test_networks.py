"""Bad networks on real hosts: the job is done all the same, or it is said, in bounded time, who is waited for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.proxy import Proxy, proxied
from tests.e2e.scenes import lose_two
from tests.e2e.tool import Tool
from tests.remote.sshd import Sshd, install

pytestmark = pytest.mark.lab

SLOW_SUDO = '#!/bin/sh\nsleep {0}\nexec /usr/bin/sudo "$@"\n'


def inventory(lab: Lab, path: Path, ssh: dict[str, object], proxies: dict[str, Proxy] | None = None) -> Path:
    """The lab's inventory with more in [ssh], and with proxies in front of the hosts' sshd."""
    known = path / "known_hosts"
    known.write_text((lab.directory / "known_hosts").read_text())
    settings = {"user": "root", "key": str(lab.directory / "id_ed25519"), "known_hosts": str(known)} | ssh
    lines = [f'cluster = "{lab.name}"', "[ssh]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    with known.open("a") as file:
        for host in lab.hosts:
            proxy = (proxies or {}).get(host.name)
            lines += ["[[hosts]]", f'name = "{host.name}"', f'etcd_address = "{host.address}"']
            lines += ['address = "127.0.0.1"', f"port = {proxy.port}"] if proxy else [f'address = "{host.address}"']
            if proxy is not None:
                key = next(line for line in known.read_text().splitlines() if line.startswith(f"{host.address} "))
                file.write(key.replace(host.address, f"[127.0.0.1]:{proxy.port}", 1) + "\n")
                file.flush()
    made = path / "hosts.toml"
    made.write_text("\n".join([*lines, ""]))
    return made


@contextmanager
def sshd_with(lab: Lab, *lines: str) -> Iterator[None]:
    """Every host's sshd with more lines in its configuration."""
    added = "\\n".join(lines)
    reload = "kill -HUP $(cat /run/sshd.pid)"
    for host in lab.hosts:
        old = "cp /etc/ssh/sshd_config /etc/ssh/sshd_config.old"
        lab.shell(host.name, f"{old}; sed -i '1i {added}' /etc/ssh/sshd_config; {reload}")
    try:
        yield
    finally:
        for host in lab.hosts:
            lab.shell(host.name, f"mv /etc/ssh/sshd_config.old /etc/ssh/sshd_config; {reload}")


@contextmanager
def sudo_that_takes(lab: Lab, name: str, seconds: float) -> Iterator[None]:
    """On one host, a sudo that is slow before it does what it is asked."""
    program = "/usr/local/bin/sudo"
    script = SLOW_SUDO.format(seconds)
    lab.shell(name, f"printf '%s' '{script}' > {program}; chmod 755 {program}")
    try:
        yield
    finally:
        lab.shell(name, f"rm -f {program}")


@contextmanager
def jump_host(lab: Lab, path: Path) -> Iterator[Sshd]:
    """An sshd of this machine that lets the lab's key in and forwards to the hosts."""
    install()
    server = Sshd(path / "jump").start()
    server.authorize(lab.directory / "id_ed25519")
    try:
        yield server
    finally:
        server.stop()


def until(tool: Tool, event: str, **fields: str) -> None:
    """Wait until the journal of the only run has such an event."""
    for _ in range(6000):
        for path in tool.state.glob("*/r*.jsonl"):
            for line in path.read_text().splitlines():
                found = json.loads(line)
                if found["event"] == event and fields.items() <= found.items():
                    return
        time.sleep(0.02)
    raise AssertionError(f"there was no {event} {fields}")


def test_the_jump_host_drops_in_the_middle(fleet: Fleet, tmp_path: Path) -> None:
    """While the reset runs, all connections break and the jump host is away for a moment: the same run goes on.

    And on the hosts there is MaxSessions 1, and a sudo that takes its time.
    """
    lab, tool = fleet(3)
    written = lose_two(lab)
    with ExitStack() as stack:
        jump = stack.enter_context(jump_host(lab, tmp_path))
        [proxy] = stack.enter_context(proxied(("127.0.0.1", jump.port), delay=0.005))
        stack.enter_context(sshd_with(lab, "MaxSessions 1"))
        stack.enter_context(sudo_that_takes(lab, "etcd3", 0.1))
        ssh = {"gateway": f"root@127.0.0.1:{proxy.port}", "connect_timeout": 3, "user": "ops", "sudo": True}
        through = replace(tool, inventory=inventory(lab, tmp_path, ssh))
        with (tmp_path / "known_hosts").open("a") as known:
            known.write(jump.known_line(f"[127.0.0.1]:{proxy.port}"))
        running = through.start("recover", "--json", "--yes", lab.name)
        until(through, "intent", step="Quarantine")
        proxy.target = ("127.0.0.1", 1)  # nobody listens there
        proxy.drop()
        until(through, "unknown")
        proxy.target = ("127.0.0.1", jump.port)
        out, err = running.communicate(timeout=300)
        assert running.returncode == 0, err
        assert json.loads(out)["outcome"] == "recovered"
        assert "looking at what is there before going on, for which it is waited up to" in err
        assert proxy.dropped
    for host in lab.hosts:
        assert lab.client().verify(written, host.name).whole


def test_hosts_that_say_nothing_and_a_sudo_that_hangs(fleet: Fleet, tmp_path: Path) -> None:
    """One accepts TCP and is silent, on another sudo never returns: rows that say what was waited for, and how long."""
    lab, tool = fleet(3)
    with proxied((lab.host("etcd3").address, 22)) as [proxy], sudo_that_takes(lab, "etcd2", 1000):
        proxy.mute = True
        path = inventory(lab, tmp_path, {"user": "ops", "sudo": True, "connect_timeout": 1}, {"etcd3": proxy})
        bad = replace(tool, inventory=path)
        lab.shell("etcd1", "docker stop etcd")
        ran = bad.run("diagnose", "--json", timeout=120)
    assert ran.code == 12, ran.err
    nodes = {node["name"]: node for node in ran.document["nodes"]}
    assert nodes["etcd1"]["reachable"]
    assert "accepted the connection, but sent nothing for 1 s" in nodes["etcd3"]["error"]
    assert "for `sudo -n sh` to start for ops" in nodes["etcd2"]["error"]
    told = [finding["advice"] or "" for finding in ran.document["findings"]]
    assert any("--dead etcd3" in text for text in told), told


@pytest.mark.slow
def test_slow_lossy_one_session_and_a_slow_sudo(fleet: Fleet, tmp_path: Path) -> None:
    """Everything at once, on every host: 30 ms each way, connections that break, MaxSessions 1, and sudo takes its time."""
    lab, tool = fleet(3)
    written = lose_two(lab)
    with ExitStack() as stack:
        targets = [(host.address, 22) for host in lab.hosts]
        proxies = stack.enter_context(proxied(*targets, delay=0.03, limit=120_000))
        stack.enter_context(sshd_with(lab, "MaxSessions 1"))
        stack.enter_context(sudo_that_takes(lab, "etcd3", 0.2))
        by_name = {host.name: proxy for host, proxy in zip(lab.hosts, proxies, strict=True)}
        slow = replace(tool, inventory=inventory(lab, tmp_path, {"user": "ops", "sudo": True}, by_name))
        done = slow.recover(lab.name).document
        assert done["outcome"] == "recovered"
        assert all(proxy.dropped for proxy in proxies), [proxy.dropped for proxy in proxies]
    for host in lab.hosts:
        assert lab.client().verify(written, host.name).whole
    assert tool.run("verify").code == 0


@pytest.mark.slow
def test_connections_that_hang_in_the_middle(fleet: Fleet, tmp_path: Path) -> None:
    """TCP acknowledges and nothing passes: noticed after half a minute without a sign of life, and looked at anew."""
    lab, tool = fleet(3)
    written = lose_two(lab)
    with proxied(*((host.address, 22) for host in lab.hosts)) as proxies:
        by_name = {host.name: proxy for host, proxy in zip(lab.hosts, proxies, strict=True)}
        behind = replace(tool, inventory=inventory(lab, tmp_path, {}, by_name))
        running = behind.start("recover", "--json", "--yes", lab.name)
        until(behind, "intent", step="CopyData")
        for proxy in proxies:
            proxy.stall()
        out, err = running.communicate(timeout=600)
        assert running.returncode == 0, err
        assert json.loads(out)["outcome"] == "recovered"
        assert "no sign of life" in err
    for host in lab.hosts:
        assert lab.client().verify(written, host.name).whole


@pytest.mark.slow
def test_an_sshd_that_freezes_after_the_reset(fleet: Fleet, tmp_path: Path) -> None:
    """A joiner's sshd hangs for good: the others serve, it is said who is missing, and the same command finishes later."""
    lab, tool = fleet(3)
    written = lose_two(lab)
    running = tool.start("recover", "--json", "--yes", lab.name)
    until(tool, "intent", step="Join", node="etcd2")
    pids = lab.shell("etcd3", "pidof sshd").split()
    lab.shell("etcd3", f"kill -STOP {' '.join(pids)}")
    try:
        out, err = running.communicate(timeout=900)
        assert running.returncode == 21, err
        assert list(json.loads(out)["left_out"]) == ["etcd3"]
    finally:
        lab.shell("etcd3", f"kill -CONT {' '.join(pids)}")
    assert tool.recover(lab.name).document["outcome"] == "recovered"
    for host in lab.hosts:
        assert lab.client().verify(written, host.name).whole
