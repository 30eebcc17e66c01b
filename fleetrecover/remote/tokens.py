"""Tokens, environment variables and ~ in the values of ssh_config, expanded as ssh(1) expands them.

`ssh -G` prints some values before they are expanded (IdentityFile, CertificateFile, ProxyCommand); what they mean is in
ssh_config(5), TOKENS and ENVIRONMENT VARIABLES.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleetrecover.errors import InputError

_FILE_TOKENS = "CLdhiklnpruj"
_PROXY_TOKENS = "hknpr"
_PERCENT = re.compile(r"%(?P<token>.?)", re.DOTALL)
_BOTH = re.compile(_PERCENT.pattern + r"|\$\{(?P<name>[^}]*)(?P<end>\}?)", re.DOTALL)


def home() -> Path:
    """Return the home directory as ssh(1) knows it: from the password database, whatever $HOME says."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("~").expanduser()


def login() -> str:
    """Return our own login name as ssh(1) knows it: from the password database, whatever $USER says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER", "")


@dataclass(frozen=True)
class Tokens:
    """What the tokens of one host stand for.

    `host` is the name that is connected to (%h), `original` the one that was asked for (%n), `known_as` HostKeyAlias or
    the latter (%k), `digest` %C as the client computes it, `jump` the jump hosts (%j).
    """

    host: str
    original: str
    port: int
    user: str
    known_as: str
    digest: str = ""
    jump: str = ""

    def path(self, text: str, keyword: str) -> Path:
        """Expand the path of a key or certificate: ~, then tokens and variables. InputError names what is unknown."""
        return Path(self._expand(_without_tilde(text, keyword), _FILE_TOKENS, keyword, variables=True))

    def command(self, text: str) -> str:
        """Expand a ProxyCommand. Variables are left alone: a shell runs it."""
        return self._expand(text, _PROXY_TOKENS, "ProxyCommand", variables=False)

    def _values(self) -> Mapping[str, str]:
        name = socket.gethostname()
        return {
            "C": self.digest,
            "L": name.split(".")[0],
            "d": str(home()),
            "h": self.host,
            "i": str(os.getuid()),
            "k": self.known_as,
            "l": name,
            "n": self.original,
            "p": str(self.port),
            "r": self.user,
            "u": login(),
            "j": self.jump,
        }

    def _expand(self, text: str, allowed: str, keyword: str, *, variables: bool) -> str:
        """Expand in one pass, as ssh does: what a token or variable brings is not looked through again."""
        values = self._values() if "%" in text else {}

        def one(match: re.Match[str]) -> str:
            if match[0].startswith("$"):
                if not match["end"] or match["name"] not in os.environ:
                    raise _bad(self.original, keyword, text, f"the variable {match[0]} is not set")
                return os.environ[match["name"]]
            letter = match["token"]
            if letter == "%":
                return "%"
            if not letter or letter not in allowed or (letter == "C" and not self.digest):
                raise _bad(self.original, keyword, text, f"%{letter} is not a token that is taken there")
            return values[letter]

        return (_BOTH if variables else _PERCENT).sub(one, text)


def _without_tilde(text: str, keyword: str) -> str:
    """Expand ~ and ~user as ssh does, with the password database."""
    if not text.startswith("~"):
        return text
    user, slash, rest = text[1:].partition("/")
    if not user:
        return str(home()) + slash + rest
    try:
        return pwd.getpwnam(user).pw_dir + slash + rest
    except KeyError:
        raise InputError(
            f"{keyword} {text} in the ssh configuration: there is no user {user}", hint="write the path in full"
        ) from None


def without_tilde(text: str, keyword: str) -> Path:
    """Expand ~ alone, where ssh has expanded the tokens already, or takes none."""
    return Path(_without_tilde(text, keyword))


def _bad(host: str, keyword: str, text: str, why: str) -> InputError:
    return InputError(
        f"{host}: {keyword} {text} in the ssh configuration: {why}",
        hint=f"`ssh -v {host}` says the same; ssh_config(5), TOKENS, has what can stand there",
    )
