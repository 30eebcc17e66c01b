"""PURE: what the certificate files say that etcd's command names, and whether etcd can start with them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from fleetrecover.commands.evidence import CertificateBytes
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.facts import Certificate, FileFault, NodeFacts, Survey

_FAULTS = {
    "missing": "is missing",
    "empty": "is empty",
    "directory": "is a directory, and should be a file",
}


def read_certificate(found: CertificateBytes, now: datetime) -> Certificate:
    """The facts of one certificate at `now` (the node's time); `problem` says why there are none."""
    path = found.files.cert
    faults = _faults(found)
    if not found.cert or any(fault.path == path for fault in faults):
        if found.states[0] == "hidden":
            return replace(_unread(found, "the login user may not read it", faults), hidden=True)
        return _unread(found, "the file is not there, or cannot be read", faults)
    try:
        cert = x509.load_pem_x509_certificate(found.cert)
        names = _names(cert)
        public = cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        return _unread(found, f"no certificate in PEM: {error}", faults)
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
        key=found.files.key,
        ca=found.files.ca,
        faults=faults,
    )


def _faults(found: CertificateBytes) -> tuple[FileFault, ...]:
    """What is wrong with the files themselves; what we may not look at is not judged."""
    wanted = "holds no certificate in PEM", "holds no private key in PEM", "holds no certificate in PEM"
    paths = found.files.cert, found.files.key, found.files.ca
    told = [
        (path, foreign if state == "foreign" else _FAULTS.get(state))
        for path, state, foreign in zip(paths, found.states, wanted, strict=True)
    ]
    return tuple(FileFault(path, what) for path, what in told if path and what is not None)


def _unread(found: CertificateBytes, problem: str, faults: tuple[FileFault, ...]) -> Certificate:
    return Certificate(
        found.files.cert,
        "",
        "",
        "",
        expired=False,
        names=(),
        key_matches=None,
        ca_matches=None,
        problem=problem,
        key=found.files.key,
        ca=found.files.ca,
        faults=faults,
    )


def files_missing(node: NodeFacts) -> tuple[FileFault, ...]:
    """The files with which the node's etcd cannot start: missing, empty, of another kind, a key of another certificate.

    Each once, in the order in which etcd's command names them. Such a node must not be counted as one that can be started.
    """
    found = [fault for each in node.certificates for fault in each.faults]
    found += [
        FileFault(each.key or each.path, f"does not belong to the certificate {each.path}")
        for each in node.certificates
        if each.key_matches is False
    ]
    return tuple(dict.fromkeys(found))


def file_findings(survey: Survey, node: NodeFacts) -> tuple[Finding, ...]:
    """An error for each of them, with where a good one can be had."""
    return tuple(
        Finding(
            Severity.ERROR,
            node.name,
            "certificate-key" if fault.what.startswith("does not belong") else "certificate-file",
            f"{node.name}: {fault.path} {fault.what}",
            _remedy(survey, node, fault),
        )
        for fault in files_missing(node)
    )


def start_blocked_by_files(survey: Survey, hosts: tuple[str, ...]) -> Finding | None:
    """The first file with which etcd would not start on any of these hosts; None where all have theirs."""
    found = [finding for host in hosts for finding in file_findings(survey, survey.node(host))]
    return next(iter(found), None)


def _remedy(survey: Survey, node: NodeFacts, fault: FileFault) -> str:
    """Copy it from a node that has it; else put it back: a certificate and its key are each node's own."""
    donors = [other.name for other in survey.nodes if other.name != node.name and _has(other, fault.path)]
    if donors and not fault.what.startswith("does not belong"):
        return f"copy it from {donors[0]}, then run this again"
    return (
        "put the matching file back from a backup, or issue the pair anew (RKE: `rke cert rotate`, Rancher: Rotate "
        "Certificates), then run this again"
    )


def _has(node: NodeFacts, path: str) -> bool:
    """Whether the node's etcd names that very file, and nothing is wrong with it."""
    named = {name for each in node.certificates for name in (each.path, each.key, each.ca)}
    return node.reachable and path in named and path not in {fault.path for fault in files_missing(node)}


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
