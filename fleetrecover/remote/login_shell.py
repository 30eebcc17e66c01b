"""Which `sh` a host's scripts are fed to: the login's own, sudo's where the inventory says so, else root's by the engine.

A login that is not root and has no sudo is asked about once for each host: may it talk to docker, and does that lead to root?
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from fleetrecover.commands.login_shell import (
    PLAIN,
    SUDO,
    LoginShell,
    Offer,
    engine_offer,
    is_root,
    not_enough,
    through_engine,
    without_root,
)
from fleetrecover.errors import FormatError, LoginFailed, OddAnswer, OutcomeUnknown
from fleetrecover.model import Command, Fleet, Host, Result
from fleetrecover.runtime import KINDS, kind_of, runtime_of

_LOG = logging.getLogger(__name__)

Ask = Callable[[Host, Command, LoginShell], Result]
"""Runs one command on a host in that shell."""


def engine_of(fleet: Fleet, host: Host) -> str | None:
    """The command of the engine through which a login may be root on a host; None where there is none."""
    return runtime_of(fleet, host).gives_root if kind_of(fleet, host) in KINDS else None


class LoginShells:
    """The shell for each host of a fleet. `user_of` says who logs in there. Thread-safe."""

    def __init__(self, fleet: Fleet, user_of: Callable[[Host], str], ask: Ask) -> None:
        self._fleet = fleet
        self._user_of = user_of
        self._ask = ask
        self._lock = threading.Lock()
        self._each: dict[str, threading.Lock] = {}
        self._found: dict[str, LoginShell] = {}

    def of(self, host: Host) -> LoginShell:
        """Return the host's; found out now if that was not done yet. Raises the RemoteError of the question."""
        if self._fleet.ssh.sudo:
            return SUDO
        cli = engine_of(self._fleet, host)
        if cli is None or self._user_of(host) == "root":
            return PLAIN
        with self._lock:
            own = self._each.setdefault(host.name, threading.Lock())
        with own:
            if host.name in self._found:
                return self._found[host.name]
            shell, lasting = self._find(host, cli)
            if lasting:
                self._found[host.name] = shell
            return shell

    def _find(self, host: Host, cli: str) -> tuple[LoginShell, bool]:
        """The shell, and whether it is worth keeping: an engine that is down may come up."""
        offer = self._offer(host, cli)
        if offer.root:
            return PLAIN, True
        if offer.problem:
            _LOG.info("%s: no root through the container engine: %s", host.name, offer.problem)
            return without_root(offer.problem), not offer.passing
        shell = through_engine(cli, offer)
        probe = is_root()
        try:
            if probe.parse(self._ask(host, probe.command, shell)):
                return shell, True
            problem = f"a container of `{cli}` is not root on the host"
        except (LoginFailed, OutcomeUnknown) as error:
            problem = error.message
        _LOG.info("%s: no root through the container engine: %s", host.name, problem)
        return without_root(not_enough(cli, problem)), False

    def _offer(self, host: Host, cli: str) -> Offer:
        probe = engine_offer(cli)
        result = self._ask(host, probe.command, PLAIN)
        if result.exit_code != 0:
            return Offer(problem=not_enough(cli, f"it could not be asked: {result.error_text[-200:]}"), passing=True)
        try:
            return probe.parse(result)
        except FormatError as error:
            raise OddAnswer.of(host.name, error, probe.command.name) from error
