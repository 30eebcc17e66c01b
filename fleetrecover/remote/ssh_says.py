"""What ssh(1) prints when it does not get in → our own errors: which host, what, why, and what to type next."""

from __future__ import annotations

import re

from fleetrecover.errors import HostKeyProblem, LoginFailed, RemoteError, Unreachable
from fleetrecover.remote import failures
from fleetrecover.remote.settings import Target

_NO_MATCH = re.compile(r"no matching (?P<what>[a-z ]+?) found\. Their offer: (?P<offer>\S+)", re.IGNORECASE)
_CAUSES = {
    "host key": re.compile(
        r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED|host key is known for|REVOKED HOST KEY",
        re.IGNORECASE,
    ),
    "no match": _NO_MATCH,
    "login": re.compile(
        r"Permission denied|Too many authentication failures|No more authentication methods", re.IGNORECASE
    ),
    "silent": re.compile(r"timed out during banner exchange", re.IGNORECASE),
    "forward": re.compile(r"forward.*(prohibited|failed)|open failed: ", re.IGNORECASE),
}
_SHOWN = re.compile(r"Server host key: (\S+) (SHA256:[A-Za-z0-9+/]{43})")
_OPTIONS = {
    "host key type": "HostKeyAlgorithms",
    "key exchange method": "KexAlgorithms",
    "cipher": "Ciphers",
    "mac": "MACs",
}
_NOISE = re.compile(r"@{20,}|Pseudo-terminal|Connection closed by UNKNOWN|^\*\* |mux_client|ControlSocket")
_SESSION = re.compile(r"Session open refused|session request failed", re.IGNORECASE)


def is_refused_session(said: str) -> bool:
    """Whether the connection stands, and the server gave no session on it (MaxSessions)."""
    return _SESSION.search(said) is not None


def is_host_key(said: str) -> bool:
    """Whether ssh did not take the host key."""
    return _cause(said) == "host key"


def explain(target: Target, said: str, timeout: float) -> RemoteError:
    """Turn ssh's last words into an error of the right kind."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not _NOISE.search(line)]
    shown = "; ".join(lines[-4:]) or "it said nothing"
    cause = _cause(said)
    if cause == "host key":
        return _host_key(target, shown)
    if cause == "no match":
        return _no_match(target, [*_NO_MATCH.finditer(said)][-1])
    if cause == "login":
        return _login(target, shown)
    if cause == "silent":
        return failures.silent(target, timeout)
    if cause == "forward":
        return Unreachable(
            target.label,
            f"the gateway could not reach {target.address} port {target.port}: {shown}",
            hint=f"log in to the gateway and try `nc -vz {target.address} {target.port}`; it may forbid TCP forwarding",
        )
    return Unreachable(
        target.label,
        f"{target.address} port {target.port}: {_why(said, timeout) or f'ssh(1) says: {shown}'}",
        hint=failures.try_it(target),
    )


def _cause(said: str) -> str:
    """Return the cause that the last line with one names; what a server's banner says stands before."""
    for line in reversed(said.splitlines()[-40:]):
        for cause, sign in _CAUSES.items():
            if sign.search(line):
                return cause
    return ""


def _login(target: Target, shown: str) -> LoginFailed:
    keys = ", ".join(str(path) for path in target.keys) or "the keys that ssh(1) has"
    return LoginFailed(
        target.label,
        f"{target.address} did not let {target.user} in with {keys}; ssh(1) says: {shown}",
        hint=f"`ssh -v {failures.route(target)}` shows more; a server from before OpenSSH 7.2 wants "
        "`PubkeyAcceptedAlgorithms +ssh-rsa` in ~/.ssh/config for an RSA key, or an ed25519 key",
    )


def _why(said: str, timeout: float) -> str:
    known = {
        "Connection refused": "refused the connection: no sshd listens there",
        "Could not resolve hostname": "the name is not known",
        "No route to host": "there is no route to it",
        "Network is unreachable": "there is no route to its network",
        "timed out": f"did not answer within {timeout:g} s",
    }
    return next((words for sign, words in known.items() if sign in said), "")


def shown_key(said: str) -> failures.ShownKey | None:
    """Return the host key that `ssh -v` says it was shown."""
    found = _SHOWN.search(said)
    return failures.ShownKey(found[1], found[2]) if found is not None else None


def _host_key(target: Target, shown: str) -> HostKeyProblem:
    """Say it in ssh's words, where the key that was shown could not be learned."""
    files = str(target.known_hosts[0]) if target.known_hosts else "known_hosts"
    return HostKeyProblem(
        target.label,
        f"its host key is not accepted with {files}; ssh(1) says: {shown}",
        hint=f"compare the key's fingerprint with the one on the node's console: `ssh -v {failures.route(target)}`",
    )


def _no_match(target: Target, found: re.Match[str]) -> Unreachable:
    option = next((name for word, name in _OPTIONS.items() if word in found["what"].lower()), "KexAlgorithms")
    host = target.asked.host if target.asked is not None else target.address
    return Unreachable(
        target.label,
        f"{target.address} and ssh(1) have no {found['what']} in common; it offers {found['offer']}",
        hint=f"in ~/.ssh/config, `Host {host}` and below it `{option} +{found['offer']}`: older ones want to be asked for",
    )
