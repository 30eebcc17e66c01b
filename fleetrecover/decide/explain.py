"""PURE: a step in words and in its exact commands, for a person who is to say yes.

The commands come from the same functions that `apply.py` runs. What is only known later (the initial cluster of a joiner,
a member's id) stands in angle brackets.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import singledispatch

from fleetrecover.commands import actions, seed, units
from fleetrecover.commands import snapshots as snapshot_commands
from fleetrecover.commands.base import Action
from fleetrecover.commands.shell import join
from fleetrecover.decide import steps as s
from fleetrecover.decide import undo as u
from fleetrecover.docker.argv import masked, to_argv
from fleetrecover.docker.spec import ContainerSpec
from fleetrecover.facts import RUN_LABEL


@dataclass(frozen=True)
class Explained:
    """A step for the eye. `seconds` is the limit of its commands all together, 0 where it is not known from them."""

    title: str
    commands: tuple[str, ...]
    before: str
    after: str
    undo: str
    seconds: float = 0.0


def _said(title: str, did: Sequence[Action], before: str, after: str, undo: str = "") -> Explained:
    commands = tuple(action.command.display for action in did)
    seconds = sum(action.command.timeout for action in did)
    return Explained(title, commands, before, after, undo or "; ".join(a.undo for a in did if a.undo), seconds)


def _together(step: s.Step, cli: str) -> list[Action]:
    """What comes before a start where the WAL has a directory of its own."""
    return [actions.reunite(cli, step.paths, step.data)] if step.paths.wal else []


def _run(spec: ContainerSpec, cli: str) -> str:
    return join(to_argv(masked(spec), cli=cli, detach=True))


@singledispatch
def explain(step: s.Step, cli: str) -> Explained:
    """Say what a step does; `cli` is the container command line tool."""
    raise TypeError(f"no words are known for {type(step).__name__}")


@explain.register
def _(step: s.OpenRun, cli: str) -> Explained:
    did = [
        actions.open_run(step.paths, asdict(step.pin)),
        actions.record_containers(cli, step.paths, step.containers, step.data),
    ]
    return _said("note the run down, and what the containers are", did, "", "the record reads back")


@explain.register
def _(step: s.Fence, cli: str) -> Explained:
    did = [actions.fence(cli, t.id, t.name, t.keep_as, paused=t.paused) for t in step.targets]
    names = ", ".join(t.name for t in step.targets)
    return _said(
        f"stop {names} gently, take its restart policy away, set it aside under another name",
        did,
        "the survey right before",
        "no etcd runs on the node, and its log is read once more",
    )


@explain.register
def _(step: s.HoldUnit, cli: str) -> Explained:
    did = [units.hold_unit(step.paths, step.unit)]
    return _said(f"keep the unit {step.unit} from starting, whatever starts it", did, "", "systemd has the drop-in")


@explain.register
def _(step: s.StopUnit, cli: str) -> Explained:
    targets = [(t.id, t.keep_as, t.paused) for t in step.targets]
    return _said(
        f"stop the unit {step.unit} and its container {step.name} gently",
        [units.stop_unit(cli, step.paths, step.unit, step.name, targets)],
        "the unit is kept from starting",
        f"the unit is stopped, and no container is called {step.name}",
    )


@explain.register
def _(step: s.ReleaseUnit, cli: str) -> Explained:
    did = [units.release_unit(cli, step.paths, step.unit, step.name, remakes=step.remakes)]
    how = "start it" if step.starts else "leave it stopped, as it was"
    if step.starts and step.remakes:
        how += f", by which it makes {step.name} anew with its own command on the data that lies there"
    after = "a linearizable read succeeds" if step.waits else ""
    return _said(f"give the unit {step.unit} back: {how}", did, "", after)


@explain.register
def _(step: s.KeepData, cli: str) -> Explained:
    return _said(
        f"move the data, whole, to {step.paths.at(step.part)}",
        [actions.move_aside(cli, step.paths, step.data, step.part)],
        "no container runs on it",
        "it is there and the data directory is empty",
    )


@explain.register
def _(step: s.ProbeReflink, cli: str) -> Explained:
    did = [actions.probe_reflink(step.paths)]
    return _said("see that a copy takes no space here: there is not enough for one that does", did, "", "it takes none")


@explain.register
def _(step: s.KeepElsewhere, cli: str) -> Explained:
    return _said(
        f"copy the data to {step.work}, where it is kept as the original; what stands in place becomes the working copy",
        [actions.keep_elsewhere(cli, step.paths, step.data, work=step.work, need=step.need)],
        f"no container runs on it; {step.need / 1e6:,.0f} MB and a margin are free in {step.work}",
        "both are equal, byte by byte",
    )


@explain.register
def _(step: s.CopyData, cli: str) -> Explained:
    return _said(
        "make a copy of what was moved aside; the original is only read",
        [actions.copy_original(step.paths, step.data, need=step.need, reflink=step.reflink)],
        "the filesystem can copy without taking space"
        if step.reflink
        else f"{step.need / 1e6:,.0f} MB and a margin are free",
        "the copy equals the original, byte by byte",
    )


@explain.register
def _(step: s.RaiseCommit, cli: str) -> Explained:
    did = [actions.append_to_wal(step.paths, step.append)] if step.append else []
    did.append(actions.rename_part(step.paths, "partial", "work"))
    return _said(
        f"on the copy, raise the commit to the last entry: term {step.term}, index {step.last}",
        did,
        "the WAL has only zeros after its end",
        "the log of the copy, read again, ends there and has that commit",
    )


@explain.register
def _(step: s.Quarantine, cli: str) -> Explained:
    commands = (
        actions.rename_part(step.paths, "work", "booted").command.display,
        _run(step.spec, cli),
        f"{cli} exec {step.container} etcdctl … endpoint health; endpoint status; member list; endpoint hashkv",
        actions.stop_container(cli, step.container).command.display,
        f"write {step.paths.proof}",
        actions.rename_part(step.paths, "booted", "reset").command.display,
        actions.remove_container(cli, step.container, RUN_LABEL, step.paths.run).command.display,
    )
    return Explained(
        "reset the copy in quarantine: no network, no restart policy",
        commands,
        "the force flag is only on this container",
        f"one member, {step.member_id:x}; revision at least {step.min_revision}; its content hash is recorded",
        "only the copy is changed",
    )


@explain.register
def _(step: s.Adopt, cli: str) -> Explained:
    did = [actions.adopt(step.paths, step.data)]
    return _said("move the proven copy into place", did, "the data directory is empty", "it is there")


def _removed(step: s.SeedData | s.ProveSeed) -> str:
    names = ", ".join(f"{member:x}" for member in step.seed.removed)
    return f"removes {names}" if names else "removes nobody"


@explain.register
def _(step: s.SeedData, cli: str) -> Explained:
    source, part = posixpath.join(step.kept.at("original"), "member"), step.paths.at("partial")
    commands = (
        seed.begin(step.paths, "partial", ("partial", "work", "booted"), need=step.need).command.display,
        f"cat {source}/snap/db   (on {step.source}) > {part}/member/snap/db   (its SHA-256 is compared)",
        f"write {part}/member/snap/*.snap and {part}/member/wal/*.wal: {step.source}'s, the log as member "
        f"{step.seed.node_id:x}'s, its end in term {step.seed.term}: {_removed(step)}, commit {step.seed.end}",
        actions.rename_part(step.paths, "partial", "work").command.display,
    )
    return Explained(
        f"make new data beside the old: {step.source}'s, as that of member {step.seed.node_id:x}",
        commands,
        f"{step.need / 1e6:,.0f} MB and a margin are free",
        f"its log, read again, has all that {step.source}'s has, and that end; the databases have one SHA-256",
        f"rm -rf {part} (a copy of ours)",
    )


@explain.register
def _(step: s.ProveSeed, cli: str) -> Explained:
    booted = step.paths.at("booted")
    commands = (
        f"copy the new data to {booted}, its log in term {step.seed.term}: {_removed(step)}",
        _run(step.spec, cli),
        f"{cli} exec {step.container} etcdctl … endpoint health; endpoint status; member list; endpoint hashkv",
        actions.stop_container(cli, step.container).command.display,
        f"write {step.paths.proof}",
        actions.remove_container(cli, step.container, RUN_LABEL, step.paths.run).command.display,
        seed.throw_away(step.paths, "booted").command.display,
    )
    return Explained(
        "boot a copy of the new data in quarantine: no network, no restart policy",
        commands,
        "every host's new data is whole",
        f"one member, {step.member_id:x}; revision at least {step.min_revision}; its content hash is recorded",
        "the copy is thrown away",
    )


@explain.register
def _(step: s.AdoptSeed, cli: str) -> Explained:
    did = [actions.adopt(step.paths, step.data, "work")]
    before = f"the data directory is empty; the new data's log is member {step.member_id:x}'s, in term {step.term}"
    return _said("move the new data into place", did, before, "it is there")


@explain.register
def _(step: s.StartOriginal, cli: str) -> Explained:
    did = [actions.remove_container(cli, step.replaces, RUN_LABEL, step.paths.run)] if step.replaces else []
    did += _together(step, cli)
    did.append(actions.start_original(cli, step.container_id, step.name, step.restart_policy))
    after = "a linearizable read succeeds" if step.waits_for == "health" else "it runs"
    return _said(
        f"start {step.name} with its own original command, restart policy {step.restart_policy}",
        did,
        "no other container has the name",
        after,
    )


@explain.register
def _(step: s.StartRebuilt, cli: str) -> Explained:
    return Explained(
        f"start {step.name} rebuilt without the force flag: {step.reason}",
        (_run(step.spec, cli),),
        "the force flag is not on it",
        "a linearizable read succeeds",
        "the container is removed; the original lies kept",
    )


@explain.register
def _(step: s.AwaitQuorum, cli: str) -> Explained:
    return Explained(
        f"wait until {', '.join(step.nodes)} have elected a leader", (), "", "a linearizable read succeeds", ""
    )


@explain.register
def _(step: s.EnsureImage, cli: str) -> Explained:
    commands = (f"{cli} inspect --type image {step.image}", f"{cli} save … on {step.source} | {cli} load")
    return Explained(f"bring the image {step.image} from {step.source}", commands, "", "the image is there", "it stays")


@explain.register
def _(step: s.CheckFiles, cli: str) -> Explained:
    return Explained(
        "see that every file that its command names is there",
        tuple(f"[ -e {path} ]" for path in step.files),
        "",
        "none is missing",
        "",
    )


@explain.register
def _(step: s.RemoveMember, cli: str) -> Explained:
    return Explained(
        f"remove member {step.member_name}: {step.why}",
        (f"{cli} exec … etcdctl member remove {step.member_id:x}   (on {step.leader})",),
        "it is in the member list",
        "it is not in the member list",
        "it comes back as a new member",
    )


@explain.register
def _(step: s.UpdateMember, cli: str) -> Explained:
    urls = ",".join(step.peer_urls)
    title = f"give {step.member_name} the peer URL of the host that it runs on"
    if step.detour:
        title = f"give {step.member_name} another spelling of its host's peer URL for a moment, so that its present one is free"
    return Explained(
        title,
        (f"{cli} exec … etcdctl member update {step.member_id:x} --peer-urls={urls}   (on {step.leader})",),
        "no other member has that URL",
        "the member list has it so",
        "member update with the URL of before",
    )


@explain.register
def _(step: s.RemoveLeftover, cli: str) -> Explained:
    did = [actions.remove_container(cli, step.name, RUN_LABEL, step.made_by)]
    return _said(f"stop and remove {step.name}, which run {step.made_by} left", did, "it carries that run's label", "")


@explain.register
def _(step: s.AddMember, cli: str) -> Explained:
    learner = " --learner" if step.learner else ""
    urls = ",".join(step.peer_urls)
    return Explained(
        f"add {step.member_name} as a {'learner' if step.learner else 'voter'}",
        (f"{cli} exec … etcdctl member add {step.member_name} --peer-urls={urls}{learner}   (on {step.leader})",),
        "it is not in the member list; etcd is ready for a change",
        "it is in the member list",
        "member remove",
    )


@explain.register
def _(step: s.Join, cli: str) -> Explained:
    from fleetrecover.docker import rewrite

    shaped = rewrite.joiner(
        step.spec,
        name=step.name,
        initial_cluster=f"{step.member_name}={step.peer_urls[0]},…=<as member list gives it>",
        labels={},
        restart="no",
    )
    diff = ("exchanged:", *step.replacements) if step.replacements else ()
    return Explained(
        f"start {step.name} empty, to join as {step.member_name}",
        (*(f"make the WAL directory {step.paths.wal}, empty" for _ in step.paths.wal[:1]), _run(shaped, cli), *diff),
        "image and files are there, the data directory is empty",
        "it has started under its member id",
        "the container is stopped and removed, its data moved aside",
    )


@explain.register
def _(step: s.Promote, cli: str) -> Explained:
    return Explained(
        "make it a voter when it has caught up",
        (f"{cli} exec … etcdctl member promote <its id>   (on {step.leader})",),
        "it is a learner and has started",
        "it is a voter",
        "member remove",
    )


@explain.register
def _(step: s.GiveNameBack, cli: str) -> Explained:
    did = [actions.give_name_back(cli, step.container_id, step.was, step.name)]
    return _said(
        f"call container {step.was} {step.name} again; its etcd runs on",
        did,
        "no other container has the name",
        "it has it",
    )


@explain.register
def _(step: s.RestorePolicy, cli: str) -> Explained:
    did = [actions.set_restart_policy(cli, step.name, step.restart_policy)]
    return _said(f"give {step.name} the restart policy {step.restart_policy}", did, "", "it has it", "")


@explain.register
def _(step: s.FinishRun, cli: str) -> Explained:
    did = [actions.mark(step.paths, "finished")]
    return _said("mark the run as finished", did, "the final check was good", "", "")


@explain.register
def _(step: s.CloseEarlier, cli: str) -> Explained:
    did = [actions.mark(step.earlier, "finished")]
    return _said(
        f"mark the earlier run {step.earlier.run} as finished", did, "nothing is to be done for it any more", "", ""
    )


@explain.register
def _(step: u.BeginUndo, cli: str) -> Explained:
    return _said("mark that the run is being taken back", [actions.mark(step.paths, "undoing")], "", "")


@explain.register
def _(step: u.RemoveOurs, cli: str) -> Explained:
    did = [actions.remove_container(cli, name, RUN_LABEL, step.paths.run) for name in step.names]
    return _said(f"stop and remove {', '.join(step.names)}, which the run made", did, "they carry the run's label", "")


@explain.register
def _(step: u.PutDataBack, cli: str) -> Explained:
    return _said(
        "move what the run put in place aside, and the original data back",
        [actions.put_data_back(cli, step.paths, step.data)],
        "no container runs on it",
        "the original is in its place",
    )


@explain.register
def _(step: u.PutContainerBack, cli: str) -> Explained:
    did = _together(step, cli) if step.start else []
    did.append(actions.put_container_back(cli, step.container_id, step.name, step.restart_policy, start=step.start))
    end = "and start it" if step.start else "and leave it stopped"
    title = f"give {step.name} its name and its restart policy {step.restart_policy} back, {end}"
    return _said(title, did, "no other container has the name", "")


@explain.register
def _(step: u.StartStopped, cli: str) -> Explained:
    command = f"{cli} start <those of {', '.join(step.names)} that the run had stopped>"
    return Explained("start what the run had stopped beside etcd", (command,), "its own note of what ran", "", "")


@explain.register
def _(step: u.MarkUndone, cli: str) -> Explained:
    return _said("mark the run as undone", [actions.mark(step.paths, "undone")], "", "")


@explain.register
def _(step: u.RemoveKept, cli: str) -> Explained:
    did = [actions.remove_kept_container(cli, cid, name) for cid, name in step.containers]
    return _said(f"remove {', '.join(name for _, name in step.containers)}", did, "it does not run", "it is gone")


@explain.register
def _(step: u.RemoveRun, cli: str) -> Explained:
    did = [actions.remove_run(step.paths)]
    return _said(f"remove {step.paths.root} ({step.frees / 1e6:,.1f} MB)", did, "the cluster is whole", "it is gone")


@explain.register
def _(step: s.StopNeighbours, cli: str) -> Explained:
    did = [snapshot_commands.stop_neighbours(cli, step.paths, step.names)]
    return _said(f"stop {', '.join(step.names)}, where they run", did, "which of them ran is noted", "")


@explain.register
def _(step: s.StartNeighbours, cli: str) -> Explained:
    did = [snapshot_commands.start_neighbours(cli, step.names)]
    return _said("start again those that were stopped", did, "", "they stay up")
