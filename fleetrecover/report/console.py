"""For the person at the terminal: what was asked for as text, and the story as it happens."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Console
from rich.markup import escape

from fleetrecover.decide.conclusion import absent, what_next
from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict
from fleetrecover.decide.finding import Finding
from fleetrecover.decide.managers import held_by_others, unit_findings
from fleetrecover.decide.own import own_container, own_name
from fleetrecover.decide.plan import Plan
from fleetrecover.decide.rights import lacking, what_to_add
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.decide.verdict import Judgement
from fleetrecover.facts import Certificate, NodeFacts, Survey
from fleetrecover.model import Fleet
from fleetrecover.outcome import Outcome, Report
from fleetrecover.plain import counted
from fleetrecover.report.advice import advice_for
from fleetrecover.report.bars import Bars
from fleetrecover.report.story import Story
from fleetrecover.report.tables import Column, Row, print_table, prose
from fleetrecover.report.waits import Waits
from fleetrecover.steps import Stage, Step
from fleetrecover.steps.words import headline, limit_of, limit_text, name_of

_COLOURS = {
    Verdict.HEALTHY: "green",
    Verdict.DEGRADED: "yellow",
    Verdict.QUORUM_LOST: "red",
    Verdict.UNDETERMINED: "magenta",
}


_COLUMNS = (
    Column("node"),
    Column("container", 1),
    Column("etcd", 1),
    Column("log: term, index (commit)", 2),
    Column("revision", 2),
    Column("data", 3, droppable=True),
)
_UNREACHED = {
    "unreachable": "host does not answer",
    "host-key": "its host key is not trusted",
    "login": "login refused",
    "sudo": "sudo refused",
}


def print_survey(out: Console, survey: Survey, *, full: bool = True) -> None:
    """One row a node; with `full` all that else only a finding would tell, below it."""
    out.print(f"Cluster {escape(survey.fleet.cluster)}", soft_wrap=True)
    rows = [Row(_row(survey, node), note=_more(node) if full else "") for node in survey.nodes]
    print_table(out, _COLUMNS, rows)
    lacks: dict[tuple[str, str], list[str]] = {}
    for node in survey.nodes:
        if full and node.data is not None and lacking(node.data):
            lacks.setdefault((node.data.who, node.data.no_engine), []).append(node.name)
    for (who, engine), names in lacks.items():
        prose(out, f"→ {what_to_add(who, ', '.join(names), engine)}")


_UNREAD = {"missing": "none", "forbidden": "may not be read", "in-container": "in the container"}


def _row(survey: Survey, node: NodeFacts) -> tuple[str, ...]:
    if not node.reachable:
        return (node.name, _UNREACHED.get(node.problem.kind if node.problem else "", "not reached"), "", "", "", "")
    status, revision = node.status, node.status.revision if node.status else node.db.revision if node.db else None
    etcd = "not running"
    if status is not None:
        role = "leader" if status.leader else "learner" if status.is_learner else "follower"
        etcd = f"{status.version}, {role if node.healthy else 'no leader'}"
    elif any(c.state == "running" and not c.isolated for c in node.containers):
        etcd = "does not answer"
    log = "" if node.log_problem is None else _UNREAD.get(node.log_problem.kind, "damaged")
    if node.log is not None:
        log = f"{node.log.last.term}, {node.log.last.index} ({node.log.commit})"
    data = ""
    if node.data is not None:
        size = f"{node.data.size / 1e6:,.0f} MB, " if node.data.has_member else "none, "
        size = "may not be read, " if node.data.forbidden else size
        data = f"{size}{node.data.free / 1e9:,.1f} GB free"
    return (node.name, _container(survey, node), etcd, log, "" if revision is None else str(revision), data)


def _container(survey: Survey, node: NodeFacts) -> str:
    """State and restart policy of the node's own container, and its name where that is another one."""
    if node.cli_version is None:
        return "engine does not answer"
    name = own_name(survey, node)
    found = node.named(name) or own_container(survey, node)
    if found is None:
        return "none"
    called = "" if found.name == name else f"{found.name}: "
    return f"{called}{found.state}, restart {found.restart_policy or 'no'}"


