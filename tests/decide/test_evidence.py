"""The judgement beside the choice: what serves, what is only slow, what may be missing, what etcd stands on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from fleetrecover.commands import evidence
from fleetrecover.commands.evidence import CertificateBytes, CertificateFiles
from fleetrecover.decide.certificates import read_certificate
from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict, Wish, diagnose, may_be_electing
from fleetrecover.decide.survivor import ProofKind
from fleetrecover.facts import Certificate, PeerPort, Sign
from fleetrecover.model import Result
from tests.decide.logs import FIVE, log
from tests.decide.surveys import container, members, node, status, survey

NOON = int(datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp())


def codes(diagnosis: Diagnosis) -> list[str]:
    return [finding.code for finding in diagnosis.findings]


# --- never take a living cluster for a lost one ---


def test_emptied_members_that_serve_are_not_repaired_over_the_one_with_data() -> None:
    full = node(1, log(1, [(1, 3), (2, 900)], commit=900), status=status(1), containers=(container("exited"),))
    empty = [
        node(
            n,
            log(n, [(1, 3), (2, 5)], commit=8),
            status=status(n, healthy=True, leader=2, commit=8),
            members=members(1, 2, 3),
        )
        for n in (2, 3)
    ]
    found = diagnose(survey(full, *empty), Wish())
    assert (found.verdict, found.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED)
    assert found.findings[0].code == "forgotten"


def test_a_member_that_is_behind_a_living_cluster_is_only_ill() -> None:
    behind = node(1, log(1, [(1, 3), (2, 9)], commit=12), containers=(container("exited"),))
    living = [
        node(
            n,
            log(n, [(1, 3), (2, 90)], commit=92),
            status=status(n, healthy=True, leader=2, commit=93),
            members=members(1, 2, 3),
        )
        for n in (2, 3)
    ]
    assert diagnose(survey(behind, *living), Wish()).verdict is Verdict.DEGRADED


def test_a_quorum_that_agrees_on_a_leader_is_slow_and_not_lost() -> None:
    nodes = [node(n, log(n, [(2, 20)]), status=status(n, leader=1)) for n in (1, 2)]
    found = diagnose(survey(*nodes, node(3, containers=(container("exited"),))), Wish())
    assert (found.verdict, found.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED)
    assert "slow" in codes(found)


def test_sound_members_without_a_leader_may_be_electing() -> None:
    nodes = [node(n, log(n, [(2, 20)]), status=status(n)) for n in (1, 2)]
    assert may_be_electing(survey(*nodes, node(3, containers=(container("exited"),))))
    assert not may_be_electing(survey(nodes[0], node(2, containers=()), node(3, containers=())))


def test_emptied_members_are_not_waited_for() -> None:
    full = node(1, log(1, [(1, 3), (2, 900)], commit=900), containers=(container("exited"),))
    empty = [node(n, log(n, [(1, 3)], commit=3)) for n in (2, 3)]
    assert not may_be_electing(survey(full, *empty))


class TestEmptied:
    """A member whose directory was emptied writes the first entries of its cluster anew, under its old id."""

    def test_it_proves_nothing(self) -> None:
        full, emptied = log(1, [(1, 3), (2, 900)], commit=900), log(2, [(1, 3)], commit=3, term=2)
        found = diagnose(survey(node(1, full), node(2, emptied), node(3, containers=())), Wish())
        assert found.choice is not None
        assert (found.choice.proof, found.choice.logs_read) == (ProofKind.BEST, 1)
        assert [(aside.host, aside.code) for aside in found.choice.aside] == [("etcd2", "newborn")]

    def test_it_is_not_started_into_a_quorum(self) -> None:
        """Two of five have their data, and differ: with the emptied one's vote the shorter log could win."""
        full = node(1, log(1, [(1, 5), (2, 900)], commit=880, voters=FIVE))
        shorter = node(2, log(2, [(1, 5), (2, 890)], commit=880, voters=FIVE))
        emptied = node(3, log(3, [(1, 5)], commit=5, term=3, voters=FIVE))
        gone = [node(n, containers=(container("exited"),)) for n in (4, 5)]
        found = diagnose(survey(full, shorter, emptied, *gone), Wish())
        assert (found.remedy, found.startable) == (Remedy.RESET, ("etcd1", "etcd2"))
        assert found.choice is not None
        assert found.choice.survivor == "etcd1"

    def test_where_nobody_knows_more_they_are_a_cluster_that_has_just_begun(self) -> None:
        young = [node(n, log(n, [(1, 3)], commit=3)) for n in (1, 2, 3)]
        assert diagnose(survey(*young), Wish()).remedy is Remedy.START


# --- how much may be missing ---


