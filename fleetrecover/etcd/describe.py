"""An Inspection as JSON, for programs, and as text, for people."""

from __future__ import annotations

from typing import Any

from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.local import Inspection
from fleetrecover.etcd.log import Broken, Log
from fleetrecover.etcd.membership import Configuration, Member, hex_id
from fleetrecover.etcd.snapshot import SnapshotFacts

# ---------------------------------------------------------------------------------------------------------------------
# As JSON


def to_json(inspection: Inspection) -> dict[str, Any]:
    """A dict for `json.dumps`. Ids are hexadecimal strings, as etcd's tools show them; sizes are bytes."""
    out: dict[str, Any] = {"path": str(inspection.path), "kind": inspection.kind, "sound": inspection.sound}
    if inspection.packed:
        out["packed"] = inspection.packed
    if inspection.log is not None:
        out["log"] = _broken(inspection.log) if isinstance(inspection.log, Broken) else _log_json(inspection.log)
    if inspection.db is not None:
        out["db"] = _broken(inspection.db) if isinstance(inspection.db, Broken) else _db_json(inspection.db)
    if inspection.snap is not None:
        snap = inspection.snap
        out["snap"] = {"term": snap.term, "index": snap.index, **_configuration(snap.configuration)}
    if inspection.snapshot is not None:
        facts = inspection.snapshot
        out["snapshot"] = {
            "size": facts.size,
            "checksum": {
                "present": facts.checksum.present,
                "sound": facts.checksum.sound,
                "sha256": facts.checksum.sha256,
            },
        }
        if facts.status is not None:
            out["snapshot"]["status"] = {
                "hash": facts.status.hash,
                "revision": facts.status.revision,
                "totalKey": facts.status.total_keys,
                "totalSize": facts.status.total_size,
            }
    if inspection.contradiction:
        out["contradiction"] = inspection.contradiction
    return out


def _broken(broken: Broken) -> dict[str, Any]:
    return {"broken": broken.reason, "source": broken.source, "offset": broken.offset}


def _member(member: Member) -> dict[str, Any]:
    return {
        "id": hex_id(member.id),
        "name": member.name,
        "peerURLs": list(member.peer_urls),
        "clientURLs": list(member.client_urls),
        "learner": member.learner,
    }


def _configuration(configuration: Configuration) -> dict[str, Any]:
    return {
        "members": [_member(member) for member in configuration.members],
        "voters": sorted(map(hex_id, configuration.voters)),
        "learners": sorted(map(hex_id, configuration.learners)),
        "removed": sorted(map(hex_id, configuration.removed)),
        "clusterVersion": configuration.cluster_version,
    }


def _log_json(log: Log) -> dict[str, Any]:
    state = log.hard_state
    torn = log.torn
    return {
        "nodeId": hex_id(log.node_id),
        "clusterId": hex_id(log.cluster_id),
        "hardState": {"term": state.term, "vote": hex_id(state.vote), "commit": state.commit},
        "last": {"term": log.last.term, "index": log.last.index},
        "snapshot": {"term": log.snapshot.term, "index": log.snapshot.index, "file": log.snap_name},
        "terms": [{"term": run.term, "first": run.first, "last": run.last} for run in log.terms],
        "aboveCommit": dict(log.above_commit),
        "configuration": _configuration(log.configuration),
        "configurationAtEnd": _configuration(log.configuration_at_end),
        "confChangesAboveCommit": [
            {
                "index": change.index,
                "action": change.action,
                "id": hex_id(change.member_id),
                "rejected": change.rejected,
            }
            for change in log.conf_changes_above_commit
        ],
        "segments": list(log.segments),
        "tail": {"segment": log.tail.segment, "offset": log.tail.offset},
        "torn": {"segment": torn.segment, "offset": torn.offset, "reason": torn.reason, "residue": torn.residue}
        if torn
        else None,
        "unusableSnaps": [{"file": name, "reason": reason} for name, reason in log.unusable_snaps],
        "complete": log.complete,
    }


def _db_json(db: DbFacts) -> dict[str, Any]:
    return {
        "pageSize": db.page_size,
        "txid": db.txid,
        "size": db.size,
        "consistentIndex": db.consistent_index,
        "term": db.term,
        "revision": db.revision,
        "compactRevision": db.compact_revision,
        "members": [_member(member) for member in db.members],
        "removed": sorted(map(hex_id, db.removed)),
        "clusterVersion": db.cluster_version,
        "storageVersion": db.storage_version,
        "downgrade": db.downgrade,
        "alarms": [{"id": hex_id(alarm.member_id), "alarm": alarm.kind} for alarm in db.alarms],
        "authEnabled": db.auth_enabled,
        "stable": db.stable,
    }


# ---------------------------------------------------------------------------------------------------------------------
# As text


