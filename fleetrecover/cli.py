"""The command line: wires things up, turns errors into exit codes, and nothing more.

Modules that cost time to import (Fabric, Paramiko, Rich's tables) are imported by the command that needs them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetrecover import __version__
from fleetrecover.cli_group import Group, part
from fleetrecover.ending import Terminated, heed_signals
from fleetrecover.errors import FleetRecoverError, Interrupted, Refused, UsageError
from fleetrecover.interrupt import Interruption, listening
from fleetrecover.plain import counted, dumps, visible
from fleetrecover.report.lines import LinedEvents, Lines
from fleetrecover.report.waits import PatientTransport, Waits

if TYPE_CHECKING:
    from rich.console import Console

    from fleetrecover.apply import Events
    from fleetrecover.decide.diagnosis import Diagnosis, Wish
    from fleetrecover.decide.plan import Plan
    from fleetrecover.facts import Survey
    from fleetrecover.model import Fleet, Transport
    from fleetrecover.recover import Recovery
    from fleetrecover.trial import Trial

app = typer.Typer(
    name="fleetrecover",
    cls=Group,
    help="Bring a Docker-run etcd cluster back from permanent quorum loss, and prove that nothing was lost.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class Settings:
    """The options that stand before or after any command."""

    inventory: Path | None = None
    json: bool = False
    verbose: bool = False
    no_color: bool = False
    command: str = ""
    waits: Waits = field(default_factory=lambda: Waits(say_wait))
    lines: Lines = field(default_factory=lambda: Lines(say))
    _consoles: dict[bool, Any] = field(default_factory=dict)

    def console(self, *, stderr: bool) -> Console:
        """Where to print: the answer on stdout, the story on stderr."""
        if stderr not in self._consoles:
            from fleetrecover.report.terminal import SafeConsole

            self._consoles[stderr] = SafeConsole.on(stderr=stderr, colours=not self.no_color)
        console: Console = self._consoles[stderr]
        return console

    @property
    def out(self) -> Console:
        """For what was asked for."""
        return self.console(stderr=False)

    @property
    def err(self) -> Console:
        """For progress and prose."""
        return self.console(stderr=True)

    def events(self, fleet: Fleet) -> Events:
        """What tells the story on stderr, waits too, and to whom listens to it as lines."""
        from fleetrecover.report.console import ConsoleEvents

        self.waits.watch()
        return LinedEvents(ConsoleEvents(self.err, fleet, verbose=self.verbose, waits=self.waits), self.lines)


def say_wait(text: str) -> None:
    """Tell of a wait."""
    settings.lines.write("wait", text=text.strip())
    say(text)


def say(text: str) -> None:
    """Tell a person."""
    settings.err.print(text, markup=False, highlight=False, soft_wrap=True)


settings = Settings()

Dead = Annotated[
    list[str] | None, typer.Option("--dead", metavar="NAME", help="This host is gone for good. Repeatable.")
]
Survivor = Annotated[
    str | None, typer.Option("--survivor", metavar="NAME", help="Override the choice; what that loses is said first.")
]
WorkDir = Annotated[
    str | None,
    typer.Option(
        "--work-dir",
        metavar="DIR",
        help="A directory of the survivor's node, on another filesystem, to keep its data in where a copy has no space.",
    ),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="METHOD",
        help="How a lost quorum is brought back: reset (the survivor alone, the others join it), reseed (every host gets the "
        "survivor's data under its own member id, and all start), or auto.",
    ),
]
From = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Judge what `survey --save` saved, and ask no node."),
]
Yes = Annotated[str | None, typer.Option("--yes", metavar="CLUSTER", help="Confirm with the cluster's name.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fleetrecover {__version__}")
        raise typer.Exit(0)


@app.callback()
def options(
    inventory: Annotated[
        Path | None,
        typer.Option(
            "--inventory",
            metavar="FILE",
            help="hosts.toml; else $FLEETRECOVER_INVENTORY, ./hosts.toml, and in ~/.config/fleetrecover, /etc/fleetrecover.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colours; $NO_COLOR, set to anything, does the same.")
    ] = False,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="Append what happens to FILE, as JSON lines.")
    ] = None,
    events: Annotated[
        int | None,
        typer.Option("--events", metavar="FD", help="The same to an open descriptor, as it happens: 3 with `3>FILE`."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Show the version and exit.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Bring a Docker-run etcd cluster back from permanent quorum loss, and prove that nothing was lost.

    These options stand before or after any command. The answer goes to stdout, progress to stderr.
    """
    settings.inventory, settings.json, settings.verbose, settings.no_color = inventory, as_json, verbose, no_color
    if log is not None:
        settings.lines.to_file(log)
    if events is not None:
        settings.lines.to_descriptor(events)
    settings.lines.write("begin", command=settings.command, tool=f"fleetrecover {__version__}")
    if verbose:
        show_odd_answers()


