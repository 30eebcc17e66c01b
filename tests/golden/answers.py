"""What is made of a node's answer, for every probe: plain answers, odd ones, and those that are refused with a word."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pprint import pformat
from typing import Any

from fleetrecover.commands import containers, etcdctl, evidence, managers, probes, snapshots
from fleetrecover.commands.base import Probe
from fleetrecover.commands.paths import RunPaths
from fleetrecover.errors import FormatError
from fleetrecover.model import Result
from fleetrecover.runtime.containers import Containers

CTL = etcdctl.Etcdctl(Containers(), "etcd", "https://127.0.0.1:2379")
PIN = {"run": "r1", "cluster": "prod", "survivor": "n1", "started": "2026", "kind": "reset", "dead": ["n3"]}
PROOF = {"revision": 30, "hash": 7, "compact_revision": -1, "member_id": 1, "cluster_id": 9, "version": "3.4"}
BEFORE = [
    {
        "Id": "c1",
        "Name": "/etcd",
        "State": {"Status": "running"},
        "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
    },
    {"Id": "c2", "Name": "/old", "State": {"Status": "exited"}, "HostConfig": {}},
]
LISTING = f"""real=/srv/etcd
exists=1
member=1
size=1000
free=5000
owner=1000:1000
mode=0700
fs=ext4
label=system_u:object_r:container_file_t:s0
inode=ignored
nothing
mount
other=lost+found
inner=snap
file=64 wal/0.wal
file=4096 snap/db
keep=/srv/etcd.fleetrecover/r1
part=containers.json
part=original
part=proof.json
part=undoing
part=finished
pin={json.dumps(PIN)}
proof={json.dumps(PROOF)}
before={json.dumps(BEFORE)}
keepsize=7
kept=10 wal/1.wal
kept=20 snap/db
discarded=discarded-1
withdrawn=withdrawn
elsewhere=/spare/r1/original
elsewheresize=3
keep=/srv/etcd.fleetrecover/r2
part=undone
part=undoing
part=no-data
part=parted
keptapart=1
kept=10 wal/1.wal
kept=20 snap/db
keptwal=30 wal/2.wal
keptwalsize=2
keptwalsize=2
pin=not json
elsewhere=/spare/other/original
"""
APART = """real=/srv/etcd
exists=1
wal=/fast/wal
walsize=100
walfree=9
size=1
walfile=64 wal/9.wal
file=64 wal/0.wal
file=4096 snap/db
astray=5 wal/5.wal
label=?
mount=1
unwritable=/srv/etcd
walunwritable=/fast
who=ops
hold=odd
beat=12
"""
HOLDER = {"token": "t", "run": "r1", "who": "ops", "host": "bastion", "pid": 7, "since": "2026", "born": "b"}
UNITS = """settings
units
Id=etcd.service
LoadState=loaded
ActiveState=activating
UnitFileState=static
Restart=on-failure
Type=simple
ExecStartPre={ path=/bin/a ; argv[]=/bin/a -x ; ignore_errors=no ; }
ExecStart={ path=/usr/bin/docker ; argv[]=/usr/bin/docker start -a etcd ; ignore_errors=no ; }
ExecStart={ path=/opt/run.sh ; argv[]=/opt/run.sh ; ignore_errors=no ; }

Id=stack.service
LoadState=loaded
ActiveState=inactive
UnitFileState=transient
Restart=no
ExecStart=docker compose up
WorkingDirectory=!/srv/stack

Id=gone.service
LoadState=not-found

