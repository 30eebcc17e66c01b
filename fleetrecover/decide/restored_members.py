"""PURE: who the members of a restored cluster are: on which hosts, by which definitions, under which names and token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetrecover.commands.snapshots import RestoreState
from fleetrecover.decide.membership import quorum
from fleetrecover.decide.own import own_container
from fleetrecover.decide.site import Site
from fleetrecover.decide.situation import BUMP, Situation, is_of_another
from fleetrecover.errors import Refused, Unsupported
from fleetrecover.facts import Container, Definition, NodeFacts
from fleetrecover.runtime import MemberIdentity


@dataclass(kw_only=True)
class RestoredMembers(Site):
    """A site on which a snapshot is to be restored. `note` is what an open run has written down of it."""

    situation: Situation
    token: str
    note: Mapping[str, Any] | None

    def state(self, node: NodeFacts) -> RestoreState:
        """What the run has made of the node already."""
        return self.situation.states.get(node.name, RestoreState())

    def targets(self) -> list[NodeFacts]:
        """The hosts on which it is restored; of the others it is noted why not. Raises Refused where there is none."""
        found = []
        for node in self.survey.nodes:
            if node.name in self.situation.dead:
                self.left_out[node.name] = "declared dead"
            elif not node.accessible:
                self.left_out[node.name] = node.problem.message if node.problem else "not reachable"
            else:
                found.append(node)
        if not found:
            raise Refused("there is no node left to restore on")
        return found

    def spec(self, node: NodeFacts) -> tuple[Definition, tuple[str, ...]]:
        """The node's own command, or another's with the identity exchanged; and what was exchanged."""
        own = own_container(self.survey, node)
        if own is not None:
            return self.sound(node, own), ()
        model, hostname = self.model()

        def who(old: str) -> MemberIdentity:
            address = node.host.etcd_address or node.host.address
            return MemberIdentity(self.member_name(node, old, hostname), address, node.hostname)

        return self.rt(node).as_member(model, hostname, who)

    def sound(self, node: NodeFacts, own: Container) -> Definition:
        """A container's definition. Raises Unsupported where it cannot be made again."""
        if own.spec is None or own.config is None:
            raise Unsupported(
                f"{node.name}: container {own.name} has a setting that cannot be reproduced: {own.spec_problem}"
            )
        if own.config.opaque:
            raise Unsupported(f"{node.name}: container {own.name}: {own.spec_problem}")
        return own.spec

    def model(self) -> tuple[Definition, str]:
        """The definition after which others are made, and its host's name. Raises Refused where none is known."""
        for node in self.survey.nodes:
            own = own_container(self.survey, node)
            if own is not None and own.spec is not None:
                return self.sound(node, own), node.hostname
        if self.situation.like is not None:
            return self.situation.like, self.situation.like_hostname
        raise Refused(
            "no node has an etcd container, so its command is not known; nothing was changed",
            hint="give `docker inspect` of one from before as --like FILE: every run keeps it as containers.json",
        )

    def member_name(self, node: NodeFacts, old: str, hostname: str) -> str:
        """A member's name: that of its seat, else made after another's by the hosts' names, else the inventory's."""
        for seat in self.situation.seats:
            if seat.host == node.name and seat.name:
                return seat.name
        if hostname and hostname in old and node.hostname:
            return old.replace(hostname, node.hostname)
        return node.name

    def all(self, targets: Sequence[NodeFacts]) -> list[str]:
        """The names of the targets."""
        return [node.name for node in targets]

    def others(self, targets: Sequence[NodeFacts]) -> list[NodeFacts]:
        """Nodes that answer though they are declared dead: they are stopped, and so `undo` has to know of them."""
        names = {node.name for node in targets}
        return [node for node in self.survey.nodes if node.accessible and node.name not in names]

    def cluster(self, targets: Sequence[NodeFacts]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Name and peer URLs of every member; those that the restore began with, where it has begun."""
        if self.note is not None and isinstance(self.note.get("cluster"), list):
            listed = tuple((str(name), tuple(str(url) for url in urls)) for name, urls in self.note["cluster"])
            hosts = [str(host) for host in self.note.get("hosts", [])]
            here = [node.name for node in targets]
            strangers = [name for name in here if name not in hosts]
            if strangers or len([name for name in hosts if name in here]) < quorum(len(hosts)):
                raise Refused(
                    f"run {self.run} restores on {', '.join(hosts)}; now it would be {', '.join(here)}",
                    hint=f"`fleetrecover undo {self.run}`, then restore anew",
                )
            return listed
        found: dict[str, tuple[str, ...]] = {}
        for node in targets:
            config = self.rt(node).config(self.spec(node)[0])
            if not config.name or not config.advertise_peer_urls:
                raise Unsupported(
                    f"{node.name}: its etcd's command gives no --name or no --initial-advertise-peer-urls"
                )
            if config.name in found:
                raise Refused(f"{node.name}: another node's etcd is called {config.name}, too")
            found[config.name] = config.advertise_peer_urls
        return tuple(found.items())

    def fresh_note(
        self, cluster: tuple[tuple[str, tuple[str, ...]], ...], bump: int, targets: Sequence[NodeFacts]
    ) -> Mapping[str, Any]:
        """What is written down of the restore, as it begins."""
        chosen = self.situation.chosen
        return {
            "snapshot": chosen.name,
            "identity": chosen.identity,
            "sha256": chosen.sha256,
            "size": chosen.size,
            "revision": chosen.revision,
            "token": self.token,
            "bump": bump,
            "cluster": [[name, list(urls)] for name, urls in cluster],
            "hosts": [node.name for node in targets],
        }

    def bump(self, targets: Sequence[NodeFacts]) -> int:
        """By how much the revision is raised: what the note says, else as the tools can."""
        if self.note is not None:
            return int(self.note.get("bump") or 0)
        return BUMP if all(self.situation.tools[node.name].bumps for node in targets) else 0

    def tell(self, targets: Sequence[NodeFacts], bump: int, members: set[str]) -> None:
        """What the operator should know."""
        if bump:
            self.notes.append(
                f"the revision is raised by {bump} and what is below is compacted, so that watches start anew"
            )
        else:
            self.notes.append(
                "these etcd images cannot raise the revision (from 3.4.27 and 3.5.10): clients that have seen a higher one "
                "must be restarted; the containers of [kubernetes] restart are, on the hosts of this inventory"
            )
        gone = [seat.label for seat in self.situation.seats if seat.host not in {node.name for node in targets}]
        if gone and not self.note:
            self.notes.append(f"{', '.join(gone)} will not be a member any more")
        were = {member.name for member in self.situation.chosen.members}
        if were and were != members:
            self.notes.append(f"when it was taken the members were {', '.join(sorted(were))}")
        if is_of_another(self.survey, self.situation):
            self.notes.append("the snapshot is of ANOTHER CLUSTER; what is here is replaced by it")
        if self.situation.chosen.auth:
            self.notes.append("authentication is on in this snapshot: checks that ask etcd need a user and may fail")
