"""PURE: reads that tell how sound a node is: when it last wrote, what its certificates say, whom it can reach."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from fleetrecover import limits
from fleetrecover.commands.base import Probe
from fleetrecover.commands.probes import WalFile, files_of_member
from fleetrecover.commands.shell import quote
from fleetrecover.facts import PeerPort, Sign
from fleetrecover.model import Command, Result

MAX_CERTIFICATE = 65536


def signs(member: str, wal: str = "") -> Probe[tuple[Sign, ...]]:
    """When the files below a `member` directory were last written; `wal` is the WAL's own directory, if it has one."""
    segments = f"{quote(wal)}/*.wal" if wal else "wal/*.wal"
    script = (
        f"cd {quote(member)} 2>/dev/null || exit 0\n"
        f"for f in {segments} snap/*.snap snap/db; do\n"
        '  if [ -f "$f" ]; then stat -c "%Y ${f##*/}" "$f"; fi\n'
        "done\n"
    )

    def parse(result: Result) -> tuple[Sign, ...]:
        rows = (line.partition(" ") for line in result.text.splitlines())
        return tuple(Sign(name, int(when)) for when, found, name in rows if found and when.isdecimal())

    return Probe(Command("signs", script, timeout=limits.PEEK), parse)


def kept_files(member: str, wal_link: str = "") -> Probe[tuple[WalFile, ...] | None]:
    """The files of a `member` directory that a run keeps; None where there is no such directory.

    `wal_link` is the link that says where its WAL lies, if that has a directory of its own.
    """
    link = quote(wal_link)
    script = (
        f"[ -d {quote(member)} ] || [ -d {link}/ ] || {{ echo absent; exit 0; }}\n"
        f"if [ -d {quote(member)} ]; then cd {quote(member)} || exit 1; else cd {link}/ || exit 1; fi\n"
        f"if [ -n {link} ] && [ -L {link} ]; then\n"
        f"{files_of_member(wal_link)}"
        "else\n"
        f"{files_of_member('')}"
        "fi\n"
    )

    def parse(result: Result) -> tuple[WalFile, ...] | None:
        rows = [line.partition(" ") for line in result.text.splitlines()]
        if rows and rows[0] == ("absent", "", ""):
            return None
        return tuple(WalFile(path, int(size)) for size, found, path in rows if found and size.isdigit())

    return Probe(Command("kept-files", script, timeout=limits.PEEK), parse)


def made(member: str, wal: str = "") -> Probe[float | None]:
    """When the WAL of a `member` directory, or `wal`, was begun, in seconds by the node's clock; None where that cannot be told.

    A move keeps it, a copy does not.
    """
    script = f"stat -c %W {quote(wal or member + '/wal')} 2>/dev/null\n"

    def parse(result: Result) -> float | None:
        said = result.text.strip()
        return float(said) if said.isdigit() and said != "0" else None

    return Probe(Command("made", script, timeout=limits.PEEK, ok_codes=(0, 1)), parse)


@dataclass(frozen=True)
class CertificateFiles:
    """A certificate, its key and its CA on the host; `key` and `ca` may be empty."""

    cert: str
    key: str
    ca: str


@dataclass(frozen=True)
class CertificateBytes:
    """What came of CertificateFiles. `key_digest` is the SHA-256 of the key's public half (DER), None if not known.

    `states` says of each of the three files (certificate, key, CA) how it lies on the node: one word of `FILE_STATES`.
    The private key itself never leaves the node.
    """

    files: CertificateFiles
    cert: bytes
    ca: bytes
    key_digest: str | None
    states: tuple[str, str, str] = ("", "", "")


FILE_STATES = ("", "there", "missing", "empty", "directory", "foreign", "dangling", "hidden")
"""How a file lies: not named, with something in it, not there, without any content, a directory in its place, without
anything in PEM of the kind that it should hold, a link that leads nowhere on the host, not for our eyes."""