def show_odd_answers() -> None:
    """Show the traceback of what nobody foresaw in a node's answer: it may be a fault of this program."""
    import logging

    from fleetrecover import answers

    class ToStderr(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            settings.err.print(self.format(record), markup=False, soft_wrap=True)

    answers.LOG.setLevel(logging.DEBUG)
    answers.LOG.handlers = [ToStderr()]
    answers.LOG.propagate = False


# --- the means ---


@contextmanager
def reached(only: str | None = None) -> Iterator[tuple[Fleet, Transport]]:
    """The fleet of the inventory, and what reaches it; says at once who is asked (`only`: one host)."""
    from fleetrecover.inventory import load_fleet

    fleet = load_fleet(settings.inventory)
    names = [host.name for host in fleet.hosts if only in (None, host.name)]
    if names:
        say_wait(f"asking {counted(len(names), 'node')}: {', '.join(names)} …")
    with connected(fleet) as transport:
        yield fleet, transport


@contextmanager
def connected(fleet: Fleet) -> Iterator[Transport]:
    """What reaches the hosts of a fleet; tells where one takes its time."""
    from fleetrecover.remote import open_transport

    settings.waits.watch()
    transport = PatientTransport(open_transport(fleet), settings.waits, fleet.ssh.connect_timeout)
    try:
        yield transport
    finally:
        transport.close()


def print_json(document: dict[str, Any]) -> None:
    """The one JSON document."""
    sys.stdout.write(dumps(document, indent=2) + "\n")


def wish_of(
    dead: Sequence[str] | None, survivor: str | None, work_dir: str | None = None, method: str = "auto"
) -> Wish:
    """The options as a wish."""
    from fleetrecover.decide.diagnosis import Wish
    from fleetrecover.decide.method import METHODS

    if method not in METHODS:
        raise UsageError(f"--method {method}: there is no such method", hint=f"one of: {', '.join(METHODS)}")
    if work_dir is not None and not work_dir.startswith("/"):
        raise UsageError(f"--work-dir {work_dir}: a path on the node is meant, which begins with /")
    return Wish(frozenset(dead or ()), survivor, work_dir, method=method)


def means(fleet: Fleet, transport: Transport, yes: str | None, command: str = "recover") -> Recovery:
    """What a recovery needs from outside."""
    from fleetrecover.recover import Recovery

    return Recovery(fleet, transport, settings.events(fleet), confirmer(fleet, yes), command=command)


def confirmer(fleet: Fleet, yes: str | None) -> Any:
    """What asks the operator: shows the plan, wants the cluster's name."""

    def confirm(survey: Survey, diagnosis: Diagnosis, plan: Plan) -> None:
        from fleetrecover.report.console import print_diagnosis, print_last_word, print_outline, print_plan

        print_diagnosis(settings.err, survey, diagnosis, advise=False)
        if settings.verbose:
            print_plan(settings.err, survey, diagnosis, plan)
        else:
            print_outline(settings.err, plan)
        print_last_word(settings.err, survey, diagnosis, plan)
        ask(fleet.cluster, yes)

    return confirm


def ask(cluster: str, yes: str | None) -> None:
    """Raise Refused unless the cluster's name was given."""
    if yes is not None:
        if yes != cluster:
            raise Refused(f"--yes {yes}: the cluster is called {cluster}; nothing was changed")
        return
    if not sys.stdin.isatty():
        raise Refused(
            "nobody can be asked here, since this is no terminal; nothing was changed",
            hint=f"confirm with --yes {cluster}",
        )
    # not through the console: what it holds back when it is interrupted would be printed again
    print(
        f"\nType the cluster's name ({visible(cluster)}) to do this, anything else to leave: ", end="", file=sys.stderr
    )
    sys.stderr.flush()
    try:
        answer = input()
    except EOFError:
        answer = ""
        settings.err.print()
    if answer.strip() != cluster:
        raise Refused("not confirmed; nothing was changed")


# --- commands ---


@app.command()
def survey(
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help="Save it, for `diagnose --from` and `plan --from` elsewhere."),
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="With --save: names, addresses and keys are replaced by others.")
    ] = False,
) -> None:
    """Every fact about every node; read only."""
    from fleetrecover.report.console import print_survey
    from fleetrecover.report.document import survey_document
    from fleetrecover.survey import take_survey

    if redact and save is None:
        raise UsageError("--redact goes with --save FILE", hint="fleetrecover survey --save FILE --redact")
    with reached() as (fleet, transport):
        if save is None:
            found = take_survey(fleet, transport)
        else:
            from fleetrecover.offline import save as save_to

            found = save_to(fleet, transport, save, redact=redact)
    if settings.json:
        print_json(survey_document(found))
    else:
        print_survey(settings.out, found)


