"""Whatever a node answers to any probe, it is a value or a FormatError: nothing that could end a command for the others."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import random
from typing import Any

import pytest

from fleetrecover import commands
from fleetrecover.commands import containers, evidence, probes
from fleetrecover.commands import snapshots as snapshot_commands
from fleetrecover.commands.base import Probe
from fleetrecover.commands.paths import RunPaths
from fleetrecover.errors import FleetRecoverError, FormatError
from fleetrecover.runtime.inspected import container_facts
from tests.odd import SEED, answer, every_probe, odd_answer, odd_value

PROBES = dict(every_probe())
ROUNDS = 150


def test_no_module_with_probes_is_forgotten() -> None:
    """A module of `commands/` that spells a probe is one of those that are tried here."""
    tried = {name.partition(".")[0] for name in PROBES}
    for found in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"fleetrecover.commands.{found.name}")
        if "-> Probe[" in inspect.getsource(module):
            assert found.name in tried, f"tests/odd.py, every_probe: {found.name} is not among its modules"
    assert len(PROBES) >= 30


@pytest.mark.parametrize("name", PROBES)
def test_any_answer_is_a_value_or_a_format_error(name: str) -> None:
    rng, probe = random.Random(f"{SEED} {name}"), PROBES[name]
    for _ in range(ROUNDS):
        result = answer(probe, odd_answer(rng, probe.command.script), odd_answer(rng, ""))
        try:
            probe.parse(result)
        except FormatError as error:
            assert error.message


def test_any_inspect_is_a_container_or_an_error_of_ours() -> None:
    rng = random.Random(f"{SEED} inspect")
    sound = {"Id": "a", "Name": "/etcd", "Config": {"Image": "etcd", "Cmd": ["etcd"]}, "State": {}, "HostConfig": {}}
    for _ in range(1500):
        value = odd_value(rng)
        document: dict[str, Any] = {**sound, **(value if isinstance(value, dict) else {"State": value})}
        try:
            container_facts(document, document if rng.random() < 0.3 else None)
        except FleetRecoverError as error:
            assert error.message


ODD_LISTINGS = {
    "size infinite": "real=/d\nsize=inf\n",
    "free not a number": "real=/d\nfree=nan\n",
    "real is no path": "real=d\n",
}
ODD_KEEPS = {
    "Id a list": 'before=[{"Id":[1]}]',
    "State a word": 'before=[{"Id":"a","State":"x"}]',
    "retries a word": (
        'before=[{"Id":"a","HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":"x"}}}]'
    ),
    "dead a number": 'pin={"run":"r","cluster":"c","survivor":"s","started":"t","kind":"k","dead":5}',
    "revision infinite": (
        'proof={"revision":1e999,"hash":1,"compact_revision":1,"member_id":1,"cluster_id":1,"version":"3"}'
    ),
    "nested": "pin=" + "[" * 100_000,
}


@pytest.mark.parametrize("what", ODD_LISTINGS)
def test_a_listing_that_cannot_be_read_is_a_format_error(what: str) -> None:
    probe = probes.data_listing("/d")
    with pytest.raises(FormatError, match=r"data|number|real"):
        probe.parse(answer(probe, ODD_LISTINGS[what].encode()))


@pytest.mark.parametrize("what", ODD_KEEPS)
def test_an_odd_file_of_a_run_is_that_runs_problem(what: str) -> None:
    """The listing is read all the same: the other runs, the hold and the data do not depend on it."""
    probe = probes.data_listing("/d")
    found = probe.parse(answer(probe, f"real=/d\nkeep=/d.fleetrecover/r1\n{ODD_KEEPS[what]}\n".encode()))
    [keep] = found.keeps
    assert keep.problem
    assert keep.pin is None
    assert keep.proof is None
    assert not keep.policies


def test_an_odd_hold_is_a_hold() -> None:
    """A record that cannot be read still means that somebody holds the node."""
    for text in ("{}", '{"pid": 1e999}', "[]", '{"token":"t","run":"r","who":"w","host":"h","pid":[],"since":"s"}'):
        probe = probes.data_listing("/d")
        hold = probe.parse(answer(probe, f"real=/d\nhold={text}\n".encode())).hold
        assert hold is not None
        assert "cannot be read" in hold.who


SMALL: dict[str, tuple[Probe[Any], bytes]] = {
    "uid not finite": (probes.machine(), b"clock=1\nuid=inf\n"),
    "clock not finite": (probes.machine(), b"clock=inf\nuid=0\n"),
    "restarts a word": (snapshot_commands.neighbours("docker", ["x"]), b"/x id running always 2026 many\n"),
    "file size a word": (snapshot_commands.file_size("/x"), b"many\n"),
    "last written a word": (snapshot_commands.last_written("/x"), b"long ago\n"),
    "free a word": (snapshot_commands.listing("/x"), b"real=/x\nfree=much\n"),
    "note nested": (snapshot_commands.restore_state(RunPaths("/d", "r1")), b"note=" + b"[" * 100_000 + b"\n"),
    "pieces not hexadecimal": (probes.ranges("/x", [(0, 4)]), b"xyz\n"),
    "inspect of words": (containers.containers("docker", "etcd"), b'["x"]'),
    "State a list": (containers.container_state("docker", "etcd"), b'[{"State":[1]}]'),
}


@pytest.mark.parametrize("what", SMALL)
def test_a_small_odd_answer_names_the_probe_or_its_source(what: str) -> None:
    probe, text = SMALL[what]
    with pytest.raises(FormatError) as caught:
        probe.parse(answer(probe, text))
    assert caught.value.source


def test_a_digit_of_another_script_is_no_time() -> None:
    probe = evidence.signs("/d")
    assert probe.parse(answer(probe, "² x\n".encode())) == ()


def test_a_fault_of_ours_is_seen_in_the_message() -> None:
    def broken(_: Any) -> None:
        raise ZeroDivisionError("a fault of ours")

    probe = Probe(probes.machine().command, broken)
    with pytest.raises(FormatError, match=r"machine: .*ZeroDivisionError at .*\.py:\d+: a fault of ours") as caught:
        probe.parse(answer(probe, b""))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
