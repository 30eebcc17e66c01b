"""PURE: the one judgement of a survey that `recover`, `verify` and `diagnose` share: verdict, exit code, what to type next.

The diagnosis says what is wrong with the cluster and what would be done about it, the checks say what a whole fleet must
look like. Neither is asked alone: what either finds is the verdict of both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict, Wish, diagnose, live_seats
from fleetrecover.decide.feasible import REFUSED, feasible, sober
from fleetrecover.decide.finding import Finding, Severity, ranked
from fleetrecover.decide.policies import whole_fleet
from fleetrecover.decide.verdict import Check, Hashes, Judgement, judge
from fleetrecover.facts import Survey

CONTENT = "same content"


@dataclass(frozen=True)
class Conclusion:
    """What is to be said of a survey. `missing` are the hosts of the inventory that are no voters; `next` is what to type."""

    diagnosis: Diagnosis
    judgement: Judgement
    missing: tuple[str, ...]
    next: str

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.diagnosis.verdict

    @property
    def exit_code(self) -> int:
        """The exit code of every command that only says how the cluster is."""
        return self.diagnosis.verdict.exit_code


def conclude(survey: Survey, wish: Wish, hashes: Hashes | None = None) -> Conclusion:
    """Judge a survey. Without `hashes` nothing is said of the members' content. Raises InputError as `diagnose` does."""
    return combine(survey, diagnose(survey, wish), hashes)


def combine(survey: Survey, diagnosis: Diagnosis, hashes: Hashes | None = None, wish: Wish | None = None) -> Conclusion:
    """The conclusion from a diagnosis that was made already. With the wish, what `recover` would refuse is not promised."""
    diagnosis = sober(diagnosis if wish is None else feasible(survey, diagnosis, wish))
    judgement = judge(survey, hashes, whole_fleet(survey))
    checks = tuple(check for check in judgement.checks if check.name != CONTENT or hashes is not None)
    bad = [check for check in checks if not check.ok]
    if diagnosis.verdict is Verdict.HEALTHY and bad:
        found = [
            Finding(Severity.WARNING, None, "not-whole", f"{check.name}: {check.detail}", check.cure) for check in bad
        ]
        why = "quorum stands, but " + "; ".join(finding.message for finding in found)
        diagnosis = replace(
            diagnosis, verdict=Verdict.DEGRADED, why=why, findings=ranked([*found, *diagnosis.findings])
        )
    elif diagnosis.verdict is not Verdict.HEALTHY and not bad:
        checks += (Check("nothing found", False, diagnosis.why),)
    missing = absent(survey)
    told = what_next(diagnosis, missing, len(survey.nodes))
    return Conclusion(diagnosis, replace(judgement, checks=checks), missing, told)


def absent(survey: Survey) -> tuple[str, ...]:
    """The hosts of the inventory that are not voters of what serves; none where nothing serves."""
    known = live_seats(survey, [node for node in survey.nodes if node.healthy])
    voters = {seat.host for seat in known if not seat.learner and seat.name}
    return tuple(node.name for node in survey.nodes if node.name not in voters) if known else ()


def what_next(diagnosis: Diagnosis, missing: tuple[str, ...], hosts: int) -> str:
    """The command to type, in a sentence."""
    if diagnosis.remedy is Remedy.BLOCKED and diagnosis.cause is not None and diagnosis.cause.code == REFUSED:
        told = f"`recover` would refuse: {diagnosis.cause.message}"
        return f"{told} → {diagnosis.cause.advice}" if diagnosis.cause.advice else f"{told}."
    if diagnosis.remedy is Remedy.BLOCKED and diagnosis.verdict is Verdict.DEGRADED and diagnosis.cause is not None:
        return f"It serves, but something waits for you: {diagnosis.cause.advice}."
    if diagnosis.remedy is Remedy.BLOCKED:
        return "Nothing can be done safely yet; see the findings above."
    verbs = {
        Remedy.RESET: "resets a copy of the survivor's data and brings the others in again",
        Remedy.START: "starts the members that have their data, without any reset",
        Remedy.REPAIR: "mends what is missing or ill, member by member, without any reset",
        Remedy.FINISH: "closes the run that is open",
    }
    if diagnosis.remedy is not Remedy.NONE:
        told = f"`fleetrecover recover{diagnosis.options}` {verbs[diagnosis.remedy]}"
        return f"Next: {told}. `fleetrecover plan{diagnosis.options}` shows every step first."
    if diagnosis.verdict is Verdict.HEALTHY:
        return "Nothing to do."
    waits = [found for found in diagnosis.findings if found.waits]
    if any(found.code != "host-not-member" for found in waits):
        return f"It serves, but something waits for you: {'; '.join(dict.fromkeys(found.advice for found in waits))}."
    if missing:
        return fewer(missing, hosts)
    return _NOT_OURS


_NOT_OURS = "`fleetrecover recover` would do nothing about it; what each finding says after its arrow does."


def by_hand(found: Conclusion) -> str:
    """What to type where nothing was done and no finding is shown: what they say is said here."""
    told = dict.fromkeys(each.advice for each in found.diagnosis.findings if each.severity is not Severity.INFO)
    acts = [advice for advice in told if advice]
    return "; ".join(acts) if found.next == _NOT_OURS and acts else found.next


def fewer(missing: tuple[str, ...], hosts: int) -> str:
    """What there is to say of a cluster that serves on fewer members than the inventory has hosts.

    >>> fewer(("etcd2", "etcd3"), 3)
    'It serves, but on one member: when etcd2, etcd3 are back (empty disks are fine), run `fleetrecover recover`.'
    """
    count = hosts - len(missing)
    on = "one member" if count == 1 else f"{count} of {hosts} members"
    verb, disks = ("is", "an empty disk is fine") if len(missing) == 1 else ("are", "empty disks are fine")
    return f"It serves, but on {on}: when {', '.join(missing)} {verb} back ({disks}), run `fleetrecover recover`."
