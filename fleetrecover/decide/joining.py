"""PURE: how hosts come in as members: prepared, added, started, promoted, and given their own containers back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleetrecover.decide.membership import Seat, host_of_url
from fleetrecover.decide.own import own_container, standing_container
from fleetrecover.decide.policies import true_policy
from fleetrecover.decide.room import Room
from fleetrecover.errors import Refused, Unsupported
from fleetrecover.facts import (
    Definition,
    NodeFacts,
    Role,
    Survey,
)
from fleetrecover.runtime import MemberIdentity
from fleetrecover.steps import (
    AddMember,
    CheckFiles,
    EnsureImage,
    Join,
    KeepData,
    Promote,
    Reopen,
    RestorePolicy,
    Stage,
    StartOriginal,
    Step,
    stage,
)


class Joining(Room):
    """Makes the steps of those that come in."""

    def joiners(self, survivor: str) -> list[NodeFacts]:
        """The hosts that come in; of the others it is noted why not."""
        found = []
        for node in self.survey.nodes:
            if node.name == survivor:
                continue
            if self.dead(node):
                self.left_out[node.name] = "declared dead"
            elif not node.accessible:
                self.left_out[node.name] = node.problem.message if node.problem else "not reachable"
            elif why := self.cannot_join(node, self.survey.node(survivor)):
                self.left_out[node.name] = why
            else:
                found.append(node)
        return found

    def prepare(self, node: NodeFacts, chief: NodeFacts, *, seated: bool = False) -> list[Step]:
        """All that can be done to a joiner before it is added: its old data out of the way, image and files there."""
        paths, data = self.paths(node), self.data(node)
        keep = self.keep(node)
        steps: list[Step] = []
        if node.data is not None and node.data.has_member and not seated:
            part = self.discard(node) if keep is not None and keep.original else "original"
            steps.append(KeepData(node.name, paths, data, part=part))
        spec, _ = self.join_spec(node, chief)
        image_id = chief_image(self.survey, chief) if spec.image == self.own(chief).image else ""
        steps.append(EnsureImage(node.name, paths, data, spec.image, image_id, chief.name))
        files = tuple(sorted(set(self.rt(node).files(spec)) - self.made_anew(node)))
        if files:
            steps.append(CheckFiles(node.name, paths, data, files))
        return steps

    def made_anew(self, node: NodeFacts) -> set[str]:
        """The paths of a mount's source that need not be there: the data's, and the WAL's where it has its own."""
        data, paths = self.data(node), self.paths(node)
        return {data, node.data.path if node.data else data, paths.wal}

    def join_spec(self, node: NodeFacts, chief: NodeFacts) -> tuple[Definition, tuple[str, ...]]:
        """The joiner's own old command, or the survivor's with the identity exchanged; and what was exchanged."""
        own = own_container(self.survey, node)
        if own is not None:
            return self.spec(node, own), ()
        model = self.own(chief)

        def who(old: str) -> MemberIdentity:
            return MemberIdentity(self.etcd_name(node, old, chief), self.etcd_address(node), node.hostname)

        return self.rt(node).as_member(self.spec(chief, model), chief.hostname, who)

    def etcd_address(self, node: NodeFacts) -> str:
        """The address in etcd's own URLs: said in the inventory, else the one in the old membership, else SSH's."""
        if node.host.etcd_address:
            return node.host.etcd_address
        for seat in self.diagnosis.seats:
            if seat.host == node.name and seat.peer_urls:
                return host_of_url(seat.peer_urls[0])
        return node.host.address

    def etcd_name(self, node: NodeFacts, old: str, chief: NodeFacts) -> str:
        """The member's name: that of its seat, else made after the survivor's by the hosts' names, else the inventory's."""
        for seat in self.diagnosis.seats:
            if seat.host == node.name and seat.name:
                return seat.name
        if chief.hostname and chief.hostname in old and node.hostname:
            return old.replace(chief.hostname, node.hostname)
        return node.name

    def learners(self, chief: NodeFacts) -> bool:
        """Whether the cluster knows learners (3.4 and later)."""
        version = chief.status.version if chief.status else ""
        keep = self.keep(chief)
        if not version and keep is not None and keep.proof is not None:
            version = keep.proof.version
        if not version and chief.db is not None:
            version = chief.db.cluster_version
        if not version and chief.log is not None:
            version = chief.log.configuration_at_end.cluster_version
        if not version:
            own = own_container(self.survey, chief)
            found = re.search(r":v?(\d+\.\d+)", own.image) if own else None
            version = found.group(1) if found else ""
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is None:
            raise Refused(
                f"{chief.name}: neither its database nor its image tells its etcd's version, "
                "so it is not known how members must join"
            )
        return (int(numbers.group(1)), int(numbers.group(2))) >= (3, 4)

    def grow(self, node: NodeFacts, chief: NodeFacts, seat: Seat | None = None) -> Stage | None:
        """Add, start and promote one member; of one that has a seat only what is missing."""
        spec, replaced = self.join_spec(node, chief)
        name, urls = self.member_of(node, spec)
        learner = self.learners(chief)
        paths, data = self.paths(node), self.data(node)
        shaped = self.rt(node).plain(spec, name=self.name(node), run=self.run, role=Role.JOINING)
        owner, mode = (chief.data.owner, chief.data.mode) if chief.data else ("", "")
        label = chief.data.label if chief.data else ""
        if node.data is not None and node.data.exists:
            owner, mode = node.data.owner, node.data.mode
        steps: list[Step] = []
        if seat is None:
            steps.append(AddMember(node.name, paths, data, chief.name, name, urls, learner))
        there = standing_container(self.survey, node)
        joined = seat is not None and bool(seat.name) and there is not None and there.state == "running"
        if not joined:
            steps.append(
                Join(
                    node.name,
                    paths,
                    data,
                    chief.name,
                    shaped,
                    self.name(node),
                    name,
                    urls,
                    owner,
                    mode,
                    replaced,
                    label,
                )
            )
        if learner and (seat is None or seat.learner):
            steps.append(Promote(node.name, paths, data, chief.name, urls))
        essential = [] if learner else [node.name]
        return stage(f"join-{node.name}", f"Bring {node.name} in", [steps], essential=essential)

    def member_of(self, node: NodeFacts, spec: Definition) -> tuple[str, tuple[str, ...]]:
        """Name and peer URLs that a definition gives its member. Raises Unsupported where it gives none."""
        config = self.rt(node).config(spec)
        if not config.name or not config.advertise_peer_urls:
            raise Unsupported(
                f"{node.name}: its etcd's command gives no --name or no --initial-advertise-peer-urls, so it cannot be added"
            )
        return config.name, config.advertise_peer_urls

    def settle(self, joined: Sequence[tuple[NodeFacts, bool]], chief: NodeFacts) -> Stage | None:
        """One after another: the node's own container takes over from the joining one, as it was."""
        steps: list[Step] = []
        for node, joins in joined:
            own = own_container(self.survey, node)
            paths, data = self.paths(node), self.data(node)
            there = standing_container(self.survey, node)
            ours = there is not None and there.role is Role.JOINING
            if not joins and not ours:
                continue
            if own is not None and not own.forced:
                policy = true_policy(node, own)
                replaces = self.name(node) if joins else self.replaced_by(node)
                steps.append(StartOriginal(node.name, paths, data, own.id, self.name(node), policy, replaces=replaces))
            else:
                policy = self.fleet_policy()
                if joins or (there is not None and there.restart_policy != policy):
                    spec = there.spec if ours and there is not None else None
                    spec = spec or self.join_spec(node, chief)[0]
                    steps.append(Reopen(node.name, paths, data, spec, self.name(node)))
                    steps.append(RestorePolicy(node.name, paths, data, self.name(node), policy))
        return stage("settle", "Give every node its own container back", [steps])


def chief_image(survey: Survey, chief: NodeFacts) -> str:
    """The id of the image that the survivor's container ran."""
    own = own_container(survey, chief)
    return own.image_id if own else ""
