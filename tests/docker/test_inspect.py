"""Inspect documents: what is given, what comes from the image or the daemon, what is refused by name."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.docker.argv import to_argv
from fleetrecover.docker.parts import Endpoint, Healthcheck
from fleetrecover.docker.spec import from_inspect, host_path, normal_reference
from fleetrecover.errors import FormatError, Refused, Unsupported

CASE = json.loads((Path(__file__).parent / "cases" / "rke-k8s1.24-non-root.json").read_text())
OTHER = json.loads((Path(__file__).parent / "cases" / "environment-and-limits.json").read_text())


def container(**changes: Any) -> dict[str, Any]:
    """The case's container with values set by path: `HostConfig__Init=True`."""
    document: dict[str, Any] = copy.deepcopy(CASE["container"])
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = document
        for key in parents:
            place = place[key]
        place[last] = value
    return document


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"HostConfig__FutureSetting": {"a": 1}}, "HostConfig.FutureSetting.*'a': 1"),
        ({"Config__FutureSetting": "x"}, "Config.FutureSetting.*'x'"),
        ({"NetworkSettings__FutureSetting": 7}, "NetworkSettings.FutureSetting.*7"),
        ({"NetworkSettings__Networks__host__Future": "y"}, "NetworkSettings.Networks.Future.*'y'"),
        ({"HostConfig__DiskQuota": 5}, "HostConfig.DiskQuota.*5"),
        ({"HostConfig__KernelMemoryTCP": 5}, "HostConfig.KernelMemoryTCP"),
        ({"HostConfig__InitPath": "/x"}, "HostConfig.InitPath"),
        ({"HostConfig__Cgroup": "container:x"}, "HostConfig.Cgroup"),
        ({"HostConfig__CpuCount": 2}, "HostConfig.CpuCount"),
        ({"HostConfig__IOMaximumIOps": 2}, "HostConfig.IOMaximumIOps"),
        ({"HostConfig__Isolation": "hyperv"}, "HostConfig.Isolation.*hyperv"),
        ({"HostConfig__MaskedPaths": ["/proc/kcore", "/mine"]}, "HostConfig.MaskedPaths.*/mine"),
        ({"HostConfig__MaskedPaths": []}, "HostConfig.MaskedPaths"),
        ({"HostConfig__ReadonlyPaths": ["/proc/sys"]}, "HostConfig.ReadonlyPaths"),
        ({"HostConfig__Mounts": [{"Type": "npipe", "Target": "/x"}]}, "HostConfig.Mounts.Type.*npipe"),
        (
            {"HostConfig__Mounts": [{"Type": "bind", "Target": "/x", "BindOptions": {"CreateMountpoint": True}}]},
            "HostConfig.Mounts.BindOptions.CreateMountpoint",
        ),
        (
            {"HostConfig__Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": [["noexec"]]}}]},
            "HostConfig.Mounts.TmpfsOptions.Options",
        ),
        (
            {"HostConfig__DeviceRequests": [{"Driver": "", "Count": 1, "Capabilities": [["gpu"], ["tpu"]]}]},
            "HostConfig.DeviceRequests.Capabilities",
        ),
        ({"Config__NetworkDisabled": True}, "Config.NetworkDisabled"),
        ({"Config__Shell": ["/bin/bash", "-c"]}, "Config.Shell"),
        ({"Config__Healthcheck": {"Test": ["NONE"], "Future": 1}}, "Config.Healthcheck.Future"),
        ({"Platform": "windows"}, "Platform.*windows"),
        ({"HostConfig__Binds": ["a:b:c:d"]}, "HostConfig.Binds.*a:b:c:d"),
    ],
)
def test_a_field_that_cannot_be_reproduced_is_named_with_its_value(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        from_inspect(container(**changes), CASE["image"])


def test_an_unknown_field_that_says_nothing_is_passed_over() -> None:
    from_inspect(container(HostConfig__Future=None, Config__Future=[], NetworkSettings__Future={"a": 0}), CASE["image"])


@pytest.mark.parametrize("document", [{}, {"Config": {}}, {"Config": {}, "HostConfig": []}])
def test_what_is_no_inspect_document_is_a_format_error(document: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        from_inspect(document)


def _mounts(change: dict[str, Any]) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = copy.deepcopy(CASE["container"]["Mounts"])
    mounts[0] |= change
    return mounts


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        ([], "Mounts has nothing there"),
        (_mounts({"Source": "/elsewhere"}), "Mounts has /elsewhere"),
        (_mounts({"RW": False}), "mounted read-only"),
        ([*CASE["container"]["Mounts"], {"Type": "bind", "Source": "/a", "Destination": "/b", "RW": True}], "has /b"),
    ],
)
def test_binds_and_mounts_must_agree(mounts: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(Refused, match=said):
        from_inspect(container(Mounts=mounts), CASE["image"])


def test_the_id_is_used_when_the_tag_has_moved() -> None:
    reference = CASE["container"]["Config"]["Image"]
    assert from_inspect(CASE["container"], CASE["image"]).image == reference
    untagged = {**CASE["image"], "RepoTags": []}
    assert from_inspect(CASE["container"], untagged).image == CASE["container"]["Image"]
    newer = {**CASE["image"], "Id": "sha256:" + "9" * 64}
    moved = from_inspect(CASE["container"], newer)
    assert moved.image == CASE["container"]["Image"]
    assert moved.from_image is None
    assert from_inspect(CASE["container"]).image == reference


def test_references_are_compared_in_full() -> None:
    assert normal_reference("etcd") == "docker.io/library/etcd:latest"
    assert normal_reference("index.docker.io/a/b:1") == normal_reference("a/b:1")
    assert normal_reference("localhost:5000/etcd") == "localhost:5000/etcd:latest"
    assert normal_reference("q.io/a/b:1@sha256:ff") == "q.io/a/b@sha256:ff"
    assert normal_reference("sha256:" + "a" * 64) == "sha256:" + "a" * 64


def test_what_the_image_brings_is_left_out_and_what_was_given_is_kept() -> None:
    config = {
        **OTHER["image"]["Config"],
        "Env": ["PATH=/bin", "A=1"],
        "User": "7",
        "WorkingDir": "/srv/",
        "StopSignal": "SIGINT",
        "ExposedPorts": {"1/tcp": {}},
        "Labels": {"a": "b"},
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 7, "Retries": 4},
        "Entrypoint": ["/bin/a", "b"],
        "Cmd": ["c"],
    }
    image = {**CASE["image"], "Config": config}
    same = container(
        Config__Env=["Z=1", "PATH=/bin", "A=1"],
        Config__User="7",
        Config__WorkingDir="/srv",
        Config__StopSignal="SIGINT",
        Config__ExposedPorts={"1/tcp": {}, "2/tcp": {}},
        Config__Labels={"a": "b", "c": "d"},
        Config__Healthcheck={"Test": ["CMD", "x"], "Interval": 9, "Retries": 4},
        Config__Entrypoint=["/bin/a", "b"],
        Config__Cmd=["c"],
    )
    spec = from_inspect(same, image)
    assert (spec.entrypoint, spec.command) == (None, None)
    assert (spec.user, spec.workdir, spec.stop_signal) == ("", "", "")
    assert spec.env == ("Z=1",)
    assert spec.expose == ("2/tcp",)
    assert spec.labels == (("c", "d"),)
    assert spec.healthcheck == Healthcheck(interval=9)
    assert spec.argv == ("/bin/a", "b", "c")
    assert spec.environment == {"PATH": "/bin", "A": "1", "Z": "1"}
    given = from_inspect(container(Config__Entrypoint=["/bin/a", "b"], Config__Cmd=["z"]), image)
    assert (given.entrypoint, given.command) == (None, ("z",))
    taken = from_inspect(container(Config__Entrypoint=None, Config__Cmd=["z"]), image)
    assert (taken.entrypoint, taken.command) == ((), ("z",))
    alone = from_inspect(container(Config__Entrypoint=["/bin/a", "b"], Config__Cmd=None), image)
    assert (alone.entrypoint, alone.command) == (("/bin/a", "b"), None)
    assert from_inspect(container(Config__Env=["A=1", "PATH=/bin"]), image).env == ("A=1",)


