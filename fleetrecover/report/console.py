"""For the person at the terminal: what was asked for as text, and the story as it happens."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fleetrecover.decide.conclusion import absent, what_next
from fleetrecover.decide.diagnosis import Diagnosis, Verdict
from fleetrecover.decide.explain import explain
from fleetrecover.decide.plan import Plan
from fleetrecover.decide.steps import Stage, Step
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.decide.verdict import Judgement
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.outcome import Outcome, Report
from fleetrecover.report.bars import Bars
from fleetrecover.report.story import Story

_COLOURS = {
    Verdict.HEALTHY: "green",
    Verdict.DEGRADED: "yellow",
    Verdict.QUORUM_LOST: "red",
    Verdict.UNDETERMINED: "magenta",
}


def print_survey(out: Console, survey: Survey) -> None:
    """One row a node."""
    table = Table(title=f"Cluster {escape(survey.fleet.cluster)}", title_justify="left", expand=False)
    for name in (
        "node",
        "reached",
        "container",
        "etcd",
        "log: term, index (commit)",
        "revision",
        "data",
        "stands on",
        "kept",
    ):
        table.add_column(name, overflow="fold")
    for node in survey.nodes:
        table.add_row(*(escape(cell) for cell in _row(survey, node)))
    out.print(table)


def _row(survey: Survey, node: NodeFacts) -> tuple[str, ...]:
    if not node.reachable:
        why = node.problem.message if node.problem else "no"
        return (node.name, f"no: {why}", "", "", "", "", "", "", "")
    container = node.named(survey.fleet.etcd.container) or node.original(survey.fleet.etcd.container)
    told = f"{container.name}: {container.state}, restart {container.restart_policy}" if container else "none"
    if node.cli_version is None:
        told = node.cli_problem.message if node.cli_problem else "the engine does not answer"
    etcd = "not running"
    if node.status is not None:
        role = "leader" if node.status.leader else "learner" if node.status.is_learner else "follower"
        etcd = f"{node.status.version}, {role if node.healthy else 'no leader'}"
    log = node.log_problem.message if node.log_problem else ""
    if node.log is not None:
        log = f"{node.log.last.term}, {node.log.last.index} ({node.log.commit})"
    revision = str(node.status.revision) if node.status else str(node.db.revision) if node.db else ""
    data = ""
    if node.data is not None:
        data = (
            f"{node.data.size / 1e6:,.0f} MB, {node.data.free / 1e9:,.1f} GB free" if node.data.has_member else "none"
        )
    kept = ", ".join(f"{keep.run}{'' if keep.finished or keep.undone else ' (open)'}" for keep in node.keeps)
    return (node.name, "yes", told, etcd, log, revision, data, _stands_on(node), kept)


def _stands_on(node: NodeFacts) -> str:
    """Clock, certificates and peer ports in a few words; what is wrong with them is told in full as a finding."""
    words = [f"clock {node.clock_offset:+.1f} s"] if node.clock_offset else []
    ends = [found.not_after for found in node.certificates if found.not_after]
    bad = sum(1 for c in node.certificates if c.problem or c.expired or c.key_matches is False or c.ca_matches is False)
    if bad:
        words.append(f"{bad} of {len(node.certificates)} certificates bad")
    elif ends:
        words.append(f"certificates to {min(ends)[:10]}")
    if node.ports:
        silent = sorted(port.name for port in node.ports if port.answer == "silent")
        words.append(f"no answer from {', '.join(silent)}" if silent else "peer hosts reachable")
    return ", ".join(words)


def print_diagnosis(out: Console, survey: Survey, diagnosis: Diagnosis, *, advise: bool = True) -> None:
    """The table, the verdict, the survivor and why, the findings, and with `advise` what to type."""
    print_survey(out, survey)
    colour = _COLOURS[diagnosis.verdict]
    out.print(f"\n[bold {colour}]{diagnosis.verdict.value}[/]: {escape(diagnosis.why)}")
    if diagnosis.choice is not None and diagnosis.verdict in (Verdict.QUORUM_LOST, Verdict.UNDETERMINED):
        out.print(choice_text(diagnosis.choice))
    for finding in diagnosis.findings:
        where = f"{finding.node}: " if finding.node and not finding.message.startswith(finding.node) else ""
        out.print(f"  {finding.severity.value:7} {escape(where + finding.message)}")
        if finding.advice:
            out.print(f"          → {escape(finding.advice)}")
    if advise:
        out.print(f"\n{escape(what_next(diagnosis, absent(survey), len(survey.nodes)))}")


def choice_text(choice: Choice) -> str:
    """The survivor, why, and what is proven, as one paragraph."""
    text = f"\nSurvivor: [bold]{escape(choice.survivor)}[/]: {escape(choice.why)}."
    if choice.proof is ProofKind.COMPLETE:
        text += (
            f"\nProvably complete: {choice.logs_read} logs were read and {choice.logs_needed} are enough for "
            f"{choice.voters} voters, so every acknowledged write is in the chosen one (if its disks honour fsync)."
        )
    else:
        missing = ", ".join(choice.missing) or "none"
        text += (
            f"\nBest available, not proven complete: {choice.logs_read} of the {choice.logs_needed} logs needed could "
            f"be read. Writes that only {escape(missing)} held are lost with them."
        )
    if choice.uncertain:
        text += f" {choice.uncertain} entries above the commit may have been acknowledged; they are kept."
    if choice.loses:
        text += f"\n[bold]This choice was made by you and loses data:[/] {escape(choice.loses)}."
    for doubt in choice.doubts:
        text += f"\nDoubt: {escape(doubt)}."
    return text


def print_plan(out: Console, survey: Survey, diagnosis: Diagnosis, plan: Plan, *, commands: bool = True) -> None:
    """Every step with its commands, its checks and how it is undone."""
    cli = survey.fleet.etcd.cli
    out.print(f"\n[bold]Plan {escape(plan.run)}[/]{' (goes on with that run)' if plan.resumed else ''}")
    number = 0
    for part in [*plan.stages, *([plan.closing] if plan.closing else [])]:
        out.print(f"\n[bold]{escape(part.title)}[/]{' (at the same time)' if len(part.lanes) > 1 else ''}")
        for step in part.steps:
            number += 1
            said = explain(step, cli)
            out.print(f" {number:3}. {escape(step.node)}: {escape(said.title)}")
            if not commands:
                continue
            for command in said.commands:
                for line in command.splitlines():
                    out.print(f"        [dim]{escape(line)}[/]", soft_wrap=True)
            if said.before:
                out.print(f"        before: {escape(said.before)}")
            if said.after:
                out.print(f"        after:  {escape(said.after)}")
            if said.undo:
                out.print(f"        undo:   {escape(said.undo)}", soft_wrap=True)
    for name, why in plan.left_out.items():
        out.print(f"Left out: {escape(name)}: {escape(why)}")
    for note in plan.notes:
        out.print(f"Note: {escape(note)}")


_SHORT = {
    "OpenRun": "record",
    "Fence": "stop and set aside",
    "KeepData": "move the data aside",
    "ProbeReflink": "see that a copy takes no space",
    "KeepElsewhere": "keep a compared copy in the work directory",
    "CopyData": "copy it and compare",
    "RaiseCommit": "raise the copy's commit",
    "Quarantine": "reset the copy in quarantine",
    "Adopt": "adopt the proven copy",
    "StartOriginal": "start its own container",
    "StartRebuilt": "start it rebuilt, without the force flag",
    "AwaitQuorum": "wait for a leader",
    "EnsureImage": "bring the image",
    "CheckFiles": "check files",
    "RemoveMember": "remove the old member",
    "UpdateMember": "give it its host's peer URL",
    "RemoveLeftover": "remove what an earlier run left",
    "AddMember": "add",
    "Join": "join",
    "Promote": "promote",
    "RestorePolicy": "restart policy back",
    "FinishRun": "mark as finished",
    "CloseEarlier": "close an earlier run",
}


def print_outline(out: Console, plan: Plan) -> None:
    """The plan on a screen: a line for each node of a stage; `fleetrecover plan` has the commands."""
    out.print(f"\n[bold]What will be done[/] (run {escape(plan.run)}{', which goes on' if plan.resumed else ''})")
    for number, part in enumerate([*plan.stages, *([plan.closing] if plan.closing else [])], 1):
        lanes: dict[tuple[str, ...], list[str]] = {}
        for lane in part.lanes:
            for name in dict.fromkeys(step.node for step in lane):
                kinds = [type(step).__name__ for step in lane if step.node == name]
                lanes.setdefault(tuple(_SHORT.get(kind, kind) for kind in dict.fromkeys(kinds)), []).append(name)
        told = "; ".join(f"{', '.join(names)}: {' → '.join(verbs)}" for verbs, names in lanes.items())
        out.print(f" {number}. [bold]{escape(part.title)}[/]: {escape(told)}", soft_wrap=True)
    for name, why in plan.left_out.items():
        out.print(f" Left out: {escape(name)}: {escape(why)}")
    for note in plan.notes:
        out.print(f" Note: {escape(note)}")
    out.print(
        " Nothing is deleted: old data and containers are kept on the nodes, and `fleetrecover undo` puts them back."
    )


def print_judgement(out: Console, judgement: Judgement) -> None:
    """One row a check."""
    for check in judgement.checks:
        out.print(f"  {'[green]ok [/]' if check.ok else '[red]BAD[/]'} {check.name:20} {escape(check.detail)}")


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
    if report.outcome == "recovered":
        out.print(
            f"  what was there before lies kept on the nodes; `fleetrecover clean {report.run}` removes it when you are "
            "sure"
        )
    if report.next:
        out.print(f"  [bold yellow]{escape(report.next)}[/]")


def print_facts(out: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    """A table of names and values."""
    table = Table(title=title, title_justify="left", show_header=False, expand=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    out.print(table)


class ConsoleEvents:
    """The story on stderr, as it happens."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.console = console
        self.verbose = verbose
        self._lock = threading.Lock()
        self._bars = Bars(console)

    def _say(self, text: str) -> None:
        with self._lock:
            self.console.print(text, soft_wrap=True, highlight=False)

    def stage_begins(self, stage: Stage) -> None:
        """A stage begins."""
        self._say(f"[bold]{escape(stage.title)}[/]")

    def step_begins(self, step: Step) -> None:
        """A step begins."""
        if self.verbose:
            self._say(f"   … {escape(step.node)}: {type(step).__name__}")

    def step_ends(self, step: Step, outcome: Outcome) -> None:
        """A step has ended."""
        name = type(step).__name__
        if outcome.error is None:
            self._say(f"   [green]✓[/] {escape(step.node)}: {name} ({outcome.seconds:.1f} s) {escape(outcome.detail)}")
        else:
            self._say(f"   [red]✗[/] {escape(step.node)}: {name}: {escape(outcome.error.message)}")

    def note(self, message: str) -> None:
        """Something to know now."""
        self._say(f"   · {escape(message)}")

    def moved(self, what: str, done: int, *, ended: bool = False) -> None:
        """A line that counts, while it moves; nothing where no one watches."""
        if ended:
            self._bars.ended(what)
        else:
            self._bars(what, done, None)


def print_runs(out: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Past runs."""
    table = Table(expand=False)
    for name in ("run", "cluster", "command", "begun", "ended", "outcome", "survivor"):
        table.add_column(name)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)


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
            out.print(f"   {sign} {escape(act.node)}: {act.step}{took} {escape(act.result)}", soft_wrap=True)
            for doubt in act.doubts:
                out.print(f"       outcome unknown for a while: {escape(doubt)}", soft_wrap=True)
        for check in session.report.get("checks") or ():
            good = "[green]ok [/]" if check.get("ok") else "[red]BAD[/]"
            out.print(f"  {good} {escape(str(check.get('name'))):20} {escape(str(check.get('detail')))}")
        if session.error:
            out.print(f"  ended with: {escape(session.error)}", soft_wrap=True)
        out.print(f"  outcome: {escape(session.told)}")