@app.command()
def diagnose(
    dead: Dead = None,
    survivor: Survivor = None,
    trial: Annotated[
        bool, typer.Option("--trial", help="Boot a copy of each candidate in quarantine, and say what it answers.")
    ] = False,
    origin: From = None,
) -> None:
    """The verdict, the survivor that would be chosen and why; read only. Exit code 0, 10, 11 or 12."""
    if origin is not None:
        from fleetrecover.offline import diagnose_file

        if trial:
            raise UsageError("--trial boots copies on the nodes, and --from asks no node", hint="leave one of them out")
        raise typer.Exit(diagnose_file(origin, wish_of(dead, survivor)))
    from fleetrecover.decide.diagnosis import diagnose as judge
    from fleetrecover.recover import concluded, survey_for
    from fleetrecover.report.console import print_diagnosis
    from fleetrecover.report.document import diagnosis_document
    from fleetrecover.snapshots.advice import advised

    with reached() as (fleet, transport):
        found, wish = survey_for(fleet, transport, wish_of(dead, survivor))
        diagnosis = concluded(found, judge(found, wish), transport, wish).diagnosis
        diagnosis = advised(fleet, transport, found, diagnosis)
        trials = tried(found, diagnosis, transport) if trial else []
    if settings.json:
        print_json(
            diagnosis_document(found, diagnosis) | ({"trial": [asdict(each) for each in trials]} if trial else {})
        )
    else:
        print_diagnosis(settings.out, found, diagnosis)
        for each in trials:
            keys = counted(each.keys or 0, "key")
            said = each.error or f"revision {each.revision}, {keys}, hash {each.hash} ({each.seconds:.1f} s)"
            settings.out.print(f"Trial of {each.node}: {said}", markup=False, soft_wrap=True)
    raise typer.Exit(diagnosis.verdict.exit_code)


def tried(found: Survey, diagnosis: Diagnosis, transport: Transport) -> list[Trial]:
    """What copies of the candidates answered."""
    from fleetrecover.trial import try_all

    return try_all(found, diagnosis, transport, settings.events(found.fleet))


