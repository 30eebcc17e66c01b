"""Recorded inspect documents and the commands that are made of them; record_cases.py says how they were recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.docker.argv import from_argv, render, to_argv
from fleetrecover.docker.etcd_config import is_etcd
from fleetrecover.docker.rewrite import (
    Identity,
    assert_no_force,
    check_quarantine,
    exchange_identity,
    has_force,
    identity_of,
    joiner,
    plain,
    quarantine,
)
from fleetrecover.docker.spec import ContainerSpec, from_inspect
from fleetrecover.etcd.config import EtcdCommand, EtcdConfig

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.json"))
LABELS = {"fleetrecover.run": "r1"}
NEW = Identity("etcd-new", ("10.9.9.9",), "new")
INFO = {"Name": "node1", "LoggingDriver": "json-file", "DefaultRuntime": "runc"}


def commands(document: Mapping[str, Any]) -> dict[str, str]:
    """The commands of a case: as it is, the survivor's reset and start, a joiner from its own and from another's."""
    info = INFO | {"CgroupVersion": "2" if document["container"].get("ImageManifestDescriptor") else "1"}
    spec = from_inspect(document["container"], document["image"], info)
    config = EtcdConfig.of(spec)
    members = {name: ",".join(urls) for name, urls in config.initial_cluster.items()} or {config.name: "http://a:2380"}
    old = identity_of(spec, document["container"])
    other, replaced = exchange_identity(spec, old, NEW) if old.addresses else (spec, ())
    reset = quarantine(
        spec, name="etcd-reset", data_host_path="/work/copy", wal_host_path="/work/wal-copy", labels=LABELS
    )
    return {
        "command": render(spec),
        "quarantine": render(reset),
        "survivor": render(plain(spec, name="etcd", labels=LABELS)),
        "joiner": render(joiner(spec, name="etcd", initial_cluster=members, labels=LABELS)),
        "exchange": "".join(f"{item.text}\n" for item in replaced) + render(other),
    }


def load(name: str) -> tuple[dict[str, Any], ContainerSpec]:
    document: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text())
    return document, from_inspect(document["container"], document["image"], INFO)


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_the_expected_ones(name: str) -> None:
    document, _ = load(name)
    for kind, text in commands(document).items():
        assert text == (CASES / f"{name}.{kind}.txt").read_text(), kind


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_is_read_back(name: str) -> None:
    _, spec = load(name)
    assert from_argv(to_argv(spec, detach=None)) == spec


@pytest.mark.parametrize("name", NAMES)
def test_without_image_and_daemon_the_command_is_longer_but_reads_the_same_settings(name: str) -> None:
    document, spec = load(name)
    alone = from_inspect(document["container"])
    assert len(to_argv(alone)) >= len(to_argv(spec))
    assert alone.argv == spec.argv
    assert alone.environment == spec.environment
    assert is_etcd(document["container"])
    assert is_etcd(spec)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("rke")])
def test_rke_sees_no_difference_after_the_survivors_start(name: str) -> None:
    """What RKE's IsContainerUpgradable compares: image, entrypoint, command, environment, binds, security options."""
    document, spec = load(name)
    rebuilt = plain(spec, name="etcd", labels=LABELS)
    config, host = document["container"]["Config"], document["container"]["HostConfig"]
    assert rebuilt.image == config["Image"]
    assert rebuilt.entrypoint is None
    assert set(rebuilt.command or ()) == set(config["Cmd"])
    assert set(rebuilt.env) | set(document["image"]["Config"]["Env"]) == set(config["Env"])
    assert set(rebuilt.binds) == set(host["Binds"])
    assert set(rebuilt.security_opts) == set(host["SecurityOpt"] or ())


@pytest.mark.parametrize("name", NAMES)
def test_the_force_flag_is_in_quarantine_only(name: str) -> None:
    _, spec = load(name)
    reset = quarantine(spec, name="q", data_host_path="/copy", wal_host_path="/wal", labels=LABELS)
    check_quarantine(reset)
    assert has_force(reset)
    assert reset.network == "none"
    assert not reset.restart
    assert not reset.publish
    config = EtcdConfig.of(reset)
    assert config.force_new_cluster
    assert config.files == ()
    assert all(url.startswith("http://127.0.0.1:") for url in config.listen_client_urls + config.listen_peer_urls)
    assert config.initial_cluster == {config.name: ("http://127.0.0.1:2380",)}
    for serving in (plain(reset, name="x", labels={}), plain(spec, name="x", labels={})):
        assert_no_force(serving)
    kept = {flag.name for flag in EtcdCommand.of(spec).flags} & {"name", "data-dir", "wal-dir", "quota-backend-bytes"}
    before, after = EtcdCommand.of(spec), EtcdCommand.of(reset)
    assert all(before.get(flag) == after.get(flag) for flag in kept)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("rke")])
def test_a_joiner_with_all_members_back_differs_in_the_state_alone(name: str) -> None:
    _, spec = load(name)
    members = {name: ",".join(urls) for name, urls in reversed([*EtcdConfig.of(spec).initial_cluster.items()])}
    rebuilt = joiner(spec, name="etcd", initial_cluster=members, labels={})
    changed = set(rebuilt.command or ()) ^ set(spec.command or ())
    assert changed == {"--initial-cluster-state=existing", "--initial-cluster-state=new"}
    assert replace(rebuilt, command=spec.command, labels=spec.labels) == spec


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("rke")])
def test_nothing_of_the_old_identity_is_left_after_an_exchange_but_the_other_members(name: str) -> None:
    document, spec = load(name)
    old = identity_of(spec, document["container"])
    other, replaced = exchange_identity(spec, old, NEW)
    assert identity_of(other).addresses == ("10.9.9.9",)
    assert EtcdConfig.of(other).name == "etcd-new"
    back, again = exchange_identity(other, NEW, old)
    assert back == spec
    assert len(again) == len(replaced)
    members = EtcdConfig.of(spec).initial_cluster
    for member, urls in members.items():
        if member != old.name:
            assert EtcdConfig.of(other).initial_cluster[member] == urls
