import io

import pytest

from fleetrecover.errors import OutcomeUnknown, Unreachable
from fleetrecover.model import Command, Host, Transport
from tests.fakes.transport import FakeTransport, failed

ONE, TWO = Host("etcd1", "10.0.0.1"), Host("etcd2", "10.0.0.2")
LIST = Command("list", "docker ps")


def test_answers_by_name_and_in_turn() -> None:
    transport: Transport = FakeTransport({"etcd1": {"list": [failed(1, "busy"), "a b"], "*": 7}})
    assert [r.exit_code for r in transport.batch(ONE, [LIST, LIST, LIST, Command("other", "x")])] == [1, 0, 0, 7]
    assert transport.batch(ONE, [LIST])[0].text == "a b"


def test_an_unreachable_host_raises_as_the_real_one_does() -> None:
    transport = FakeTransport({"etcd2": Unreachable("etcd2", "refused")})
    with pytest.raises(Unreachable):
        transport.batch(TWO, [LIST])
    assert transport.asked == []


def test_a_cut_connection_has_its_effect_all_the_same() -> None:
    done: list[str] = []
    transport = FakeTransport({"etcd1": {"stop": lambda host, command: str(done.append(host.name))}})  # type: ignore[func-returns-value]
    transport.cut("etcd1", "stop")
    with pytest.raises(OutcomeUnknown):
        transport.batch(ONE, [Command("stop", "docker stop etcd")])
    assert done == ["etcd1"]
    assert transport.batch(ONE, [Command("stop", "docker stop etcd")])[0].ok


def test_what_was_asked_is_recorded() -> None:
    transport = FakeTransport({"etcd1": {"put": b"", "get": b"data"}})
    sink = io.BytesIO()
    transport.upload(ONE, Command("put", "cat >x"), io.BytesIO(b"payload"))
    assert transport.download(ONE, Command("get", "cat x"), sink).stdout == b""
    assert sink.getvalue() == b"data"
    assert [(asked.how, asked.sent) for asked in transport.asked] == [("upload", b"payload"), ("download", b"")]
    assert transport.names("etcd1") == ["put", "get"]


def test_a_command_that_nobody_scripted_is_named() -> None:
    with pytest.raises(AssertionError, match="list"):
        FakeTransport({"etcd1": {}}).batch(ONE, [LIST])
