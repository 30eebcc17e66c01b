"""An etcd that could not start on the data: said before anything is stopped, by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.conclusion import conclude
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from fleetrecover.decide.finding import Finding
from fleetrecover.decide.versions import DOWNGRADE, FLAG, IMAGE, JOINER, image_version, unknown_flags, version_barriers
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.facts import Container, Sign, Survey
from fleetrecover.lab import layout, rke
from fleetrecover.runtime.inspected import container_facts
from tests.decide.logs import log
from tests.decide.surveys import container, database, members, node, status, survey


def of_version(version: str, **more: object) -> DbFacts:
    return replace(database(10, applied=20), cluster_version=version, **more)  # type: ignore[arg-type]


def lost(images: dict[int, str], db: DbFacts) -> Survey:
    """One log is left, all are down; containers by the host's number."""
    down = [container("exited", image=image) for image in images.values()]
    first, *rest = (node(n, containers=(each,)) for n, each in zip(images, down, strict=True))
    return survey(replace(first, log=log(1, [(2, 20)]), db=db), *rest)


def codes(found: Survey) -> set[str]:
    return {finding.code for finding in version_barriers(found)}


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("rancher/mirrored-coreos-etcd:v3.6.14-rancher1", (3, 6)),
        ("quay.io:5000/coreos/etcd:v3.5.16", (3, 5)),
        ("etcd:3.10.1", (3, 10)),
        ("registry.k8s.io/etcd:3.6.4-0", (3, 6)),
        ("etcd:latest", ()),
        ("host:3.5/etcd", ()),
        ("sha256:35a3", ()),
    ],
)
def test_the_version_of_an_image_is_that_of_its_tag(image: str, version: tuple[int, ...]) -> None:
    assert image_version(container(image=image)) == version


@pytest.mark.parametrize(
    ("image", "data", "bad"),
    [("3.5.16", "3.5.0", False), ("3.6.14", "3.5.0", False), ("3.7.1", "3.5.0", True), ("3.5.30", "3.6.0", True)],
)
def test_an_image_reads_its_own_data_and_that_of_the_version_before(image: str, data: str, bad: bool) -> None:
    found = lost({1: f"etcd:v{image}", 2: f"etcd:v{image}", 3: f"etcd:v{image}"}, of_version(data))
    assert (IMAGE in codes(found)) is bad


def test_the_storage_version_counts_before_the_clusters() -> None:
    db = of_version("3.5.0", storage_version="3.6.0")
    assert IMAGE in codes(lost({1: "etcd:v3.6.1", 2: "etcd:v3.5.30"}, db))


def test_a_reset_is_refused_with_the_host_and_what_to_do() -> None:
    found = diagnose(lost(dict.fromkeys((1, 2, 3), "etcd:v3.7.1"), of_version("3.5.0")), Wish(frozenset()))
    refusal = found.refusal
    assert found.remedy is Remedy.RESET
    assert refusal is not None
    assert refusal.node == "etcd1"
    assert "3.7" in refusal.message
    assert "3.5 or 3.6" in refusal.advice


DATA, INSIDE = "/var/lib/etcd", "/var/lib/rancher/etcd"


def commanded(version: str, *words: str, environment: tuple[str, ...] = ()) -> Container:
    """A container of the lab's shape with more words in its command."""
    spec = layout.make_hosts("10.77.1.0/24", 1)
    flags = [*rke.etcd_flags(spec[0], spec, "3.5.16"), *words]
    doc = {
        "Id": "a" * 64,
        "Name": "/etcd",
        "Image": "sha256:1",
        "Path": "/usr/local/bin/etcd",
        "Args": flags,
        "State": {"Status": "exited"},
        "Config": {
            "Image": f"etcd:v{version}",
            "Cmd": ["/usr/local/bin/etcd", *flags],
            "Env": [f"PATH={'/bin'}", *environment],
        },
        "HostConfig": {"NetworkMode": "host", "RestartPolicy": {"Name": "always"}, "Binds": [f"{DATA}:{INSIDE}"]},
        "Mounts": [{"Type": "bind", "Source": DATA, "Destination": INSIDE, "RW": True}],
    }
    return container_facts(doc, None)


@pytest.mark.parametrize(
    ("version", "word", "unknown"),
    [
        ("3.5.16", "--enable-v2=true", False),
        ("3.6.14", "--enable-v2=true", True),
        ("3.6.14", "--proxy-read-timeout=1", True),
        ("3.6.14", "--experimental-initial-corrupt-check", False),
        ("3.7.1", "--experimental-initial-corrupt-check", True),
        ("3.7.1", "--snapshot-count=10", False),
    ],
)
def test_a_flag_that_its_version_does_not_know(version: str, word: str, unknown: bool) -> None:
    found = commanded(version, word)
    assert found.config is not None, found
    assert bool(unknown_flags(found, image_version(found))) is unknown
    down = survey(node(1, log(1, [(2, 20)]), containers=(found,)))
    assert (FLAG in codes(down)) is unknown


def test_a_variable_is_only_warned_of() -> None:
    found = commanded("3.7.1", environment=("ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK=true",))
    assert unknown_flags(found, (3, 7)) == ()


def test_what_serves_is_not_judged_by_its_tag() -> None:
    said = status(1, healthy=True, leader=1)
    serving = node(
        1, log(1, [(2, 20)], voters=(1,)), status=said, members=members(1), containers=(container(image="etcd:v3.3"),)
    )
    assert codes(survey(replace(serving, db=of_version("3.6.0")))) == set()