def _more(node: NodeFacts) -> str:
    """What stands in no column: why there is no answer, what etcd stands on, what runs have kept."""
    if not node.reachable:
        return node.problem.message if node.problem else ""
    words = [
        problem.message for problem in (node.cli_problem, node.log_problem) if problem and problem.kind != "missing"
    ]
    words += [f"container {container.name} {manager.what}" for container, manager in held_by_others(node)]
    words += [finding.message.removeprefix(f"{node.name}: ") for finding in unit_findings(node)]
    words += _stands_on(node)
    kept = [f"{keep.run}{'' if keep.finished or keep.undone else ' (open)'}" for keep in node.keeps]
    return "; ".join([*words, *([f"keeps {', '.join(kept)}"] if kept else [])])


def _stands_on(node: NodeFacts) -> list[str]:
    """Clock, certificates and peer ports in a few words; what is wrong with them is told in full as a finding."""
    words = [f"root through {node.through}"] if node.through else []
    words += [f"clock {node.clock_offset:+.1f} s"] if node.clock_offset else []
    ends = [found.not_after for found in node.certificates if found.not_after]
    bad = sum(1 for c in node.certificates if _bad(c))
    hidden = sum(1 for c in node.certificates if c.hidden)
    if hidden:
        words.append(f"{counted(hidden, 'certificate')} not to be read")
    if bad:
        words.append(f"{bad} of {counted(len(node.certificates), 'certificate')} bad")
    elif ends:
        words.append(f"certificates to {min(ends)[:10]}")
    if node.ports:
        silent = sorted(port.name for port in node.ports if port.answer == "silent")
        words.append(f"no answer from {', '.join(silent)}" if silent else "peer hosts reachable")
    return words


def _bad(found: Certificate) -> bool:
    wrong = found.key_matches is False or found.ca_matches is False
    return bool((found.problem and not found.hidden) or found.faults) or found.expired or wrong


def print_diagnosis(out: Console, survey: Survey, diagnosis: Diagnosis, *, advise: bool = True) -> None:
    """The table, the verdict, the survivor and why, the findings, and with `advise` what to type."""
    print_survey(out, survey, full=False)
    out.print()
    verdict = diagnosis.verdict.value
    prose(out, f"{verdict}: {diagnosis.why}", then="  ", style=f"bold {_COLOURS[diagnosis.verdict]}")
    if diagnosis.choice is not None and diagnosis.verdict in (Verdict.QUORUM_LOST, Verdict.UNDETERMINED):
        for line in choice_lines(diagnosis.choice, diagnosis.remedy):
            prose(out, line, then="  ")
    findings = _each_once(diagnosis.findings)
    for finding, after in zip_longest(findings, findings[1:]):
        # findings of one kind that call for the same act have it said once
        print_finding(out, finding, advise=after is None or after.advice != finding.advice)
    if advise:
        out.print()
        prose(out, what_next(diagnosis, absent(survey), len(survey.nodes)), then="  ")


def _each_once(findings: Sequence[Finding]) -> list[Finding]:
    """Without those that say of a node what another one says with what to do: what blocks is a finding once more."""
    advised = {finding.message for finding in findings if finding.advice}
    kept: dict[object, Finding] = {}
    for finding in findings:
        if finding.advice or finding.message not in advised:
            kept.setdefault((finding.message, finding.advice), finding)
    return list(kept.values())


def print_finding(out: Console, finding: Finding, *, advise: bool = True) -> None:
    """One finding, and below it, with `advise`, what to do."""
    named = finding.node and finding.message.startswith((finding.node, f"member {finding.node} "))
    where = f"{finding.node}: " if finding.node and not named else ""
    prose(out, where + finding.message, first=f"  {finding.severity.value:7} ", then=" " * 10)
    if finding.advice and advise:
        prose(out, finding.advice, first="          → ", then=" " * 12)


