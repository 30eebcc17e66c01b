"""Containers made by podman's command line; the documents were recorded with podman 4.3.1 (vfs, crun)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.docker.argv import from_argv, to_argv
from fleetrecover.docker.podman import cannot_fence, is_podman
from fleetrecover.docker.rewrite import check_quarantine, quarantine
from fleetrecover.docker.spec import from_inspect, host_path
from fleetrecover.errors import Refused, Unsupported
from fleetrecover.etcd.config import EtcdConfig

CASES = Path(__file__).parent / "cases" / "podman"


def load(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    document = json.loads((CASES / f"{name}.json").read_text())
    return document["container"], document["image"]


@pytest.mark.parametrize("name", ["host", "entrypoint"])
def test_the_words_that_made_it_are_made_again(name: str) -> None:
    container, image = load(name)
    assert is_podman(container)
    spec = from_inspect(container, image)
    made = container["Config"]["CreateCommand"]
    assert from_argv(to_argv(spec, cli="podman", verb="create", detach=None)) == spec
    resolved = ["--env=INHERITED=from client" if word == "--env=INHERITED" else word for word in made]
    assert from_argv(resolved) == spec
    assert spec.image_id.startswith("sha256:")


def test_it_is_etcd_like_any_other() -> None:
    spec = from_inspect(*load("host"))
    assert EtcdConfig.of(spec).name == "etcd-node1.example.com"
    assert host_path(spec, "/var/lib/rancher/etcd/member") == "/var/lib/etcd/member"
    check_quarantine(quarantine(spec, name="q", data_host_path="/copy", labels={}))


def test_an_entrypoint_of_several_words_is_one_option() -> None:
    spec = from_inspect(*load("entrypoint"))
    assert spec.entrypoint == ("/usr/local/bin/etcd", "--name=two")
    assert '--entrypoint=["/usr/local/bin/etcd", "--name=two"]' in to_argv(spec, cli="podman")
    assert host_path(spec, "/data") == "/var/lib/containers/storage/volumes/anon/_data"
    assert EtcdConfig.of(spec).name == "two"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"CreateCommand": None}, Unsupported, "Config.CreateCommand: empty"),
        ({"CreateCommand": ["podman", "--root", "/r", "run", "img"]}, Unsupported, "--root"),
        ({"CreateCommand": ["podman", "run", "--pod", "p", "img"]}, Unsupported, "--pod"),
        ({"CreateCommand": ["podman", "play", "kube"]}, Unsupported, "no `podman run`"),
        ({"Cmd": ["other"]}, Refused, "Config.Cmd"),
        ({"Env": ["ETCDCTL_API=2"]}, Refused, "ETCDCTL_API"),
    ],
)
def test_what_cannot_be_reproduced_is_named(change: dict[str, Any], error: type[Exception], said: str) -> None:
    container, image = load("host")
    container = copy.deepcopy(container)
    container["Config"] |= change
    with pytest.raises(error, match=said):
        from_inspect(container, image)


@pytest.mark.parametrize("change", [{"Memory": 5}, {"CpuShares": 5}, {"CpusetCpus": "0"}])
def test_what_was_updated_since_is_refused(change: dict[str, Any]) -> None:
    container, image = load("host")
    container = copy.deepcopy(container)
    container["HostConfig"] |= change
    with pytest.raises(Refused, match=next(iter(change))):
        from_inspect(container, image)


def test_the_restart_policy_is_the_one_that_it_has_now() -> None:
    """`podman update --restart`, which a recovery itself uses, leaves CreateCommand as it was."""
    container, image = load("host")
    for policy, text in (
        ({"Name": "no"}, ""),
        ({"Name": "on-failure", "MaximumRetryCount": 3}, "on-failure:3"),
        ({"Name": "always"}, "always"),
    ):
        changed = copy.deepcopy(container)
        changed["HostConfig"]["RestartPolicy"] = policy
        assert from_inspect(changed, image).restart == text


@pytest.mark.parametrize(
    ("cli", "version", "can"),
    [
        ("docker", "1.13.1", True),
        ("podman", "4.3.1", False),
        ("/usr/bin/podman", "5.0.3", False),
        ("podman", "5.1.0", True),
        ("podman", "5.10.2-dev", True),
        ("podman", "", False),
    ],
)
def test_only_newer_podmans_can_fence(cli: str, version: str, can: bool) -> None:
    assert (cannot_fence(cli, version) == "") is can
