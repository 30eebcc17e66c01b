"""PURE: an etcd that cannot start on the data that it would be given, by its version or its command: said before anything stops.

Tried with etcd's own programs: 3.7 on what 3.5 wrote panics ("unmarshal should never fail"), since a minor version reads its
own data and that of the one before; 3.6 has no `--enable-v2` and no `--proxy`, 3.7 no `--experimental-` flag any more: an
unknown flag ends etcd, an unknown variable is only warned of. Read in its source, not tried: an older one than the data
exits. With a downgrade that is enabled 3.6.14 and 3.7.1 did start again, and no 3.5 is said to (`mustDetectDowngrade`): it is
refused since what would be started in the middle of it, and on which data, is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.loss import seconds
from fleetrecover.decide.own import own_container
from fleetrecover.facts import Container, NodeFacts, Survey
from fleetrecover.plain import version_numbers, version_text

DOWNGRADE, IMAGE, FLAG = "downgrade-enabled", "image-version", "unknown-flag"

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
    written = data_version(survey)
    wrong = wrong_tags(survey)
    for node in survey.nodes:
        own = own_container(survey, node)
        if own is None or node.status is not None:
            continue
        found = image_version(own) if own.image not in wrong else ()
        if found and written and not written <= found <= (written[0], written[1] + 1):
            yield _image(node, own, found, written)
        unknown = unknown_flags(own, found)
        if unknown:
            yield _flags(node, own, found, unknown)


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