def choice_lines(choice: Choice, remedy: Remedy) -> list[str]:
    """The survivor, why, and what is proven. Nobody is called survivor where nothing is reset."""
    who = "Survivor" if remedy is Remedy.RESET else "Longest log"
    lines = [f"{who}: {choice.survivor}: {choice.why}."]
    if choice.proof is ProofKind.COMPLETE:
        lines.append(
            f"Provably complete: {counted(choice.logs_read, 'log')} {'was' if choice.logs_read == 1 else 'were'} read and "
            f"{choice.logs_needed} {'is' if choice.logs_needed == 1 else 'are'} enough for {counted(choice.voters, 'voter')}, "
            "so every acknowledged write is in the chosen one (if its disks honour fsync)."
        )
    elif choice.logs_needed:  # a run that goes on has chosen before
        lines.append(f"Best available, not proven complete: {_logs_read(choice)}.")
        if choice.missing:
            them = "it" if len(choice.missing) == 1 else "them"
            lines[-1] += f" Writes that only {', '.join(choice.missing)} held are lost with {them}."
    if choice.uncertain:
        many = choice.uncertain != 1
        lines[-1] += (
            f" {counted(choice.uncertain, 'entry')} above the commit may have been acknowledged; "
            f"{'they are' if many else 'it is'} kept."
        )
    if choice.loses:
        lines.append(f"This choice was made by you and loses data: {choice.loses}.")
    return [*lines, *(f"Doubt: {doubt}." for doubt in choice.doubts)]


def _logs_read(choice: Choice) -> str:
    """How many logs were read; that these are enough is said where the doubt is another one."""
    if choice.logs_read < choice.logs_needed:
        return f"{choice.logs_read} of the {counted(choice.logs_needed, 'log')} needed could be read"
    return f"as many logs could be read as are needed ({choice.logs_needed}), but not all that they say is beyond doubt"


def print_plan(out: Console, survey: Survey, diagnosis: Diagnosis, plan: Plan, *, commands: bool = True) -> None:
    """Every step with its commands, its checks and how it is undone."""
    out.print(f"\n[bold]Plan {escape(plan.run)}[/]{' (goes on with that run)' if plan.resumed else ''}")
    if plan.method is not None:
        prose(out, f"Method: {plan.method.name}: {plan.method.why}.")
    number = 0
    for part in [*plan.stages, *([plan.closing] if plan.closing else [])]:
        print_stage_title(out, part)
        for step in part.steps:
            number += 1
            title, said = headline(step, survey.fleet)
            prose(out, f"{step.node}: {title}", first=f" {number:3}. ", then=" " * 6)
            if not commands:
                continue
            for command in said.commands:
                for line in command.splitlines():
                    out.print(f"        [dim]{escape(line)}[/]", soft_wrap=True)
            for word, told in (("before", said.before), ("after", said.after), ("undo", said.undo)):
                if told:
                    prose(out, told, first=f"        {word + ':':7} ", then=" " * 16)
    for name, why in plan.left_out.items():
        prose(out, f"Left out: {name}: {_unprefixed(name, why)}")
    for note in plan.notes:
        prose(out, f"Note: {note}")


def print_nothing_to_do(out: Console, survey: Survey, diagnosis: Diagnosis) -> None:
    """In place of a plan: why there is none, and what waits for a person where the cluster is not whole."""
    prose(out, f"Nothing to do: {diagnosis.why}.", then="  ")
    if diagnosis.verdict is not Verdict.HEALTHY:
        prose(out, what_next(diagnosis, absent(survey), len(survey.nodes)), then="  ")


def print_stage_title(out: Console, part: Stage) -> None:
    """Above the steps of a stage."""
    out.print()
    prose(out, part.title + (" (at the same time)" if len(part.lanes) > 1 else ""), style="bold")