def test_how_much_a_missing_member_may_hold_is_told_in_seconds_and_writes() -> None:
    signs = (
        Sign("0000000000000000-0000000000000000.wal", NOON - 300),
        Sign("0000000000000001-0000000000000065.wal", NOON - 100),
        Sign("db", NOON - 100),
    )
    survivor = node(1, log(1, [(2, 500)]), signs=signs, containers=(container("exited"),))
    ended = container("exited", finished_at="2026-01-02T11:58:50.5Z")
    found = diagnose(
        survey(survivor, node(2, containers=(ended,)), node(3, reachable=False, cli_version=None, containers=())),
        Wish(frozenset({"etcd3"})),
    )
    assert found.choice is not None
    told = found.choice.may_miss
    assert told[0].startswith(
        "etcd2 may hold up to 30 s / 60 writes more: its last sign of life was 2026-01-02 11:58:50"
    )
    assert "nothing here tells how much" in told[1] and "2.0 entries a second" in told[1]
    assert codes(found).count("may-be-missing") == 3


def test_nothing_may_be_missing_where_it_is_proven() -> None:
    nodes = [node(n, log(n, [(2, 20)]), containers=(container("exited"),)) for n in (1, 2)]
    found = diagnose(survey(*nodes, node(3, containers=(container("exited"),))), Wish())
    assert found.choice is not None and found.choice.may_miss == ()


# --- what etcd stands on ---


def healthy(number: int, **more: object) -> object:
    return node(
        number,
        log(number, [(2, 20)]),
        status=status(number, healthy=True, leader=1),
        members=members(1, 2, 3),
        **more,
    )


def judged(**more: object) -> Diagnosis:
    return diagnose(survey(healthy(1), healthy(2), healthy(3, **more)), Wish())  # type: ignore[arg-type]


def certificate(**more: object) -> Certificate:
    values: dict[str, object] = {
        "path": "/c.pem",
        "subject": "etcd3",
        "not_before": "2025-01-01T00:00:00Z",
        "not_after": "2030-01-01T00:00:00Z",
        "expired": False,
        "names": ("10.0.0.3",),
        "key_matches": True,
        "ca_matches": True,
    }
    return Certificate(**(values | more))  # type: ignore[arg-type]


def test_findings_about_certificates_say_what_is_wrong() -> None:
    assert codes(judged(certificates=(certificate(),))) == []
    wrong = certificate(
        expired=True, not_after="2026-01-01T00:00:00Z", key_matches=False, ca_matches=False, names=("other",)
    )
    found = judged(certificates=(wrong,))
    assert found.verdict is Verdict.DEGRADED
    assert set(codes(found)) == {"certificate-expired", "certificate-key", "certificate-ca", "certificate-names"}
    assert all(finding.advice for finding in found.findings)


def test_what_only_deserves_a_look_leaves_the_cluster_healthy() -> None:
    ports = (PeerPort("etcd1", "10.0.0.1", 2380, "silent"), PeerPort("etcd2", "10.0.0.2", 2380, "open"))
    soon = certificate(not_after="2026-01-12T00:00:00Z")
    found = judged(clock_offset=-7.0, ports=ports, certificates=(soon,))
    assert found.verdict is Verdict.HEALTHY
    assert set(codes(found)) == {"clock", "peer-port", "certificate-expires"}


def test_leftovers_and_missing_restart_policies_are_named() -> None:
    stray = container("exited", name="old-etcd", id="d" * 64, restart_policy="no")
    found = judged(containers=(container(restart_policy="no"), stray), helpers=(("etcd-restore", "exited"),))
    assert sorted(codes(found)) == ["leftover-container", "leftover-container", "no-restart-policy"]


def test_an_alarm_says_what_to_do() -> None:
    found = judged(alarms=("NOSPACE 3",))
    assert found.verdict is Verdict.DEGRADED
    assert "alarm disarm" in found.findings[0].advice


# --- the probes ---


def test_certificates_are_read_and_compared_without_the_private_key() -> None:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime(2026, 1, 2, tzinfo=UTC)

    def issue(name: str, public: ec.EllipticCurvePublicKey) -> bytes:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        built = x509.CertificateBuilder(issuer, subject, public, 7, now - timedelta(1), now + timedelta(1))
        return built.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM)

    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    files = CertificateFiles("/c.pem", "/k.pem", "/ca.pem")
    cert, authority = issue("etcd1", key.public_key()), issue("ca", authority_key.public_key())
    good = read_certificate(CertificateBytes(files, cert, authority, digest.finalize().hex()), now)
    assert (good.subject, good.expired, good.key_matches, good.ca_matches) == ("etcd1", False, True, True)
    late = read_certificate(CertificateBytes(files, cert, cert, "00"), now + timedelta(2))
    assert (late.expired, late.key_matches, late.ca_matches) == (True, False, False)
    assert read_certificate(CertificateBytes(files, b"", b"", None), now).problem
    assert read_certificate(CertificateBytes(files, b"junk", b"", None), now).problem


def test_probes_take_what_they_know() -> None:
    signs = evidence.signs("/var/lib/etcd/member")
    assert signs.parse(Result(signs.command, 0, b"100 db\njunk\n", b"")) == (Sign("db", 100),)
    ports = evidence.ports([("etcd2", "10.0.0.2", 2380)])
    assert ports.parse(Result(ports.command, 0, b"silent\n", b"")) == (PeerPort("etcd2", "10.0.0.2", 2380, "silent"),)
