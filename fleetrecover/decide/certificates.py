"""PURE: what the certificate files say that etcd's command names."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from fleetrecover.commands.evidence import CertificateBytes
from fleetrecover.facts import Certificate


def read_certificate(found: CertificateBytes, now: datetime) -> Certificate:
    """The facts of one certificate at `now` (the node's time); `problem` says why there are none."""
    path = found.files.cert
    if not found.cert:
        return _unread(path, "the file is not there, or cannot be read")
    try:
        cert = x509.load_pem_x509_certificate(found.cert)
        names = _names(cert)
        public = cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        return _unread(path, f"no certificate in PEM: {error}")
    common = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    digest = hashlib.sha256(public).hexdigest()
    return Certificate(
        path=path,
        subject=str(common[0].value) if common else cert.subject.rfc4514_string(),
        not_before=_iso(cert.not_valid_before_utc),
        not_after=_iso(cert.not_valid_after_utc),
        expired=not cert.not_valid_before_utc <= now <= cert.not_valid_after_utc,
        names=names,
        key_matches=None if found.key_digest is None else found.key_digest == digest,
        ca_matches=_issued_by(cert, found.ca) if found.ca else None,
    )


def _unread(path: str, problem: str) -> Certificate:
    return Certificate(path, "", "", "", expired=False, names=(), key_matches=None, ca_matches=None, problem=problem)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _names(cert: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns = extension.get_values_for_type(x509.DNSName)
    addresses = [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    return (*dns, *addresses)


def _issued_by(cert: x509.Certificate, bundle: bytes) -> bool | None:
    """Whether one of the bundle's certificates has signed it; None where the bundle cannot be read."""
    try:
        authorities = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return None
    for authority in authorities:
        try:
            cert.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        return True
    return False