@app.command()
def plan(
    dead: Dead = None,
    survivor: Survivor = None,
    method: Method = "auto",
    work_dir: WorkDir = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Save it, for `recover --plan`.")
    ] = None,
    origin: From = None,
) -> None:
    """Every step with its exact commands; read only."""
    from fleetrecover.recover import look
    from fleetrecover.report.console import print_nothing_to_do, print_plan
    from fleetrecover.report.document import plan_document
    from fleetrecover.report.files import plan_text, write_private

    wish = wish_of(dead, survivor, work_dir, method)
    if origin is not None:
        from fleetrecover.offline import plan_file

        found, diagnosis, made = plan_file(origin, wish)
    else:
        with reached() as (fleet, transport):
            found, diagnosis, made = look(means(fleet, transport, None), wish)
    if made is None:
        if settings.json:
            nothing: list[str] = []
            base = {"schema": 1, "cluster": found.fleet.cluster, "remedy": diagnosis.remedy.value, "method": None}
            print_json(base | {"excluded": nothing, "stages": nothing})
        else:
            print_nothing_to_do(settings.out, found, diagnosis)
        return
    document = plan_document(found, diagnosis, made)
    if output is not None:
        write_private(output, plan_text(document))
        settings.err.print(
            f"saved to {output}; `fleetrecover recover --plan {output}` does just this or nothing", markup=False
        )
    if settings.json:
        print_json(document)
    else:
        print_plan(settings.out, found, diagnosis, made)


@app.command()
def recover(
    dead: Dead = None,
    survivor: Survivor = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Do just this saved plan, or nothing.")
    ] = None,
    method: Method = "auto",
    work_dir: WorkDir = None,
    yes: Yes = None,
) -> None:
    """The main job: bring the cluster back. The same command again resumes."""
    from fleetrecover.recover import recover as run
    from fleetrecover.report.console import print_report
    from fleetrecover.report.document import report_document
    from fleetrecover.report.files import read_plan

    agreed = read_plan(plan_file) if plan_file else None
    if agreed is not None and method == "auto":
        method = agreed.method or method  # it was agreed to with the plan
    with reached() as (fleet, transport):
        report = run(means(fleet, transport, yes), wish_of(dead, survivor, work_dir, method), agreed=agreed)
    if settings.json:
        print_json(report_document(report))
    else:
        print_report(settings.out, report)
    raise typer.Exit(report.exit_code)


@app.command()
def verify() -> None:
    """Is the cluster whole, and is nothing left over that will hurt later; read only. Exit code 0, or diagnose's."""
    from fleetrecover.decide.diagnosis import Wish
    from fleetrecover.decide.diagnosis import diagnose as judge
    from fleetrecover.recover import concluded, survey_for
    from fleetrecover.report.console import print_judgement
    from fleetrecover.report.document import judgement_document
    from fleetrecover.report.tables import prose

    with reached() as (fleet, transport):
        found, wish = survey_for(fleet, transport, Wish())
        told = concluded(found, judge(found, wish), transport, wish)
    if settings.json:
        rest = {"cluster": fleet.cluster, "verdict": told.verdict.value, "missing": list(told.missing)}
        print_json(judgement_document(told.judgement) | rest | {"next": told.next})
    else:
        print_judgement(settings.out, told.judgement)
        prose(settings.out, f"{told.verdict.value}: {told.diagnosis.why}")
        prose(settings.out, told.next)
    raise typer.Exit(told.exit_code)


@app.command()
def runs() -> None:
    """Past runs on this bastion."""
    from fleetrecover.journal import past_runs
    from fleetrecover.report.runs import print_runs

    found = list(past_runs())
    if settings.json:
        rows = [
            {
                "run": run.run,
                "cluster": run.cluster,
                "command": run.command,
                "started": run.started,
                "ended": run.ended,
                "outcome": run.outcome,
                "survivor": run.survivor,
            }
            for run in found
        ]
        print_json({"schema": 1, "runs": rows})
        return
    print_runs(settings.out, found)


@app.command(name="run-config")
def run_config(
    host: Annotated[str, typer.Argument(metavar="HOST", help="The host's name in the inventory.")],
    container: Annotated[
        str | None, typer.Option("--container", metavar="NAME", help="Another container; also one that is stopped.")
    ] = None,
) -> None:
    """The `docker run` command that recreates a container, ready to paste; read only. Prints its environment, too."""
    from fleetrecover.run_config import read_config

    with reached(host) as (fleet, transport):
        found = read_config(fleet, transport, host, container)
    if settings.json:
        print_json(
            {
                "schema": 1,
                "host": found.host.name,
                "container": found.name,
                "state": found.state,
                "spec": found.document,
            }
        )
    else:
        sys.stdout.write(found.command)


