"""PURE: ssh(1)'s options as they stand in Ansible's variables: the jump host in them, the login, and what is left over."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fleetrecover.drafts.draft import gateway_of

WITH_VALUE = frozenset("BbcDEeFIiJLlmOopQRSWw")
"""ssh(1)'s options that take a value."""
QUIET = frozenset("46AaCfGgKkMNnqsTtVvXxYy")
"""Its options without one: none of them changes who is reached, how, and as whom."""

HARMLESS = frozenset(
    {
        *(
            "controlmaster",
            "controlpath",
            "controlpersist",
            "serveraliveinterval",
            "serveralivecountmax",
            "compression",
        ),
        *(
            "connecttimeout",
            "connectionattempts",
            "batchmode",
            "loglevel",
            "tcpkeepalive",
            "forwardagent",
            "forwardx11",
        ),
        *("requesttty", "preferredauthentications", "sendenv", "setenv", "passwordauthentication", "visualhostkey"),
        *("kbdinteractiveauthentication", "challengeresponseauthentication", "numberofpasswordprompts", "retries"),
        *(
            "gssapiauthentication",
            "updatehostkeys",
            "addkeystoagent",
            "checkhostip",
            "escapechar",
            "clearallforwardings",
        ),
    }
)
"""Options that change nothing in who is reached, how, and as whom."""

NO_CHECK = ("no", "off", "accept-new", "ask", "/dev/null", "none")


@dataclass
class SshWords:
    """What some words for ssh(1) say. `left`: those that hosts.toml has no key for; `unchecked`: they turn host keys off."""

    gateway: str | None = None
    gateway_key: str | None = None
    user: str | None = None
    port: str | None = None
    key: str | None = None
    config: str | None = None
    left: list[str] = field(default_factory=list)
    unchecked: bool = False


def read_words(text: str) -> SshWords:
    """Read them as ssh does: for each thing the first that is said counts. Raises ValueError where a quote is not closed."""
    found = SshWords()
    for letter, value in _options(shlex.split(text)):
        if letter == "o":
            _keyword(found, value)
        elif letter == "J":
            _jump(found, value)
        elif letter and letter in "ilpF":
            name = {"i": "key", "l": "user", "p": "port", "F": "config"}[letter]
            setattr(found, name, getattr(found, name) or value)
        elif letter not in QUIET:
            found.left.append(f"-{letter} {value}".rstrip() if letter else value)
    return found


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            yield "", word
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in WITH_VALUE:
                value = letters or (rest.pop(0) if rest else "")
                letters = ""
                yield letter, value
            else:
                yield letter, ""


def _keyword(found: SshWords, text: str) -> None:
    match = re.match(r"\s*([A-Za-z0-9]+)\s*(?:=|\s)\s*(.*)$", text, re.S)
    if match is None:
        found.left.append(f"-o {text}")
        return
    name, value = match[1].lower(), match[2].strip()
    if name == "proxyjump":
        _jump(found, value)
    elif name == "proxycommand":
        _command(found, value)
    elif name in ("user", "port"):
        setattr(found, name, getattr(found, name) or value)
    elif name == "identityfile":
        found.key = found.key or value.strip('"')
    elif name in _CHECKS:
        if value.lower() in NO_CHECK:
            found.unchecked = True
        elif name == "userknownhostsfile":
            found.left.append(f"-o {text}")
    elif name not in HARMLESS:
        found.left.append(f"-o {text}")


def _jump(found: SshWords, value: str) -> None:
    if value.lower() == "none" or found.gateway is not None:
        return
    found.gateway = value


def _command(found: SshWords, value: str) -> None:
    """`ssh … -W %h:%p … [user@]host` is a jump host; another command is left over."""
    if value.lower() == "none" or found.gateway is not None:
        return
    jump = jump_of_command(value)
    if jump is None:
        found.left.append(f"-o ProxyCommand={_without_password(value)}")
        return
    found.gateway, found.gateway_key = jump


def _without_password(command: str) -> str:
    """The command as it may be shown: what `sshpass -p` is given is a secret."""
    return re.sub(r"(\bsshpass\s+-p\s*)(\"[^\"]*\"|'[^']*'|\S+)", r"\1…", command)


def jump_of_command(command: str) -> tuple[str, str | None] | None:
    """The jump host (and its key) of a ProxyCommand that is `ssh -W %h:%p`; None for any other command."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if not words or words[0].rsplit("/", 1)[-1] != "ssh":
        return None
    told: dict[str, str] = {}
    hosts: list[str] = []
    for letter, value in _options(words[1:]):
        if letter == "":
            hosts.append(value)
        elif letter == "o":
            keyword, _, said = value.partition("=")
            told.setdefault(_letter_of(keyword.strip().lower()), said.strip())
        elif letter not in QUIET:
            told.setdefault(letter, value)
    if told.get("W") not in ("%h:%p", "[%h]:%p") or len(hosts) != 1 or not set(told) <= {*"Wlpi", "harmless"}:
        return None
    user, _, host = hosts[0].rpartition("@")
    return gateway_of(host, told.get("l") or user or None, told.get("p")), told.get("i")


def _letter_of(keyword: str) -> str:
    """The option that says the same as a keyword; `harmless` for one that changes nothing of where it goes."""
    if keyword in HARMLESS or keyword in _CHECKS:
        return "harmless"
    return {"user": "l", "port": "p", "identityfile": "i"}.get(keyword, keyword)


_CHECKS = ("stricthostkeychecking", "userknownhostsfile", "globalknownhostsfile")
