"""A conversation over a wire that is a script, with a clock that only the wire moves: what is certain when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fleetrecover import bounds
from fleetrecover.commands.login_shell import SUDO, Offer, through_engine
from fleetrecover.errors import LoginFailed, OutcomeUnknown, SudoHangs, TooMuch, Unreachable
from fleetrecover.limits import KILL_GRACE, NO_SIGN, SILENCE
from fleetrecover.model import Command, Result
from fleetrecover.remote.conversation import OVERTIME, Conversation

HELLO = Command("hello", "echo hello", timeout=10)
NONCE = b"@NONCE@"
Said = tuple[int, bytes]


def mark(index: int, code: int = 0, *, streams: Sequence[int] = (1, 2)) -> list[Said]:
    """A separator, on both streams if not said otherwise."""
    return [(stream, b"%s %d %d\n" % (NONCE, index, code)) for stream in streams]


class FakeWire:
    """Says at each turn what its script has, and lets `step` seconds pass at each wait; after that it says `then` for ever."""

    def __init__(
        self,
        *turns: list[Said],
        then: list[Said] | None = None,
        step: float = 1.0,
        alive: bool = True,
        end: bool = False,
    ) -> None:
        self.turns = list(turns)
        self.then = then or []
        self.step = step
        self.alive = alive
        self.end_after = end
        self.now = 0.0
        self.last = 0.0
        self.nonce = b""
        self.sent = b""
        self.status_code: int | None = None
        self.reads = 0

    def clock(self) -> float:
        return self.now

    @property
    def closed(self) -> bool:
        return self.end_after and not self.turns

    @property
    def heard(self) -> float:
        return self.now if self.alive else self.last

    def read(self) -> Iterator[Said]:
        self.reads += 1
        assert self.reads < 3000, "it is read without end"
        for stream, data in self.turns.pop(0) if self.turns else self.then:
            self.last = self.now
            yield stream, data.replace(NONCE, self.nonce)

    def write(self, data: bytes | memoryview) -> int:
        self.sent += bytes(data)
        return len(data)

    def end(self) -> None:
        self.sent += b"<end>"

    def wait(self, timeout: float, *, to_write: bool) -> None:
        assert timeout >= 0
        self.now += self.step
        assert self.now < 500, "it is waited for without end"

    def status(self) -> int | None:
        return self.status_code


def talk(wire: FakeWire, *commands: Command, **more: Any) -> list[Result]:
    """Hold the conversation."""
    held = Conversation("etcd1", wire, list(commands) or [HELLO], clock=wire.clock, **more)
    wire.nonce = held._script.nonce
    return held.run()


def test_both_streams_are_taken_apart() -> None:
    wire = FakeWire([(1, b"welcome\n"), *mark(0)], [(1, b"hello\n"), (2, b"oops")], mark(1, 3))
    [result] = talk(wire)
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"hello\n", b"oops")


@pytest.mark.parametrize("first", [1, 2])
def test_a_command_ends_when_both_of_its_streams_have(first: int) -> None:
    """What is still under way on the other one belongs to it."""
    other = 3 - first
    late = [(other, b"late"), *mark(1, streams=[other])]
    [result] = talk(FakeWire(mark(0), mark(1, streams=[first]), [], [], late))
    assert (result.stdout, result.stderr)[other - 1] == b"late"


def test_one_stream_alone_never_ends_it() -> None:
    with pytest.raises(OutcomeUnknown):
        talk(FakeWire(mark(0), mark(1, streams=[1])))


def test_a_node_that_gives_no_sign_of_life_is_dead_long_before_the_commands_own_end() -> None:
    wire = FakeWire(mark(0), alive=False)
    with pytest.raises(OutcomeUnknown, match="no sign of life") as caught:
        talk(wire, Command("long", "sleep 3600", timeout=3600))
    assert not isinstance(caught.value, TooMuch)
    assert NO_SIGN < wire.now < NO_SIGN + 5


def test_one_that_is_silent_and_alive_has_the_commands_time() -> None:
    wire = FakeWire(mark(0))
    with pytest.raises(OutcomeUnknown, match="no answer came"):
        talk(wire, Command("long", "sleep 3600", timeout=200))
    assert 200 + KILL_GRACE < wire.now < 200 + KILL_GRACE + SILENCE + 5


def test_nothing_was_run_where_the_script_was_not_sent() -> None:
    class Stuck(FakeWire):
        def write(self, data: bytes | memoryview) -> int:
            return 0

    with pytest.raises(Unreachable, match="nothing was run"):
        talk(Stuck(alive=False))


def test_a_sudo_that_hangs_is_told_apart() -> None:
    with pytest.raises(SudoHangs):
        talk(FakeWire(), shell=SUDO)


class TestEngine:
    """Root's shell through the container engine: what is said when that is not there, or goes away."""

    SHELL = through_engine("docker", Offer(image="sha256:" + "a" * 64, nsenter="/usr/bin/nsenter"))

    def ended(self, *turns: list[Said], status: int) -> FakeWire:
        wire = FakeWire(*turns, end=True)
        wire.status_code = status
        return wire

    def test_it_gives_no_shell(self) -> None:
        wire = self.ended([(2, b"docker: Cannot connect to the Docker daemon")], status=125)
        with pytest.raises(
            LoginFailed, match="through `docker run` there, which failed: docker: Cannot connect"
        ) as caught:
            talk(wire, shell=self.SHELL, user="op")
        assert "systemctl start docker" in str(caught.value.hint)

    def test_it_is_stopped_in_the_middle(self) -> None:
        with pytest.raises(
            OutcomeUnknown, match=r"container of `docker` that gave us root was ended \(exit code 143\)"
        ):
            talk(self.ended(mark(0), [], status=143), shell=self.SHELL)

    def test_it_hangs(self) -> None:
        with pytest.raises(OutcomeUnknown, match="for `docker run` to give op a root shell") as caught:
            talk(FakeWire(), shell=self.SHELL, user="op")
        assert not isinstance(caught.value, SudoHangs)


