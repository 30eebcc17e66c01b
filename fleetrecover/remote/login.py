"""Logging in: which keys are offered, and in which order, as ssh(1) does it (sshconnect2.c, pubkey_prepare).

1. certificates (CertificateFile, and KEY-cert.pub beside each key);
2. keys of the agent that are configured, also when only their public half lies here, or a file that cannot be read;
3. the agent's other keys, unless IdentitiesOnly is set;
4. configured keys whose private half lies in a file.

The order matters: a server hangs up after some six keys that it does not know.
"""

from __future__ import annotations

import base64
import binascii
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentKey, AgentSSH
from paramiko.pkey import PublicBlob, UnknownKeyType

from fleetrecover import limits
from fleetrecover.remote import failures
from fleetrecover.remote.settings import Target

_CERTIFICATE = "-cert-v01@openssh.com"


@dataclass(frozen=True)
class Offer:
    """One key to offer; `name` says which, never what."""

    name: str
    key: paramiko.PKey


@dataclass(frozen=True)
class _Identity:
    """A configured key: where it stands, its public half if that is known, and its private half or why there is none."""

    path: Path
    blob: bytes | None
    private: paramiko.PKey | str


class Keys:
    """Our own keys and agents, each asked once for all connections. Nothing secret of them is ever logged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[Path, paramiko.PKey | str] = {}
        self._agents: dict[str, list[paramiko.PKey]] = {}

    def offers(self, target: Target) -> Iterator[Offer]:
        """Yield the keys for a target, in order. LoginFailed for a key of the inventory that cannot be used."""
        identities = [self._identity(path) for path in target.keys]
        agent = self._agent(target.agent) if target.agent else []
        held = {key.asbytes(): key for key in agent}
        if target.must_load:
            for identity in identities:
                if isinstance(identity.private, str) and identity.blob not in held:
                    raise failures.unreadable_key(target, identity.path, identity.private)
        yield from self._certified(target, identities, held)
        known = {identity.blob: identity for identity in identities if identity.blob is not None}
        for key in agent:
            found = known.get(_blob(key)) or known.get(key.asbytes())
            if found is not None:
                yield Offer(f"{found.path} (from the agent)", key)
        for key in () if target.only_keys else agent:
            if _blob(key) not in known and key.asbytes() not in known:
                yield Offer(f"agent: {key.comment or key.get_name()}", key)
        for identity in identities:
            if not isinstance(identity.private, str) and identity.blob not in held:
                yield Offer(str(identity.path), identity.private)

    def passed_over(self, target: Target) -> list[str]:
        """Return the configured keys that could not be offered, each with the reason."""
        held = {key.asbytes() for key in self._agent(target.agent)} if target.agent else set()
        rows = [self._identity(path) for path in target.keys]
        return [f"{i.path}: {i.private}" for i in rows if isinstance(i.private, str) and i.blob not in held]

    def _certified(
        self, target: Target, identities: list[_Identity], held: dict[bytes, paramiko.PKey]
    ) -> Iterator[Offer]:
        """Yield a signing key for each certificate: the one it was made for, from a file or the agent."""
        beside = (i.path.with_name(f"{i.path.name.removesuffix('.pub')}-cert.pub") for i in identities)
        for path in dict.fromkeys([*target.certificates, *beside]):
            certificate = _public(path)
            if certificate is None or not certificate.key_type.endswith(_CERTIFICATE):
                continue
            inner = _certified_key(certificate)
            signer = next((i.private for i in identities if i.blob == inner and not isinstance(i.private, str)), None)
            signer = held.get(inner, signer)
            if signer is not None:
                yield Offer(str(path), _Certified(signer, certificate))

    def _identity(self, path: Path) -> _Identity:
        private = self._load(path)
        if not isinstance(private, str):
            return _Identity(path, private.asbytes(), private)
        public = _public(path) or _public(path.with_name(path.name + ".pub"))
        blob = public.key_blob if public is not None else _header_blob(path)
        return _Identity(path, blob, private)

    def _load(self, path: Path) -> paramiko.PKey | str:
        with self._lock:
            if path not in self._loaded:
                self._loaded[path] = _read_key(path)
            return self._loaded[path]

    def _agent(self, path: str) -> list[paramiko.PKey]:
        """Return the keys of the agent at a socket, asked for once; none if there is no agent."""
        with self._lock:
            if path not in self._agents:
                found: list[paramiko.PKey] = []
                with suppress(paramiko.SSHException, OSError):
                    found = list(_Agent(path).get_keys())
                self._agents[path] = found
            return self._agents[path]


class _Certified:
    """A key that shows a certificate and signs with the private half that it was made for."""

    def __init__(self, signer: paramiko.PKey, certificate: PublicBlob) -> None:
        self.public_blob = certificate
        self._signer = signer

    def get_name(self) -> str:
        """Return the certificate's kind."""
        return str(self.public_blob.key_type)

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Any:
        """Sign, as the plain key does."""
        return self._signer.sign_ssh_data(data, algorithm)


