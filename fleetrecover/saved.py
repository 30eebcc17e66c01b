"""A survey in a file, so that somebody else, elsewhere, can judge it: everything that `diagnose` and `plan` are a function of.

Beside the survey itself stand the two looks that a judgement may ask for later: the members' content hashes where they
serve, and the snapshots. docs/offline.md says what the file holds; `schema` grows when a reader of before would misread it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fleetrecover import __version__
from fleetrecover.codec import decode, encode
from fleetrecover.decide.conclusion import Conclusion, combine
from fleetrecover.decide.diagnosis import Diagnosis, Verdict, Wish, diagnose
from fleetrecover.decide.plan import Plan
from fleetrecover.decide.verdict import Hashes
from fleetrecover.errors import FleetRecoverError, InputError, Refused
from fleetrecover.facts import Container, NodeFacts, Survey
from fleetrecover.model import Fleet, Transport
from fleetrecover.plain import dumps
from fleetrecover.recover import planned, settled_survey, with_runs
from fleetrecover.redact import Redactor, changed
from fleetrecover.redact import redacted as redact
from fleetrecover.runtime import Runtime, runtime_of
from fleetrecover.snapshots.advice import advised_by, youngest
from fleetrecover.snapshots.catalogue import Catalogue
from fleetrecover.verify import take_hashes

KIND = "fleetrecover-survey"
SCHEMA = 1
MOST = 128 * 1024 * 1024
"""Bytes that a file may have; the log of one member takes some six for each of its entries."""
AGAIN = "save one: fleetrecover survey --save FILE"


@dataclass(frozen=True)
class SavedSurvey:
    """What the file holds. `snapshots` are the youngest of each node; where they could not be had, `no_snapshots` says why."""

    survey: Survey
    hashes: Hashes | None = None
    snapshots: Catalogue | None = None
    no_snapshots: str = ""


def take(fleet: Fleet, transport: Transport) -> SavedSurvey:
    """Look at everything that any judgement of this survey may ask for."""
    survey = settled_survey(fleet, transport)
    hashes = take_hashes(survey, transport)
    try:
        found = youngest(fleet, transport, survey)
    except FleetRecoverError as error:
        return SavedSurvey(survey, hashes, None, error.message)
    return SavedSurvey(survey, hashes, found)


def judged(saved: SavedSurvey, wish: Wish) -> tuple[Survey, Wish, Diagnosis]:
    """The survey as it is judged, the wish with what an open run was told, and the judgement, as from the nodes themselves."""
    survey, wish = with_runs(saved.survey, wish)
    return survey, wish, diagnose(survey, wish)


def concluded(saved: SavedSurvey, wish: Wish) -> tuple[Survey, Conclusion]:
    """What `diagnose` says of it."""
    survey, wish, diagnosis = judged(saved, wish)
    hashes = saved.hashes if diagnosis.verdict is Verdict.HEALTHY else None
    told = combine(survey, diagnosis, hashes, wish)
    return survey, replace(told, diagnosis=advised_by(lambda: catalogue_of(saved), survey, told.diagnosis))


def catalogue_of(saved: SavedSurvey) -> Catalogue:
    """The snapshots. Raises InputError where they could not be had."""
    if saved.snapshots is None:
        raise InputError(saved.no_snapshots or "they were not saved")
    return saved.snapshots


# --- the file ---


def text_of(saved: SavedSurvey, *, redacted: bool = False) -> str:
    """The file's text. What is or may be secret in a container's definition is replaced by stars."""
    body = encode(hidden(saved))
    head = {"schema": SCHEMA, "kind": KIND, "tool": f"fleetrecover {__version__}", "redacted": redacted}
    return dumps({**head, "digest": digest(body), "saved": body}) + "\n"


def digest(body: Any) -> str:
    """A checksum over what is saved, against a file that was cut off or changed by hand."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def read(path: Path) -> SavedSurvey:
    """What a file holds. Raises InputError, with the place where it is wrong."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint=AGAIN) from error
    if len(data) > MOST:
        raise InputError(f"{path}: larger than {MOST:,} bytes, which no saved survey is", hint=AGAIN)
    return parse(data, str(path))


def parse(data: bytes, source: str) -> SavedSurvey:
    """The same, from its bytes. Raises InputError."""
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{source}, {where}: not a saved survey: {error.msg}", hint=AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not a saved survey: {error}", hint=AGAIN) from error
    body = _body(document, source)
    try:
        found: SavedSurvey = decode(body, SavedSurvey, "saved")
    except InputError as error:
        raise InputError(f"{source}: {error.message}", hint=AGAIN) from error
    names = [host.name for host in found.survey.fleet.hosts]
    if names != [node.name for node in found.survey.nodes] or len(set(names)) != len(names):
        raise InputError(f"{source}: saved.survey.nodes: not one for each host of the inventory", hint=AGAIN)
    return found


def _body(document: Any, source: str) -> Any:
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise InputError(f"{source}: not a saved survey: kind is not {KIND!r}", hint=AGAIN)
    schema, tool = document.get("schema"), str(document.get("tool", "another program"))[:60]
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise InputError(f"{source}: schema: {str(schema)[:40]!r} is none", hint=AGAIN)
    if schema > SCHEMA:
        raise InputError(
            f"{source}: schema: it is of version {schema}, written by {tool}; this is fleetrecover {__version__}, which knows "
            f"up to {SCHEMA}",
            hint="read it with a fleetrecover at least as new as the one that wrote it",
        )
    if document.get("digest") != digest(document.get("saved")):
        raise InputError(
            f"{source}: digest: it is not that of what is saved: the file was changed or cut off", hint=AGAIN
        )
    return document["saved"]


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


# --- what is not for others ---


def hidden(saved: SavedSurvey) -> SavedSurvey:
    """The same without secrets: not in the containers' definitions, and not where somebody's message quotes one."""
    nodes = saved.survey.nodes
    defined = [(node.host, c.spec) for node in nodes for c in node.containers if c.spec is not None]
    fleet = saved.survey.fleet
    secrets = {text for host, definition in defined for text in runtime_of(fleet, host).secrets(definition)}
    longest = sorted(secrets, key=len, reverse=True)

    def without(text: str) -> str:
        for secret in longest:
            text = text.replace(secret, "***")
        return text

    masking = tuple(_masked(runtime_of(fleet, node.host), node) for node in nodes)
    held = replace(saved, survey=replace(saved.survey, nodes=masking))
    return held if not longest else changed(held, without)


def _masked(rt: Runtime, node: NodeFacts) -> NodeFacts:
    def one(container: Container) -> Container:
        return container if container.spec is None else replace(container, spec=rt.masked(container.spec))

    return replace(node, containers=tuple(one(container) for container in node.containers))


def redacted(saved: SavedSurvey) -> tuple[SavedSurvey, Mapping[str, str]]:
    """The same for strangers' eyes, and what its hosts are called in it.

    Raises Refused where the judgement would be another one: then a name of theirs means something to this program.
    """
    redactor = Redactor.of(saved.survey, (saved.snapshots, saved.no_snapshots))
    beside = changed(replace(saved, survey=replace(saved.survey, nodes=())), redactor)
    made: SavedSurvey = replace(beside, survey=redact(saved.survey, redactor))
    if outline(made) != changed(outline(saved), redactor):
        raise Refused(
            "without its names this survey would be judged in another way; nothing was written",
            hint="save it without --redact, and show it to whom you trust",
        )
    return made, {host.name: redactor(host.name) for host in saved.survey.fleet.hosts}


def outline(saved: SavedSurvey) -> tuple[Any, ...]:
    """What is to come out alike of two surveys: verdict, remedy, survivor, findings, and the steps of the plan."""
    wish = Wish()
    try:
        survey, told = concluded(saved, wish)
        found = tuple((each.severity.value, each.node, each.code) for each in told.diagnosis.findings)
        choice = told.diagnosis.choice
        head = (told.verdict.value, told.diagnosis.remedy.value, choice.survivor if choice else None, found)
        plan = plan_of(saved, wish, run="r0", started=survey.taken_at)[2]
    except FleetRecoverError as error:
        return (type(error).__name__,)
    return (*head, tuple((type(step).__name__, step.node) for step in plan.steps) if plan else ())


def plan_of(saved: SavedSurvey, wish: Wish, *, run: str, started: str) -> tuple[Survey, Diagnosis, Plan | None]:
    """What `plan` says of it: the plan is None where there is nothing to do. Raises Undetermined, Refused."""
    survey, wish, diagnosis = judged(saved, wish)
    diagnosis = advised_by(lambda: catalogue_of(saved), survey, diagnosis)
    return planned(survey, diagnosis, wish, run, started=started)