def print_outline(out: Console, plan: Plan) -> None:
    """The plan on a screen: a line for each node of a stage; `fleetrecover plan` has the commands."""
    out.print(f"\n[bold]What will be done[/] (run {escape(plan.run)}{', which goes on' if plan.resumed else ''})")
    if plan.method is not None:
        prose(out, f"Method: {plan.method.name}: {plan.method.why}.", first=" ")
    for number, part in enumerate([*plan.stages, *([plan.closing] if plan.closing else [])], 1):
        print_stage(out, part, f" {number}. ")
    for name, why in plan.left_out.items():
        prose(out, f"Left out: {name}: {_unprefixed(name, why)}", first=" ")
    for note in plan.notes:
        prose(out, f"Note: {note}", first=" ")
    prose(
        out,
        "Nothing is deleted: old data and containers are kept on the nodes, and `fleetrecover undo --last` puts them back.",
        first=" ",
    )


def print_last_word(out: Console, survey: Survey, diagnosis: Diagnosis, plan: Plan) -> None:
    """What a tired person reads before the answer is typed: right above the prompt."""
    from fleetrecover.report.last_word import last_word

    out.print()
    for title, told in last_word(survey, diagnosis, plan):
        prose(out, f"{title + ':':15}{told}", then=" " * 15, style="bold")


def print_steps(out: Console, title: str, steps: Sequence[Step], fleet: Fleet) -> None:
    """Some steps of a plan, each with what it does."""
    out.print(f"\n[bold]{escape(title)}[/]")
    for step in steps:
        prose(out, f"{step.node}: {headline(step, fleet)[0]}", first="   ", then=" " * 7)


def print_stage(out: Console, part: Stage, first: str) -> None:
    """A stage in a line: who does what, nodes that do the same together."""
    lanes: dict[tuple[str, ...], list[str]] = {}
    for lane in part.lanes:
        for name in dict.fromkeys(step.node for step in lane):
            verbs = tuple(dict.fromkeys(name_of(step) for step in lane if step.node == name))
            lanes.setdefault(verbs, []).append(name)
    told = "; ".join(f"{', '.join(dict.fromkeys(names))}: {' → '.join(verbs)}" for verbs, names in lanes.items())
    prose(out, f"{part.title}: {told}", first=first, then=" " * (len(first) + 2))


def print_judgement(out: Console, judgement: Judgement) -> None:
    """One row a check; for one that is not good, what to type."""
    for check in judgement.checks:
        _print_check(out, check.name, check.detail, check.cure or advice_for(check.name), ok=check.ok)


def _print_check(out: Console, name: str, detail: str, cure: str, *, ok: bool) -> None:
    prose(out, f"{name:20} {detail}", first=f"  {'ok ' if ok else 'BAD'} ", then=" " * 27, style="" if ok else "red")
    if not ok:
        prose(out, cure, first=" " * 25 + "→ ", then=" " * 27)


def print_report(out: Console, report: Report) -> None:
    """What was done, at the end."""
    if report.outcome == "healthy":
        out.print(f"Nothing to do: the cluster is healthy, at revision {report.revision_after}.")
        return
    short = f" ({report.hosts - len(report.missing)} of {report.hosts} members)" if report.missing else ""
    out.print(f"\n[bold]Run {report.run}: {report.outcome}{short}[/]")
    if report.judgement is not None:
        print_judgement(out, report.judgement)
    if report.seconds_to_writable is not None:
        out.print(f"  writable after {report.seconds_to_writable} s, whole after {report.seconds_to_whole} s")
    before = "" if report.revision_before is None else f" (before: {report.revision_before})"
    out.print(f"  revision {report.revision_after}{before}")
    if report.outcome == "recovered" and report.keeps:
        prose(
            out,
            "what was there before lies kept on the nodes; when you are sure, this removes it: "
            f"`fleetrecover clean {report.run}`",
            first="  ",
        )
    if report.next:
        prose(out, report.next, first="  ", then="  ", style="bold yellow")


