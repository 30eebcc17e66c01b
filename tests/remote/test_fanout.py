from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from fleetrecover.errors import OutcomeUnknown, Unreachable
from fleetrecover.model import Host
from fleetrecover.remote import fan_out

HOSTS = [Host(f"etcd{n}", f"10.0.0.{n}") for n in range(1, 6)]


def test_a_failing_host_is_a_value_beside_the_others() -> None:
    def work(host: Host) -> str:
        if host.name == "etcd2":
            raise Unreachable(host.name, "refused")
        return host.address

    outcome = fan_out(HOSTS, work)
    assert list(outcome) == [host.name for host in HOSTS]
    assert isinstance(outcome["etcd2"], Unreachable)
    assert outcome["etcd5"] == "10.0.0.5"


def test_all_hosts_are_worked_on_at_once() -> None:
    everybody = threading.Barrier(len(HOSTS))
    assert len(fan_out(HOSTS, lambda host: everybody.wait(30))) == len(HOSTS)


def test_no_more_workers_than_asked_for() -> None:
    lock = threading.Lock()
    now = most = 0

    def work(host: Host) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1

    fan_out(HOSTS, work, workers=2)
    assert most <= 2


def test_a_fault_of_ours_is_raised_after_all_have_ended() -> None:
    ended = []

    def work(host: Host) -> None:
        if host.name == "etcd1":
            raise ZeroDivisionError
        ended.append(host.name)

    with pytest.raises(ZeroDivisionError):
        fan_out(HOSTS, work)
    assert sorted(ended) == ["etcd2", "etcd3", "etcd4", "etcd5"]


def test_a_host_that_does_not_end_is_unknown_and_holds_up_nobody() -> None:
    release = threading.Event()
    outcome = fan_out(HOSTS[:2], lambda host: host.name == "etcd1" or release.wait(60), timeout=0.2)
    release.set()
    assert outcome["etcd1"] is True
    assert isinstance(outcome["etcd2"], OutcomeUnknown)


def test_what_no_worker_has_begun_is_not_begun_after_the_timeout() -> None:
    begun: list[str] = []
    release = threading.Event()

    def work(host: Host) -> None:
        begun.append(host.name)
        release.wait(60)

    outcome = fan_out(HOSTS, work, workers=1, timeout=0.2)
    release.set()
    assert all(isinstance(value, OutcomeUnknown) for value in outcome.values())
    assert begun == ["etcd1"]


def test_no_hosts() -> None:
    assert fan_out([], lambda host: 1) == {}


def test_ctrl_c_ends_it_at_once_and_the_program_too() -> None:
    """The threads that still run do not hold up the end of the program."""
    code = (
        "import _thread, signal, threading, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from fleetrecover.model import Host\n"
        "from fleetrecover.remote import fan_out\n"
        "begun = threading.Event()\n"
        "def work(host):\n"
        "    begun.set()\n"
        "    threading.Event().wait()\n"
        "def interrupt():\n"
        "    begun.wait()\n"
        "    _thread.interrupt_main()\n"
        "threading.Thread(target=interrupt, daemon=True).start()\n"
        "try:\n"
        "    fan_out([Host('a', 'b')], work)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "interrupted\n"


@pytest.mark.parametrize("heavy", ["paramiko", "fabric", "tenacity"])
def test_importing_the_package_imports_nothing_heavy(heavy: str) -> None:
    code = f"import sys, fleetrecover.remote, fleetrecover.remote.fanout; sys.exit({heavy!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
