"""PURE: the restart policies that the nodes' containers have of themselves, and what a whole cluster must look like."""

from __future__ import annotations

from dataclasses import replace

from fleetrecover.decide.own import own_container
from fleetrecover.decide.seen import best_at_rest
from fleetrecover.decide.verdict import Expectation
from fleetrecover.facts import Container, NodeFacts, Proof, Survey, set_aside_by


def true_policy(node: NodeFacts, container: Container) -> str:
    """A container's restart policy as it is meant to be: before a run took it away, where it is that run that has it.

    A run has taken it while the run is under way, and as long as the container lies set aside under the run's name, or did
    when a run began that is under way now. What a run that is over has written down besides is the past: since then the
    policy is the operator's.
    """
    under_way = {keep.run for keep in node.keeps if keep.stale or not (keep.finished or keep.undone)}
    aside = {container.run} | {set_aside_by(k.names.get(container.id, "")) for k in node.keeps if k.run in under_way}
    for keep in sorted(node.keeps, key=lambda k: k.run):
        policy = keep.policies.get(container.id)
        if policy and keep.run in under_way | aside:
            return policy
    return container.restart_policy


def whole_fleet(survey: Survey) -> Expectation:
    """Every host of the inventory a member, and each with the restart policy that is its own."""
    wanted = expectation(survey, tuple(node.name for node in survey.nodes), {}, None)
    return replace(wanted, before=best_at_rest(survey))


def expectation(survey: Survey, hosts: tuple[str, ...], left_out: dict[str, str], proof: Proof | None) -> Expectation:
    """What a whole cluster of these hosts must look like; restart policies as the runs under way recorded them."""
    policies = {}
    for name in hosts:
        node = survey.node(name)
        own = own_container(survey, node)
        # one that carries the force flag is rebuilt, and the new one gets the fleet's policy: its own was taken by hand
        if own is not None and not (own.forced and true_policy(node, own) in ("no", "")):
            policies[name] = true_policy(node, own)
    return Expectation(hosts=hosts, left_out=left_out, proof=proof, policies=policies)
