"""PURE: the repair of a cluster that serves: what is gone is removed, what can be started is started, the rest replaced."""

from __future__ import annotations

from dataclasses import dataclass, field

from fleetrecover.decide.diagnosis import Remedy
from fleetrecover.decide.joining import Joining
from fleetrecover.decide.membership import Seat, following, own_id, quorum
from fleetrecover.decide.own import own_container, standing_container
from fleetrecover.decide.placement import changes, displaced, misplaced
from fleetrecover.decide.policies import true_policy
from fleetrecover.decide.renamed import in_place, renamed
from fleetrecover.decide.sides import begun_anew
from fleetrecover.errors import Refused
from fleetrecover.etcd.membership import hex_id
from fleetrecover.facts import (
    Container,
    NodeFacts,
    Role,
)
from fleetrecover.steps import (
    GiveNameBack,
    Promote,
    RemoveMember,
    RestorePolicy,
    Stage,
    Step,
    stage,
)


class Repairing(Joining):
    """Makes the stages of a repair."""

    def repair(self, survivor: str | None) -> tuple[list[Stage | None], list[str]]:
        """All that is gone is removed before anybody is added: etcd takes a new member only while all voters are connected."""
        chief = self.leader()
        seated = {seat.host: seat for seat in self.diagnosis.seats if seat.host}
        work = _Work([self.remove_dead(seat, chief) for seat in self.diagnosis.seats if seat.among(self.wish.dead)])
        nowhere = [seat for seat in displaced(self.survey, self.diagnosis.seats) if not seat.among(self.wish.dead)]
        work.removing += [self.remove(seat, chief, "another member runs at its peer URL") for seat in nowhere]
        settled: list[tuple[NodeFacts, bool]] = []
        for node in self.survey.nodes:
            joining = self.mend(node, seated.get(node.name), chief, work)
            if not self.dead(node) and node.accessible and node.name not in self.left_out:
                settled.append((node, joining))
        naming = [self.name_back(node) for node in self.survey.nodes]
        self.hold_back(work)
        moving = self.place_all(chief, work)
        growing = [self.grow(node, chief, seat) for node, seat in work.growing]
        stages = [
            # first of all: from then on each etcd is asked in the container of that name
            stage("names", "Give containers their own names back", naming, [chief.name]),
            stage("prepare", f"Prepare {', '.join(work.preparing)}", list(work.preparing.values())),
            *(self.removal(step, chief) for step in work.removing),
            stage("place", "Give members the peer URL of the host that they run on", [moving], [chief.name]),
            *work.starting,
            *growing,
        ]
        touched = {step.node for part in stages if part for step in part.steps}
        joins = [node.name for node, _ in work.growing]
        settled = [(node, joining and node.name in joins) for node, joining in settled]
        last = self.settle(settled, chief)
        touched |= {step.node for step in last.steps} if last else set()
        touched |= {chief.name} if joins else set()
        done = [step for part in (*stages, last) if part for step in part.steps]
        self.names_only = bool(done) and all(isinstance(step, GiveNameBack) for step in done)
        opened = [
            [*self.close_stale(node), *self.open(node, survivor)] for node in self.nodes() if node.name in touched
        ]
        begin = stage("open", "Record the run on the nodes", opened, essential=[node.name for node in self.nodes()])
        return [begin, *stages, last], joins

    def name_back(self, node: NodeFacts) -> list[Step]:
        """Its own container's name, where that serves under another; one with the force flag is rebuilt instead."""
        there = renamed(self.survey, node)
        if there is None or there.forced:
            return []
        return [GiveNameBack(node.name, self.paths(node), self.data(node), there.id, there.name, self.name(node))]

    def leader(self) -> NodeFacts:
        """The node that is asked for changes: who leads, as far as that is known."""
        healthy = [node for node in self.survey.nodes if node.healthy]
        return next((node for node in healthy if node.status and node.status.leader), healthy[0])

    def remove_dead(self, seat: Seat, chief: NodeFacts) -> RemoveMember:
        """The removal of one that was declared dead. Raises Refused for one that answers."""
        if seat.host is not None and self.survey.node(seat.host).healthy:
            raise Refused(
                f"{seat.label} was declared dead, but its etcd answers and is healthy",
                hint=f"leave out --dead {self.spelt(seat)}",
            )
        return self.remove(seat, chief, "declared dead")

    def spelt(self, seat: Seat) -> str:
        """The word by which the operator has declared a member dead."""
        return next((word for word, to in sorted(self.wish.spelt) if to in (seat.host, hex_id(seat.id))), seat.label)

    def remove(self, seat: Seat, chief: NodeFacts, why: str) -> RemoveMember:
        """The removal of a member, for that reason."""
        return RemoveMember(chief.name, self.paths(chief), self.data(chief), chief.name, seat.id, seat.label, why)

    def removal(self, step: RemoveMember, chief: NodeFacts) -> Stage | None:
        """A removal as a stage of its own."""
        return stage(
            f"remove-{step.member_name}", f"Remove {step.member_name}: {step.why}", [[step]], essential=[chief.name]
        )

    def place_all(self, chief: NodeFacts, work: _Work) -> list[Step]:
        """The changes of peer URLs, once those are gone that are removed."""
        run = self.diagnosis.open_run
        sole = (run.survivor,) if run is not None and run.kind == Remedy.RESET else ()
        gone = {step.member_id for step in work.removing}
        seats = [seat for seat in self.diagnosis.seats if seat.id not in gone]
        made, blocked = changes(misplaced(self.survey, seats, sole), seats)
        for one, other in blocked:
            self.notes.append(
                f"{one.seat.label} cannot get its host's peer URL {', '.join(one.wanted)} while member {other.label} has it"
            )
        return [self.update(chief, change.seat, change.peer_urls, detour=change.detour) for change in made]

    def hold_back(self, work: _Work) -> None:
        """While a voter is away that stays a member, etcd refuses every new one: nothing is begun that it would not finish."""
        gone = {step.member_id for step in work.removing}
        away = [
            seat
            for seat in self.diagnosis.seats
            if seat.host in self.left_out and not seat.learner and seat.id not in gone and not self.healthy(seat)
        ]
        if not away:
            return
        names = ", ".join(seat.label for seat in away)
        verb, each = ("is", "it is") if len(away) == 1 else ("are", "each is")
        for node, seat in list(work.growing):
            if seat is not None:
                continue
            self.left_out[node.name] = (
                f"etcd takes no new member while {names} {verb} a member and not connected: when {each} back or declared "
                "--dead, run the same command again"
            )
            work.growing.remove((node, seat))
            work.preparing.pop(node.name, None)
            work.removing[:] = [step for step in work.removing if work.of.get(step.member_id) != node.name]

    def healthy(self, seat: Seat) -> bool:
        """Whether that seat's etcd answers a linearizable read."""
        return seat.host is not None and self.survey.node(seat.host).healthy

    def mend(self, node: NodeFacts, seat: Seat | None, chief: NodeFacts, work: _Work) -> bool:
        """What one host needs while quorum stands: nothing, a start, or to be replaced. Whether it joins."""
        own = own_container(self.survey, node)
        if self.dead(node):
            self.left_out[node.name] = "declared dead"
            return False
        if not node.accessible:
            self.left_out[node.name] = node.problem.message if node.problem else "not reachable"
            return False
        if seat is not None and node.healthy:
            work.starting += self.mend_healthy(node, seat, chief, own)
            return False
        if seat is not None and self.follows(node, seat):
            step = Promote(node.name, self.paths(node), self.data(node), chief.name, seat.peer_urls)
            work.starting.append(stage(f"promote-{node.name}", f"Make {node.name} a voter", [[step]]))
            return False
        usable = seat is not None and own_id(node) == seat.id and node.data is not None and node.data.has_member
        usable = usable and node.name not in begun_anew(self.survey)
        there = standing_container(self.survey, node)
        if usable and there is not None and there.role is Role.JOINING and there.made_by == self.run:
            work.growing.insert(work.begun(), (node, seat))
            return True
        if usable and own is not None and not self.ended(node, own):
            # the one that is rebuilt without the force flag takes its name
            lane = [*(self.fence(node) if own.forced else ()), *self.start_own(node)]
            work.starting.append(stage(f"start-{node.name}", f"Start {node.name} as it is", [lane]))
            return False
        if why := self.cannot_join(node, chief) or self.needed(node, seat):
            self.left_out[node.name] = why
            return False
        self.replace(node, seat, chief, work)
        return True

    def ended(self, node: NodeFacts, own: Container) -> bool:
        """Whether its etcd has ended by itself since this run began there: its data is none that it runs on.

        A leader that remembers more of a member's log than the member has makes it panic at each start.
        """
        keep = self.keep(node)
        began = keep is not None and keep.containers and not keep.finished and not keep.undone and not keep.original
        return bool(began) and own.state in ("exited", "dead", "restarting") and own.exit_code != 0

    def follows(self, node: NodeFacts, seat: Seat) -> bool:
        """Whether a learner runs in its own container, and has a leader: a linearizable read is refused to it, and no more."""
        there = standing_container(self.survey, node)
        return following(node, seat) and there is not None and there.role is None

    def needed(self, node: NodeFacts, seat: Seat | None) -> str | None:
        """Why a member must not be stopped to be replaced: quorum may rest on it. None where it surely does not."""
        voters = [each for each in self.diagnosis.seats if not each.learner]
        healthy = sum(1 for each in voters if self.healthy(each))
        runs = any(c.state == "running" and not c.isolated for c in node.containers)
        if seat is None or seat.learner or not seat.name or not runs or healthy >= quorum(len(voters)):
            return None
        return (
            f"its etcd runs and is a voter, and only {healthy} of {len(voters)} voters answer well, so quorum may rest on it: "
            "when the others answer, run the same command again"
        )

    def mend_healthy(self, node: NodeFacts, seat: Seat, chief: NodeFacts, own: Container | None) -> list[Stage | None]:
        """What a member that answers needs all the same: a vote, another container, its policy, leftovers gone."""
        if seat.learner:
            step = Promote(node.name, self.paths(node), self.data(node), chief.name, seat.peer_urls)
            return [stage(f"promote-{node.name}", f"Make {node.name} a voter", [[step]])]
        current = in_place(self.survey, node)
        forced = current is not None and current.role is None and current.forced
        loose = own is not None and current is own and own.restart_policy != true_policy(node, own)
        if forced and own is not None:
            lane = [*self.fence(node), *self.start_own(node)]
            return [stage(f"unforce-{node.name}", f"Take --force-new-cluster away from {node.name}", [lane])]
        if loose and own is not None:
            policy = RestorePolicy(
                node.name, self.paths(node), self.data(node), self.name(node), true_policy(node, own)
            )
            return [stage(f"policy-{node.name}", f"Give {node.name} its restart policy back", [[policy]])]
        left = self.leftovers(node)
        if left:
            lane = self.start_own(node) if own is not None else left
            return [stage(f"own-{node.name}", f"Take away what an earlier run left on {node.name}", [lane])]
        return []

    def replace(self, node: NodeFacts, seat: Seat | None, chief: NodeFacts, work: _Work) -> None:
        """Its data is gone or not its own: out with the old member, in with a new one."""
        work.preparing[node.name] = [*self.leftovers(node), *self.fence(node), *self.prepare(node, chief)]
        if seat is not None and seat.name:
            why = "its data is gone" if node.log is None else "its data belongs to another member"
            if node.log is not None and node.log.node_id == seat.id:
                why = "its etcd does not run on its data"
            why = "its data was begun anew, and is empty" if node.name in begun_anew(self.survey) else why
            work.removing.append(self.remove(seat, chief, why))
            work.of[seat.id] = node.name
        if seat is not None and not seat.name:
            work.growing.insert(work.begun(), (node, seat))
        else:
            work.growing.append((node, None))


@dataclass
class _Work:
    """What a repair is made of. `of` says whose the removed members were; `growing` has those first that have a seat."""

    removing: list[RemoveMember]
    preparing: dict[str, list[Step]] = field(default_factory=dict)
    starting: list[Stage | None] = field(default_factory=list)
    growing: list[tuple[NodeFacts, Seat | None]] = field(default_factory=list)
    of: dict[int, str] = field(default_factory=dict)

    def begun(self) -> int:
        """How many have been added already, and must be brought in before anybody else is."""
        return sum(1 for _, seat in self.growing if seat is not None)
