"""Where the product is cut: its flows run as they are (recover, undo, clean, verify, diagnose), over a world instead of SSH.

What is exchanged is only what reaches the nodes: the survey, the hashes, the steps' doing, the hold, the journal.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import fleetrecover.apply.driver
import fleetrecover.facts
import fleetrecover.recover
import fleetrecover.report.console
import fleetrecover.snapshots.advice
import fleetrecover.undo
import fleetrecover.verify
from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.plan import Plan
from fleetrecover.decide.survivor import Choice
from fleetrecover.decide.verdict import Hashes, Judgement
from fleetrecover.errors import FleetRecoverError
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.outcome import Report
from tests.worlds.disks import WRITE, Disk, db_of, log_of
from tests.worlds.hands import Hands
from tests.worlds.world import World


@dataclass(frozen=True)
class Command:
    """What is typed."""

    verb: str  # diagnose, recover, verify, undo, clean
    dead: frozenset[str] = frozenset()
    survivor: str | None = None
    run: str | None = None

    @property
    def wish(self) -> Wish:
        return Wish(dead=self.dead, survivor=self.survivor)

    def __str__(self) -> str:
        words = [self.verb, *([self.run] if self.run else []), *(f"--dead {name}" for name in sorted(self.dead))]
        return " ".join([*words, *([f"--survivor {self.survivor}"] if self.survivor else [])])


@dataclass
class Answer:
    """What came of it: the exit code, what was said, and every hint with the host and the code of the finding it is of."""

    command: Command
    code: int
    message: str = ""
    hints: list[tuple[str, str | None, str]] = field(default_factory=list)  # (text, host, finding code)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    judgement: Judgement | None = None
    report: Report | None = None
    verdict: str = ""
    crash: str = ""

    @property
    def choices(self) -> list[Choice]:
        return [each.choice for each in self.diagnoses if each.choice is not None]


class Quiet:
    """Events that nobody looks at, and a journal that is not kept."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_a, **_k: None


QUIET = Quiet()


class NoJournal(Quiet):
    """A journal that is not kept."""

    @classmethod
    def open(cls, *_: object) -> NoJournal:
        return cls()


@contextmanager
def held(*_: object) -> Iterator[Any]:
    """A hold that is always had."""
    yield SimpleNamespace(token="token")


def survey_of(_fleet: object, transport: World, *, logs: bool = True, **_: object) -> Survey:
    return transport.survey(logs)


def hashes_of(_survey: Survey, transport: World) -> Hashes | None:
    """What hashkv of each member says at the highest revision of all, once each has applied what is decided."""
    asked = [host for host in transport.hosts if host.reachable and _healthy(transport, host.name)]
    if not asked:
        return None
    content = {}
    for host in asked:
        assert host.disk is not None and host.process is not None
        content[host.name] = [e.value for e in host.disk.entries[: host.process.known] if e.kind == WRITE]
    revision = max(len(writes) for writes in content.values())
    behind = tuple(name for name, writes in content.items() if len(writes) < revision)
    found = {name: (hash(tuple(writes)) & 0xFFFFFFFF, -1) for name, writes in content.items()}
    return Hashes(revision + 1, {name: None if name in behind else hashed for name, hashed in found.items()}, behind)


def _healthy(world: World, name: str) -> bool:
    host = world.host(name)
    learner = (
        host.disk is not None and host.process and host.disk.member in host.disk.roster(host.process.known).learners
    )
    return host.process is not None and host.process.serving and not learner


def kept_of(survey: Survey, transport: World, run: str) -> Survey:
    """The survey, with what the data says that the run keeps."""

    def one(node: NodeFacts) -> NodeFacts:
        parts = transport.host(node.name).kept[run].parts if node.keep(run) is not None else {}
        found = tuple(kept_data(f"/{part}", disk) for part, disk in parts.items() if part not in _COPIES)
        keeps = tuple(replace(keep, kept=found) if keep.run == run else keep for keep in node.keeps)
        return replace(node, keeps=keeps)

    return replace(survey, nodes=tuple(one(node) if node.accessible else node for node in survey.nodes))


_COPIES = ("partial", "work", "booted", "reset")


def kept_data(part: str, disk: Disk) -> Any:
    """As `fleetrecover.facts.KeptData` tells it."""
    if not disk.sound:
        return fleetrecover.facts.KeptData(part, revision=db_of(disk).revision, problem="damaged")
    log = log_of(disk)
    return fleetrecover.facts.KeptData(
        part,
        revision=db_of(disk).revision,
        index=log.last.index,
        commit=log.commit,
        cluster_id=log.cluster_id,
        member_id=log.node_id,
        voters=log.configuration_at_end.voters,
    )


def in_order(hosts: Any, work: Callable[[Any], Any], **_: object) -> dict[str, Any]:
    """`fan_out`, one after another."""
    return {host.name: work(host) for host in hosts}


def nothing(*_: object, **__: object) -> dict[str, Any]:
    return {}


class Clock:
    """Ids and moments of runs, the same for the same world."""

    count = 0

    @classmethod
    def new_run(cls) -> str:
        cls.count += 1
        return f"r20260101T{cls.count // 60 % 24:02d}{cls.count % 60:02d}00Z-abcd"

    @classmethod
    def now(cls) -> str:
        return f"2026-01-01T{cls.count // 60 % 24:02d}:{cls.count % 60:02d}:00Z"


