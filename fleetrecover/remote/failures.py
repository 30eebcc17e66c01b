"""From what Paramiko and the sockets raise to our own words: which host, what, why, and what to type next."""

from __future__ import annotations

import errno
import shlex
import socket
from pathlib import Path

import paramiko

from fleetrecover.errors import CommandFailed, HostKeyProblem, LoginFailed, Unreachable
from fleetrecover.model import Result
from fleetrecover.remote.known_hosts import Trust, fingerprint, lookup_name
from fleetrecover.remote.settings import DEFAULT_PORT, Target

_UNREACHABLE = {
    errno.ECONNREFUSED: "refused the connection: no sshd listens there",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ENETUNREACH: "there is no route to its network",
    errno.ECONNRESET: "closed the connection while it was being set up",
    errno.EPIPE: "closed the connection while it was being set up",
    errno.ETIMEDOUT: "did not answer",
}


def unreachable(target: Target, error: BaseException, timeout: float) -> Unreachable:
    """Say why no connection came about."""
    where = f"{target.address} port {target.port}"
    if isinstance(error, socket.gaierror):
        return Unreachable(
            target.label,
            f"the name {target.address!r} is not known ({error.strerror or error})",
            hint=f"try `getent hosts {shlex.quote(target.address)}`; the address in hosts.toml may be an IP address",
        )
    if isinstance(error, TimeoutError):
        reason = str(error) if "resolved" in str(error) else f"{where} did not answer within {timeout:g} s"
        return Unreachable(target.label, reason, hint=_try(target))
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return Unreachable(target.label, f"{where}: {_UNREACHABLE[error.errno]}", hint=_try(target))
    if isinstance(error, paramiko.ChannelException):
        return Unreachable(
            target.label,
            f"the gateway could not reach {where}: {error.args[-1]}",
            hint=f"log in to the gateway and try `nc -vz {target.address} {target.port}`; it may forbid TCP forwarding",
        )
    said = str(error) or type(error).__name__
    return Unreachable(target.label, f"{where}: the SSH connection could not be set up: {said}", hint=_try(target))


def no_session(target: Target, error: BaseException, timeout: float) -> Unreachable:
    """Say that we are logged in, but no command could be started."""
    if isinstance(error, paramiko.ChannelException):
        return Unreachable(
            target.label,
            f"{target.address} let {target.user} in, but refused to start a command: {error.args[-1]}",
            hint="look at MaxSessions and ForceCommand in the node's sshd_config, and at its free memory and processes",
        )
    return unreachable(target, error, timeout)


def silent(target: Target, timeout: float) -> Unreachable:
    """Say that something accepts TCP there, but does not speak SSH."""
    return Unreachable(
        target.label,
        f"{target.address} port {target.port} accepted the connection, but sent nothing for {timeout:g} s",
        hint=f"{_try(target)}; sshd there may be overloaded, or its disk hang",
    )


def unknown_key(target: Target, key: paramiko.PKey, trust: Trust) -> HostKeyProblem:
    """Say what is wrong with the key that a host has shown: revoked, changed, or not known."""
    blob = key.asbytes()
    files = " or ".join(str(p) for p in target.known_hosts[:1]) or "known_hosts"
    name = lookup_name(target.known_as, target.port)
    shown = f"{key.get_name()} {fingerprint(blob)}"
    revoked = trust.revocation(blob)
    if revoked:
        return HostKeyProblem(
            target.label,
            f"its host key {shown} is revoked ({revoked.place})",
            hint=f"someone may hold its secret half: do not log in to {target.address} before you know why",
        )
    if trust.keys:
        known = ", ".join(f"{k.kind} {k.fingerprint} ({k.place})" for k in trust.keys)
        return HostKeyProblem(
            target.label,
            f"its host key has changed: it shows {shown}, but known is {known}",
            hint=(
                "if the node was reinstalled, compare the new fingerprint on its console "
                "(`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`) and then remove the old one: "
                f"`ssh-keygen -R {shlex.quote(name)} -f {files}`; else someone is between you and the node"
            ),
        )
    authority = ""
    if trust.authorities:
        authority = (
            f"; {trust.authorities[0].place} trusts a certificate authority for it, but certificates of hosts "
            "cannot be checked here, so the host's own key is needed as well"
        )
    return HostKeyProblem(
        target.label,
        f"its host key {shown} is not in {files}{authority}",
        hint=(
            f"log in once and compare the fingerprint with the one on the node's console: "
            f"`ssh -o UserKnownHostsFile={files} {_route(target)}`, or collect it with "
            f"`ssh-keyscan -p {target.port} {target.address}` over a network that you trust"
        ),
    )


def unreadable_known_hosts(target: Target, error: OSError) -> HostKeyProblem:
    """Say that the file of known hosts could not be read."""
    return HostKeyProblem(
        target.label,
        f"its host key cannot be checked: {error.filename} cannot be read: {error.strerror}",
        hint="the path is set in hosts.toml, [ssh], known_hosts",
    )


def login_failed(target: Target, tried: list[str], why: str = "") -> LoginFailed:
    """Say which user and which keys were refused."""
    keys = ", ".join(tried) if tried else "no key at all: none was found"
    return LoginFailed(
        target.label,
        f"{target.address} did not let {target.user} in; tried {keys}{f' ({why})' if why else ''}",
        hint=(f"`ssh -v {_route(target)}` shows more; the user and key are set in hosts.toml, [ssh]"),
    )


def unreadable_key(target: Target, path: Path, why: str) -> LoginFailed:
    """Say that our own private key could not be used."""
    return LoginFailed(
        target.label,
        f"the private key {path} cannot be used: {why}",
        hint=f"a key with a passphrase goes through the agent: `ssh-add {path}`; the path is set in hosts.toml, [ssh]",
    )


def failed(host: str, result: Result, why: str = "") -> CommandFailed:
    """Return the error for a command that gave an exit code which it does not accept, or failed otherwise."""
    said = why or result.error_text or "it said nothing"
    return CommandFailed(
        host,
        f"{result.command.name} failed with exit code {result.exit_code}: {said}",
        exit_code=result.exit_code,
        stderr=result.error_text,
    )


def _try(target: Target) -> str:
    return f"try `ssh {_route(target)} true`"


def _route(target: Target) -> str:
    """Return the words after `ssh` that lead to a target."""
    jump = f"-J {target.gateway.user}@{target.gateway.address}:{target.gateway.port} " if target.gateway else ""
    port = f"-p {target.port} " if target.port != DEFAULT_PORT else ""
    return f"{jump}{port}{target.user}@{target.address}"
