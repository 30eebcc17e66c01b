"""The known_hosts file, read once for all connections, and matched as OpenSSH does (sshd(8), SSH_KNOWN_HOSTS FORMAT).

    etcd1,10.0.0.11 ssh-ed25519 AAAA…            names; `*` and `?` are wildcards, `!name` is "but not"
    [10.0.0.11]:2222 ssh-ed25519 AAAA…           a port that is not 22
    |1|SALT|HASH ssh-ed25519 AAAA…               a hashed name
    @revoked * ssh-ed25519 AAAA…                 this key is never accepted
    @cert-authority *.example.com ssh-rsa AAAA…  Paramiko cannot check hosts' certificates: said when nothing else fits

A line that cannot be read is skipped, as OpenSSH does; a key that stands on such a line is an unknown key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_MARKERS = ("@revoked", "@cert-authority")
_WILD = re.compile(r"[*?!]")


@dataclass(frozen=True)
class HostKey:
    """One line: the key `blob` (SSH wire format), its `kind` (ssh-ed25519), and where it stands."""

    kind: str
    blob: bytes
    place: str

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l shows it: SHA256:…."""
        return fingerprint(self.blob)


@dataclass(frozen=True)
class Trust:
    """What known_hosts says about one host."""

    keys: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()
    authorities: tuple[HostKey, ...] = ()

    def accepts(self, blob: bytes) -> bool:
        """Whether a host that shows this key is who it says it is."""
        return any(key.blob == blob for key in self.keys) and self.revocation(blob) is None

    def revocation(self, blob: bytes) -> HostKey | None:
        """Return the line that revokes this key, if there is one."""
        return next((key for key in self.revoked if key.blob == blob), None)

    def revoked_as(self, shown: str) -> HostKey | None:
        """Return the line that revokes the key of this fingerprint, if there is one."""
        return next((key for key in self.revoked if key.fingerprint == shown), None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of keys that are known, each once, in the file's order: what is asked for first."""
        return tuple(dict.fromkeys(key.kind for key in self.keys))


@dataclass(frozen=True)
class _Line:
    marker: str
    patterns: tuple[str, ...]
    key: HostKey

    def matches(self, name: str) -> bool:
        found = False
        for pattern in self.patterns:
            negated = pattern.startswith("!")
            if _match(pattern[1:] if negated else pattern, name):
                if negated:
                    return False
                found = True
        return found


@dataclass
class KnownHosts:
    """The lines of one or more known_hosts files.

    Lines with plain names only are found by name; what has a wildcard, a hash or a marker is looked through each time.
    """

    _by_name: dict[str, list[_Line]] = field(default_factory=dict)
    _others: list[_Line] = field(default_factory=list)

    @classmethod
    def load(cls, paths: Iterable[Path]) -> KnownHosts:
        """Read the files that exist. OSError if one exists and cannot be read."""
        known = cls()
        for path in paths:
            try:
                text = path.read_bytes().decode("utf-8", "replace")
            except (FileNotFoundError, NotADirectoryError):
                continue
            known.add(text, str(path))
        return known

    def add(self, text: str, source: str) -> None:
        """Take in the lines of one file."""
        for number, raw in enumerate(text.split("\n"), 1):
            line = _parse(raw, f"{source}, line {number}")
            if line is None:
                continue
            if line.marker or any(_WILD.search(p) or p.startswith("|") for p in line.patterns):
                self._others.append(line)
            else:
                for pattern in line.patterns:
                    self._by_name.setdefault(pattern.lower(), []).append(line)

    def trust(self, host: str, port: int) -> Trust:
        """Return what is known about a host.

        As OpenSSH does: a port that is not 22 is looked up as `[host]:port`, and if that name is not known at all, the
        bare name is good enough.
        """
        host = host.lower()
        if port == 22:
            return self._lookup(host)
        special, plain = self._lookup(f"[{host}]:{port}"), self._lookup(host)
        revoked = special.revoked + plain.revoked
        if special.keys:
            return Trust(special.keys, revoked, special.authorities)
        return Trust(plain.keys, revoked, special.authorities + plain.authorities)

    def _lookup(self, name: str) -> Trust:
        lines = self._by_name.get(name, []) + [line for line in self._others if line.matches(name)]

        def marked(marker: str) -> tuple[HostKey, ...]:
            return tuple(line.key for line in lines if line.marker == marker)

        return Trust(marked(""), marked("@revoked"), marked("@cert-authority"))


def lookup_name(host: str, port: int) -> str:
    """Return the name under which a host stands in known_hosts."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint as OpenSSH shows it.

    >>> fingerprint(b"")
    'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU'
    """
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _parse(raw: str, place: str) -> _Line | None:
    # Blanks and tabs alone, as ssh: what else Unicode has for blanks and line ends is part of a name or a comment.
    fields = [field for field in re.split("[ \t]+", raw.strip(" \t\r")) if field]
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if len(fields) < 3 or marker not in ("", *_MARKERS):
        return None
    names, kind, encoded = fields[:3]
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    # The blob begins with the kind, as a string with a 4-byte length; a line that contradicts itself proves nothing.
    if blob[4 : 4 + int.from_bytes(blob[:4], "big")] != kind.encode():
        return None
    return _Line(marker, tuple(names.split(",")), HostKey(kind, blob, place))


def _match(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _match_hash(pattern, name)
    if not _WILD.search(pattern):
        return pattern.lower() == name
    glob = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern.lower())
    return re.fullmatch(glob, name) is not None


def _match_hash(pattern: str, name: str) -> bool:
    try:
        _, _, salt, digest = pattern.split("|")
        wanted = base64.b64decode(digest)
        found = hmac.digest(base64.b64decode(salt), name.encode(), "sha1")
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(wanted, found)