def describe(inspection: Inspection) -> str:
    """Several lines for a person, without a trailing line feed."""
    packed = f", packed ({inspection.packed})" if inspection.packed else ""
    lines = [f"{inspection.path}: {inspection.kind}{packed}"]
    if isinstance(inspection.log, Broken):
        lines += _broken_lines("log", inspection.log)
    elif inspection.log is not None:
        lines += _log_lines(inspection.log)
    if inspection.snap is not None:
        lines.append(f"  covers      up to term {inspection.snap.term}, index {inspection.snap.index}")
        lines += _configuration_lines(inspection.snap.configuration)
    if isinstance(inspection.db, Broken):
        lines += _broken_lines("database", inspection.db)
    elif inspection.db is not None:
        lines += _db_lines(inspection.db)
    if inspection.snapshot is not None:
        lines += _snapshot_lines(inspection.snapshot)
    if inspection.contradiction:
        lines.append(f"  WRONG       {inspection.contradiction}")
    return "\n".join(lines)


def _broken_lines(what: str, broken: Broken) -> list[str]:
    place = broken.source if broken.offset is None else f"{broken.source} at offset {broken.offset}"
    return [f"  {what:<11} DAMAGED, it proves nothing: {broken.reason} ({place})"]


def _log_lines(log: Log) -> list[str]:
    state = log.hard_state
    behind = log.last.index - state.commit
    lines = [
        f"  member      {hex_id(log.node_id)} of cluster {hex_id(log.cluster_id)}",
        f"  log ends    at term {log.last.term}, index {log.last.index}",
        f"  commit      {state.commit}" + (f", {behind} behind the end" if behind else ", the end"),
        f"  hard state  term {state.term}, vote {hex_id(state.vote) if state.vote else 'none'}",
    ]
    if log.above_commit:
        lines.append("  above it    " + ", ".join(f"{count} {kind}" for kind, count in log.above_commit.items()))
    if log.snapshot.index:
        where = log.snap_name or "a record of the WAL alone, no .snap file"
        lines.append(f"  snapshot    at index {log.snapshot.index} ({where})")
    lines += [f"  unusable    {name}: {reason}" for name, reason in log.unusable_snaps]
    if log.torn:
        lines.append(
            f"  torn        {log.torn.segment} from offset {log.torn.offset} on, {log.torn.residue} bytes; "
            "etcd repairs this"
        )
    if not log.complete:
        lines.append("  incomplete  what came before was not read; the membership may be incomplete")
    lines += _configuration_lines(log.configuration)
    for change in log.conf_changes_above_commit:
        note = f", which etcd ignores: {change.rejected}" if change.rejected else ""
        lines.append(f"  undecided   {change.action} {hex_id(change.member_id)} at index {change.index}{note}")
    return lines


def _configuration_lines(configuration: Configuration) -> list[str]:
    lines = []
    for member in configuration.members:
        role = "voter" if member.id in configuration.voters else "learner"
        if member.id not in configuration.voters | configuration.learners:
            role = "no part of raft's configuration"
        lines.append(
            f"  {role:<11} {hex_id(member.id)} {member.name or '(never started)'} {','.join(member.peer_urls)}"
        )
    known = {member.id for member in configuration.members}
    lines += [
        f"  voter       {hex_id(each)} (not a member)" for each in sorted(configuration.voters) if each not in known
    ]
    if configuration.removed:
        lines.append("  removed     " + ", ".join(hex_id(each) for each in sorted(configuration.removed)))
    return lines


def _db_lines(db: DbFacts) -> list[str]:
    compacted = f"compacted at {db.compact_revision}" if db.compact_revision >= 0 else "never compacted"
    lines = [
        f"  database    revision {db.revision}, {compacted}, {db.size} bytes in use",
        f"  applied     up to index {db.consistent_index}",
    ]
    if db.cluster_version:
        lines.append(f"  version     {db.storage_version or db.cluster_version}")
    if db.downgrade:
        lines.append(f"  DOWNGRADE   to {db.downgrade} is enabled")
    lines += [f"  ALARM       {alarm.kind} on {hex_id(alarm.member_id)}" for alarm in db.alarms]
    if db.auth_enabled:
        lines.append("  auth        enabled")
    if not db.stable:
        lines.append("  unsteady    etcd wrote to it meanwhile; the numbers may be of two moments")
    return lines


def _snapshot_lines(facts: SnapshotFacts) -> list[str]:
    checksum = facts.checksum
    if not checksum.present:
        verdict = "none: a bare database, restore it with --skip-hash-check"
    else:
        verdict = f"{checksum.sha256} matches" if checksum.sound else "DOES NOT MATCH: the file is damaged"
    lines = [f"  checksum    {verdict}"]
    if facts.status is not None:
        status = facts.status
        lines.append(f"  contents    hash {status.hash:08x}, {status.total_keys} keys, {status.total_size} bytes")
    return lines
