"""A login that may not look, or not write, is told so first: which node, who, which directory, and what to add."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.evidence import CertificateBytes, CertificateFiles
from fleetrecover.commands.probes import parse_listing
from fleetrecover.decide.certificates import read_certificate
from fleetrecover.decide.finding import Severity
from fleetrecover.decide.rights import lacking, refuse_without_rights, what_to_add
from fleetrecover.decide.surroundings import surroundings
from fleetrecover.decide.verdict import Expectation, judge
from fleetrecover.errors import Refused
from fleetrecover.facts import DataDir, NodeFacts, Problem
from fleetrecover.model import Fleet, Host, Result
from fleetrecover.report.console import print_survey
from fleetrecover.snapshots.listing import list_snapshots
from fleetrecover.snapshots.rights import refuse_without_snapshots
from tests.decide.surveys import node, survey
from tests.fakes.transport import FakeTransport

OP = "op (uid 1000)"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def data(**more: object) -> DataDir:
    found = node(1).data
    assert found is not None
    return replace(found, who=OP, **more)  # type: ignore[arg-type]


def row(number: int, **more: object) -> NodeFacts:
    return replace(node(number), data=data(**more))


LACKING = {
    "may not read": ({"forbidden": "/var/lib/etcd"}, "may not read /var/lib/etcd"),
    "what runs keep": ({"foreign": "/var/lib/etcd.fleetrecover"}, "may not look into /var/lib/etcd.fleetrecover"),
    "may not write": ({"unwritable": "/var/lib/"}, "may not write in /var/lib/"),
}


@pytest.mark.parametrize("case", LACKING)
def test_it_is_refused_by_name_with_what_to_add(case: str) -> None:
    lacks, said = LACKING[case]
    with pytest.raises(Refused) as caught:
        refuse_without_rights([node(1), row(2, **lacks), row(3, **lacks)])
    told = caught.value
    assert (
        told.message == f"etcd2: the login user {OP} {said}; etcd3: the login user {OP} {said}; nothing was changed"
        or (case == "what runs keep" and "which is another user's" in told.message)
    )
    assert told.code == 20
    assert told.hint is not None
    for part in ('user = "root"', "sudo = true", "op ALL=(root) NOPASSWD: ALL", "on etcd2, etcd3", "docker group"):
        assert part in told.hint


@pytest.mark.parametrize("case", LACKING)
def test_root_is_told_otherwise(case: str) -> None:
    """What root may not, no login may: that is for what is done there to say."""
    lacks, _ = LACKING[case]
    refuse_without_rights([replace(node(1), data=replace(data(**lacks), who="root (uid 0)"))])
    refuse_without_rights([replace(node(1), data=None)])
    refuse_without_rights([row(1)])


def test_who_only_reads_need_not_write() -> None:
    assert lacking(data(unwritable="/var/lib/"), write=False) == ""
    assert lacking(data(forbidden="/d"), write=False) != ""
    refuse_without_rights([row(1, unwritable="/var/lib/")], write=False)


def test_without_a_name_it_says_user() -> None:
    assert "USER ALL=(root)" in what_to_add("")


def test_verify_says_what_it_has_not_looked_at() -> None:
    """It is no fault of the cluster's, and it is not silent."""
    [*_, last] = judge(survey(row(1, forbidden="/var/lib/etcd")), None, Expectation(("etcd1",), {})).checks
    assert (last.name, last.ok) == ("kept by runs", True)
    assert OP in last.detail
    assert judge(survey(node(1)), None, Expectation(("etcd1",), {})).checks[-1].name != "kept by runs"


def test_what_a_run_of_root_keeps_is_foreign_to_others() -> None:
    said = "real=/d\nwho=op (uid 1000)\nexists=1\nforeign=/d.fleetrecover\nfree=1\n"
    assert parse_listing("/d", said).data.foreign == "/d.fleetrecover"


# --- snapshots ---


def fleet_of(answer: str) -> tuple[Fleet, FakeTransport]:
    return Fleet("prod", (Host("etcd1", "10.0.0.1"),)), FakeTransport({"etcd1": {"snapshot-listing": answer}})