LoadState=loaded
script /opt/run.sh docker rm -f etcd
script /opt/run.sh docker run etcd
script /other.sh docker run x
held etcd.service r1 active
held stack.service r2 inactive
held unknown.service r3 active
cron /etc/cron.d/x * * * * * root docker start etcd
odd
"""
STATUS = {
    "header": {"cluster_id": 9, "member_id": 1, "revision": 30, "raft_term": 2},
    "version": "3.4.23",
    "dbSize": 4096,
    "leader": 1,
    "raftIndex": 60,
    "raftTerm": 2,
}
MEMBERS = {"header": {"cluster_id": 9}, "members": [{"ID": 1, "name": "n1", "peerURLs": ["u"], "clientURLs": []}]}
PACKED = gzip.compress(b"abc" * 5, mtime=0)

Asked = tuple[Any, ...]
"""Label, probe, standard output; then exit code and standard error, where they are not 0 and empty."""


def _evidence() -> Iterator[Asked]:
    signs = evidence.signs("/d/member")
    yield "signs", signs, "17 db\n18 0.wal\n"
    yield "signs odd", signs, "17\n db\nx db\n19 a b\n\n"
    kept = evidence.kept_files("/d/member")
    yield "kept_files", kept, "64 wal/0.wal\n5 snap/a b\n"
    yield "kept_files absent", kept, "absent\n"
    yield "kept_files empty", kept, ""
    yield "kept_files odd", kept, "64\nx wal/0.wal\n 5\nabsent\n7 y\n"
    made = evidence.made("/d/member")
    for said in ("1700000000\n", "0\n", "", "-\n", "17.5\n"):
        yield f"made {said.strip() or 'nothing'}", made, said, 1 if not said else 0
    two = evidence.certificates(
        [evidence.CertificateFiles("/c", "/k", "/ca"), evidence.CertificateFiles("/c2", "", "")]
    )
    one = "cert={}\nca={}\nkey={}\nstate=there\nstate=hidden\nstate=what\n"
    pem = base64.b64encode(b"PEM").decode()
    yield "certificates", two, one.format(pem, "", "ab12") + one.format("not base64!", pem, "")
    yield "certificates cut off", two, one.format(pem, pem, "ab12") + "cert=\nca=\n"
    ports = evidence.ports([("n1", "10.0.0.1", 2380), ("n2", "10.0.0.2", 2380), ("n3", "10.0.0.3", 2380)])
    yield "ports", ports, "open\nrefused\nsilent\n"
    yield "ports odd", ports, "what\nunknown\n"
    yield "starters", managers.starters(["etcd"]), UNITS
    yield "starters none", managers.starters(["etcd"]), ""


def _probes() -> Iterator[Asked]:
    p = probes
    machine = p.machine()
    yield "machine", machine, "hostname=h\nmachine=m\nclock=17.25\nuid=0\nboot=b\n"
    yield "machine no nanoseconds", machine, "clock=17.N\nuid=1000\nodd\n"
    yield "machine other", machine, "clock=17.%N\n"
    yield "machine nothing", machine, ""
    yield "cli_version", containers.cli_version("docker"), " 20.10\n"
    inspects = (("", json.dumps(BEFORE)), (" none", "[]"), (" nothing", ""), (" odd", "{}"), (" no objects", "[1]"))
    for label, said in inspects:
        yield f"containers{label}", containers.containers("docker", "etcd"), said
        yield f"container_state{label}", containers.container_state("docker", "etcd"), said, 1
        yield f"images{label}", containers.images("docker", ["x"]), said
    yield (
        "containers of an odd shape",
        containers.containers("docker", "etcd"),
        '[{"Id": "x", "Config": {"Labels": []}}]',
    )
    yield "engine_info", containers.engine_info("docker"), '{"ID": "x"}'
    labelled = '[{"Id": "x", "Config": {"Labels": {"a": "b"}}, "State": {"Status": "dead"}}]'
    yield "container_state labelled", containers.container_state("docker", "etcd"), labelled
    for odd in ('[{"Id": "x", "State": 5}]', '[{"Id": "x", "HostConfig": []}]', '[{"Id": "x", "Config": "y"}]'):
        yield f"containers {odd}", containers.containers("docker", "etcd"), odd
    yield "engine_info odd", containers.engine_info("docker"), "nothing", 1
    yield "has_image", containers.has_image("docker", "x"), "sha256:1\n"
    yield "has_image not", containers.has_image("docker", "x"), "\n", 1
    yield "container_logs", containers.container_logs("docker", "etcd"), "a\nb\n"
    yield "missing_files", p.missing_files(["/a"]), "/a\n/b c\n"
    yield "data_listing", p.data_listing("/d"), LISTING
    yield "data_listing wal apart", p.data_listing("/d", "/fast/wal"), APART
    yield "data_listing held", p.data_listing("/d"), f"real=/d\nhold={json.dumps(HOLDER)}\nbeat=3\n"
    for label, said in (("nothing", ""), ("relative", "real=d\n"), ("odd number", "real=/d\nsize=x\n")):
        yield f"data_listing {label}", p.data_listing("/d"), said
    yield "data_listing unwritable", p.data_listing("/d"), "real=/d\nunwritable=/d\nwalunwritable=/w\n"
    yield "work_dir", p.work_dir("/w"), "real=/srv/w\nfree=10\n"
    yield "work_dir bad", p.work_dir("/w"), "problem=is no directory\n"
    yield "wal_file", p.wal_file("/f"), b"8 3 plain\nabc"
    yield "wal_file packed", p.wal_file("/f"), b"16 15 gzip\n" + PACKED
    for data in (b"8 4 plain\nabc", b"3 8 plain\nabc", b"x 3 plain\nabc", b"8 3\nabc", b"-1 -1 plain\n", b""):
        yield f"wal_file {data!r}", p.wal_file("/f"), data
    ranges = p.ranges("/f", [(0, 15), (15, 15)])
    yield "ranges", ranges, f"{PACKED.hex()}\n{gzip.compress(b'', mtime=0).hex()}\n"
    yield "ranges too few", ranges, f"{PACKED.hex()}\n"
    yield "member_files", p.member_files("/m"), "64 wal/0.wal\n7 snap/a b\n"
    yield "file_bytes", p.file_bytes("/f"), b"\0\xff"


def _etcdctl() -> Iterator[Asked]:
    yield "Etcdctl.status", CTL.status(), json.dumps([{"Endpoint": "e", "Status": STATUS}])
    yield "Etcdctl.status nothing", CTL.status(), "[]"
    yield "Etcdctl.members", CTL.members(), json.dumps(MEMBERS)
    alarms = {"header": {}, "alarms": [{"memberID": 0xBEEF, "alarm": 1}, {"memberID": 2, "alarm": 2}]}
    yield "Etcdctl.alarms", CTL.alarms(), json.dumps(alarms)
    hashed = {"header": STATUS["header"], "hash": 7, "compact_revision": 3}
    yield "Etcdctl.hashkv", CTL.hashkv(30), json.dumps([{"Endpoint": "e", "HashKV": hashed}])
    yield "Etcdctl.key_count", CTL.key_count(), '{"header": {}, "count": 41}'
    for said, code, error in (
        ("e is healthy: took = 2ms", 0, ""),
        ("", 0, "e is healthy: took = 2ms"),
        ("e is healthy: took = 2ms", 1, ""),
        ("", 0, ""),
        ("", 1, "e is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE"),
        ("", 1, "e is unhealthy: failed to commit proposal: context deadline exceeded"),
    ):
        yield f"Etcdctl.health {code} {said or error or 'nothing'}", CTL.health(), said, code, error


def _snapshots() -> Iterator[Asked]:
    s = snapshots
    listing = s.listing("/s")
    name = b"a\xff b".hex()
    plain = f"real=/srv/s\nexists=1\nfree=5\nfile={name} 10 17.5 1 {b'head'.hex()}\nfile={b'x'.hex()} 3 4 0\n"
    yield "listing", listing, plain + "symlink=1\nwho=ops\nforbidden=/srv\nunwritable=/srv/s\n"
    yield "listing of nothing", listing, "real=/s\n"
    for label, said in (("no path", ""), ("relative", "real=s\n"), ("odd file", "real=/s\nfile=61 x\n")):
        yield f"listing {label}", listing, said
    digest = s.digest("/f", 1)
    yield "digest", digest, "a" * 64 + "\n" + "a" * 64 + "\n"
    yield "digest no checksum", digest, "a" * 64 + "\n"
    yield "digest none", digest, "a\n", 0, "sha256sum: no such file"
    yield "digest sound", digest, "a" * 64 + "\n" + "b" * 64
    for said in ("17\n", ""):
        yield f"file_size {said.strip() or 'nothing'}", s.file_size("/f"), said
        yield f"last_written {said.strip() or 'nothing'}", s.last_written("/m"), said
    tool = s.restore_tool("docker", "etcd:v3")
    yield "restore_tool", tool, "tool=etcdutl\nbumps=1\nversion= 3.5.16 \n"
    yield "restore_tool old", tool, "tool=etcdctl\n"
    yield "restore_tool none", tool, "tool=none\nversion=1\n"
    note = '{"token": "t"}'
    state = s.restore_state(RunPaths("/k", "r1"))
    yield (
        "restore_state",
        state,
        f"part=snapshot.db\npart=adopted\nstopped=a\nstopped=b\nnote={note}\ntrial={note}\nodd\n",
    )
    yield "restore_state nothing", state, ""
    neighbours = s.neighbours("docker", ["x"])
    yield "neighbours", neighbours, "/a id running always 2026 3\n/b id exited 2026 0\n/c id\n"
    yield "scheduler", s.scheduler("docker"), "systemd\n"
    yield "scheduler nothing", s.scheduler("docker"), "\n"
    status = s.schedule_status(s.SchedulePaths("/s"))
    full = "installed=1\nmeans=cron\nevery=60\nkeep=6\nfor=7\nlast=8\noutcome=ok\nmessage=m=n\ngood=9\nname=x\nfailures=2\n"
    yield "schedule_status", status, full + "clock=10\nclock=11\n"
    yield "schedule_status nothing", status, "last=0\ngood=\n"
    yield "schedule_status odd", status, "every=x\n"


def told(probe: Probe[Any], said: str | bytes, code: int = 0, error: str = "") -> str:
    """What is made of it, or why nothing is."""
    data = said.encode() if isinstance(said, str) else said
    result = Result(probe.command, code, data, error.encode())
    if not result.ok:
        return f"not asked: exit code {code} is none of {probe.command.ok_codes}"
    try:
        return pformat(_plain(probe.parse(result)), width=140)
    except FormatError as refused:
        return f"refused: {re.sub(r' at [a-z_]+[.]py:[0-9]+', '', refused.message)}"


def _plain(value: Any) -> Any:
    """Sets in an order of their own would be told otherwise each time."""
    if isinstance(value, snapshots.RestoreState):
        return (value.note, sorted(value.parts), value.stopped, value.trial, value.restored, value.adopted)
    if isinstance(value, snapshots.Digest):
        return (value, "sound" if value.sound else "not sound")
    return value


def answers_text() -> str:
    """All of them."""
    every = (*_evidence(), *_probes(), *_etcdctl(), *_snapshots())
    return "".join(f"=== {label}\n{told(*rest)}\n" for label, *rest in every)