def print_facts(out: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    width = max((len(name) for name, _ in rows), default=0)
    out.print(f"\n[bold]{escape(title)}[/]")
    for name, value in rows:
        prose(out, f"{name:{width}}  {value}", first="  ", then=" " * (width + 4))


def _unprefixed(node: str, message: str) -> str:
    """A message without the node's name in front of it, where that has been said."""
    return message.removeprefix(f"{node}: ")


class ConsoleEvents:
    """The story on stderr, as it happens to a fleet."""

    def __init__(self, console: Console, fleet: Fleet, *, verbose: bool = False, waits: Waits | None = None) -> None:
        self.console = console
        self.fleet = fleet
        self.verbose = verbose
        self._lock = threading.Lock()
        self._bars = Bars(console)
        self._waits = waits if waits is not None else Waits(self.note)
        self._keys: dict[int, int] = {}

    def _say(self, text: str) -> None:
        with self._lock:
            self.console.print(text, soft_wrap=True, highlight=False)

    def stage_begins(self, stage: Stage) -> None:
        """A stage begins."""
        self._say(f"[bold]{escape(stage.title)}[/]")

    def step_begins(self, step: Step) -> None:
        """A step begins; it is told at once only with `verbose`, else when it takes longer than a moment."""
        limit = limit_text(limit_of(step, self.fleet))
        key = self._waits.begin(step.node, f"{name_of(step)}, {limit}", step=name_of(step), run=step.paths.run)
        with self._lock:
            self._keys[id(step)] = key
        if self.verbose:
            self._say(f"   … {escape(step.node)}: {name_of(step)}, {limit}")

    def step_ends(self, step: Step, outcome: Outcome) -> None:
        """A step has ended."""
        with self._lock:
            key = self._keys.pop(id(step), None)
        if key is not None:
            self._waits.end(key)
        name = name_of(step)
        if outcome.error is None:
            detail = f": {escape(outcome.detail)}" if outcome.detail else ""
            self._say(f"   [green]✓[/] {escape(step.node)}: {name} ({outcome.seconds:.1f} s){detail}")
        else:
            self._say(
                f"   [red]✗[/] {escape(step.node)}: {name}: {escape(_unprefixed(step.node, outcome.error.message))}"
            )

    def note(self, message: str) -> None:
        """Something to know now."""
        self._say(f"   · {escape(message)}")

    def moved(self, what: str, done: int, *, ended: bool = False) -> None:
        """A line that counts, while it moves; nothing where no one watches."""
        if ended:
            self._bars.ended(what)
        else:
            self._bars(what, done, None)


def print_story(out: Console, story: Story) -> None:
    """What one run did, step by step."""
    out.print(f"[bold]Run {escape(story.run)}[/] of cluster {escape(story.cluster)}: {escape(story.outcome)}")
    for session in story.sessions:
        out.print(
            f"\n[bold]{escape(session.command or '(no beginning)')}[/], {session.begun} to {session.ended or '…'}"
        )
        found = session.diagnosis
        if found:
            out.print(f"  found: {escape(str(found.get('verdict')))}: {escape(str(found.get('why')))}")
            choice = found.get("survivor") or {}
            if choice:
                out.print(f"  survivor: {escape(str(choice.get('name')))}: {escape(str(choice.get('why')))}")
                out.print(
                    f"  proof: {choice.get('proof')}, {choice.get('logs_read')} of {choice.get('logs_needed')} logs needed"
                )
        stage = None
        for act in session.acts:
            if act.stage != stage:
                stage = act.stage
                out.print(f"  [bold]{escape(act.stage)}[/]")
            sign = "[green]✓[/]" if act.ended and act.error is None else "[red]✗[/]"
            took = "" if act.seconds is None else f" ({act.seconds:.1f} s)"
            out.print(f"   {sign} {escape(act.node)}: {name_of(act.step)}{took}: {escape(act.result)}", soft_wrap=True)
            for doubt in act.doubts:
                out.print(f"       outcome unknown for a while: {escape(doubt)}", soft_wrap=True)
        for check in session.report.get("checks") or ():
            name = str(check.get("name"))
            _print_check(out, name, str(check.get("detail")), advice_for(name), ok=bool(check.get("ok")))
        if session.error:
            out.print(f"  ended with: {escape(session.error)}", soft_wrap=True)
        out.print(f"  outcome: {escape(session.told)}")