class _Agent(AgentSSH):  # type: ignore[misc]
    """The agent that listens at `path`. Several connections may sign with it at once: they take turns."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._turn = threading.Lock()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(limits.AGENT)
        try:
            sock.connect(path)
            self._connect(sock)
        except BaseException:
            sock.close()
            raise
        for key in self._keys:
            if key.get_name().endswith(_CERTIFICATE):
                # Paramiko would offer the plain key under the certificate's name.
                key.public_blob = PublicBlob(key.get_name(), key.blob)

    def _send_message(self, message: Any) -> Any:
        with self._turn:
            return super()._send_message(message)


class Login:
    """Offers keys until one is accepted; given to Paramiko as `auth_strategy`.

    `tried` names what was offered; `rsa_refused`: an RSA key was among it; `only_sha1` is
    how the server calls itself if it takes RSA keys with SHA-1 alone.
    """

    def __init__(self, target: Target, keys: Keys) -> None:
        self.tried: list[str] = []
        self.why = ""
        self.rsa_refused = False
        self.only_sha1 = ""
        self._target = target
        self._keys = keys

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in, or raise AuthenticationException."""
        for offer in self._keys.offers(self._target):
            self.tried.append(offer.name)
            try:
                more = transport.auth_publickey(self._target.user, offer.key)
            except paramiko.BadAuthenticationType as error:
                self.why = f"the server takes only {', '.join(error.allowed_types)}"
                raise
            except paramiko.AuthenticationException as error:
                self._note(offer, error, transport)
                if not transport.is_active():
                    raise
                continue
            if not more:
                return
            self.why = f"the key {offer.name} was accepted, but the server also wants {', '.join(more)}"
            break
        raise paramiko.AuthenticationException("no key was accepted")

    def passed_over(self) -> list[str]:
        """What was configured and could not be offered, with the reasons."""
        return self._keys.passed_over(self._target)

    def _note(self, offer: Offer, error: Exception, transport: paramiko.Transport) -> None:
        """Remember why a key was refused; for an RSA key it may only be that its signature was too new."""
        self.why = "" if str(error).startswith(("Authentication failed", "Unable to agree")) else str(error)
        if "rsa" in offer.key.get_name():
            self.rsa_refused = True
            self.only_sha1 = failures.signs_with_sha1_only(transport)


def _blob(key: AgentKey) -> bytes:
    return bytes(key.blob)


def _read_key(path: Path) -> paramiko.PKey | str:
    """Return the private key in a file, without a certificate that lies beside it; or why it cannot be used."""
    try:
        key = paramiko.PKey.from_path(path)
        key.public_blob = None
        return key
    except paramiko.PasswordRequiredException:
        return "it has a passphrase, and the agent does not hold it"
    except TypeError:  # what cryptography raises for an encrypted key, in some of its versions
        return "it has a passphrase, and the agent does not hold it"
    except FileNotFoundError:
        return "there is no such file"
    except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as error:
        if _public(path) is not None:
            return "it is a public key, and the agent does not hold the private one"
        return str(error) or type(error).__name__


def _public(path: Path) -> PublicBlob | None:
    """Return the public key or certificate in a file, if it holds one."""
    with suppress(OSError, ValueError, binascii.Error, UnicodeDecodeError, paramiko.SSHException):
        return PublicBlob.from_string(path.read_text())
    return None


def _header_blob(path: Path) -> bytes | None:
    """Return the public half that stands, in clear, in front of an encrypted private key of OpenSSH's format."""
    with suppress(OSError, ValueError, binascii.Error, UnicodeDecodeError):
        lines = path.read_text().strip().splitlines()
        if not lines or lines[0] != "-----BEGIN OPENSSH PRIVATE KEY-----":
            return None
        message = paramiko.Message(base64.b64decode("".join(lines[1:-1])))
        if message.get_bytes(15) != b"openssh-key-v1\0":
            return None
        for _ in ("cipher", "key derivation", "its options"):
            message.get_binary()
        message.get_int()
        return bytes(message.get_binary())
    return None


def _certified_key(certificate: PublicBlob) -> bytes:
    """Return the plain public key that a certificate is for (PROTOCOL.certkeys)."""
    fields = {"ssh-rsa": 2, "ssh-ed25519": 1, "sk-ssh-ed25519": 2, "sk-ecdsa-sha2-nistp256": 3, "ssh-dss": 4}
    kind = certificate.key_type.removesuffix(_CERTIFICATE)
    message = paramiko.Message(certificate.key_blob)
    message.get_binary()
    message.get_binary()  # the nonce
    plain = paramiko.Message()
    plain.add_string(f"{kind}@openssh.com" if kind.startswith("sk-") else kind)
    for _ in range(fields.get(kind, 2)):
        plain.add_string(message.get_binary())
    return bytes(plain.asbytes())
