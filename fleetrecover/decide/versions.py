"""PURE: an etcd that cannot start on the data that it would be given, by its version or its command: said before anything stops.

Tried with etcd's own programs: 3.7 on what 3.5 wrote panics ("unmarshal should never fail"), since a minor version reads its
own data and that of the one before; 3.6 has no `--enable-v2` and no `--proxy`, 3.7 no `--experimental-` flag any more: an
unknown flag ends etcd, an unknown variable is only warned of. A member of an older minor version than the cluster's does not
join it: 3.5.30 beside 3.6.14 ends with "incompatible with current running cluster", 3.6.14 beside 3.5.30 joins. Read in its
source, not tried: an older one than the data exits. With a downgrade that is enabled 3.6.14 and 3.7.1 did start again, and no
3.5 is said to (`mustDetectDowngrade`): it is refused since what would be started in the middle of it, and on which data, is
not known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.loss import seconds
from fleetrecover.decide.own import own_container
from fleetrecover.facts import Container, NodeFacts, Survey
from fleetrecover.plain import version_numbers, version_text

DOWNGRADE, IMAGE, FLAG, JOINER = "downgrade-enabled", "image-version", "unknown-flag", "joiner-version"

OLDEST = (3, 3)
"""The oldest minor version that this program is for."""
_GONE = (
    ((3, 6), re.compile(r"enable-v2|experimental-enable-v2v3|proxy(-.*)?")),
    ((3, 7), re.compile(r"experimental-.*")),
)
"""Since which version which flags are unknown, as `etcd --help` of 3.5.30, 3.6.14 and 3.7.1 lists them."""


def version_barriers(survey: Survey) -> Iterator[Finding]:
    """All of them, node by node; of a node whose etcd serves only what forbids a change of membership."""
    yield from _downgrade(survey)
    yield from _images(survey, data_version(survey))
    for node, own, found in _stopped(survey):
        unknown = unknown_flags(own, found)
        if unknown:
            yield _flags(node, own, found, unknown)


def begun_from(survey: Survey, survivor: str, dead: Collection[str], found: Iterable[Finding]) -> list[Finding]:
    """The findings, judged anew for a cluster that is begun from that survivor's data: their version rules, nobody else's.

    All hosts but the dead get these data, or join what the survivor's own etcd makes of them.
    """
    chief = survey.node(survivor)
    written = survivor_version(chief)
    kept = [each for each in found if each.code != IMAGE or not written]
    images = list(_images(survey, written)) if written else []
    told = {each.node for each in images}
    older = (each for each in _joiners(survey, chief, written) if each.node not in {*told, *dead})
    return [*kept, *(each for each in images if each.node not in dead), *older]


def survivor_version(chief: NodeFacts) -> tuple[int, ...]:
    """The minor version of its data once all of its log is applied; () where nothing tells."""
    stored = (chief.db.storage_version or chief.db.cluster_version) if chief.db is not None else ""
    logged = chief.log.configuration_at_end.cluster_version if chief.log is not None else ""
    return max(version_numbers(each, 2) for each in (stored, logged))


def _stopped(survey: Survey) -> Iterator[tuple[NodeFacts, Container, tuple[int, ...]]]:
    """Every node whose own etcd does not run, and its version by its image; () where that is not told."""
    wrong = wrong_tags(survey)
    for node in survey.nodes:
        own = own_container(survey, node)
        if own is not None and node.status is None:
            yield node, own, image_version(own) if own.image not in wrong else ()


def _images(survey: Survey, written: tuple[int, ...]) -> Iterator[Finding]:
    """Images that cannot read data of that version. Below the oldest nobody has set one yet: a cluster starts with 3.0."""
    for node, own, found in _stopped(survey):
        if found and written >= OLDEST and not written <= found <= (written[0], written[1] + 1):
            yield _image(node, own, found, written)


def _joiners(survey: Survey, chief: NodeFacts, written: tuple[int, ...]) -> Iterator[Finding]:
    """Hosts whose etcd is older than the survivor's, alone by which the version of the new cluster is set."""
    wrong = wrong_tags(survey)
    own = {node.name: own_container(survey, node) for node in survey.nodes if node.accessible}
    runs = {name: _minor(survey.node(name), each, wrong) for name, each in own.items() if each is not None}
    first = runs.get(chief.name, ())
    for name, version in runs.items():
        if version and first and version < first:
            yield _joiner(name, version, chief.name, first, written)