@app.command()
def inspect(
    path: Annotated[
        Path, typer.Argument(metavar="DIR-OR-FILE", help="A data directory, WAL file, database or snapshot.")
    ],
    full: Annotated[bool, typer.Option("--full", help="Read and hash every page of a database or snapshot.")] = False,
) -> None:
    """The facts of a data directory, WAL file, database or snapshot lying on this machine; read only."""
    from fleetrecover.etcd import describe
    from fleetrecover.inspecting import inspect as look_inside

    found = look_inside(path, full=full)
    if settings.json:
        print_json({"schema": 1} | describe.to_json(found))
    else:
        settings.out.print(describe.describe(found), markup=False, soft_wrap=True)


@app.command()
def drill(
    nodes: Annotated[int, typer.Option("--nodes", min=2, max=7, help="How many hosts.")] = 3,
    etcd: Annotated[str, typer.Option("--etcd", metavar="VERSION", help="etcd's version.")] = "3.4.23",
    etcd_binaries: Annotated[
        Path | None,
        typer.Option("--etcd-binaries", metavar="DIR", help="In place of --etcd: where etcd and etcdctl lie."),
    ] = None,
    lose: Annotated[
        int | None, typer.Option("--lose", metavar="N", help="How many disks are lost; else a majority.")
    ] = None,
    method: Method = "auto",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the fleet standing afterwards.")] = False,
    name: Annotated[str, typer.Option("--name", help="The lab's name.")] = "drill",
) -> None:
    """The rehearsal: builds a real fleet here, breaks it, recovers it, shows the proof."""
    from fleetrecover import drill as rehearsal
    from fleetrecover.lab.packages import version_of
    from fleetrecover.outcome import Report
    from fleetrecover.recover import recover as run

    def bring_back(inventory: Path, cluster: str) -> Report:
        settings.inventory = inventory
        with reached() as (fleet, transport):
            return run(means(fleet, transport, cluster, "drill"), wish_of(None, None, None, method))

    rehearsal.check_root()
    proof = rehearsal.drill(
        bring_back,
        lambda text: settings.err.print(text, markup=False, soft_wrap=True),
        nodes=nodes,
        version=version_of(etcd, etcd_binaries),
        lose=lose,
        keep=keep,
        name=name,
    )
    if settings.json:
        print_json(proof.document)
    else:
        from fleetrecover.report.console import print_facts

        print_facts(settings.out, "The proof", proof.rows)


@app.command(hidden=True)
def step(
    task: str,
    host: Annotated[str | None, typer.Option("--host", metavar="NAME", help="Only on this host.")] = None,
    dead: Dead = None,
    survivor: Survivor = None,
    yes: Yes = None,
) -> None:
    """One kind of step, as the tasks of `fab` do it."""
    from fleetrecover.report.console import print_steps
    from fleetrecover.single import do_next, ready, what_next

    told = ""

    def confirm(survey: Survey, diagnosis: Diagnosis, plan: Plan) -> None:
        nonlocal told
        chosen, _ = ready(plan, task, host)
        told = what_next(plan, chosen)
        print_steps(settings.err, f"fab {task}, of run {plan.run}: {diagnosis.verdict.value}", chosen, survey.fleet)
        ask(survey.fleet.cluster, yes)

    with reached() as (fleet, transport):
        with_words = replace(means(fleet, transport, yes, task), confirm=confirm)
        outcomes = do_next(with_words, wish_of(dead, survivor), task, host)
    if settings.json:
        from fleetrecover.report.document import outcome_document

        steps = [outcome_document(outcome) for outcome in outcomes]
        print_json({"schema": 1, "task": task, "steps": steps, "next": told})
    else:
        names = ", ".join(dict.fromkeys(outcome.node for outcome in outcomes))
        settings.out.print(f"{task}: done on {names}; {told}", markup=False, soft_wrap=True)


# --- the entry point ---

_FLAGS = {"--json", "-v", "--verbose", "--no-color", "-V", "--version"}

_VALUED = {"--inventory", "--log", "--events"}
"""Of the options that may stand anywhere, those with a value."""

