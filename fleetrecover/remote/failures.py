"""From what Paramiko and the sockets raise to our own words: which host, what, why, and what to type next."""

from __future__ import annotations

import errno
import re
import shlex
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetrecover.errors import CommandFailed, HostKeyProblem, InputError, LoginFailed, Unreachable
from fleetrecover.model import Result
from fleetrecover.remote.known_hosts import Trust, lookup_name
from fleetrecover.remote.settings import DEFAULT_PORT, Target

_UNREACHABLE = {
    errno.ECONNREFUSED: "refused the connection: no sshd listens there",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ENETUNREACH: "there is no route to its network",
    errno.ECONNRESET: "closed the connection while it was being set up",
    errno.EPIPE: "closed the connection while it was being set up",
    errno.ETIMEDOUT: "did not answer",
}


_SHA1 = {
    "kex_algo_list": ("the key exchange", "KexAlgorithms", re.compile("sha1")),
    "server_key_algo_list": ("its host keys", "HostKeyAlgorithms", re.compile("ssh-rsa$|ssh-dss$")),
    "client_encrypt_algo_list": ("encryption", "Ciphers", re.compile(".")),
    "client_mac_algo_list": ("integrity (MACs)", "MACs", re.compile(".")),
}
_INCOMPATIBLE = {"kex": "kex_algo_list", "host key": "server_key_algo_list", "ciphers": "client_encrypt_algo_list"}


def unreachable(target: Target, error: BaseException, timeout: float, said: str = "") -> Unreachable:
    """Say why no connection came about; `said` is what a ProxyCommand had to say of it."""
    from paramiko import ChannelException

    where = f"{target.address} port {target.port}"
    if target.proxy_command is not None:
        shown = f"; it said: {said.splitlines()[-1]}" if said else ""
        return Unreachable(
            target.label,
            f"{where}: its ProxyCommand brought no connection about{shown}",
            hint=f"try it by hand: `{target.proxy_command} </dev/null` answers with SSH-2.0-… where it works",
        )
    if isinstance(error, socket.gaierror):
        return Unreachable(
            target.label,
            f"the name {target.address!r} is not known ({error.strerror or error})",
            hint=f"try `getent hosts {shlex.quote(target.address)}`; the address in hosts.toml may be an IP address",
        )
    if isinstance(error, TimeoutError):
        reason = str(error) if "resolved" in str(error) else f"{where} did not answer within {timeout:g} s"
        return Unreachable(target.label, reason, hint=try_it(target))
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return Unreachable(target.label, f"{where}: {_UNREACHABLE[error.errno]}", hint=try_it(target))
    if isinstance(error, ChannelException):
        return Unreachable(
            target.label,
            f"the gateway could not reach {where}: {error.args[-1]}",
            hint=f"log in to the gateway and try `nc -vz {target.address} {target.port}`; it may forbid TCP forwarding",
        )
    said = str(error) or type(error).__name__
    return Unreachable(target.label, f"{where}: the SSH connection could not be set up: {said}", hint=try_it(target))


def no_session(target: Target, error: BaseException, timeout: float) -> Unreachable:
    """Say that we are logged in, but no command could be started."""
    from paramiko import ChannelException

    if isinstance(error, ChannelException):
        return no_command(target, str(error.args[-1]))
    return unreachable(target, error, timeout)


def no_command(target: Target, why: str) -> Unreachable:
    """Say that a server lets us in and gives us no session."""
    return Unreachable(
        target.label,
        f"{target.address} let {target.user} in, but refused to start a command: {why}",
        hint="look at MaxSessions and ForceCommand in the node's sshd_config, and at its free memory and processes",
    )


def silent(target: Target, timeout: float, said: str = "") -> Unreachable:
    """Say that something accepts TCP there, but does not speak SSH."""
    if target.proxy_command is not None:
        return unreachable(target, TimeoutError(), timeout, said)
    return Unreachable(
        target.label,
        f"{target.address} port {target.port} accepted the connection, but sent nothing for {timeout:g} s",
        hint=f"{try_it(target)}; sshd there may be overloaded, or its disk hang",
    )


