"""A reading of ssh_config of our own, for bastions that have no ssh(1): what it does not understand, it refuses by line.

It gives what `ssh -G` would print (`resolved.Resolved`), or InputError; never anything else. Where there is a client,
it is not used: ssh(1) is asked. What it does as OpenSSH's readconf.c does (the names are of that file):

- a line is a keyword, blanks or one `=`, and arguments in single or double quotes, up to a `#` (argv_split);
- the first value of a keyword wins, IdentityFile and CertificateFile add up;
- `Match final` makes a second pass over all files, in which Host and `Match host` see the name that HostName gave.

Refused, since they need a client: Match with exec, tagged, localnetwork …, CanonicalizeHostname, and keywords that
change where or how a connection is made (`_REFUSED`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleetrecover.errors import InputError
from fleetrecover.plain import is_address
from fleetrecover.remote.resolved import Query, Resolved
from fleetrecover.remote.tokens import Tokens, home, login, without_tilde

SYSTEM = Path("/etc/ssh/ssh_config")
DEFAULTS = tuple(f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa"))
_USER_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_GLOBAL_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_DEEPEST = 16

_LINE = re.compile(r'[ \t\r]*(?P<keyword>[^ \t\r="#][^ \t\r="]*)(?P<gap>[ \t\r]*=?[ \t\r]*)(?P<rest>.*)', re.DOTALL)
_SINGLE = frozenset(("hostname", "user", "hostkeyalias", "identityagent", "bindaddress", "addressfamily", "port"))
_FLAGS = frozenset(("identitiesonly",))
_ADDING = frozenset(("identityfile", "certificatefile"))
_PATHS = frozenset(("userknownhostsfile", "globalknownhostsfile"))

_CHANGING = """bindinterface canonicaldomains canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots
    canonicalizepermittedcnames ignoreunknown knownhostscommand pkcs11provider proxyusefdpass securitykeyprovider
    smartcarddevice tag"""
_REFUSED = frozenset(_CHANGING.split())
_HARMLESS = """addkeystoagent batchmode casignaturealgorithms channeltimeout checkhostip ciphers clearallforwardings compression
    connectionattempts connecttimeout controlmaster controlpath controlpersist dynamicforward enableescapecommandline
    enablesshkeysign escapechar exitonforwardfailure fingerprinthash forkafterauthentication forwardagent forwardx11
    forwardx11timeout forwardx11trusted gatewayports gssapiauthentication gssapidelegatecredentials hashknownhosts
    hostbasedacceptedalgorithms hostbasedauthentication hostbasedkeytypes hostkeyalgorithms ipqos
    kbdinteractiveauthentication kbdinteractivedevices kexalgorithms localcommand localforward loglevel logverbose macs
    nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming passwordauthentication
    permitlocalcommand permitremoteopen preferredauthentications pubkeyacceptedalgorithms pubkeyacceptedkeytypes
    pubkeyauthentication rekeylimit remotecommand remoteforward requesttty requiredrsasize revokedhostkeys sendenv
    serveralivecountmax serveraliveinterval sessiontype setenv stdinnull streamlocalbindmask streamlocalbindunlink
    stricthostkeychecking syslogfacility tcpkeepalive tunnel tunneldevice updatehostkeys verifyhostkeydns visualhostkey
    warnweakcrypto xauthlocation challengeresponseauthentication skeyauthentication
    gssapiclientidentity gssapikeyexchange gssapikexalgorithms gssapirenewalforcesrekey gssapiserveridentity
    gssapitrustdns"""
_IGNORED = frozenset(_HARMLESS.split())
"""They change how a session looks, or which algorithms are spoken, not where it leads."""

_RAW = frozenset(("proxycommand", "localcommand", "remotecommand", "knownhostscommand", "proxyjump"))
"""Keywords that take the rest of the line as it stands, quotes and all."""

_JUMP = re.compile(r"[A-Za-z0-9._@:\[\]/,%-]+")


def read(config: str | None, query: Query, system: Path = SYSTEM) -> Resolved:
    """Resolve one destination from the files alone. InputError, by file and line, for what is not understood here."""
    reading = _Reading(query)
    reading.all_files(config, system)
    if reading.wants_final:
        reading.host = reading.connected_to()
        # ssh holds on to the name of the first pass; a HostName of the second comes too late
        reading.values["hostname"] = (reading.host.replace("%", "%%"),)
        reading.final = True
        reading.all_files(config, system)
    return reading.resolved()


@dataclass(frozen=True)
class _Place:
    path: Path
    line: int

    def error(self, what: str) -> InputError:
        return InputError(
            f"{self.path}, line {self.line}: {what}",
            hint="without the OpenSSH client here, only plain ssh_config is understood: install it, or put what is "
            "needed for these hosts into a file of their own and name that in $FLEETRECOVER_SSH_CONFIG",
        )


@dataclass
class _Reading:
    """One destination, and what the lines read so far say of it."""

    query: Query
    host: str = ""
    final: bool = False
    wants_final: bool = False
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    active: bool = True

    def __post_init__(self) -> None:
        self.host = self.query.host
        for keyword, value in (("user", self.query.user), ("port", self.query.port), ("proxyjump", self.query.jump)):
            if value is not None:
                self.values[keyword] = (str(value),)
        if self.query.jump == "none":
            self.values["proxycommand"] = ("none",)

    def all_files(self, config: str | None, system: Path) -> None:
        """Read the file that is named, or the user's and the system's."""
        if config is not None:
            if config.lower() != "none":
                self._file(Path(config), 0, must_exist=True, base=home() / ".ssh")
            return
        self._file(home() / ".ssh" / "config", 0, base=home() / ".ssh", check=True)
        self._file(system, 0, base=system.parent)

    def connected_to(self) -> str:
        """Return the name that is connected to, as HostName has it."""
        given = self.query.host if is_address(self.query.host) else self.query.host.lower()
        name = self.values.get("hostname", ("%h",))[0]
        name = re.sub(r"%(.)", lambda match: {"%": "%", "h": given}[match[1]], name)
        return name if is_address(name) else name.lower()

    def resolved(self) -> Resolved:
        """Return it as `ssh -G` prints it."""
        host, user = self.connected_to(), self.values.get("user", (login(),))[0]
        found = {"port": ("22",), **self.values, "hostname": (host,), "user": (user,)}
        if "hostkeyalias" in found:
            found["hostkeyalias"] = (found["hostkeyalias"][0].lower(),)
        tokens = Tokens(
            host=host,
            original=self.query.host,
            port=int(found["port"][0]),
            user=user,
            known_as=found.get("hostkeyalias", (self.query.host,))[0],
        )
        hosts = found.get("userknownhostsfile", _USER_HOSTS)
        found["userknownhostsfile"] = tuple(_unless_none(path, tokens, "UserKnownHostsFile") for path in hosts)
        hosts = found.get("globalknownhostsfile", _GLOBAL_HOSTS)
        found["globalknownhostsfile"] = tuple(
            path if path.lower() == "none" else str(without_tilde(path, "GlobalKnownHostsFile")) for path in hosts
        )
        agent = found.get("identityagent", ("",))[0]
        if agent not in ("", "none", "SSH_AUTH_SOCK") and not re.match(r"\$[^{]", agent):
            found["identityagent"] = (str(tokens.path(agent, "IdentityAgent")),)
        found.setdefault("identityfile", DEFAULTS)
        return Resolved(found, defaults=DEFAULTS)

    def _file(
        self,
        path: Path,
        depth: int,
        *,
        base: Path,
        must_exist: bool = False,
        never: bool = False,
        check: bool = False,
    ) -> None:
        self.active = not never
        if check or depth:
            _refuse_foreign(path)
        for place, keyword, raw in _lines(path, must_exist=must_exist):
            words = _split(raw, place)
            if keyword == "host":
                self.active = self._host_matches(words, place) and not never
            elif keyword == "match":
                self.active = self._match(raw, place, dead=never) and not never
            elif keyword == "include":
                self._include(words, place, depth, base)
            else:
                self._take(keyword, raw, words, place)

    def _include(self, words: list[str], place: _Place, depth: int, base: Path) -> None:
        """Read the files in place; whatever Host lines they have end with them."""
        if depth >= _DEEPEST:
            raise place.error(f"Include goes deeper than {_DEEPEST}: look for a file that includes itself")
        if not words:
            raise place.error("Include without a file")
        before = self.active
        for word in words:
            if "%" in word or "$" in word:
                raise place.error(f"Include {word}: tokens and variables are not understood here")
            path = without_tilde(word, "Include")
            path = path if path.is_absolute() else base / path
            for each in sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))):
                self._file(each, depth + 1, base=base, never=not before)
                self.active = before

    def _take(self, keyword: str, raw: str, words: list[str], place: _Place) -> None:
        if keyword in _REFUSED:
            if keyword.startswith("canonical") and [w.lower() for w in words] in (["no"], ["false"]):
                return
            raise place.error(f"{keyword} is not understood here")
        if keyword in _IGNORED:
            return
        if keyword in _RAW:
            self._take_raw(keyword, raw, place)
        elif keyword in _SINGLE | _FLAGS:
            if len(words) != 1 or not words[0]:
                raise place.error(f"{keyword} takes one value, and has {len(words)}")
            self._set(keyword, (_checked(keyword, words[0], place),))
        elif keyword in _ADDING:
            if len(words) != 1 or not words[0]:
                raise place.error(f"{keyword} takes one path, and has {len(words)}")
            if self.active and words[0] not in self.values.get(keyword, ()):
                self.values[keyword] = (*self.values.get(keyword, ()), words[0])
        elif keyword in _PATHS:
            if not words or not all(words) or ("none" in (w.lower() for w in words) and len(words) > 1):
                raise place.error(f"{keyword} has no path, an empty one, or none beside others")
            self._set(keyword, tuple(words))
        else:
            raise place.error(f"{keyword} is not a keyword that is known here")

    def _take_raw(self, keyword: str, raw: str, place: _Place) -> None:
        value = raw.lstrip(" \t\r=")
        if keyword == "proxyjump":
            if not _JUMP.fullmatch(value):
                raise place.error(f"ProxyJump {value!r} is not of the form user@host:port")
            if "proxycommand" not in self.values:
                self._set(keyword, (value,))
        elif self.values.get("proxyjump", ("none",))[0].lower() == "none":
            self._set(keyword, (value,))

    def _set(self, keyword: str, value: tuple[str, ...]) -> None:
        if self.active and keyword not in self.values:
            self.values[keyword] = value

    def _host_matches(self, words: list[str], place: _Place) -> bool:
        if not words or not all(words):
            raise place.error("Host without a pattern, or with an empty one")
        matched = False
        for word in words:
            negated = word.startswith("!")
            if _match(word.removeprefix("!"), self.host):
                if negated:
                    return False
                matched = True
        return matched

    def _match(self, raw: str, place: _Place, *, dead: bool) -> bool:
        """Judge a Match line: all of its criteria must hold."""
        result, criteria = True, 0
        rest = raw
        while rest:
            name, rest = _delimited(rest, place)
            if not name or name.startswith("#"):
                break
            negated, name = name.startswith("!"), name.removeprefix("!").lower()
            if name == "all":
                following = _delimited(rest, place)[0] if rest else ""
                if criteria > 1 or (following and not following.startswith("#")):
                    raise place.error("Match all stands with nothing else")
                return result and not negated
            criteria += 1
            if name in ("canonical", "final"):
                self.wants_final = self.wants_final or name == "final"
                holds = self.final
            else:
                argument, rest = _delimited(rest, place) if rest else ("", "")
                if not argument or argument.startswith("#"):
                    raise place.error(f"Match {name} without a pattern")
                if name == "exec" and (dead or not result):
                    continue
                holds = self._criterion(name, argument, place)
            result = result and holds is not negated
        if not criteria:
            raise place.error("Match without a criterion")
        return result

    def _criterion(self, name: str, argument: str, place: _Place) -> bool:
        user = self.values.get("user", (login(),))[0]
        if name == "host":
            return _match_list(argument.lower(), self._host_now(place).lower())
        if name == "originalhost":
            return _match_list(argument.lower(), self.query.host.lower())
        if name == "user":
            return _match_list(argument, user)
        if name == "localuser":
            return _match_list(argument, login())
        raise place.error(f"Match {name} is not understood here")

    def _host_now(self, place: _Place) -> str:
        """Return what `Match host` looks at: HostName, if a line above has set it."""
        if "hostname" not in self.values:
            return self.host
        host = self.host
        return re.sub(r"%(.)", lambda match: {"%": "%", "h": host}[match[1]], self.values["hostname"][0])


def _lines(path: Path, *, must_exist: bool) -> Iterator[tuple[_Place, str, str]]:
    """Yield place, keyword (lower case) and the rest of each line that is neither empty nor a comment."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if must_exist:
            raise InputError(
                f"{path}: the ssh configuration cannot be read: {error.strerror}",
                hint="its name stands in $FLEETRECOVER_SSH_CONFIG",
            ) from error
        return
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", hint="an Include names it") from error
    for number, line in enumerate(text.split("\n"), 1):
        place, shown = _Place(path, number), line.strip(" \t\r\f")
        if not shown or shown.startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip(" \t\r\f"))
        if match is None or "\0" in line:
            raise place.error(f"{shown!r} is not a keyword and its value")
        if not match["rest"] or not match["gap"]:
            raise place.error(f"{match['keyword']} has no value")
        yield place, match["keyword"].lower(), match["rest"]


