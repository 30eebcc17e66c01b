"""Fabric tasks, one for each single step, on the same inventory and through the same functions as `fleetrecover`.

`fab --list` shows them in the order in which they come: `fab diagnose --dead etcd3`, `fab fence --yes prod`, `fab join --host
etcd2 --yes prod`. Each step looks at the nodes first and is done only if everything that must come before it is done; it
ends with the next task to type.
"""

from __future__ import annotations

from typing import Any

from fabric import task
from invoke.program import Program

from fleetrecover import cli

Text = str | None


def program(inventory: Text, *words: str) -> None:
    """Run the program itself; its exit code becomes the task's."""
    front = ["--inventory", inventory] if inventory else []
    code = cli.run([*front, *words])
    if code:
        raise SystemExit(code)


def named(dead: Text, survivor: Text) -> list[str]:
    """Options for the declared dead (separated by commas) and the survivor."""
    words = [word for name in (dead or "").split(",") if name for word in ("--dead", name)]
    return [*words, "--survivor", survivor] if survivor else words


def step(name: str, inventory: Text, host: Text, dead: Text, survivor: Text, yes: Text) -> None:
    """Do one kind of step."""
    words = ["step", name, *(["--host", host] if host else []), *named(dead, survivor)]
    program(inventory, *words, *(["--yes", yes] if yes else []))


@task
def survey(_: Any, inventory: Text = None) -> None:
    """1. Every fact about every node; read only."""
    program(inventory, "survey")


@task
def diagnose(_: Any, inventory: Text = None, dead: Text = None, survivor: Text = None) -> None:
    """2. The verdict, the survivor that would be chosen and why; read only."""
    program(inventory, "diagnose", *named(dead, survivor))


@task
def plan(_: Any, inventory: Text = None, dead: Text = None, survivor: Text = None) -> None:
    """3. Every step with its exact commands; read only."""
    program(inventory, "plan", *named(dead, survivor))


@task(name="run-config")
def run_config(_: Any, host: str, container: Text = None, inventory: Text = None) -> None:
    """4. The docker run command that recreates a host's container; read only."""
    program(inventory, "run-config", host, *(["--container", container] if container else []))


@task
def fence(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """5. Stop every etcd gently, take its restart policy away, set it aside."""
    step("fence", inventory, host, dead, survivor, yes)


@task(name="keep-data")
def keep_data(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """6. Move the data of each node aside, whole."""
    step("keep-data", inventory, host, dead, survivor, yes)


@task
def reset(_: Any, inventory: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None) -> None:
    """7. Reset a checked copy of the survivor's data in quarantine, and put it in place."""
    step("reset", inventory, None, dead, survivor, yes)


@task
def start(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """8. Start the survivor's own container; at the end, each member's own again."""
    step("start", inventory, host, dead, survivor, yes)


@task(name="member-add")
def member_add(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """9. Add the next member, after all that could stop it from starting was checked."""
    step("member-add", inventory, host, dead, survivor, yes)


@task
def join(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """10. Start the member that was added."""
    step("join", inventory, host, dead, survivor, yes)


@task
def promote(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """11. Make the learner a voter when it has caught up; then 9 again, for the next one."""
    step("promote", inventory, host, dead, survivor, yes)


@task
def verify(_: Any, inventory: Text = None) -> None:
    """12. Is the cluster whole, and is nothing left over that will hurt later; read only."""
    program(inventory, "verify")


@task
def undo(_: Any, run: str, inventory: Text = None, yes: Text = None) -> None:
    """13. Put everything back as it was before a run: its id, or the last four characters of it."""
    program(inventory, "undo", run, *(["--yes", yes] if yes else []))


RUNBOOK = (survey, diagnose, plan, run_config, fence, keep_data, reset, start, member_add, join, promote, verify, undo)


def list_in_order() -> None:
    """Have `fab --list` show the tasks in the order of the runbook: Invoke sorts them by name, and has no setting for that.

    Where Invoke has changed, they stay sorted by name; the numbers in their first lines tell the order then.
    """
    places = {each.name.replace("_", "-"): place for place, each in enumerate(RUNBOOK)}
    sorted_by_name = getattr(Program, "_make_pairs", None)
    if sorted_by_name is None or getattr(sorted_by_name, "in_order", False):
        return

    def in_order(self: Any, *args: Any, **how: Any) -> list[tuple[str, str]]:
        return sorted(sorted_by_name(self, *args, **how), key=lambda pair: places.get(pair[0], len(places)))

    in_order.in_order = True  # type: ignore[attr-defined]
    setattr(Program, "_make_pairs", in_order)  # noqa: B010


list_in_order()
