"""PURE: a survey without the names, addresses and keys of those whose it is; every judgement of it stays what it was.

Each name and address is replaced by another one, the same everywhere, and in the same order: whatever is compared, counted or
sorted comes out alike. What is nobody's (loopback addresses, words like `etcd` and `root`) stays. Ids of members, clusters,
containers, paths of data and times stay, too: they are what is judged.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fleetrecover.etcd.membership import Member
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.model import Fleet, Host, SshSettings
from fleetrecover.plain import is_address

COMMON = frozenset(
    {
        *("etcd", "docker", "podman", "nerdctl", "host", "none", "bridge", "default", "always", "no", "unless-stopped"),
        *("on-failure", "running", "exited", "created", "paused", "restarting", "dead", "removing"),
        *("root", "admin", "ubuntu", "debian", "ec2-user", "centos", "core", "localhost", "cluster"),
        *("kubernetes", "rancher", "new", "existing", "unit", "cron", "simple", "notify", "forking"),
        *("oneshot", "exec", "true", "false", "yes", "http", "https", "data", "member", "wal", "snap", "db"),
    }
)
"""Words that mean something to docker, etcd or systemd, or that everybody uses: nobody is known by them."""
PUBLIC = ("docker.io", "quay.io", "gcr.io", "registry.k8s.io", "k8s.gcr.io", "ghcr.io", "localhost")
_FOUR = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\.?\w)")
_SIX = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{3,39}(?![\w:])")


def changed(value: Any, change: Callable[[str], str]) -> Any:
    """The same value with every text in it changed; enumerations, numbers, moments and the names of fields stay."""
    if isinstance(value, Enum | datetime) or value is None:
        return value
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Path):
        return Path(change(str(value)))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: changed(getattr(value, f.name), change) for f in fields(value) if f.init})
    if isinstance(value, Mapping):
        return {changed(key, change): changed(each, change) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(changed(each, change) for each in value)
    if isinstance(value, frozenset):
        return frozenset(changed(each, change) for each in value)
    return value


def texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    found: list[str] = []

    def keep(text: str) -> str:
        found.append(text)
        return text

    changed(value, keep)
    yield from found


@dataclass(frozen=True)
class Redactor:
    """What stands for what; called with a text, it replaces all of it."""

    names: Mapping[str, str]
    addresses: Mapping[str, str]

    @classmethod
    def of(cls, survey: Survey, more: Any = None) -> Redactor:
        """For everything that a survey, and whatever is told beside it, names."""
        words = {name for name in _names(survey) if name and name.lower() not in COMMON and not is_address(name)}
        machines = {text for node in survey.nodes for text in (node.machine, node.boot) if text}
        names = _numbered(words, "node") | _numbered(machines, "machine") | _numbered(_registries(survey), "registry")
        names |= _numbered(_users(survey.fleet) - words, "user")
        if survey.fleet.cluster.lower() not in COMMON and survey.fleet.cluster not in names:
            names[survey.fleet.cluster] = "cluster"
        found = {each for text in texts((survey, more)) for each in _addresses(text)}
        return cls(names, _stand_ins(found))

    @classmethod
    def of_documents(cls, cluster: str, documents: Any) -> Redactor:
        """For JSON documents of ours, a journal's events among them: whatever is called a name, a node or an address there."""
        words = {each for each in _named(documents) if each.lower() not in COMMON and not is_address(each)}
        names = _numbered(words - {cluster}, "node")
        if cluster.lower() not in COMMON:
            names[cluster] = "cluster"
        return cls(names, _stand_ins({each for text in texts(documents) for each in _addresses(text)}))

    def __call__(self, text: str) -> str:
        """The text with every name and address replaced."""
        for pattern in (_FOUR, _SIX):
            text = pattern.sub(lambda found: self.addresses.get(_canonical(found[0]) or "", found[0]), text)
        return self._words.sub(lambda found: self.names[found[0]], text) if self.names else text

    @cached_property
    def _words(self) -> re.Pattern[str]:
        longest = sorted(self.names, key=len, reverse=True)
        return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest))})(?![A-Za-z0-9])")


def redacted(survey: Survey, redactor: Redactor) -> Survey:
    """The survey as it may be shown to others."""
    fleet = replace(
        survey.fleet, source=None, ssh=_no_keys(survey.fleet.ssh), hosts=tuple(map(_bare, survey.fleet.hosts))
    )
    bare: Survey = replace(survey, fleet=fleet, nodes=tuple(map(_without_subjects, survey.nodes)))
    made: Survey = changed(bare, redactor)
    return made


def _no_keys(ssh: SshSettings) -> SshSettings:
    return replace(ssh, key=None, known_hosts=None, gateway=None, gateway_key=None)


def _bare(host: Host) -> Host:
    return replace(host, key=None, gateway=None, gateway_key=None)