def _refuse_foreign(path: Path) -> None:
    """Raise InputError for a file that others than we and root can write: ssh does not read it either."""
    try:
        found = path.stat()
    except OSError:
        return
    if found.st_uid not in (0, os.getuid()) or found.st_mode & 0o022:
        raise InputError(f"Bad owner or permissions on {path}", hint=f"`chmod go-w {path}`; it must be yours or root's")


def _split(text: str, place: _Place) -> list[str]:
    """Take the arguments of a line apart, up to a comment (argv_split)."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        if text[at] == "#":
            break
        word, quote = "", ""
        while at < len(text):
            letter, following = text[at], text[at + 1 : at + 2]
            if letter == "\\" and (following in ("'", '"', "\\") or (following == " " and not quote)) and following:
                word, at = word + following, at + 2
                continue
            if not quote and letter in " \t":
                break
            if not quote and letter in "\"'":
                quote = letter
            elif quote and letter == quote:
                quote = ""
            else:
                word += letter
            at += 1
        if quote:
            raise place.error("a quote is not closed")
        words.append(word)
    return words


def _delimited(text: str, place: _Place) -> tuple[str, str]:
    """Take the next word of a Match line, which may end with one `=`, or stand in double quotes (strdelim)."""
    text = text.lstrip(" \t\r")
    if text.startswith('"'):
        word, closed, rest = text[1:].partition('"')
        if not closed:
            raise place.error("a quote is not closed")
        return word, rest.lstrip(" \t\r")
    match = re.match(r'([^ \t\r="]*)([ \t\r]*=?[ \t\r]*)', text)
    assert match is not None
    rest = text[match.end() :]
    if not match[1] or (not match[2] and rest):
        raise place.error(f"{text!r} is not understood here")
    return match[1], rest


def _checked(keyword: str, value: str, place: _Place) -> str:
    if keyword == "port":
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
            raise place.error(f"Port {value!r} is not a port")
        return str(int(value))
    if keyword == "addressfamily" and value.lower() not in ("any", "inet", "inet6"):
        raise place.error(f"AddressFamily {value!r} is not any, inet or inet6")
    if keyword in _FLAGS and value.lower() not in ("yes", "no", "true", "false"):
        raise place.error(f"{keyword} {value!r} is not yes or no")
    if keyword == "hostname" and re.search(r"%(?![%h])", value):
        raise place.error(f"HostName {value!r} has a token that it does not take")
    if keyword in _FLAGS:
        return "yes" if value.lower() in ("yes", "true") else "no"
    return value.lower() if keyword == "addressfamily" else value


def _unless_none(path: str, tokens: Tokens, keyword: str) -> str:
    return path if path.lower() == "none" else str(tokens.path(path, keyword))


def _match(pattern: str, text: str) -> bool:
    """Match `*` and `?`, nothing else (match_pattern)."""
    glob: Mapping[str, str] = {"*": ".*", "?": "."}
    return re.fullmatch("".join(glob.get(c, re.escape(c)) for c in pattern), text, re.DOTALL) is not None


def _match_list(patterns: str, text: str) -> bool:
    """Match one of several patterns with commas between; `!` in front excludes (match_pattern_list)."""
    matched = False
    for pattern in patterns.split(","):
        negated = pattern.startswith("!")
        if _match(pattern.removeprefix("!"), text):
            if negated:
                return False
            matched = True
    return matched