def incompatible(target: Target, error: Exception, server: Any) -> Unreachable:
    """Say which algorithms a server speaks that the library no longer does: those of RKE1's years."""
    said = str(error)
    part = next((key for word, key in _INCOMPATIBLE.items() if word in said), "client_mac_algo_list")
    what, option, old = _SHA1[part]
    offered = [name for name in server.offered.get(part, []) if not name.startswith(("ext-info-", "kex-strict-"))]
    name = _software(server)
    wanted = [each for each in offered if old.search(each)] or offered
    return Unreachable(
        target.label,
        f"{name} at {target.address} speaks nothing for {what} that the library still does: it offers "
        f"{', '.join(offered) or 'nothing'}",
        hint=old_server(target, f"{option} +{','.join(wanted)}"),
    )


def signs_with_sha1_only(server: Any) -> str:
    """Return how a server calls itself that takes RSA keys with SHA-1 signatures alone, else "".

    OpenSSH has taken SHA-2 since 7.2, and since then says what it takes (server-sig-algs).
    """
    takes = bytes(server.server_extensions.get("server-sig-algs", b"")).decode("ascii", "replace")
    version = re.search(r"OpenSSH_(\d+)\.(\d+)", str(server.remote_version or ""))
    old = version is not None and (int(version[1]), int(version[2])) < (7, 2)
    return _software(server) if ("rsa-sha2" not in takes if takes else old) else ""


def _software(server: Any) -> str:
    """Return what a server says it is: `OpenSSH_6.6.1p1 Ubuntu-2ubuntu2`."""
    found = str(server.remote_version or "").removeprefix("SSH-2.0-").removeprefix("SSH-1.99-")
    return "".join(letter for letter in found[:60] if letter.isprintable()) or "the server"


def old_server(target: Target, line: str) -> str:
    """Return the way out for a server that only ssh(1) can speak to."""
    return (
        f'set client = "openssh" in hosts.toml, [ssh]: ssh(1) then carries everything. Newer ones want to be told, in '
        f"~/.ssh/config: `Host {target.asked.host if target.asked else target.address}`, below it `{line}`"
    )


def refuse_beyond_us(target: Target) -> None:
    """Raise InputError where the ssh configuration asks for a way to connect that only ssh(1) itself has."""
    needed = [each for each in target.beyond_us if each.startswith(("BindInterface", "ProxyUseFdpass"))]
    if needed:
        raise InputError(
            f"{target.label}: its ssh configuration has {', '.join(needed)}, which only ssh(1) itself can do",
            hint='set client = "openssh" in hosts.toml, [ssh]: ssh(1) then carries everything',
        )


@dataclass(frozen=True)
class ShownKey:
    """The host key that a server has shown: its kind (ssh-ed25519) and fingerprint (SHA256:…)."""

    kind: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


def unknown_key(target: Target, key: ShownKey, trust: Trust, offered: Sequence[str] = ()) -> HostKeyProblem:
    """Say what is wrong with the key that a host has shown: revoked, changed, of another kind, or not known.

    `offered` are the algorithms that the server has host keys for.
    """
    files = _first_file(target)
    name = lookup_name(target.known_as, target.known_port)
    revoked = trust.revoked_as(key.fingerprint)
    if revoked:
        return HostKeyProblem(
            target.label,
            f"its host key {key} is revoked ({revoked.place})",
            hint=f"someone may hold its secret half: do not log in to {target.address} before you know why",
        )
    if trust.keys and key.kind not in trust.kinds:
        return _other_kind(target, key, trust, offered)
    if trust.keys:
        known = ", ".join(f"{k.kind} {k.fingerprint} ({k.place})" for k in trust.keys)
        return HostKeyProblem(
            target.label,
            f"its host key has changed: it shows {key}, but known is {known}",
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
            'cannot be checked here, so the host\'s own key is needed as well, or [ssh] client = "openssh"'
        )
    return HostKeyProblem(
        target.label,
        f"its host key {key} is not in {files}{authority}",
        hint=(
            f"log in once and compare the fingerprint with the one on the node's console: "
            f"`ssh -o UserKnownHostsFile={files} {route(target)}`, or collect it with "
            f"`ssh-keyscan -p {target.port} {target.address}` over a network that you trust"
        ),
    )