def test_what_the_daemon_filled_in_is_left_out_where_its_settings_are_known() -> None:
    document = container(
        Config__Hostname="node1",
        HostConfig__Runtime="kata",
        HostConfig__LogConfig={"Type": "journald", "Config": {}},
        HostConfig__CgroupnsMode="host",
        HostConfig__Memory=100,
        HostConfig__MemorySwap=200,
    )
    info = {"Name": "node1", "DefaultRuntime": "kata", "LoggingDriver": "journald", "CgroupVersion": "1"}
    known = from_inspect(document, CASE["image"], info)
    assert (known.hostname, known.runtime, known.log_driver, known.cgroupns) == ("", "", "", "")
    assert (known.shm_size, known.ipc, known.memory_swap) == (0, "", 0)
    unknown = from_inspect(document, CASE["image"])
    assert (unknown.hostname, unknown.runtime) == ("node1", "kata")
    assert (unknown.log_driver, unknown.cgroupns) == ("journald", "host")
    other = from_inspect(document, CASE["image"], {**info, "LoggingDriver": "local", "CgroupVersion": "2"})
    assert (other.log_driver, other.cgroupns) == ("journald", "host")
    plain = from_inspect(CASE["container"], CASE["image"], {"Name": "node1", "LoggingDriver": "journald"})
    assert plain.log_driver == "json-file"