_STATE = r"""state() {
  if [ -z "$1" ]; then echo
  elif [ -d "$1" ]; then echo directory
  elif [ -s "$1" ]; then
    if [ ! -r "$1" ]; then echo hidden
    elif grep -q -e "-----BEGIN .*$2-----" -- "$1" 2>/dev/null; then echo there
    else echo foreign; fi
  elif [ -e "$1" ]; then echo empty
  elif [ -L "$1" ]; then echo dangling
  else case $(LC_ALL=C ls -d -- "$1" 2>&1) in *"No such file"*) echo missing ;; *) echo hidden ;; esac
  fi
}
"""


_KEY = (
    "k=$(openssl pkey -in {0} -pubout -outform DER 2>/dev/null | sha256sum 2>/dev/null | cut -d' ' -f1)\n"
    "case $k in e3b0c442*|'') k= ;; esac\n"
)
"""The digest of nothing stands for a key that could not be read."""


def certificates(wanted: Sequence[CertificateFiles]) -> Probe[tuple[CertificateBytes, ...]]:
    """The public files as they are, of each private key only a digest of its public half, and how each file lies there."""
    lines = [_STATE] if wanted else []
    for files in wanted:
        lines.append("k=\n" + (_KEY.format(quote(files.key)) if files.key else ""))
        shown = [
            f"$(head -c {MAX_CERTIFICATE} {quote(p)} 2>/dev/null | base64 | tr -d '\\n')" if p else ""
            for p in (files.cert, files.ca)
        ]
        lines.append(f'echo "cert={shown[0]}"\necho "ca={shown[1]}"\necho "key=$k"\n')
        kinds = ((files.cert, "CERTIFICATE"), (files.key, "PRIVATE KEY"), (files.ca, "CERTIFICATE"))
        lines += [f'echo "state=$(state {quote(path)} {quote(kind)})"\n' for path, kind in kinds]

    def parse(result: Result) -> tuple[CertificateBytes, ...]:
        values = [line.partition("=")[2] for line in result.text.splitlines()]
        found = []
        for number, files in enumerate(wanted):
            part = values[6 * number : 6 * number + 6]
            if len(part) == 6:
                cert, key, ca = (state if state in FILE_STATES else "" for state in part[3:])
                content = _plain(part[0]), _plain(part[1]), part[2] or None
                found.append(CertificateBytes(files, *content, states=(cert, key, ca)))
        return tuple(found)

    return Probe(Command("certificates", "".join(lines) or "true\n", timeout=limits.PEEK), parse)


def _plain(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def ports(targets: Sequence[tuple[str, str, int]]) -> Probe[tuple[PeerPort, ...]]:
    """Whether the node reaches these (name, address, port) over TCP: open, refused, silent, or not known.

    bash's /dev/tcp does it where there is bash, else nc; nothing is sent.
    """
    timed = f"timeout {limits.PORT}"
    lines = [
        "try() {\n"
        "  if command -v bash >/dev/null && command -v timeout >/dev/null; then\n"
        f'    {timed} bash -c \'exec 3<>"/dev/tcp/$0/$1"\' "$1" "$2" 2>/dev/null\n'
        "    case $? in 0) echo open ;; 124) echo silent ;; *) echo refused ;; esac\n"
        "  elif command -v nc >/dev/null; then\n"
        f'    if nc -z -w {limits.PORT} "$1" "$2" >/dev/null 2>&1; then echo open; else echo unknown; fi\n'
        "  else echo unknown; fi\n"
        "}\n"
    ]
    lines += [f"try {quote(address)} {port}\n" for _, address, port in targets]

    def parse(result: Result) -> tuple[PeerPort, ...]:
        answers = result.text.split()
        return tuple(
            PeerPort(name, address, port, answer)
            for (name, address, port), answer in zip(targets, answers, strict=False)
            if answer in ("open", "refused", "silent", "unknown")
        )

    return Probe(Command("peer-ports", "".join(lines), timeout=limits.PORTS + limits.PORT * len(targets)), parse)
