"""What the ssh configuration says of one host: asked of ssh(1) itself (`ssh -G`) where the bastion has it.

    hostname 10.0.0.11
    user core
    identityfile ~/.ssh/id_etcd        once for each; as it stands in the file
    userknownhostsfile /root/.ssh/known_hosts /root/.ssh/known_hosts2
    proxyjump ops@bastion:2222

So Match, Include, comments, quotes and CanonicalizeHostname mean what they mean to ssh. Nothing is connected to.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fleetrecover import limits
from fleetrecover.errors import InputError

ENVIRONMENT = "FLEETRECOVER_SSH_CONFIG"
"""Names the user's ssh configuration, which is then read alone, as with `ssh -F`."""

LISTS = ("userknownhostsfile", "globalknownhostsfile")
"""Keywords with several paths on one line of `ssh -G`."""

_NOISE = ("Pseudo-terminal will not be allocated",)
_NO_DUMP = re.compile(r"(unknown|illegal|invalid) option -- '?G", re.IGNORECASE)


class JumpLoop(InputError):
    """A jump host that is to be reached through itself; ssh(1) refuses it."""


class NoDump(Exception):
    """The client is too old for `ssh -G` (before 6.8)."""


def find_client() -> str:
    """Return the path of `ssh`, or "" if there is none."""
    return shutil.which("ssh") or ""


def configured() -> str | None:
    """Return what $FLEETRECOVER_SSH_CONFIG names, None where it is not set: the user's and the system's files."""
    named = os.environ.get(ENVIRONMENT)
    return os.path.expanduser(named) if named else None  # noqa: PTH111  # raises nothing for a home of nobody


@dataclass(frozen=True)
class Query:
    """One destination as it would stand on ssh's command line; None: not said, so the configuration decides.

    `jump` is what goes after -J; "none": neither a jump host nor a ProxyCommand (which ssh itself would still take).
    """

    host: str
    user: str | None = None
    port: int | None = None
    jump: str | None = None

    def words(self) -> list[str]:
        """Return the words after `ssh`, the host last."""
        user = ["-l", self.user] if self.user is not None else []
        port = ["-p", str(self.port)] if self.port is not None else []
        jump = ["-o", f"ProxyJump={self.jump}"] if self.jump is not None else []
        direct = ["-o", "ProxyCommand=none"] if self.jump == "none" else []
        return [*user, *port, *jump, *direct, "--", self.host]


@dataclass(frozen=True)
class Resolved:
    """Keyword (lower case) → its values, in order. `defaults` are the keys that ssh tries where none is configured."""

    values: Mapping[str, tuple[str, ...]]
    defaults: tuple[str, ...] = field(default=())

    def one(self, keyword: str) -> str | None:
        """Return a keyword's value; None where it has none, or says none."""
        value = next(iter(self.values.get(keyword, ())), None)
        return None if value is None or value.lower() == "none" else value

    def all(self, keyword: str) -> tuple[str, ...]:
        """Return all values but `none`."""
        return tuple(value for value in self.values.get(keyword, ()) if value.lower() != "none")

    def yes(self, keyword: str) -> bool:
        """Whether a flag is set."""
        return (self.one(keyword) or "no").lower() in ("yes", "true")


def ask_client(client: str, config: str | None, query: Query) -> Resolved:
    """Ask `ssh -G`. InputError, with the file and line as ssh says them, where the configuration is wrong."""
    # %C is the one token that only ssh can compute: what goes into it depends on its version.
    argv = [client, *(["-F", config] if config is not None else []), "-T", "-G", "-o", "ControlPath=%C", *query.words()]
    code, out, err = _run(argv, query.host)
    if code != 0 or not out:
        raise _refused(query.host, config, err, code)
    return Resolved(parse_dump(out))


def ask_defaults(client: str) -> tuple[str, ...]:
    """Return the keys that this client tries where none is configured, as it writes them."""
    code, out, _ = _run([client, "-F", "none", "-T", "-G", "--", "default"], "default")
    if code != 0 or not out:  # before 7.9, -F none was a file's name
        _, out, _ = _run([client, "-F", "/dev/null", "-T", "-G", "--", "default"], "default")
    return parse_dump(out).get("identityfile", ())


def parse_dump(text: str) -> dict[str, tuple[str, ...]]:
    """Turn what `ssh -G` prints into keyword → values; the lists of paths are taken apart."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        if keyword:
            found.setdefault(keyword.lower(), []).append(value)
    return {
        key: tuple(split_paths(values[0])) if key in LISTS and values else tuple(values)
        for key, values in found.items()
    }


def split_paths(text: str) -> list[str]:
    """Take a list of paths apart; `ssh -G` prints a path with blanks like two, so what begins no path goes on one.

    >>> split_paths("/k h /root/.ssh/known_hosts ~/more")
    ['/k h', '/root/.ssh/known_hosts', '~/more']
    """
    paths: list[str] = []
    for word in text.split(" "):
        begins = word.startswith(("/", "~")) or word.lower() == "none"
        if paths and not begins and (not word or not Path(word).exists()):
            paths[-1] += " " + word
        else:
            paths.append(word)
    return [path for path in paths if path]


def _run(argv: Sequence[str], host: str) -> tuple[int, str, str]:
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours to handle; and what `Match exec` has started ends with it
        )
    except OSError as error:
        raise InputError(f"{argv[0]} cannot be run: {error.strerror}", hint="see `command -v ssh`") from error
    try:
        out, err = process.communicate(timeout=limits.SSH_CONFIG)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise InputError(
            f"{host}: `ssh -G` has not answered within {limits.SSH_CONFIG:g} s",
            hint=f"try `ssh -G {host}`: a `Match exec` command may hang, or a name server",
        ) from None
    return process.returncode, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "replace")


def _refused(host: str, config: str | None, said: str, code: int) -> Exception:
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(_NOISE)]
    if any(_NO_DUMP.search(line) for line in lines):
        return NoDump()
    shown = "; ".join(lines[:6]) or f"exit code {code}, without a word"
    where = f"-F {config} " if config else ""
    kind = JumpLoop if any("jumphost loop" in line for line in lines) else InputError
    return kind(
        f"{host}: ssh(1) refuses its configuration: {shown}",
        hint=f"`ssh {where}-G {host}` says the same; mend the line that is named",
    )
