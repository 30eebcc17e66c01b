"""What the survey does by itself between its looks at the nodes."""

from __future__ import annotations

from fleetrecover.facts import NodeFacts
from fleetrecover.survey import read_early
from tests.decide.logs import log
from tests.decide.surveys import container, node, status, survey

STOPPED = {"containers": (container("exited"),)}


def early(*nodes: NodeFacts) -> set[str]:
    """Which of them are read again."""
    return set(read_early(survey(*nodes).fleet, nodes))


class TestReadAgain:
    def test_one_whose_term_is_behind_a_vote_that_it_may_have_asked_for_a_moment_later(self) -> None:
        assert early(node(1, log(1, [(2, 14), (3, 1)], commit=14)), node(3, log(3, [(2, 14)], commit=13))) == {"etcd3"}

    def test_one_that_lacks_what_a_peer_knows_to_be_decided(self) -> None:
        assert early(node(1, log(1, [(2, 20)], commit=20)), node(2, log(2, [(2, 18)], commit=18))) == {"etcd2"}

    def test_a_stopped_one_cannot_have_moved(self) -> None:
        assert early(node(1, log(1, [(3, 20)])), node(2, log(2, [(2, 18)]), **STOPPED)) == set()

    def test_nobody_while_the_cluster_serves(self) -> None:
        serving = node(1, log(1, [(3, 20)]), status=status(1, healthy=True, leader=1))
        assert early(serving, node(2, log(2, [(2, 18)]))) == set()

    def test_nobody_where_all_agree_and_where_nothing_was_read(self) -> None:
        assert early(node(1, log(1, [(2, 20)])), node(2, log(2, [(2, 20)]))) == set()
        assert early(node(1), node(2)) == set()
