"""PURE: whether what the operator has confirmed still holds once every etcd is stopped and its log is final."""

from __future__ import annotations

from fleetrecover.decide.plan import Plan
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.errors import StoppedPartWay


def check_agreement(agreed: Plan, choice: Choice | None, fresh: Plan | None, judged: Choice | None) -> Plan:
    """Return the fresh plan if it is what was agreed to: the same survivor, proven no less, and nothing left to fence.

    `agreed` and `choice` are what was confirmed, `fresh` and `judged` what a look at the stopped nodes gives. Raises
    StoppedPartWay: the etcds are stopped, no data was moved, and the same command shows what is known now.
    """
    undo = "`fleetrecover undo` to start them again"
    if fresh is None or fresh.survivor != agreed.survivor:
        other = (fresh.survivor if fresh else None) or "nobody"
        raise StoppedPartWay(
            f"with every etcd stopped, the logs say {other} should survive, not {agreed.survivor}; "
            "the etcds are stopped, no data was moved",
            hint=f"run the same command again to see and confirm the new plan, or {undo}",
        )
    if fresh.method is not None and agreed.method is not None and fresh.method.name != agreed.method.name:
        raise StoppedPartWay(
            f"with every etcd stopped, it would go by {fresh.method.name}, not by {agreed.method.name}; no data was moved",
            hint=f"run the same command again to see and confirm the new plan, or {undo}",
        )
    was_proven = choice is not None and choice.proof is ProofKind.COMPLETE
    if was_proven and judged is not None and judged.proof is not ProofKind.COMPLETE:
        raise StoppedPartWay(
            f"it was proven that {agreed.survivor} has every acknowledged write; with every etcd stopped it is not any more: "
            f"{_why_not(judged)}; no data was moved",
            hint=f"run the same command again to see and confirm what is known now, or {undo}",
        )
    again = fresh.stage("fence")
    if again is not None:
        nodes = ", ".join(sorted({step.node for step in again.steps}))
        raise StoppedPartWay(
            f"an etcd on {nodes} came back after it had been stopped; something else starts it; no data was moved",
            hint="stop what starts it (Rancher, RKE, a kubelet, cron), then run the same command again",
        )
    return fresh


def _why_not(choice: Choice) -> str:
    """Why a choice is not proven: too few logs, or what the logs say."""
    if choice.logs_read < choice.logs_needed or not choice.doubts:
        return f"{choice.logs_read} of the {choice.logs_needed} logs that are needed are evidence"
    return "; ".join(choice.doubts)
