"""Exit codes: what a node's failure means depends on whether anything was changed before it, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleetrecover import errors
from fleetrecover.errors import (
    CheckFailed,
    CommandFailed,
    FleetRecoverError,
    FormatError,
    OddAnswer,
    OutcomeUnknown,
    RemoteError,
    StoppedPartWay,
    Unreachable,
    changing,
)
from fleetrecover.remote.retry import WaitTimeout


def every_error(top: type[FleetRecoverError]) -> Iterator[type[FleetRecoverError]]:
    """It, and all below it."""
    yield top
    for each in top.__subclasses__():
        yield from every_error(each)


def test_a_remote_error_is_never_a_fault_of_the_program() -> None:
    assert WaitTimeout in set(every_error(RemoteError))
    for kind in every_error(RemoteError):
        assert kind.code == 12, kind


def test_the_tree_in_the_modules_text_is_the_tree() -> None:
    text = errors.__doc__ or ""
    for kind in every_error(FleetRecoverError):
        if kind.__module__ == errors.__name__:
            assert kind.__name__ in text


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("etcd1", "refused", hint="try `ssh etcd1`"),
        OutcomeUnknown("etcd1", "lost"),
        CommandFailed("etcd1", "no", exit_code=1),
        OddAnswer("etcd1", "machine: what"),
    ],
)
def test_after_a_change_it_is_a_stop_part_way(error: RemoteError) -> None:
    with pytest.raises(StoppedPartWay) as caught, changing("run it again"):
        raise error
    assert caught.value.code == 21
    assert error.message in caught.value.message
    assert "run it again" in str(caught.value.hint)
    assert (error.hint or "") in str(caught.value.hint)
    assert caught.value.__cause__ is error


def test_other_errors_are_what_they_are_after_a_change_too() -> None:
    with pytest.raises(CheckFailed), changing():
        raise CheckFailed("x")


def test_an_odd_answer_names_the_node_and_what_it_was_asked_once() -> None:
    plain = OddAnswer.of("etcd1", FormatError("too long", source="db", offset=7), "ranges")
    assert (plain.message, plain.reason, plain.host) == (
        "etcd1: ranges: db at offset 7: too long",
        "ranges: db at offset 7: too long",
        "etcd1",
    )
    assert OddAnswer.of("etcd2", plain, "machine") is plain
    assert OddAnswer.of("etcd1", FormatError("x", source="machine"), "machine").message == "etcd1: machine: x"
    assert isinstance(plain, FormatError)
    assert plain.code == 12, "no input file of the operator is wrong"
