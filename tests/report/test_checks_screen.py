"""What `check` shows at 80, 100 and 160 columns: nothing wider than the screen, the answer right above the prompt."""

from __future__ import annotations

import pytest

from fleetrecover.checking import Cluster
from fleetrecover.checks.table import ALL, check_all
from fleetrecover.report.checks import print_check, print_clusters
from tests.checks.test_checks import asked, observed
from tests.decide.test_verdict import changed, whole
from tests.report.test_console import Screen


@pytest.mark.parametrize("width", [80, 100, 160])
def test_one_line_a_check_and_the_answer_last(width: int) -> None:
    seen = changed(whole(), "n2", clock_offset=90.0)
    screen = Screen(width)
    print_check(screen.out, check_all(observed(seen), asked(seen, "n1")))
    screen.check()
    heads = [line for line in screen.lines if line.startswith(("ok ", "BAD "))]
    assert [line[4:] for line in heads] == [check.title for check in ALL]
    assert [line for line in heads if line.startswith("BAD")] == ["BAD clocks"]
    assert screen.lines[-1] == "healthy: 1 thing on 3 hosts stands in a recovery's way"
    assert "n1 may be taken down: 2 healthy voters of 3 are left" in " ".join(screen.text.split())
    assert "n2's clock is 90.0 s ahead" in " ".join(screen.text.split())
    assert len(screen.lines) <= 24


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_row_a_cluster(width: int) -> None:
    rows = [
        Cluster("a.toml", "alpha", 3, 0, "healthy"),
        Cluster(
            "b.toml", "beta", 3, 11, "quorum-lost", 4, 2, "no member has a leader, and all 3 voters are accounted for"
        ),
        Cluster("c.toml", "c", 0, 3, error="c.toml: [[hosts]] is missing"),
    ]
    screen = Screen(width)
    print_clusters(screen.out, rows)
    screen.check()
    assert screen.lines[-1] == "1 of 3 clusters: nothing would stop a recovery"
    assert "c.toml: [[hosts]] is missing" in screen.text
    assert "not judged" in screen.text