def test_an_enabled_downgrade_is_refused() -> None:
    db = of_version("3.6.0", downgrade="3.5.0")
    found = lost(dict.fromkeys((1, 2, 3), "etcd:v3.6.1"), db)
    assert codes(found) == {DOWNGRADE}
    told = diagnose(found, Wish(frozenset()))
    assert isinstance(told.refusal, Finding)
    assert told.refusal.code == DOWNGRADE
    assert "3.5.0" in told.refusal.message
    assert conclude(found, Wish(frozenset())).exit_code == 11


@pytest.mark.parametrize(("made", "bad"), [("2026-01-01T00:00:00Z", False), ("2026-01-03T00:00:00Z", True)])
def test_a_tag_is_not_believed_where_its_container_has_written_what_it_could_not_read(made: str, bad: bool) -> None:
    """Somebody's own image, tagged as he liked; made after the last write it has not run on these data yet."""
    seen = lost(dict.fromkeys((1, 2, 3), "someone/etcd:3.4.0"), of_version("3.5.0"))
    first = seen.nodes[0]
    own = replace(first.containers[0], created=made)
    ran = replace(first, containers=(own,), signs=(Sign("db", 1767398400),))
    assert bool(list(version_barriers(replace(seen, nodes=(ran, *seen.nodes[1:]))))) is bad


def test_a_tag_of_no_etcd_that_we_are_for_says_nothing() -> None:
    assert codes(lost(dict.fromkeys((1, 2), "someone/etcd:3.2.0"), of_version("3.5.0"))) == set()


# --- a rolling upgrade that was caught by the loss ---


def told(found: Survey, *dead: str, survivor: str | None = None) -> list[tuple[str | None, str]]:
    """What forbids the reset, each as (host, code)."""
    judged = diagnose(found, Wish(frozenset(dead), survivor=survivor))
    assert judged.remedy is Remedy.RESET
    return [(each.node, each.code) for each in judged.findings if each.code in (IMAGE, JOINER)]


@pytest.mark.parametrize(
    ("images", "data", "refused"),
    [
        (("3.5.16", "3.6.14", "3.6.14"), "3.5.0", []),
        (("3.6.14", "3.6.14", "3.5.16"), "3.5.0", [("etcd3", JOINER)]),
        (("3.6.14", "3.5.16", "3.5.16"), "3.5.0", [("etcd2", JOINER), ("etcd3", JOINER)]),
        (("3.6.14", "3.6.14", "3.5.16"), "3.6.0", [("etcd3", IMAGE)]),
        (("3.6.14", "3.7.1", "3.7.1"), "3.6.0", []),
        (("3.7.1", "3.6.14", "3.7.1"), "3.6.0", [("etcd2", JOINER)]),
        (("3.6.14", "3.7.1", "3.6.14"), "3.5.0", [("etcd2", IMAGE)]),
        (("3.5.16", "3.5.30", "3.5.16"), "3.5.0", []),
        (("3.6.14", "latest", "3.6.14"), "3.6.0", []),
    ],
)
def test_an_upgrade_half_done(images: tuple[str, ...], data: str, refused: list[tuple[str, str]]) -> None:
    """The first host is the survivor. Whoever's etcd could not read its data, or not join what it begins, is named."""
    found = lost({n: f"etcd:v{image}" for n, image in enumerate(images, start=1)}, of_version(data))
    assert told(found) == refused


def test_the_dead_need_no_image() -> None:
    found = lost({1: "etcd:v3.6.14", 2: "etcd:v3.6.14", 3: "etcd:v3.5.16"}, of_version("3.5.0"))
    assert told(found, "etcd3") == []


def test_what_to_type_names_both_ways_out_where_both_read_the_data() -> None:
    both = diagnose(lost({1: "etcd:v3.6.14", 2: "etcd:v3.5.16"}, of_version("3.5.0")), Wish(frozenset({"etcd3"})))
    assert both.refusal is not None
    assert (both.refusal.node, both.refusal.code) == ("etcd2", JOINER)
    assert "give etcd2 a container with an image of 3.6" in both.refusal.advice
    assert "or etcd1 one of 3.5" in both.refusal.advice


def test_the_survivors_data_rule_and_not_those_of_another_disk() -> None:
    """A host that knows of a newer version and cannot be the survivor, as one that lost its log, does not count."""
    found = lost({1: "etcd:v3.5.16", 2: "etcd:v3.5.16", 3: "etcd:v3.5.16"}, of_version("3.5.0"))
    behind = replace(found.nodes[1], log=log(2, [(2, 10)]), db=of_version("3.6.0", storage_version="3.6.0"))
    seen = replace(found, nodes=(found.nodes[0], behind, found.nodes[2]))
    assert IMAGE in codes(seen)
    assert told(seen) == []


def test_the_end_of_the_survivors_log_counts_as_its_data() -> None:
    """Its database has not taken in yet that the cluster became 3.6."""
    found = lost(dict.fromkeys((1, 2, 3), "etcd:v3.5.16"), of_version("3.5.0"))
    chief = found.nodes[0]
    assert chief.log is not None
    ends = replace(chief.log, configuration_at_end=replace(chief.log.configuration_at_end, cluster_version="3.6.0"))
    seen = replace(found, nodes=(replace(chief, log=ends), *found.nodes[1:]))
    assert IMAGE not in codes(seen)
    assert told(seen) == [(name, IMAGE) for name in ("etcd1", "etcd2", "etcd3")]


def test_before_a_cluster_has_a_version_nothing_is_said() -> None:
    assert codes(lost(dict.fromkeys((1, 2, 3), "etcd:v3.5.16"), of_version("3.0.0"))) == set()