def test_host_names_that_the_daemon_chose_are_left_out() -> None:
    short = CASE["container"]["Id"][:12]
    bridge = {"HostConfig__NetworkMode": "default", "NetworkSettings__Networks": {"bridge": {}}}
    assert from_inspect(container(Config__Hostname=short, **bridge)).hostname == ""
    assert from_inspect(container(Config__Hostname="given", **bridge)).hostname == "given"
    assert from_inspect(container(HostConfig__UTSMode="host")).hostname == ""
    shared = {"HostConfig__NetworkMode": "container:abc", "NetworkSettings__Networks": {}}
    assert from_inspect(container(**shared)).hostname == ""
    old = container(Config__Hostname="node1", Config__Domainname="example.com")
    assert from_inspect(old).domainname == ""
    assert from_inspect(old, None, {"Name": "node1.example.com"}).hostname == ""
    assert from_inspect(old, None, {"Name": "other"}).domainname == "example.com"


def test_networks() -> None:
    short = CASE["container"]["Id"][:12]
    given = {
        "Aliases": ["e", short],
        "IPAMConfig": {"IPv4Address": "10.1.1.1"},
        "MacAddress": "02:42",
        "DNSNames": ["e"],
    }
    spec = from_inspect(
        container(HostConfig__NetworkMode="lan", NetworkSettings__Networks={"lan": given, "wan": {"GwPriority": 5}})
    )
    assert spec.endpoint == Endpoint(("e",), "10.1.1.1")
    assert spec.more_networks == (("wan", Endpoint(gw_priority=5)),)
    with pytest.raises(Unsupported, match=r"IPAMConfig\.Future"):
        from_inspect(
            container(HostConfig__NetworkMode="lan", NetworkSettings__Networks={"lan": {"IPAMConfig": {"Future": "x"}}})
        )
    with pytest.raises(Unsupported, match="--network=host"):
        from_inspect(container(NetworkSettings__Networks={"host": {}, "lan": {}}))


def test_paths_are_found_on_the_host_by_the_longest_mount() -> None:
    binds = ["/a:/x", "/b:/x/y/", "v:/v"]
    mounts = [
        {"Type": "bind", "Source": "/a", "Destination": "/x", "RW": True},
        {"Type": "bind", "Source": "/b", "Destination": "/x/y", "RW": True},
        {"Type": "volume", "Name": "v", "Source": "/var/lib/docker/volumes/v/_data", "Destination": "/v", "RW": True},
        {"Type": "tmpfs", "Source": "", "Destination": "/x/t", "RW": True},
    ]
    spec = from_inspect(container(HostConfig__Binds=binds, Mounts=mounts, HostConfig__Tmpfs={"/x/t": ""}))
    assert host_path(spec, "/x/f") == "/a/f"
    assert host_path(spec, "/x/y/f") == "/b/f"
    assert host_path(spec, "/x/yy") == "/a/yy"
    assert host_path(spec, "/x/y") == "/b"
    assert host_path(spec, "/v/f") == "/var/lib/docker/volumes/v/_data/f"
    assert host_path(spec, "/x/t/f") is None
    assert host_path(spec, "/elsewhere") is None


def test_an_anonymous_volume_bound_through_the_api_is_a_volume() -> None:
    mounts = [{"Type": "volume", "Name": "f" * 64, "Source": "/s", "Destination": "/anon", "RW": True}]
    spec = from_inspect(container(HostConfig__Binds=["/anon"], Mounts=mounts))
    assert spec.binds == ()
    assert "--volume=/anon" in to_argv(spec)