_IN_RECOVER: dict[str, Any] = {"take_survey": survey_of, "take_hashes": hashes_of, "Applier": Hands, "hold": held}
_IN_RECOVER |= {"Journal": NoJournal, "drop_dead_holds": nothing, "new_run": Clock.new_run, "now": Clock.now}
_IN_RECOVER |= dict.fromkeys(("diagnosis_document", "plan_document", "report_document"), nothing)
_IN_UNDO: dict[str, Any] = {"take_survey": survey_of, "Undoer": Hands, "_hold": held, "Journal": NoJournal}
_IN_UNDO |= {"look_at_kept": kept_of}
_EXCHANGED: Mapping[Any, Mapping[str, Any]] = {
    fleetrecover.recover: _IN_RECOVER,
    fleetrecover.undo: _IN_UNDO,
    fleetrecover.verify: {"take_survey": survey_of, "take_hashes": hashes_of},
    fleetrecover.apply.driver: {"fan_out": in_order},
    fleetrecover.snapshots.advice: {"advised": lambda _f, _t, _s, diagnosis: diagnosis},
}


@contextmanager
def exchanged() -> Iterator[None]:
    """While this lasts the product acts on worlds."""
    before = {
        (module, name): getattr(module, name)
        for module, table in _EXCHANGED.items()
        for name in table
        if hasattr(module, name)
    }
    for module, name in before:
        setattr(module, name, _EXCHANGED[module][name])
    try:
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


# --- commands ---------------------------------------------------------------------------------------------------------


def type_in(world: World, command: Command) -> Answer:
    """Give a command to the product. Only within `exchanged`."""
    answer = Answer(command, 0)
    try:
        _DOERS[command.verb](world, command, answer)
    except FleetRecoverError as error:
        answer.code, answer.message = error.code, error.message
        answer.report = getattr(error, "report", None)
        if error.hint:
            answer.hints.insert(0, (error.hint, None, "error"))
    except KeyboardInterrupt:
        answer.code, answer.message = 130, "interrupted"
        answer.hints.insert(0, ("run the same command again to go on where it stopped", None, "error"))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = re.sub(r".*/(fleetrecover|tests)/", r"\1/", frame.filename)
        answer.code, answer.message = 1, f"{type(error).__name__}: {error}"
        answer.crash = f"{type(error).__name__} in {place} {frame.name}"
    return answer


def _findings(answer: Answer, diagnosis: Diagnosis) -> None:
    answer.hints += [(f.advice, f.node, f.code) for f in diagnosis.findings if f.advice]


def _no_sleep(_seconds: float) -> None:
    """The worlds have no clock: what a wait is for has come, or does not come."""


def _means(world: World, answer: Answer) -> Any:
    def confirm(survey: Survey, diagnosis: Any, plan: Any = None) -> None:
        if isinstance(diagnosis, Diagnosis):
            answer.diagnoses.append(diagnosis)
            answer.plans.append(plan)

    return SimpleNamespace(
        fleet=world.fleet,
        transport=world,
        events=QUIET,
        confirm=confirm,
        sleep=_no_sleep,
        clock=lambda: 0.0,
        command="recover",
    )


def _diagnose(world: World, command: Command, answer: Answer) -> None:
    survey, wish = fleetrecover.recover.survey_for(world.fleet, world, command.wish, _no_sleep)  # type: ignore[arg-type]
    diagnosis = diagnose(survey, wish)
    told = fleetrecover.recover.concluded(survey, diagnosis, world, wish)  # type: ignore[arg-type]
    diagnosis, following = told.diagnosis, told.next
    answer.diagnoses.append(diagnosis)
    answer.code, answer.message, answer.verdict = diagnosis.verdict.exit_code, diagnosis.why, diagnosis.verdict.value
    _findings(answer, diagnosis)
    answer.hints.append((following, None, "next"))


def _recover(world: World, command: Command, answer: Answer) -> None:
    report = fleetrecover.recover.recover(_means(world, answer), command.wish)
    answer.report = report
    answer.code = getattr(report, "exit_code", 0)
    answer.message, answer.judgement = report.outcome, report.judgement
    following = getattr(report, "next", "")
    if following:
        answer.hints.append((following, None, "next"))


def _verify(world: World, command: Command, answer: Answer) -> None:
    concluded = getattr(fleetrecover.recover, "concluded", None)
    if concluded is not None:
        survey, wish = fleetrecover.recover.survey_for(world.fleet, world, Wish(), _no_sleep)  # type: ignore[arg-type]
        told = concluded(survey, diagnose(survey, wish), world, wish)
        answer.judgement, answer.verdict, answer.code = told.judgement, told.verdict.value, told.exit_code
        answer.message = told.diagnosis.why
        answer.hints.append((told.next, None, "next"))
        return
    survey, judgement = fleetrecover.verify.verify(world.fleet, world)  # type: ignore[arg-type]
    verdict = diagnose(survey, Wish()).verdict
    if not judgement.ok and verdict is Verdict.HEALTHY:
        verdict = Verdict.DEGRADED
    answer.judgement, answer.verdict = judgement, verdict.value
    answer.code = 0 if judgement.ok else verdict.exit_code
    answer.message = "; ".join(f"{check.name}: {check.detail}" for check in judgement.checks if not check.ok)


def _undo(world: World, command: Command, answer: Answer) -> None:
    done = fleetrecover.undo.undo(_means(world, answer), command.run or "")
    answer.message = "; ".join([done.outcome, *getattr(done, "notes", ())])


def _clean(world: World, command: Command, answer: Answer) -> None:
    done = fleetrecover.undo.clean(_means(world, answer), command.run or "")
    answer.message = done.outcome


_DOERS: Mapping[str, Callable[[World, Command, Answer], None]] = {
    "diagnose": _diagnose,
    "recover": _recover,
    "verify": _verify,
    "undo": _undo,
    "clean": _clean,
}

__all__ = ["Answer", "Command", "Remedy", "exchanged", "type_in"]