def _other_kind(target: Target, key: ShownKey, trust: Trust, offered: Sequence[str]) -> HostKeyProblem:
    """Say that a host is known by one kind of key and shows another: that tells neither for it nor against it."""
    known = ", ".join(f"{k.kind} ({k.place})" for k in trust.keys)
    kind = key.kind.removeprefix("ssh-").split("-")[0]
    compare = (
        f"compare {key.fingerprint} with `ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub` on its console, and add that "
        f"key: `ssh-keyscan -t {kind} -p {target.port} {target.address} >>{_first_file(target)}`"
    )
    if "ssh-rsa" in trust.kinds and "ssh-rsa" in offered and not any("rsa-sha2" in each for each in offered):
        return HostKeyProblem(
            target.label,
            f"known is its ssh-rsa key ({trust.keys[0].place}), and the server proves that one with SHA-1 alone, as OpenSSH "
            f"before 7.2 does, which the library does not take; its other key, {key}, is not known",
            hint=f"{compare}; or {old_server(target, 'HostKeyAlgorithms +ssh-rsa')}",
        )
    return HostKeyProblem(
        target.label,
        f"it is known by another kind of key: known is {known}, and it shows {key}, which is in no line; this key alone "
        "says neither that it is the host nor that it is not",
        hint=compare,
    )


def _first_file(target: Target) -> str:
    return str(target.known_hosts[0]) if target.known_hosts else "known_hosts"


def unreadable_known_hosts(target: Target, error: OSError) -> HostKeyProblem:
    """Say that the file of known hosts could not be read."""
    return HostKeyProblem(
        target.label,
        f"its host key cannot be checked: {error.filename} cannot be read: {error.strerror}",
        hint="the path is set in hosts.toml, [ssh], known_hosts",
    )


def login_failed(
    target: Target,
    tried: list[str],
    why: str = "",
    *,
    passed_over: Sequence[str] = (),
    rsa_refused: bool = False,
    only_sha1: str = "",
) -> LoginFailed:
    """Say which user and which keys were refused, and which could not even be offered.

    `only_sha1` names a server that takes RSA keys with SHA-1 signatures alone; `rsa_refused`: it may be one of them.
    """
    keys = ", ".join(tried) if tried else "no key at all: none was found"
    not_offered = f"; not offered: {', '.join(passed_over)}" if passed_over else ""
    hint = f"`ssh -v {route(target)}` shows more; the user and key are set in hosts.toml, [ssh]"
    beyond = [each for each in target.beyond_us if each.startswith("PKCS11Provider")]
    if only_sha1:
        why = f"{only_sha1} takes RSA keys with SHA-1 signatures alone, which the library no longer makes"
        hint = f"use an ed25519 or ecdsa key; or {old_server(target, 'PubkeyAcceptedAlgorithms +ssh-rsa')}"
    elif rsa_refused:
        hint += (
            "; a server from before OpenSSH 7.2 takes RSA keys with SHA-1 signatures alone, which the library no longer "
            f"makes: use an ed25519 or ecdsa key; or {old_server(target, 'PubkeyAcceptedAlgorithms +ssh-rsa')}"
        )
    elif beyond:
        hint = f'{beyond[0]} is for ssh(1): `ssh-add -s` gives its keys to the agent, or set client = "openssh"; {hint}'
    return LoginFailed(
        target.label,
        f"{target.address} did not let {target.user} in; tried {keys}{f' ({why})' if why else ''}{not_offered}",
        hint=hint,
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


def try_it(target: Target) -> str:
    """Return what shows the same without us."""
    return f"try `ssh {route(target)} true`"


def route(target: Target) -> str:
    """Return the words after `ssh` that lead to a target."""
    jump = f"-J {target.gateway.user}@{target.gateway.address}:{target.gateway.port} " if target.gateway else ""
    port = f"-p {target.port} " if target.port != DEFAULT_PORT else ""
    return f"{jump}{port}{target.user}@{target.address}"