class TestBounds:
    """However a node goes on sending, it is left within bounded time and with bounded memory."""

    def test_a_dot_every_few_seconds_is_not_waited_for_without_end(self) -> None:
        wire = FakeWire(mark(0), then=[(1, b".")], step=3.0)
        with pytest.raises(TooMuch, match="dots had not ended after"):
            talk(wire, Command("dots", "", timeout=20))
        assert wire.now <= 20 + KILL_GRACE + OVERTIME + 6

    def test_a_command_that_is_late_may_still_be_sending(self) -> None:
        slow = [[(1, b"x" * 1000)] for _ in range(40)]
        [result] = talk(FakeWire(mark(0), *slow, mark(1)), Command("slow", "", timeout=10))
        assert len(result.stdout) == 40_000

    def test_a_login_that_prints_for_ever(self) -> None:
        wire = FakeWire(then=[(1, b"welcome\n")], step=2.0)
        with pytest.raises(TooMuch, match="its login went on printing"):
            talk(wire, start_limit=10.0)
        assert wire.now <= 10 + OVERTIME + 4

    def test_a_login_that_prints_much(self) -> None:
        wire = FakeWire(then=[(2, b"y\n" * 100_000)], step=0.0)
        with pytest.raises(TooMuch, match="its login printed more than"):
            talk(wire)

    @pytest.mark.parametrize("stream", [1, 2])
    def test_a_command_that_prints_much(self, stream: int) -> None:
        wire = FakeWire(mark(0), then=[(stream, bytes(1000))], step=0.0)
        with pytest.raises(TooMuch, match="much printed more than 5,000 bytes") as caught:
            talk(wire, Command("much", "", most=5000))
        assert caught.value.host == "etcd1"

    def test_just_as_much_as_may_be(self) -> None:
        two = [Command("first", "", most=3000), Command("second", "", most=3000)]
        results = talk(FakeWire(mark(0), [(1, bytes(3000))], mark(1), [(1, bytes(3000))], mark(2)), *two)
        assert [len(result.stdout) for result in results] == [3000, 3000], "each has its own bound"

    def test_the_bound_holds_for_what_goes_into_a_file_too(self) -> None:
        import io

        sink = io.BytesIO()
        with pytest.raises(TooMuch):
            talk(FakeWire(mark(0), then=[(1, bytes(1000))], step=0.0), Command("fetch", "", most=5000), sink=sink)
        assert len(sink.getvalue()) <= 5000

    def test_one_that_sends_without_a_pause_is_looked_at_all_the_same(self) -> None:
        """The wire never runs dry: the clock is looked at between two heaps."""

        class Endless(FakeWire):
            def read(self) -> Iterator[Said]:
                yield from super().read()
                while not self.turns and len(self.sent) and self.nonce:
                    self.now += 0.5
                    assert self.now < 500, "nobody looks at the clock"
                    yield 1, bytes(bounds.MIB)

        wire = Endless(mark(0))
        with pytest.raises(TooMuch, match="while it went on sending"):
            talk(wire, Command("endless", "", timeout=20, most=1 << 40), sink=_Nowhere())
        assert wire.now < 20 + KILL_GRACE + OVERTIME + 10

    def test_a_forged_separator_makes_no_second_result(self) -> None:
        [result] = talk(FakeWire(mark(0), [*mark(1), *mark(2, streams=[1]), *mark(3, streams=[1])]))
        assert result.ok


class _Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)


def test_a_connection_that_is_lost_says_what_is_certain() -> None:
    with pytest.raises(OutcomeUnknown, match="may or may not have run"):
        talk(FakeWire(mark(0), end=True))
