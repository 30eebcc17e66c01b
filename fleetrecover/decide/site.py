"""PURE: what every plan needs of the nodes: the run's paths there, what etcd is called, what runs it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fleetrecover.commands.paths import DEFAULT_DATA, RunPaths
from fleetrecover.decide.own import own_container, own_name
from fleetrecover.decide.policies import true_policy
from fleetrecover.facts import (
    Keep,
    NodeFacts,
    Survey,
)
from fleetrecover.runtime import Runtime, runtime_of


@dataclass(kw_only=True)
class Site:
    """One survey and one run: what a plan is made from. `started` in ISO 8601; `left_out` says why, by host."""

    survey: Survey
    run: str
    started: str
    tool: str
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def name(self, node: NodeFacts) -> str:
        """What the node's own container is called."""
        return own_name(self.survey, node)

    def nodes(self) -> list[NodeFacts]:
        """Those on which something can be done."""
        return [node for node in self.survey.nodes if node.accessible]

    def data(self, node: NodeFacts) -> str:
        """The data directory, links resolved."""
        return node.data.real if node.data else DEFAULT_DATA

    def paths(self, node: NodeFacts) -> RunPaths:
        """The run's paths on the node."""
        return RunPaths.of(node.data, self.run)

    def rt(self, node: NodeFacts) -> Runtime:
        """What runs etcd there."""
        return runtime_of(self.survey.fleet, node.host)

    def where(self, node: NodeFacts) -> tuple[str, RunPaths, str]:
        """What every step begins with: the node, the run's paths on it, its data directory."""
        return node.name, self.paths(node), self.data(node)

    def keep(self, node: NodeFacts) -> Keep | None:
        """What the run has on the node already."""
        return node.keep(self.run)

    def fleet_policy(self) -> str:
        """The restart policy that the fleet's etcd containers had."""
        for node in self.survey.nodes:
            own = own_container(self.survey, node)
            if own is not None and true_policy(node, own) not in ("no", ""):
                return true_policy(node, own)
        return "always"