# Typer 0.29 carries its own Click, earlier ones use the package: the class is reached by way of one that both export.
USAGE_ERROR: Any = typer.BadParameter.__mro__[2]


def hoist(argv: Sequence[str]) -> list[str]:
    """Move the options that may stand anywhere to the front, up to a `--`.

    >>> hoist(["diagnose", "--dead", "a", "--json", "--inventory", "h.toml"])
    ['--json', '--inventory', 'h.toml', 'diagnose', '--dead', 'a']
    """
    front: list[str] = []
    rest: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--" or (word == "lab" and not rest):  # the lab has options of its own
            rest += [word, *words]
            break
        if word in _FLAGS or word.partition("=")[0] in _VALUED - {word}:
            front.append(word)
        elif word in _VALUED and words:
            front += [word, words.pop(0)]
        else:
            rest.append(word)
    return front + rest


@cache
def add_parts() -> None:
    """Mount the commands that live in modules of their own: once, since Typer would take each of them as often as it is told."""
    from fleetrecover.cli_check import app as check_app
    from fleetrecover.cli_hosts import app as hosts_app
    from fleetrecover.cli_init import app as init_app
    from fleetrecover.cli_manual import app as manual_app
    from fleetrecover.cli_runs import app as runs_app
    from fleetrecover.cli_support import app as support_app

    app.add_typer(hosts_app)
    app.add_typer(check_app)
    app.add_typer(runs_app)
    app.add_typer(support_app)
    app.add_typer(manual_app)
    app.add_typer(init_app)
    app.add_typer(
        part("fleetrecover.cli_snapshot", "Snapshots: list, save, restore, and take them regularly."), name="snapshot"
    )
    app.add_typer(part("fleetrecover.lab.cli", "The rehearsal fleet, kept, to practise on."), name="lab")


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    add_parts()
    heed_signals()
    words = hoist(argv)
    settings.command = command_of(words)
    with listening(settings.waits) as heard:
        code = _run(words, heard)
    settings.lines.write("end", exit_code=code)
    settings.lines.close()
    return code


def _run(words: Sequence[str], heard: Interruption) -> int:
    try:
        code = app(list(words), standalone_mode=False, prog_name="fleetrecover")
        return code if isinstance(code, int) else 0
    except Interrupted:
        return fail(heard.error(settings.command))
    except (KeyboardInterrupt, typer.Abort):  # before any command had begun
        return fail(heard.error(settings.command))
    except FleetRecoverError as error:
        return fail(error)
    except Terminated as ended:
        with suppress(OSError):  # whoever hung up took the terminal along
            told = heard.error(settings.command)
            told.message = f"{ended}: {told.message}"
            told.code = ended.code
            fail(told)
        return ended.code
    except typer.Exit as error:
        return int(error.exit_code)
    except USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the whole help, and nothing of ours around it
            print(error.format_message(), file=sys.stderr)
            return UsageError.code
        return fail(UsageError(error.format_message(), hint="see `fleetrecover --help`"))


def command_of(words: Sequence[str]) -> str:
    """The command of a command line whose common options stand in front; of `snapshot` and `lab` the one below.

    >>> command_of(["--json", "--inventory", "h.toml", "snapshot", "restore", "x"])
    'restore'
    """
    left = [word for word, before in zip(words, ["", *words], strict=False) if before not in _VALUED]
    names = [word for word in left if not word.startswith("-")]
    return next(iter(names[1:] if names[:1] in (["snapshot"], ["lab"]) else names), "")


def fail(error: FleetRecoverError) -> int:
    """Tell an error: on stdout as JSON if that was asked for, and on stderr for a person."""
    settings.lines.write("error", message=error.message, hint=error.hint, exit_code=error.code)
    if settings.json:
        from fleetrecover.report.document import error_document

        print_json(error_document(error))
    settings.err.print(f"fleetrecover: {error.message}", markup=False, soft_wrap=True)
    if error.hint:
        settings.err.print(f"  → {error.hint}", markup=False, soft_wrap=True)
    return error.code


def main() -> None:
    """Run as a program."""
    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    # `python -m` makes a second copy of this module; the parts know the first one by its name
    from fleetrecover.cli import main as program

    program()
