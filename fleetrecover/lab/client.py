"""An etcd client for rehearsals: JSON over HTTP with TLS, from this machine's own address on the lab's bridge.

It goes past SSH, Docker and etcdctl, so what it knows to be acknowledged is known independently of the tool under test.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetrecover.lab.system import LabError

PORT = 2379
PAGE = 2000
BATCH = 100


class EtcdFailed(LabError):
    """etcd did not answer, or answered with an error: whether a write was done is unknown."""


@dataclass(frozen=True)
class Tls:
    """The files that a client shows: the authority it trusts, its certificate, its key."""

    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """A fresh context; one can be shared by many connections."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(str(self.certificate), str(self.key))
        return context


@dataclass(frozen=True)
class Verdict:
    """What became of acknowledged writes: `missing` and `wrong` name keys, `extra` counts unacknowledged survivors."""

    expected: int
    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    extra: int

    @property
    def whole(self) -> bool:
        """Whether nothing that was acknowledged is lost or changed."""
        return not self.missing and not self.wrong


class Connection:
    """One keep-alive connection to one member. Not for two threads at once."""

    def __init__(self, address: str, context: ssl.SSLContext, timeout: float) -> None:
        self._address, self._context, self._timeout = address, context, timeout
        self._http: http.client.HTTPSConnection | None = None

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer's JSON; EtcdFailed otherwise. Nothing is retried: an unanswered write must not be sent twice."""
        try:
            if self._http is None:
                self._http = http.client.HTTPSConnection(
                    self._address, PORT, timeout=self._timeout, context=self._context
                )
            data = None if body is None else json.dumps(body).encode()
            self._http.request(method, path, body=data, headers={"Content-Type": "application/json"})
            answer = self._http.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise EtcdFailed(f"{self._address}: {error or type(error).__name__}") from error
        if answer.status != 200:
            raise EtcdFailed(f"{self._address}: HTTP {answer.status}: {text.decode('utf-8', 'replace').strip()[:300]}")
        try:
            parsed: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise EtcdFailed(f"{self._address}: the answer is no JSON") from error
        return parsed

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        if self._http is not None:
            self._http.close()
            self._http = None


