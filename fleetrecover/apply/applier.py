"""Every step of a recovery: already done? → act → check."""

from __future__ import annotations

from dataclasses import asdict
from functools import singledispatchmethod

from fleetrecover import limits, seeding
from fleetrecover import steps as s
from fleetrecover.apply.membership import Membership
from fleetrecover.commands import actions, probes, snapshots, units
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.errors import (
    CommandFailed,
)
from fleetrecover.facts import Proof
from fleetrecover.plain import counted
from fleetrecover.remote import (
    WaitTimeout,
)
from fleetrecover.runtime import LOOPBACK
from fleetrecover.survey import read_remote_log


class Applier(Membership):
    """Does the steps of `recover`."""

    @singledispatchmethod
    def do(self, step: s.Step) -> str | None:
        """Do one step; returns what is worth telling of it."""
        done: str | None = super().do(step)
        return done

    @do.register
    def _(self, step: s.Deeds) -> str:
        send = self.update if step.passing else self.act
        for action in step.actions(self.rt(step.node)):
            send(step, action)
        return step.told()

    @do.register
    def _(self, step: s.ReleaseUnit) -> str:
        started = units.STARTED in self.act(step, step.release(self.rt(step.node))).text.split()
        if step.waits:
            self.wait_healthy(step.node, step.name)
        return f"{step.unit}, started" if started else step.unit

    @do.register
    def _(self, step: s.RaiseCommit) -> str:
        if step.append is not None:
            self.act(step, actions.append_to_wal(step.paths, step.append))
        listing = self.read(step.node, probes.member_files(step.paths.at("partial") + "/member"))
        log = read_remote_log(self.reader(step.node), listing)
        if (log.last.term, log.last.index, log.commit) != (step.term, step.last, step.last):
            raise CommandFailed(
                step.node,
                f"the copy's log ends at term {log.last.term}, index {log.last.index}, commit {log.commit}; "
                f"expected term {step.term}, index and commit {step.last}",
                exit_code=0,
            )
        self.act(step, actions.rename_part(step.paths, "partial", "work"))
        return f"commit {step.last}"

    @do.register
    def _(self, step: s.Quarantine) -> str:
        self.rt(step.node).check_quarantine(step.spec)
        self.remove_ours(step, step.container)
        self.act(step, actions.rename_part(step.paths, "work", "booted"))
        self.launch(step, step.container, step.spec)
        proof = self.interrogate(step)
        self.act(step, self.rt(step.node).stop(step.container))
        self.act(step, actions.write_proof(step.paths, asdict(proof)))
        self.act(step, actions.rename_part(step.paths, "booted", "reset"))
        self.remove_ours(step, step.container)
        return f"revision {proof.revision}, hash {proof.hash}, etcd {proof.version}"

    def interrogate(self, step: s.Quarantine) -> Proof:
        """Wait until the quarantined etcd answers, and check that it is what it must be."""
        ctl = Etcdctl(self.rt(step.node), step.container, LOOPBACK)

        self.wait(
            self.answers_alone(step.node, step.container, ctl, "the reset ended"),
            what="the reset to answer in quarantine",
            timeout=limits.QUARANTINE,
            host=step.node,
            interval=limits.POLL_QUARANTINE,
            describe=lambda: self.describe(step.node, step.container),
        )
        status = self.read(step.node, ctl.status())
        members = self.read(step.node, ctl.members())
        if [member.id for member in members] != [step.member_id] or status.header.member_id != step.member_id:
            told = ", ".join(f"{member.id:x}" for member in members)
            raise CommandFailed(
                step.node, f"after the reset the members are {told}; expected {step.member_id:x} alone", exit_code=0
            )
        revision = status.header.revision
        if revision < step.min_revision:
            raise CommandFailed(
                step.node,
                f"after the reset the revision is {revision}; its database was at {step.min_revision} before",
                exit_code=0,
            )
        return self.proof(step.node, ctl, status)

    @do.register
    def _(self, step: s.SeedData) -> str:
        return seeding.make(self, step)

    @do.register
    def _(self, step: s.ProveSeed) -> str:
        return seeding.prove(self, step)

    @do.register
    def _(self, step: s.AdoptSeed) -> str:
        return seeding.adopt(self, step)

    @do.register
    def _(self, step: s.StartOriginal) -> str:
        if step.replaces is not None:
            state = self.read(step.node, self.rt(step.node).state(step.replaces))
            if state is not None and state.id != step.container_id:
                self.remove_ours(step, step.replaces)
        self.together(step)
        self.update(step, step.start(self.rt(step.node)))
        self._ctl.pop(step.node, None)
        if step.waits_for == "health":
            self.wait_healthy(step.node, step.name)
            self.moments.setdefault("writable", self.clock())
        return f"{step.name}, restart policy {step.restart_policy}"

    @do.register
    def _(self, step: s.StartRebuilt) -> str:
        self.rt(step.node).check_no_force(step.spec)
        self.together(step)
        if not self.is_ours(step, step.name):
            self.launch(step, step.name, self.rt(step.node).autostarting(step.spec, step.restart_policy))
        else:
            self.act(step, self.rt(step.node).start(step.name))
        self.wait_healthy(step.node, step.name)
        self.moments.setdefault("writable", self.clock())
        return f"{step.name}, rebuilt: {step.reason}"

    @do.register
    def _(self, step: s.Reopen) -> str:
        self._ctl[step.node] = self.rt(step.node).ctl_of(step.spec, step.name)
        if self.try_read(step.node, self.ctl(step.node).status()) is not None:
            return "it takes clients"
        self.act(step, step.restart(self.rt(step.node)))
        self.wait_healthy(step.node, step.name)
        return f"{step.name}, started again"

    @do.register
    def _(self, step: s.AwaitQuorum) -> str:
        try:
            self.wait(
                self.coming(step.nodes),
                what=f"a leader among {', '.join(step.nodes)}",
                timeout=limits.HEALTHY,
                host=step.node,
                interval=limits.POLL_HEALTH,
                longest=limits.POLL_HEALTH,
                describe=lambda: "what each member says:\n" + "\n".join(self.says(node) for node in step.nodes),
            )
        except WaitTimeout as error:
            other = "have one of them reset: --survivor NAME"
            if not step.else_reset:
                other = f"take it back: `fleetrecover undo {step.paths.run}`"
            hint = f"mend what they name, then run the same command again; or {other}"
            raise WaitTimeout(error.host, error.reason, hint=hint) from error
        self.moments.setdefault("writable", self.clock())
        return "quorum stands"

    @do.register
    def _(self, step: s.EnsureImage) -> str:
        here, other = self.rt(step.node), self.rt(step.source)
        if self.read(step.node, here.has_image(step.image)):
            return "already there"
        there = self.read(step.source, other.has_image(step.image))
        wanted = step.image if there and (not step.image_id or there == step.image_id) else step.image_id
        if not wanted or not self.read(step.source, other.has_image(wanted)):
            raise CommandFailed(
                step.node,
                f"it does not have the image {step.image}, nor has {step.source}",
                exit_code=1,
                hint=f"put it there (`{here.hand.get_image(step.image)}`), then run the same command again",
            )
        self.events.note(f"{step.node}: bringing the image {step.image} from {step.source}")
        what = f"{step.image} from {step.source} to {step.node}"
        load = here.load_image(step.image, step.image_id)
        moved = self.relay(step, step.source, other.save_image(wanted), load, what)
        return f"{step.image} from {step.source}, {moved / 1e6:,.0f} MB"

    @do.register
    def _(self, step: s.CheckFiles) -> str:
        missing = self.read(step.node, probes.missing_files(step.files))
        if missing:
            raise CommandFailed(
                step.node, f"files that its etcd needs are not there: {', '.join(missing)}", exit_code=1
            )
        return counted(len(step.files), "file")

    @do.register
    def _(self, step: s.StartNeighbours) -> str:
        stopped = self.read(step.node, snapshots.restore_state(step.paths)).stopped
        names = [name for name in step.names if name in stopped]
        if not names:
            return "none had run"
        # snapshots are taken again only when the rest stands
        names.sort(key=lambda name: name == s.ROLLING)
        self.act(step, self.rt(step.node).start_neighbours(names))
        probe = self.rt(step.node).neighbours(names)
        before = {each.name: each for each in self.read(step.node, probe)}
        self.sleep(limits.SETTLE)
        after = {each.name: each for each in self.read(step.node, probe)}
        ill = [n for n in names if n not in after or not after[n].stayed_since(before.get(n))]
        if ill:
            told = self.describe(step.node, ill[0])
            raise CommandFailed(step.node, f"{', '.join(ill)} did not stay up: {told}", exit_code=1)
        return f"{', '.join(names)} run"


def let_go(applier: Applier, held: s.Stage) -> None:
    """Take the hold of units back, as far as it came, where nothing was stopped; what fails is told."""
    for step in held.steps:
        if isinstance(step, s.HoldUnit):
            where = (step.node, step.paths, step.data, step.unit)
            applier.step(s.ReleaseUnit(*where, "", starts=False, remakes=False, waits=False))
