"""What every runtime must do, whatever it runs: on values here, and on a real host in `tests/e2e/test_runtimes.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.codes import NAME_TAKEN, STILL_RUNNING
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.probes import data_listing
from fleetrecover.errors import FleetRecoverError
from fleetrecover.facts import Container, Definition, Role
from fleetrecover.model import Command, Result
from fleetrecover.runtime import Runtime, State

RUN, OTHER = "r20270101T000000Z-0001", "r20270101T000000Z-0002"


def refused(work: Callable[[], object]) -> bool:
    """Whether it says no."""
    try:
        work()
    except FleetRecoverError as error:
        assert error.message
        return True
    return False


def definitions(rt: Runtime, own: Definition, secret: str) -> None:
    """What is made of a definition has what it must have; the one that it is made of stays as it is. `secret` is in it."""
    before, config = rt.document(own), rt.config(own)
    assert not refused(lambda: rt.check_no_force(own)) and refused(lambda: rt.check_isolated(own))
    forced = rt.quarantined(own, name="copy", data="/copy", wal=None, run=RUN)
    rt.check_quarantine(forced)
    rt.check_isolated(forced)
    assert refused(lambda: rt.check_no_force(forced)) and rt.config(forced).force_new_cluster
    assert rt.config(forced).name == config.name and list(rt.config(forced).initial_cluster) == [config.name]
    assert rt.on_host(forced, rt.config(forced).data_dir) == "/copy"
    alone = rt.quarantined(
        own, name="copy", data="/copy", wal=None, run=RUN, force=False, extra={"snapshot-count": "1"}
    )
    rt.check_no_force(alone)
    rt.check_isolated(alone)
    assert rt.config(alone).given["snapshot-count"] == "1"
    assert refused(lambda: rt.check_isolated(rt.autostarting(alone, "always")))
    back = rt.plain(own, name="etcd", run=RUN, role=Role.MEMBER)
    rt.check_no_force(back)
    assert rt.config(back).given == config.given and rt.config(back).data_dir == config.data_dir
    listed = {name: ",".join(urls) for name, urls in config.initial_cluster.items()}
    joining = rt.joiner(own, name="etcd", initial_cluster=dict(reversed(listed.items())))
    assert rt.config(joining).state == "existing" and not rt.config(joining).force_new_cluster
    assert list(rt.config(joining).initial_cluster) == list(config.initial_cluster), "in the order of before"
    assert refused(lambda: rt.joiner(own, name="etcd", initial_cluster={"other": "https://10.0.0.9:2380"}))
    assert secret in rt.secrets(own) and secret not in f"{rt.shown(own)}{rt.document(rt.masked(own))}"
    named = set(rt.files(own))
    assert {rt.on_host(own, path) for path in (config.cert_file, config.key_file, config.ca_file)} <= named
    assert rt.exec("etcd", (("A", "b c"),), ("etcdctl", "x y"))[-2:] == ("etcdctl", "x y")
    assert rt.document(own) == before


@dataclass(frozen=True)
class Node:
    """A host: `send` runs a command on it as root and gives what came of it."""

    rt: Runtime
    send: Callable[[Command], Result]

    def read(self, probe: Probe[Any]) -> Any:
        result = self.send(probe.command)
        assert result.ok, result.error_text
        return probe.parse(result)

    def act(self, action: Action, code: int = 0, *, again: bool = True) -> None:
        """Do it, and once more: what was done already is left."""
        for _ in range(2 if again else 1):
            result = self.send(action.command)
            assert result.exit_code == code, (action.command.name, result.exit_code, result.error_text, result.text)

    def one(self, name: str) -> Container:
        [found] = [each for each in self.all() if each.name == name]
        return found

    def all(self) -> tuple[Container, ...]:
        return self.rt.instances(self.read(self.rt.listing("etcd")), self.read)

    def state(self, name: str) -> State | None:
        found: State | None = self.read(self.rt.state(name))
        return found

    def quiet(self, data: str) -> bool:
        lines = "\n".join(["set -eu", *self.rt.quiet(data, "")])
        code = self.send(Command("quiet", lines + "\n")).exit_code
        assert code in (0, STILL_RUNNING)
        return code == 0


def lives(node: Node, paths: RunPaths, data: str) -> None:
    """The life of an etcd on a host where one runs, called `etcd`, on `data`: looked at, fenced, put back, copied, removed."""
    rt, own = node.rt, node.one("etcd")
    assert node.read(rt.version()) and own.running and own.armed and own.role is None and own.data_path == data
    assert own.spec is not None and node.read(rt.ctl(own).status()).header.member_id
    assert node.state("nobody") is None and not node.quiet(data)
    node.act(Action.of("root", [f"mkdir -p {paths.root}"]))
    node.act(rt.record(paths, [own.id], data))
    aside = f"etcd.fleetrecover-{RUN}"
    node.act(rt.fence(own.id, "etcd", aside))
    kept = node.one(aside)
    assert (kept.id, kept.running, kept.armed, kept.run, kept.kept_name) == (own.id, False, False, RUN, "etcd")
    assert node.quiet(data) and node.state("etcd") is None
    [keep] = node.read(data_listing(data)).keeps
    assert keep.names == {own.id: "etcd"} and keep.ran == {own.id} and keep.policies[own.id] == own.restart_policy
    _made_for_a_while(node, own.spec, data)
    node.act(rt.put_back(own.id, "etcd", own.restart_policy, start=False))
    assert not node.one("etcd").running and node.one("etcd").restart_policy == own.restart_policy
    node.act(rt.start_own(own.id, "etcd", own.restart_policy))
    again = node.one("etcd")
    assert (again.id, again.running, again.spec) == (own.id, True, own.spec)
    node.act(rt.rename(own.id, "etcd", "other"))
    assert node.one("other").running, "its etcd runs on"
    node.act(rt.rename(own.id, "other", "etcd"))
    node.act(rt.restart("etcd"), again=False)
    assert node.one("etcd").running
    node.act(rt.fence(own.id, "etcd", aside))
    node.act(rt.remove_kept(own.id, aside))
    assert not node.all()
    node.act(rt.launch(rt.autostarting(own.spec, own.restart_policy), "etcd"), again=False)
    assert node.one("etcd").running and node.one("etcd").config == own.config


def _made_for_a_while(node: Node, own: Definition, data: str) -> None:
    """A copy in quarantine: it runs, answers where it runs and nowhere else, is known as ours, and goes for its run alone."""
    rt, copy = node.rt, f"{data}.copy"
    node.act(Action.of("copy", [f"rm -rf {copy}", f"cp -a {data} {copy}"]))
    made = rt.quarantined(own, name="copy", data=copy, wal=None, run=RUN)
    node.act(rt.launch(made, "copy"), again=False)
    found = node.one("copy")
    assert (found.role, found.made_by, found.isolated, found.armed) == (Role.QUARANTINE, RUN, True, True)
    assert not node.quiet(copy) and node.quiet(data)
    state = node.state("copy")
    assert state is not None and (state.running, state.ended, state.made_by) == (True, False, RUN), node.read(
        rt.logs("copy", 9)
    )
    ctl = rt.ctl_of(made, "copy")
    asked = (
        f"for n in 1 2 3 4 5 6 7 8 9 10; do {ctl.status().command.script.strip()} && exit 0; sleep 1; done; exit 1\n"
    )
    assert node.send(Command("status", asked)).ok, "it answers in its own network"
    node.act(rt.stop("copy"))
    stopped = node.state("copy")
    assert stopped is not None and stopped.ended and isinstance(node.read(rt.logs("copy", 5)), str)
    node.act(rt.remove("copy", OTHER), code=NAME_TAKEN)
    node.act(rt.remove("copy", RUN))
    assert node.state("copy") is None
