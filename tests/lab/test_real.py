"""The lab itself: that its hosts are separate, that what breaks is really broken, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetrecover.errors import Held, InputError, Refused
from fleetrecover.lab import Lab, LabError, fleet, host, layout, lock, system
from fleetrecover.lab.cli import app

pytestmark = pytest.mark.lab


def ssh(lab: Lab, name: str, command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    argv = lab.ssh_argv(name, command, user=user)
    return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


class TestHosts:
    def test_each_is_its_own_machine(self, lab: Lab) -> None:
        for one in lab.hosts:
            said = ssh(
                lab,
                one.name,
                "hostname; ls /sys/class/net; cat /proc/1/comm; ls -A /tmp; docker ps --format {{.Names}}",
            )
            assert said.stdout.split() == [one.hostname, "eth0", "lo", "sh", "etcd"]

    def test_logins_with_and_without_sudo(self, lab: Lab) -> None:
        assert ssh(lab, "etcd1", "sudo -n id -u", "ops").stdout == "0\n"
        assert ssh(lab, "etcd1", "sudo -n id -u", "nosudo").returncode == 1
        assert ssh(lab, "etcd1", "id -un", "nosudo").stdout == "nosudo\n"

    def test_a_write_inside_does_not_reach_the_machine(self, lab: Lab) -> None:
        lab.shell("etcd1", "echo x >/usr/local/bin/only-in-etcd1; echo y >/etc/only-in-etcd1")
        assert not Path("/usr/local/bin/only-in-etcd1").exists()
        assert lab.exec("etcd2", ["test", "-e", "/etc/only-in-etcd1"]).returncode == 1
        lab.power_off("etcd1")
        lab.power_on("etcd1")
        assert lab.shell("etcd1", "cat /usr/local/bin/only-in-etcd1") == "x\n"

    def test_etcds_data_and_its_siblings_share_a_file_system(self, lab: Lab) -> None:
        lab.shell("etcd1", "mkdir /var/lib/etcd.fleetrecover && mv /var/lib/etcd /var/lib/etcd.fleetrecover/old")
        assert (lab.host("etcd1").path("/var/lib/etcd.fleetrecover") / "old/member/wal").is_dir()

    def test_standard_input_reaches_the_host(self, lab: Lab) -> None:
        assert lab.exec("etcd1", ["cat"], input=b"\0bytes").stdout == b"\0bytes"

    def test_unknown_hosts_are_named(self, lab: Lab) -> None:
        with pytest.raises(InputError, match="etcd9"):
            lab.power_off("etcd9")


class TestBreaking:
    def test_a_power_cut_takes_everything_and_the_disk_stays(self, lab: Lab) -> None:
        client = lab.client()
        with client.writer(threads=4) as writer:
            writer.wait_for(200)
            lab.kill_all_at_once()
            acknowledged = writer.stop()
        assert [one.pid for one in lab.hosts] == [None, None, None]
        assert system.marked_processes(f"{layout.MARK}={lab.directory}/") == []
        lab.power_on(*(one.name for one in lab.hosts))
        lab.wait_healthy()
        for one in lab.hosts:
            assert client.verify(acknowledged, one.name).whole

    def test_the_minority_notices_a_cut_cable(self, lab: Lab) -> None:
        client = lab.client()
        lab.cut("etcd1")
        assert not client.healthy("etcd1", timeout=2)
        lab.wait_healthy(["etcd2", "etcd3"])
        lab.power_off("etcd1")
        lab.power_on("etcd1")
        assert lab.status().hosts[0].cable == "cut"
        lab.mend("etcd1")
        lab.wait_healthy()

    def test_docker_restarts_a_killed_etcd(self, lab: Lab) -> None:
        before = host.etcd_pids(lab.host("etcd2"))
        lab.kill_etcd("etcd2")
        lab.wait_healthy()
        assert host.etcd_pids(lab.host("etcd2")) != before

    def test_a_removed_container_and_a_wiped_disk(self, lab: Lab) -> None:
        lab.remove_etcd("etcd3")
        lab.power_off("etcd2")
        lab.wipe("etcd2")
        assert list(lab.host("etcd2").path("/var/lib/etcd").iterdir()) == []
        rows = {row.name: row.etcd for row in lab.status().hosts}
        assert (rows["etcd2"], rows["etcd3"]) == ("power is off", "no container")

    def test_dockerd_stops_with_its_containers_and_crashes_without(self, lab: Lab) -> None:
        lab.stop_dockerd("etcd1")
        assert host.etcd_pids(lab.host("etcd1")) == []
        lab.start_dockerd("etcd1")
        lab.wait_healthy()
        lab.stop_dockerd("etcd1", crash=True)
        assert len(host.etcd_pids(lab.host("etcd1"))) == 1
        assert not lab.status().hosts[0].dockerd
        lab.start_dockerd("etcd1")
        lab.wait_healthy()

    def test_a_full_disk_is_full_and_can_be_emptied(self, lab: Lab) -> None:
        lab.fill_disk("etcd3")
        assert lab.exec("etcd3", ["sh", "-c", "echo x >/var/lib/one-more"]).returncode != 0
        lab.unfill_disk("etcd3")
        assert lab.exec("etcd3", ["sh", "-c", "echo x >/var/lib/one-more"]).returncode == 0
        lab.shell("etcd3", "rm /var/lib/one-more")

    def test_a_bad_network_or_a_clear_no(self, lab: Lab) -> None:
        try:
            lab.netem("etcd1", "delay 1ms")
        except Refused as error:
            assert "netem" in error.message
        lab.clear_netem("etcd1")

    def test_a_host_without_power_says_so(self, lab: Lab) -> None:
        lab.power_off("etcd1")
        with pytest.raises(LabError, match="powered off"):
            lab.shell("etcd1", "true")


class TestShapes:
    def test_a_control_plane_and_an_internal_address(self, base: Path) -> None:
        lab = Lab.up("killed", nodes=1, directory=base, kubernetes=True, internal=True)
        names = lab.shell("etcd1", "docker ps --format {{.Names}} --filter status=running").split()
        assert sorted(names) == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        assert lab.etcdctl("etcd1", "endpoint", "health").returncode == 0
        refused = lab.etcdctl("etcd1", "--endpoints=https://127.0.0.1:2379", "endpoint", "health")
        assert refused.returncode != 0


class TestReset:
    @pytest.mark.parametrize("version", ["3.3.25", "3.5.16", "3.5.30", "3.4.23"])
    def test_another_version(self, shared: Lab, version: str) -> None:
        shared.reset_etcd(version)
        written = shared.client().fill("/f/", 300)
        for one in shared.hosts:
            assert shared.client().verify(written, one.name).whole
        assert f", {version}, " in shared.etcdctl("etcd1", "endpoint", "status").stdout

    def test_everything_broken_at_once_is_repaired(self, lab: Lab) -> None:
        lab.client().put("/old", "x")
        lab.power_off("etcd1")
        lab.cut("etcd2")
        lab.stop_dockerd("etcd3", crash=True)
        lab.shell(
            "etcd3", "mkdir /var/lib/etcd.fleetrecover; rm -r /etc/kubernetes/ssl; pkill -x sshd; touch /opt/rke/x"
        )
        lab.fill_disk("etcd3")
        lab.reset_etcd()
        assert lab.client().count() == 0
        names = sorted(path.name for path in lab.host("etcd3").path("/var/lib").iterdir())
        assert names == ["docker", "etcd"]
        assert ssh(lab, "etcd3", "ls /opt/rke").stdout == "etcd-snapshots\n"


class TestWriter:
    def test_a_limit_and_a_record(self, lab: Lab, tmp_path: Path) -> None:
        record = tmp_path / "acknowledged"
        writer = lab.client().writer(prefix="/r/", threads=3, limit=100, record=record)
        writer.start()
        acknowledged = writer.join()
        assert len(acknowledged) >= 100
        assert sorted(record.read_text().split()) == sorted(acknowledged)

    def test_what_is_missing_or_wrong_is_found(self, lab: Lab) -> None:
        client = lab.client()
        written = client.fill("/v/", 5)
        client.put("/v/00000003", "changed")
        client.put("/v/9", "extra")
        verdict = client.verify({**written, "/v/8": "never written"}, "etcd2")
        assert (verdict.missing, verdict.wrong, verdict.extra) == (("/v/8",), ("/v/00000003",), 1)

    def test_pages_are_put_together(self, lab: Lab) -> None:
        written = lab.client().fill("/p/", 4500, size=10)
        assert lab.client().verify(written, "etcd3").whole
        assert lab.client().count("/p/") == 4500


class TestCommandLine:
    def test_status_as_json(self, lab: Lab) -> None:
        done = CliRunner().invoke(app, ["status", "--name", lab.name, "--json"])
        parsed = json.loads(done.stdout)
        assert [row["healthy"] for row in parsed["hosts"]] == [True, True, True]

    def test_break_and_status(self, lab: Lab) -> None:
        runner = CliRunner()
        assert runner.invoke(app, ["break", "etcd2", "power-off", "--name", lab.name]).exit_code == 0
        assert "power is off" in runner.invoke(app, ["status", "--name", lab.name]).stdout

    def test_a_lab_that_is_up_is_not_built_over(self, lab: Lab) -> None:
        with pytest.raises(Refused, match="up already"):
            Lab.up(lab.name)

    def test_one_process_at_a_time(self, lab: Lab) -> None:
        path = lab.directory.with_name(f".{lab.name}.lock")
        script = (
            "import sys\nfrom pathlib import Path\nfrom fleetrecover.lab import lock\n"
            "with lock.held(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(Held), lock.held(path, wait=0):
                pytest.fail("two processes hold the lab")


# --- nothing stays behind --------------------------------------------------------------------------------------------

UP = """
import sys
from pathlib import Path
from fleetrecover.lab import Lab
Lab.up("killed", nodes=2, directory=Path(sys.argv[1]), progress=lambda text: print(text, flush=True))
"""


@pytest.fixture
def base() -> Iterator[Path]:
    place = Path(f"/var/lib/fleetrecover-lab-test-{os.getpid()}")
    yield place
    Lab.clear("killed", place)
    if place.is_dir():
        place.rmdir()


def leftovers(path: Path) -> list[str]:
    """Everything on this machine that belongs to the lab in `path`."""
    tag = layout.tag_of(path)
    found = [f"process {pid}" for pid in system.marked_processes(f"{layout.MARK}={path}/")]
    found += system.links_with_prefix(f"frb-{tag}") + system.links_with_prefix(f"frv-{tag}")
    found += [str(point) for point in system.mounts_below(path)] + system.loop_devices(path)
    found += [str(group) for group in system.cgroup_directories(f"{layout.CGROUP}/{path.name}-{tag}")]
    return found + [str(path) for _ in range(path.exists())]


MOMENTS: dict[str, Callable[[Path, str], bool]] = {
    "before the state is written": lambda path, _: path.exists(),
    "while disks are made": lambda path, _: (path / "etcd1/disk.img").exists(),
    "while hosts boot": lambda path, _: (path / "etcd1/boot.log").exists(),
    "when a host is plugged in": lambda path, _: bool(system.links_with_prefix(f"frv-{layout.tag_of(path)}")),
    "when hosts are up": lambda _, said: "hosts are up" in said,
    "at the end": lambda _, said: "is up:" in said,
}


class TestCleanliness:
    @pytest.mark.parametrize("moment", list(MOMENTS))
    def test_a_killed_up_is_cleared_away(self, base: Path, moment: str, tmp_path: Path) -> None:
        path, said = base / "killed", tmp_path / "said"
        with said.open("w") as sink:
            child = subprocess.Popen([sys.executable, "-c", UP, str(base)], stdout=sink)
            system.wait_until(lambda: MOMENTS[moment](path, said.read_text()), moment, timeout=120, interval=0.001)
            child.kill()
            child.wait()
        Lab.clear("killed", base)
        # a process that was killed is gone a moment later
        system.wait_until(lambda: not leftovers(path), "all that a killed up left to be gone", timeout=30, interval=0.1)
        assert leftovers(path) == []
        assert list(base.iterdir()) == []

    def test_up_after_a_killed_up_and_a_second_lab_beside(self, base: Path, shared: Lab) -> None:
        path = base / "killed"
        child = subprocess.Popen([sys.executable, "-c", UP, str(base)], stdout=subprocess.DEVNULL)
        system.wait_until((path / "etcd2/boot.log").exists, "a host", timeout=60, interval=0.001)
        child.kill()
        child.wait()
        lab = Lab.up("killed", nodes=1, directory=base)
        assert lab.state.subnet != shared.state.subnet
        lab.down()
        assert leftovers(path) == []
        shared.wait_healthy()

    def test_a_failing_up_clears_up_after_itself(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise LabError("as if etcd did not start")

        monkeypatch.setattr(Lab, "wait_healthy", fail)
        with pytest.raises(LabError, match="as if"):
            Lab.up("killed", nodes=1, directory=base)
        assert leftovers(base / "killed") == []

    def test_a_version_that_is_not_to_be_had(self, base: Path) -> None:
        with pytest.raises(InputError, match=r"no etcd 0\.0\.1; it has .*3\.4\.23"):
            Lab.up("killed", nodes=1, etcd="0.0.1", directory=base)
        assert leftovers(base / "killed") == []

    def test_a_lab_whose_state_is_gone_can_be_cleared(self, base: Path) -> None:
        Lab.up("killed", nodes=1, directory=base)
        (base / "killed/lab.json").write_text("{")
        fleet.clear(base / "killed")
        assert leftovers(base / "killed") == []
