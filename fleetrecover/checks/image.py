"""PURE: whether every host has the image that its etcd would be made from again."""

from __future__ import annotations

from collections.abc import Iterator

from fleetrecover.checks.base import Check, Observed
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.own import own_container
from fleetrecover.runtime import runtime_of

CODES = frozenset({"image-missing", "image-differs"})


def wanted_images(observed: Observed) -> tuple[str, ...]:
    """The images that the hosts' own etcd containers name, once each."""
    survey = observed.survey
    own = (own_container(survey, node) for node in survey.nodes)
    return tuple(dict.fromkeys(each.image for each in own if each is not None and each.image))


def find(observed: Observed) -> Iterator[Finding]:
    """An error where nobody has it, a warning where its own host lacks it.

    Where one name means two images there is a note: a recovery takes what has the name.
    """
    for node in observed.survey.nodes:
        own = own_container(observed.survey, node)
        has = observed.images.get(node.name)
        if own is None or has is None or own.image not in has or has[own.image]:
            continue
        donors = [name for name, images in observed.images.items() if images.get(own.image)]
        advice = f"`{runtime_of(observed.survey.fleet, node.host).hand.get_image(own.image)}` on {node.name}"
        what = f"{node.name} does not have the image {own.image}, from which its etcd would be made again"
        if donors:
            advice += f"; a recovery brings it from {donors[0]}, which takes time then"
        yield Finding(Severity.WARNING if donors else Severity.ERROR, node.name, "image-missing", what, advice)
    yield from _differing(observed)


def _differing(observed: Observed) -> Iterator[Finding]:
    for image in wanted_images(observed):
        hosts: dict[str, list[str]] = {}
        for name, images in observed.images.items():
            if found := images.get(image):
                hosts.setdefault(found, []).append(name)
        if len(hosts) > 1:
            sides = " and ".join(f"{identifier[:19]} on {', '.join(names)}" for identifier, names in hosts.items())
            yield Finding(
                Severity.INFO,
                None,
                "image-differs",
                f"the image {image} is not the same everywhere: {sides}",
                "pull it anew on all hosts, or name it by its digest",
            )


CHECK = Check("image", "etcd's image on all hosts", find, CODES)
