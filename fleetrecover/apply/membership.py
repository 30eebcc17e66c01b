"""Changes of the member list, and the joiner that comes with one: each is looked at before it is asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatchmethod

from fleetrecover import limits
from fleetrecover import steps as s
from fleetrecover.apply.asking import Asking, member_with
from fleetrecover.commands import actions
from fleetrecover.decide.membership import own_id
from fleetrecover.errors import (
    CommandFailed,
)
from fleetrecover.etcd.membership import Member
from fleetrecover.remote import (
    MEMBER_ADD_POLICY,
    PROMOTE_POLICY,
)


class Membership(Asking):
    """Does the steps that add, remove and promote members."""

    @singledispatchmethod
    def do(self, step: s.Step) -> str | None:
        """Do one step; returns what is worth telling of it."""
        done: str | None = super().do(step)
        return done

    @do.register
    def _(self, step: s.RemoveMember) -> str:
        if not self.is_member(step.leader, step.member_id):
            return "already gone"
        ctl = self.ctl(step.leader)
        asked = replace(step, node=step.leader, paths=self.paths_on(step, step.leader))

        def gone() -> bool:
            return not self.is_member(step.leader, step.member_id)

        self.insist(MEMBER_ADD_POLICY, lambda: self.act(asked, ctl.remove(step.member_id), look=gone), gone)
        return f"{step.member_name} ({step.member_id:x})"

    @do.register
    def _(self, step: s.UpdateMember) -> str:
        def so() -> bool:
            listed = self.try_read(step.leader, self.ctl(step.leader).members()) or ()
            return any(m.id == step.member_id and set(m.peer_urls) == set(step.peer_urls) for m in listed)

        said = f"{step.member_name} ({step.member_id:x}) at {', '.join(step.peer_urls)}"
        if so():
            return f"{said} already"
        asked = replace(step, node=step.leader, paths=self.paths_on(step, step.leader))
        update = self.ctl(step.leader).update(step.member_id, step.peer_urls)
        self.insist(MEMBER_ADD_POLICY, lambda: self.act(asked, update, look=so), so)
        return said

    @do.register
    def _(self, step: s.AddMember) -> str:
        there = self.member_at(step.leader, step.peer_urls)
        if there is not None:
            self.refuse_other(step, there)
            return f"already a member ({there.id:x})"
        ctl = self.ctl(step.leader)
        asked = replace(step, node=step.leader, paths=self.paths_on(step, step.leader))

        def there_now() -> bool:
            return self.member_at(step.leader, step.peer_urls) is not None

        add = ctl.add(step.member_name, step.peer_urls, learner=step.learner)
        self.insist(MEMBER_ADD_POLICY, lambda: self.act(asked, add, look=there_now), there_now)
        added = self.member_at(step.leader, step.peer_urls)
        return f"{'learner' if step.learner else 'voter'} {added.id:x}" if added else "added"

    def refuse_other(self, step: s.AddMember, there: Member) -> None:
        """Raise CommandFailed where the member that has the URL is another host's: it would never be this one's."""
        mine = self.survey.node(step.node)
        other = next((n.name for n in self.survey.nodes if n is not mine and own_id(n) == there.id), None)
        if other is not None:
            raise CommandFailed(
                step.node,
                f"its peer URL {', '.join(step.peer_urls)} is that of member {there.id:x}, which runs on {other}",
                exit_code=1,
                hint=f"give that member the URL of {other}: `etcdctl member update {there.id:x} --peer-urls=URL`",
            )

    @do.register
    def _(self, step: s.Join) -> str:
        listed = self.known_members(step.leader)
        me = member_with(listed, step.peer_urls)
        if me is None:
            raise CommandFailed(step.node, f"{step.member_name} is not in the member list", exit_code=0)
        self.together(step)
        made = actions.ensure_data_dir(step.data, step.owner or None, step.mode or None, step.label, step.paths)
        self.act(step, made)
        if not self.joining(step):
            cluster = {m.name: ",".join(m.peer_urls) for m in self.named(listed, me, step)}
            definition = self.rt(step.node).joiner(step.spec, name=step.name, initial_cluster=cluster)
            self.rt(step.node).check_no_force(definition)
            self.remove_ours(step, step.name)
            self.launch(step, step.name, definition)
        self._ctl[step.node] = self.rt(step.node).ctl_of(step.spec, step.name)
        self.await_joined(step)
        return f"started as {step.member_name}"

    def named(self, listed: Sequence[Member], me: Member | None, step: s.Join) -> list[Member]:
        """The members for the initial cluster; one that has not started has no name yet, but we know ours."""
        return [replace(m, name=step.member_name) if me is not None and m.id == me.id else m for m in listed]

    def joining(self, step: s.Join) -> bool:
        """Whether the joining container of this run stands and runs."""
        state = self.read(step.node, self.rt(step.node).state(step.name))
        return state is not None and state.running and state.made_by == step.paths.run

    def await_joined(self, step: s.Join) -> None:
        """Wait until the joiner has really started: published by name, or its own log is there and names its id."""

        def started() -> bool | None:
            state = self.state(step.node, step.name)
            if state is not None and state.ended:
                raise CommandFailed(step.node, f"the joiner ended: {self.describe(step.node, step.name)}", exit_code=1)
            me = self.member_at(step.leader, step.peer_urls)
            if me is not None and me.name:
                return True
            return self.has_own_log(step, me) or None

        self.wait(
            started,
            what=f"{step.member_name} to start",
            timeout=limits.JOINED,
            host=step.node,
            interval=limits.POLL_JOIN,
            describe=lambda: self.describe(step.node, step.name),
        )

    def has_own_log(self, step: s.Join, me: Member | None) -> bool:
        """Whether the joiner's etcd answers for itself under its member id; it does so before it can publish its name."""
        status = self.try_read(step.node, self.ctl(step.node).status())
        return status is not None and me is not None and status.header.member_id == me.id

    @do.register
    def _(self, step: s.Promote) -> str:
        me = self.member_at(step.leader, step.peer_urls)
        if me is None:
            raise CommandFailed(step.node, "it is not in the member list any more", exit_code=0)
        if not me.learner:
            return f"already a voter ({me.id:x})"
        asked = replace(step, node=step.leader, paths=self.paths_on(step, step.leader))

        def voting() -> bool:
            current = self.member_at(step.leader, step.peer_urls)
            return current is not None and not current.learner

        promote = self.ctl(step.leader).promote(me.id)
        self.insist(PROMOTE_POLICY, lambda: self.act(asked, promote, look=voting), voting)
        return f"voter {me.id:x}"

    # --- cleaning up after a join that failed ---

    def take_back_join(self, stage: s.Stage) -> None:
        """After a failed join: a learner that stays behind would block the next one, so it is removed again."""
        join = next((step for step in stage.steps if isinstance(step, s.Join)), None)
        add = next((step for step in stage.steps if isinstance(step, s.AddMember)), None)
        if join is None or add is None or not add.learner:
            return
        me = self.member_at(join.leader, join.peer_urls)
        if me is None or not me.learner:
            return
        self.events.note(f"{join.node} did not come in; its learner is removed again, so that the others can")
        remove = s.RemoveMember(
            join.leader,
            self.paths_on(join, join.leader),
            join.data,
            join.leader,
            me.id,
            join.member_name,
            "did not join",
        )
        self.step(remove)
