"""Fabric tasks, one for each single step, on the same inventory and through the same functions as `fleetrecover`.

`fab --list` shows them: `fab diagnose --dead etcd3`, `fab fence --yes prod`, `fab join --host etcd2 --yes prod`.
Each step looks at the nodes first and is done only if everything that must come before it is done.
"""

from __future__ import annotations

from typing import Any

from fabric import task

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
    """Every fact about every node; read only."""
    program(inventory, "survey")


@task
def diagnose(_: Any, inventory: Text = None, dead: Text = None, survivor: Text = None) -> None:
    """The verdict, the survivor that would be chosen and why; read only."""
    program(inventory, "diagnose", *named(dead, survivor))


@task
def plan(_: Any, inventory: Text = None, dead: Text = None, survivor: Text = None) -> None:
    """Every step with its exact commands; read only."""
    program(inventory, "plan", *named(dead, survivor))


@task(name="run-config")
def run_config(_: Any, host: str, container: Text = None, inventory: Text = None) -> None:
    """The docker run command that recreates a host's container; read only."""
    program(inventory, "run-config", host, *(["--container", container] if container else []))


@task
def fence(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """Stop every etcd gently, take its restart policy away, set it aside."""
    step("fence", inventory, host, dead, survivor, yes)


@task(name="keep-data")
def keep_data(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """Move the data of each node aside, whole."""
    step("keep-data", inventory, host, dead, survivor, yes)


@task
def reset(_: Any, inventory: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None) -> None:
    """Reset a checked copy of the survivor's data in quarantine, and adopt it."""
    step("reset", inventory, None, dead, survivor, yes)


@task
def start(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """Start the survivor, or bring a member's own container back, as it was."""
    step("start", inventory, host, dead, survivor, yes)


@task(name="member-add")
def member_add(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """Add the next member, after all that could stop it from starting was checked."""
    step("member-add", inventory, host, dead, survivor, yes)


@task
def join(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """Start the member that was added."""
    step("join", inventory, host, dead, survivor, yes)


@task
def promote(
    _: Any, inventory: Text = None, host: Text = None, dead: Text = None, survivor: Text = None, yes: Text = None
) -> None:
    """Make the learner a voter when it has caught up."""
    step("promote", inventory, host, dead, survivor, yes)


@task
def verify(_: Any, inventory: Text = None) -> None:
    """Is the cluster whole, and is nothing left over that will hurt later; read only."""
    program(inventory, "verify")


@task
def undo(_: Any, run: str, inventory: Text = None, yes: Text = None) -> None:
    """Put everything back as it was before a run."""
    program(inventory, "undo", run, *(["--yes", yes] if yes else []))