def _without_subjects(node: NodeFacts) -> NodeFacts:
    found = tuple(replace(each, subject="(hidden)" if each.subject else "") for each in node.certificates)
    return replace(node, host=_bare(node.host), certificates=found, raw_inspect={})


def _names(survey: Survey) -> Iterator[str]:
    """What hosts and members are called, everywhere where a name of one can stand."""
    for node in survey.nodes:
        host = node.host
        yield from (host.name, host.address, host.etcd_address or "", node.hostname, *node.hostname.split(".")[:1])
        for container in node.containers:
            if container.config is not None:
                yield from (container.config.name, *container.config.initial_cluster)
                yield from _hosts_of((*container.peer_urls, *container.config.advertise_client_urls))
            yield from _hosts_of(
                url for urls in (container.config.initial_cluster.values() if container.config else ()) for url in urls
            )
        for live in node.members or ():
            yield from (live.name, *_hosts_of((*live.peer_urls, *live.client_urls)))
        for member in _members(node):
            yield from (member.name, *_hosts_of((*member.peer_urls, *member.client_urls)))
        for found in node.certificates:
            yield from (name.removeprefix("*.") for name in found.names)
        yield from (word for keep in node.keeps if keep.pin for word in (*keep.pin.dead, keep.pin.survivor))
        yield from ((node.hold.host, node.hold.who) if node.hold else ())


_NAMING = frozenset(
    {"node", "name", "host", "hostname", "address", "survivor", "dead", "missing", "left_out", "members"}
)
"""Keys of our documents under which somebody's name stands: a text, or a list of texts."""
_OTHERS = frozenset({"stages", "checks", "container", "containers", "managers", "certificates"})
"""Keys of tables that have names of other things."""


def _named(document: Any) -> Iterator[str]:
    """The names of hosts and members in a document."""
    if isinstance(document, list):
        for each in document:
            yield from _named(each)
    if not isinstance(document, dict):
        return
    for key, value in document.items():
        if key in _NAMING:
            told = [value] if isinstance(value, str) else value if isinstance(value, list) else []
            yield from (text for text in told if isinstance(text, str) and text)
        if key == "left_out" and isinstance(value, dict):
            yield from value
        if key == "peer_urls" and isinstance(value, list):
            yield from _hosts_of(url for url in value if isinstance(url, str))
        yield from _named([step for part in value for step in part.get("steps", ())] if key == "stages" else ())
        if key not in _OTHERS:
            yield from _named(value)


def _members(node: NodeFacts) -> Iterator[Member]:
    """The members that its log and its database know."""
    if node.log is not None:
        yield from (*node.log.configuration.members, *node.log.configuration_at_end.members)
    yield from node.db.members if node.db is not None else ()


def _hosts_of(urls: Iterable[str]) -> Iterator[str]:
    for url in urls:
        try:
            yield urlsplit(url).hostname or ""
        except ValueError:
            yield ""


def _users(fleet: Fleet) -> set[str]:
    found = {fleet.ssh.user, *(host.user for host in fleet.hosts)}
    return {user for user in found if user and user.lower() not in COMMON}


def _registries(survey: Survey) -> set[str]:
    images = {image for node in survey.nodes for image in (*node.images, *(c.image for c in node.containers))}
    first = {image.partition("/")[0] for image in images if "/" in image}
    hosts = {each.partition(":")[0] for each in first if "." in each or ":" in each}
    return {each for each in hosts if each not in PUBLIC and not is_address(each) and not each.startswith("sha256")}


def _numbered(words: Iterable[str], kind: str) -> dict[str, str]:
    """Each word with its stand-in, in the words' order."""
    there = sorted(set(words))
    width = max(2, len(str(len(there))))
    return {word: f"{kind}{number:0{width}}" for number, word in enumerate(there, 1)}


def _addresses(text: str) -> Iterator[str]:
    for pattern in (_FOUR, _SIX):
        for found in pattern.findall(text):
            address = _canonical(found)
            if address is not None:
                yield address


def _canonical(text: str) -> str | None:
    """The address, as it is written; None for none, and for those that are nobody's."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if address.is_loopback or address.is_unspecified or address.is_multicast else str(address)


def _stand_ins(found: Iterable[str]) -> dict[str, str]:
    """Addresses of the ranges that are kept for tests and examples, in the same order."""
    there = sorted({ipaddress.ip_address(each) for each in found}, key=lambda each: (each.version, int(each)))
    four, six = int(ipaddress.IPv4Address("198.18.0.0")), int(ipaddress.IPv6Address("2001:db8::"))
    return {
        str(each): str(ipaddress.IPv4Address(four + n) if each.version == 4 else ipaddress.IPv6Address(six + n))
        for n, each in enumerate(there, 1)
    }