def test_a_snapshot_directory_that_may_not_be_read_is_not_an_empty_one() -> None:
    fleet, transport = fleet_of(f"real=/opt/s\nfree=1\nwho={OP}\nforbidden=/opt\n")
    [(name, why)] = list_snapshots(fleet, transport).problems
    assert name == "etcd1"
    assert f"etcd1: the login user {OP} may not read /opt: log in as root" in why


@pytest.mark.parametrize(
    ("line", "said"), [("forbidden=/opt", "may not read /opt"), ("unwritable=/s", "may not write in /s")]
)
def test_nothing_is_saved_or_removed_where_it_may_not_be(line: str, said: str) -> None:
    fleet, transport = fleet_of(f"real=/opt/s\nfree=1\nwho={OP}\n{line}\n")
    with pytest.raises(Refused, match=f"etcd1: the login user .* {said}; nothing was changed") as caught:
        refuse_without_snapshots(fleet, transport)
    assert "op ALL=(root) NOPASSWD: ALL" in (caught.value.hint or "")
    refuse_without_snapshots(*fleet_of(f"real=/opt/s\nfree=1\nwho=root (uid 0)\n{line}\n"))
    refuse_without_snapshots(*fleet_of(f"real=/opt/s\nfree=1\nwho={OP}\nexists=1\n"))


@pytest.fixture
def passable() -> Iterator[Path]:
    """A directory that everybody may look into, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_the_listing_of_a_directory_by_another_user(passable: Path) -> None:
    """The script itself, as a user that may not."""
    shut = passable / "shut" / "snapshots"
    shut.mkdir(parents=True)

    def listed(path: Path, *command: str) -> commands.SnapshotDirectory:
        probe = commands.listing(str(path))
        done = subprocess.run([*command, "sh"], input=probe.command.script.encode(), capture_output=True, check=True)
        return probe.parse(Result(probe.command, 0, done.stdout, b""))

    mine = listed(shut)
    assert (mine.forbidden, mine.unwritable, mine.exists) == ("", "", True)
    if not Path("/usr/bin/setpriv").exists() or not mine.who.endswith("(uid 0)"):
        pytest.skip("only root can become somebody else")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    open_but_not_ours = listed(shut, *nobody)
    assert (open_but_not_ours.forbidden, open_but_not_ours.unwritable) == ("", str(shut))
    shut.parent.chmod(0o700)
    hidden = listed(shut, *nobody)
    assert (hidden.forbidden, hidden.exists) == (str(shut.parent), False)
    shut.parent.chmod(0o755)
    shut.chmod(0o711)
    assert listed(shut, *nobody).forbidden == str(shut)


def test_a_certificate_that_may_not_be_read_is_not_a_bad_one() -> None:
    files = CertificateFiles("/c.pem", "/k.pem", "/ca.pem")
    found = read_certificate(CertificateBytes(files, b"", b"", None, ("hidden", "hidden", "hidden")), NOW)
    assert found.hidden and not found.faults
    one = replace(row(1), certificates=(found,))
    [told] = [each for each in surroundings(survey(one)) if each.code.startswith("certificate")]
    assert (told.code, told.severity) == ("certificate-hidden", Severity.INFO)
    assert "op ALL=(root) NOPASSWD: ALL" in told.advice
    missing = read_certificate(CertificateBytes(files, b"", b"", None, ("missing", "there", "there")), NOW)
    assert not missing.hidden and missing.faults


def test_the_survey_says_that_data_may_not_be_read_and_what_to_add() -> None:
    """Not that there is none."""
    problem = Problem("forbidden", f"the login user {OP} may not read /var/lib/etcd")
    out = Console(record=True, width=200)
    print_survey(out, survey(replace(row(1, forbidden="/var/lib/etcd", has_member=False), log_problem=problem)))
    said = out.export_text()
    assert "none" not in said
    for part in ("may not be read, ", OP, "op ALL=(root) NOPASSWD: ALL", "on etcd1"):
        assert part in said
    out = Console(record=True, width=200)
    print_survey(out, survey(node(1)))
    assert "NOPASSWD" not in out.export_text()