class Client:
    """Reads and writes keys. `members`: host name → address, in order; `api`: the gateway's prefix, /v3beta on 3.3."""

    def __init__(self, members: Mapping[str, str], tls: Tls, api: str = "/v3", timeout: float = 10.0) -> None:
        self.members = dict(members)
        self.api = api
        self._context = tls.context()
        self._timeout = timeout

    def connect(self, host: str, timeout: float | None = None) -> Connection:
        """A connection of one's own."""
        return Connection(self.members[host], self._context, timeout or self._timeout)

    def put(self, key: str, value: str, host: str | None = None) -> int:
        """Write one key through one member (the first, if not said); the revision that etcd acknowledged."""
        answer = self._ask(host, "/kv/put", {"key": encode(key), "value": encode(value)})
        return int(answer["header"]["revision"])

    def get(self, key: str, host: str | None = None, *, serializable: bool = False) -> str | None:
        """The value; None when there is no such key. `serializable` reads the member's own state, without quorum."""
        answer = self._ask(host, "/kv/range", {"key": encode(key), "serializable": serializable})
        found = answer.get("kvs") or []
        return decode(found[0].get("value", "")) if found else None

    def count(self, prefix: str = "", host: str | None = None, *, serializable: bool = False) -> int:
        """How many keys start with `prefix`."""
        body = {**_range_of(prefix), "count_only": True, "serializable": serializable}
        return int(self._ask(host, "/kv/range", body).get("count", 0))

    def read(self, prefix: str = "", host: str | None = None, *, serializable: bool = False) -> dict[str, str]:
        """Every key and value below `prefix`, page by page at one revision."""
        connection = self._connection(host)
        found: dict[str, str] = {}
        body: dict[str, Any] = {**_range_of(prefix), "limit": PAGE, "serializable": serializable}
        try:
            while True:
                answer = connection.request("POST", f"{self.api}/kv/range", body)
                page = answer.get("kvs") or []
                found.update({decode(entry["key"]): decode(entry.get("value", "")) for entry in page})
                if not answer.get("more"):
                    return found
                body["key"] = base64.b64encode(base64.b64decode(page[-1]["key"]) + b"\0").decode()
                body["revision"] = body.get("revision") or answer["header"]["revision"]
        finally:
            connection.close()

    def fill(self, prefix: str, count: int, size: int = 100, host: str | None = None) -> dict[str, str]:
        """Write `count` keys quickly, a hundred to a transaction; what was written, all of it acknowledged."""
        written = {f"{prefix}{number:08d}": value_of(f"{prefix}{number:08d}", size) for number in range(count)}
        keys = list(written)
        connection = self._connection(host)
        try:
            for start in range(0, count, BATCH):
                puts = [
                    {"request_put": {"key": encode(key), "value": encode(written[key])}}
                    for key in keys[start : start + BATCH]
                ]
                connection.request("POST", f"{self.api}/kv/txn", {"success": puts})
        finally:
            connection.close()
        return written

    def verify(self, expected: Mapping[str, str], host: str | None = None, *, serializable: bool = False) -> Verdict:
        """Compare acknowledged keys and values with what a member now has below their common prefix."""
        prefix = common_prefix(expected)
        present = self.read(prefix, host, serializable=serializable)
        return Verdict(
            expected=len(expected),
            missing=tuple(sorted(key for key in expected if key not in present)),
            wrong=tuple(sorted(key for key, value in expected.items() if key in present and present[key] != value)),
            extra=len(present.keys() - expected.keys()),
        )

    def healthy(self, host: str, timeout: float = 6.0) -> bool:
        """What the member's /health says, which needs quorum; False when it does not answer."""
        connection = self.connect(host, timeout)
        try:
            return connection.request("GET", "/health").get("health") in ("true", True)
        except EtcdFailed:
            return False
        finally:
            connection.close()

    def writer(self, prefix: str = "/w/", threads: int = 8, size: int = 100, **more: Any) -> Writer:
        """A Writer over all members; start it, break something, stop it, verify what it was told."""
        return Writer(self, prefix, threads, size, **more)

    def _connection(self, host: str | None) -> Connection:
        return self.connect(host or next(iter(self.members)))

    def _ask(self, host: str | None, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        connection = self._connection(host)
        try:
            return connection.request("POST", self.api + path, body)
        finally:
            connection.close()


class Writer:
    """Puts keys from many threads and remembers every one that was acknowledged, and those that were not.

    `acknowledged`: key → value, each answered with 200. `unknown`: keys sent and not answered so: present or not, both
    are right. With `record`, every acknowledged key is also appended to that file as a line, at once.
    A thread whose member fails goes on to the next member, with a new key.
    """

    def __init__(
        self,
        client: Client,
        prefix: str,
        threads: int,
        size: int,
        *,
        hosts: Sequence[str] | None = None,
        timeout: float = 2.0,
        limit: int | None = None,
        record: Path | None = None,
    ) -> None:
        self._client, self.prefix, self._size = client, prefix, size
        self._hosts = list(hosts or client.members)
        self._timeout, self._limit, self._record = timeout, limit, record
        self.acknowledged: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.revision = 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(threads)]

    def __enter__(self) -> Writer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin writing."""
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int, timeout: float = 60.0) -> None:
        """Return once `count` writes are acknowledged; LabError when that does not come in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.acknowledged) >= count, timeout):
                raise LabError(f"only {len(self.acknowledged)} of {count} writes were acknowledged in {timeout:g} s")

    def stop(self) -> dict[str, str]:
        """Stop, wait for the requests under way, and return what was acknowledged. Can be called twice."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=self._timeout * 4 + 5)
        return dict(self.acknowledged)

    def join(self) -> dict[str, str]:
        """Wait until `limit` is reached, then as `stop`."""
        for thread in self._threads:
            thread.join()
        return self.stop()

    def _work(self, number: int) -> None:
        turn, sequence = number, 0
        connection = self._client.connect(self._hosts[turn % len(self._hosts)], self._timeout)
        while not self._stop.is_set() and not self._done():
            key = f"{self.prefix}{number:02d}/{sequence:08d}"
            sequence += 1
            try:
                self._put(connection, key)
            except EtcdFailed:
                turn += 1
                connection.close()
                connection = self._client.connect(self._hosts[turn % len(self._hosts)], self._timeout)
                self._stop.wait(0.02)
        connection.close()

    def _done(self) -> bool:
        return self._limit is not None and len(self.acknowledged) >= self._limit

    def _put(self, connection: Connection, key: str) -> None:
        value = value_of(key, self._size)
        self.unknown.add(key)
        body = {"key": encode(key), "value": encode(value)}
        answer = connection.request("POST", f"{self._client.api}/kv/put", body)
        with self._changed:
            self.unknown.discard(key)
            self.acknowledged[key] = value
            self.revision = max(self.revision, int(answer["header"]["revision"]))
            if self._record is not None:
                with self._record.open("a") as sink:
                    sink.write(f"{key}\n")
            self._changed.notify_all()


def value_of(key: str, size: int) -> str:
    """The value that belongs to a key, so that a mixed-up value is noticed."""
    return f"{key}=".ljust(size, "x")


def encode(text: str) -> str:
    """As the gateway wants bytes."""
    return base64.b64encode(text.encode()).decode()


def decode(text: str) -> str:
    """Undo `encode`."""
    return base64.b64decode(text).decode("utf-8", "replace")


def common_prefix(keys: Iterable[str]) -> str:
    """The longest text that all keys start with."""
    ordered = sorted(keys)
    if not ordered:
        return ""
    first, last = ordered[0], ordered[-1]
    same = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[:same]


def _range_of(prefix: str) -> dict[str, str]:
    """The gateway's key and range_end for a prefix; a zero byte as end means: everything from key on."""
    start = prefix.encode() or b"\0"
    end = start[:-1] + bytes([start[-1] + 1]) if prefix else b"\0"
    return {"key": base64.b64encode(start).decode(), "range_end": base64.b64encode(end).decode()}