def _minor(node: NodeFacts, own: Container, wrong: Collection[str]) -> tuple[int, ...]:
    """The minor version that a node's own etcd says, or its image's tag."""
    if node.status is not None and node.status.version:
        return version_numbers(node.status.version, 2)
    return image_version(own) if own.image not in wrong else ()


def data_version(survey: Survey) -> tuple[int, ...]:
    """The newest minor version that any database was written by, such as (3, 6); () where none tells."""
    told = [node.db.storage_version or node.db.cluster_version for node in survey.nodes if node.db is not None]
    return max((version_numbers(each, 2) for each in told), default=())


def wrong_tags(survey: Survey) -> frozenset[str]:
    """Images whose tag says another etcd than is in them: their own container has run on data that such a one cannot read.

    So it is where it was made before the data were last written. And there is no etcd below 3.3 that has v3 data and runs
    as these do (OLDEST): such a tag is somebody's own.
    """
    wrong = set()
    for node in survey.nodes:
        own = own_container(survey, node)
        if own is None:
            continue
        said, made = image_version(own), seconds(own.created)
        mine = version_numbers(node.db.storage_version or node.db.cluster_version, 2) if node.db is not None else ()
        ran = made is not None and any(sign.mtime > made for sign in node.signs)
        if said and (said < OLDEST or (ran and said < mine)):
            wrong.add(own.image)
    return frozenset(wrong)


def image_version(container: Container) -> tuple[int, ...]:
    """The minor version by the tag of its image, such as (3, 6); () for a tag that tells none."""
    found = re.search(r":v?(\d+)\.(\d+)(?![\d])", container.image.rpartition("/")[2])
    return (int(found[1]), int(found[2])) if found else ()


def unknown_flags(container: Container, version: tuple[int, ...]) -> tuple[str, ...]:
    """The flags of its command that this version of etcd does not know any more. What stands in a variable is no flag."""
    config = container.config
    if config is None or container.spec is None or config.opaque or not version:
        return ()
    return tuple(n for n in config.flags if any(version >= since and gone.fullmatch(n) for since, gone in _GONE))


def _image(node: NodeFacts, own: Container, found: tuple[int, ...], written: tuple[int, ...]) -> Finding:
    why = (
        "an older etcd does not read what a newer one wrote" if found < written else "etcd reads one version back only"
    )
    between = f" or {version_text((written[0], written[1] + 1))}"
    return Finding(
        Severity.ERROR,
        node.name,
        IMAGE,
        f"{node.name}: its image {own.image} is etcd {version_text(found)}, and the data are of {version_text(written)}: {why}",
        f"give {node.name} a container with an image of {version_text(written)}{between}, then give the same command again",
    )


def _joiner(
    name: str, version: tuple[int, ...], survivor: str, first: tuple[int, ...], written: tuple[int, ...]
) -> Finding:
    back = f", or {survivor} one of {version_text(version)}, which reads its data" if written <= version else ""
    return Finding(
        Severity.ERROR,
        name,
        JOINER,
        f"{name}: its etcd is {version_text(version)}, and {survivor}, from whose data the cluster is begun anew, has "
        f"{version_text(first)}: an older etcd does not join a newer cluster",
        f"give {name} a container with an image of {version_text(first)}{back}: made (`create`), not started; then give the same "
        "command again",
    )


def _flags(node: NodeFacts, own: Container, found: tuple[int, ...], unknown: tuple[str, ...]) -> Finding:
    told = ", ".join(f"--{name}" for name in unknown)
    return Finding(
        Severity.ERROR,
        node.name,
        FLAG,
        f"{node.name}: container {own.name} starts etcd {version_text(found)} with {told}, which it does not know: "
        "it exits at once",
        f"`fleetrecover run-config {node.name} --container {own.name}` prints its command: make the container anew without "
        "(--experimental-X became --X or --feature-gates=X=true), then give the same command again",
    )


def _downgrade(survey: Survey) -> Iterator[Finding]:
    targets = {node.name: node.db.downgrade for node in survey.nodes if node.db is not None and node.db.downgrade}
    if targets:
        target = max(targets.values())
        yield Finding(
            Severity.ERROR,
            None,
            DOWNGRADE,
            f"a downgrade to {target} is enabled (by the data of {', '.join(targets)}): an etcd that is stopped now may not "
            "start again",
            "while the cluster serves: `etcdctl downgrade cancel`, or end the downgrade; without a quorum: bring back enough "
            f"members with etcd {target}, or restore a snapshot",
        )
