"""PURE: certificates: soon to expire, of another key or CA, for other names; files that are missing or empty."""

from __future__ import annotations

from fleetrecover.checks.base import of_codes

CHECK = of_codes(
    *("certificates", "certificates and their files"),
    *("certificate-file", "certificate-key", "certificate-ca", "certificate-names"),
    *("certificate-expired", "certificate-expires", "certificate-unread", "certificate-hidden"),
)
