"""PURE: the JSON documents of INTERFACE.md. `schema` is 1; keys are only ever added."""

from __future__ import annotations

from typing import Any

from fleetrecover.decide.diagnosis import Diagnosis, Finding
from fleetrecover.decide.excluded import Excluded, excluded
from fleetrecover.decide.managers import manager_of
from fleetrecover.decide.own import own_container, standing_container
from fleetrecover.decide.plan import Plan, fingerprint
from fleetrecover.decide.survivor import Choice
from fleetrecover.decide.verdict import Judgement
from fleetrecover.errors import FleetRecoverError
from fleetrecover.etcd.membership import hex_id
from fleetrecover.facts import Container, NodeFacts, Survey
from fleetrecover.outcome import Outcome, Report
from fleetrecover.runtime import runtime_of

SCHEMA = 1


def survey_document(survey: Survey) -> dict[str, Any]:
    """`survey --json`."""
    return {
        "schema": SCHEMA,
        "cluster": survey.fleet.cluster,
        "taken_at": survey.taken_at,
        "nodes": [node_document(survey, node) for node in survey.nodes],
    }


def diagnosis_document(survey: Survey, diagnosis: Diagnosis) -> dict[str, Any]:
    """`diagnose --json`."""
    return {
        "schema": SCHEMA,
        "cluster": survey.fleet.cluster,
        "verdict": diagnosis.verdict.value,
        "remedy": diagnosis.remedy.value,
        "why": diagnosis.why,
        "voters": len(diagnosis.voters),
        "quorum": diagnosis.quorum,
        "members": [
            {
                "id": hex_id(seat.id),
                "name": seat.name,
                "host": seat.host,
                "learner": seat.learner,
                "peer_urls": list(seat.peer_urls),
            }
            for seat in diagnosis.seats
        ],
        "nodes": [node_document(survey, node) for node in survey.nodes],
        "survivor": choice_document(diagnosis.choice),
        "run": diagnosis.open_run.run if diagnosis.open_run else None,
        "findings": [finding_document(finding) for finding in diagnosis.findings],
    }


def log_document(node: NodeFacts) -> dict[str, Any] | None:
    """A node's log; None where there is none, or it was not read. It is sound where it was read, and agrees with the database.

    What a crash has torn off at its end is sound all the same: etcd repairs that, and nothing acknowledged was in it.
    """
    log = node.log
    if log is None:
        damaged = node.log_problem is not None and node.log_problem.kind == "corrupt"
        return {"term": None, "index": None, "commit": None, "sound": False, "torn": False} if damaged else None
    ahead = node.db is not None and node.db.stable and node.db.consistent_index > log.last.index
    return {
        "term": log.last.term,
        "index": log.last.index,
        "commit": log.commit,
        "sound": not ahead,
        "torn": log.torn is not None,
        "path": node.log_path,
    }


def node_document(survey: Survey, node: NodeFacts) -> dict[str, Any]:
    """One node of a survey; None where a fact could not be had."""
    container = standing_container(survey, node) or own_container(survey, node)
    status = node.status
    return {
        "name": node.name,
        "address": node.host.address,
        "reachable": node.reachable,
        "error": node.problem.message if node.problem else node.cli_problem.message if node.cli_problem else None,
        "hostname": node.hostname or None,
        "clock_offset": node.clock_offset,
        "engine": node.cli_version,
        "root_through": node.through or None,
        "container": container_document(container),
        "containers": [container_document(each) for each in node.containers],
        "managers": [
            {"container": each.name, "kind": manager.code, "name": manager.name, "harmless": manager.harmless}
            for each in node.containers
            if each.made_for is None and (manager := manager_of(node, each)) is not None
        ],
        "etcd": {
            "version": status.version if status else None,
            "member_id": hex_id(status.member_id) if status else hex_id(node.log.node_id) if node.log else None,
            "cluster_id": hex_id(status.cluster_id) if status else hex_id(node.log.cluster_id) if node.log else None,
            "leader": status.leader if status else False,
            "learner": status.is_learner if status else None,
            "healthy": node.healthy,
            "problem": status.problem if status else node.status_problem.message if node.status_problem else None,
        },
        "log": log_document(node),
        "log_error": node.log_problem.message if node.log_problem else None,
        "certificates": [
            {
                "path": found.path,
                "subject": found.subject,
                "not_after": found.not_after or None,
                "expired": found.expired,
                "names": list(found.names),
                "key_matches": found.key_matches,
                "ca_matches": found.ca_matches,
                "problem": found.problem,
                "faults": [{"path": fault.path, "problem": fault.what} for fault in found.faults],
            }
            for found in node.certificates
        ],
        "peer_ports": [
            {"name": port.name, "address": port.address, "port": port.port, "answer": port.answer}
            for port in node.ports
        ],
        "alarms": list(node.alarms) if node.alarms is not None else None,
        "revision": status.revision if status else node.db.revision if node.db else None,
        "data": None
        if node.data is None
        else {
            "path": node.data.real,
            "present": node.data.has_member,
            "size": node.data.size,
            "free": node.data.free,
            "mount_point": node.data.mount_point,
            "wal": {"path": node.data.wal, "size": node.data.wal_size, "free": node.data.wal_free}
            if node.data.wal
            else None,
        },
        "kept": [
            {"run": keep.run, "path": keep.path, "finished": keep.finished, "undone": keep.undone, "size": keep.bytes}
            for keep in node.keeps
        ],
    }


def container_document(container: Container | None) -> dict[str, Any] | None:
    """One container."""
    if container is None:
        return None
    return {
        "name": container.name,
        "id": container.id,
        "state": container.state,
        "image": container.image,
        "restart_policy": container.restart_policy,
        "role": container.role.value if container.role else None,
        "run": container.run,
        "force_new_cluster": container.forced,
        "problem": container.spec_problem,
        "data": container.data_path,
        "wal": container.wal_path,
        "inside": container.inside or None,
    }


def choice_document(choice: Choice | None) -> dict[str, Any] | None:
    """The survivor."""
    if choice is None:
        return None
    return {
        "name": choice.survivor,
        "why": choice.why,
        "proof": choice.proof.value,
        "logs_needed": choice.logs_needed,
        "logs_read": choice.logs_read,
        "missing": list(choice.missing),
        "ranking": list(choice.ranking),
        "entries_above_commit_possibly_acknowledged": choice.uncertain,
        "entries_certainly_not_acknowledged": choice.unacknowledged,
        "overridden": choice.overridden,
        "loses": choice.loses or None,
        "doubts": list(choice.doubts),
        "may_miss": list(choice.may_miss),
        "no_evidence": [{"name": aside.host, "code": aside.code, "reason": aside.reason} for aside in choice.aside],
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    """One finding."""
    return {
        "severity": finding.severity.value,
        "node": finding.node,
        "code": finding.code,
        "message": finding.message,
        "advice": finding.advice or None,
    }


def plan_document(survey: Survey, diagnosis: Diagnosis, plan: Plan) -> dict[str, Any]:
    """`plan --json` and the file that `plan -o` writes."""
    parts = [*plan.stages, *([plan.closing] if plan.closing else [])]
    return {
        "schema": SCHEMA,
        "cluster": plan.cluster,
        "run": plan.run,
        "remedy": plan.remedy.value,
        "survivor": choice_document(diagnosis.choice),
        "fingerprint": fingerprint(survey, plan),
        "resumes": plan.resumed,
        "method": plan.method.name if plan.method else None,
        "method_why": plan.method.why if plan.method else None,
        "excluded": [excluded_document(each) for each in excluded(survey, diagnosis, plan)],
        "left_out": dict(plan.left_out),
        "notes": list(plan.notes),
        "stages": [
            {
                "name": part.name,
                "title": part.title,
                "steps": [
                    {
                        "step": type(step).__name__,
                        "node": step.node,
                        "title": said.title,
                        "commands": list(said.commands),
                        "before": said.before,
                        "after": said.after,
                        "undo": said.undo,
                    }
                    for step in part.steps
                    for said in [step.explain(runtime_of(survey.fleet, step.node))]
                ],
            }
            for part in parts
        ],
    }


def excluded_document(found: Excluded) -> dict[str, Any]:
    """Why a host was not chosen, or is left out."""
    return {"host": found.host, "code": found.code, "reason": found.reason}


def judgement_document(judgement: Judgement) -> dict[str, Any]:
    """`verify --json`, without the findings."""
    return {
        "schema": SCHEMA,
        "whole": judgement.ok,
        "members": list(judgement.members),
        "revision": judgement.revision,
        "hash_equal": judgement.hash_equal,
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in judgement.checks],
    }


def report_document(report: Report) -> dict[str, Any]:
    """`recover --json`."""
    judgement = report.judgement
    return {
        "schema": SCHEMA,
        "run": report.run or None,
        "outcome": report.outcome,
        "remedy": report.remedy.value,
        "method": report.method,
        "survivor": choice_document(report.survivor),
        "excluded": [excluded_document(each) for each in report.excluded],
        "revision_before": report.revision_before,
        "revision_after": report.revision_after,
        "hash_equal": judgement.hash_equal if judgement else None,
        "members": list(judgement.members) if judgement else [],
        "checks": judgement_document(judgement)["checks"] if judgement else [],
        "seconds_to_writable": report.seconds_to_writable,
        "seconds_to_whole": report.seconds_to_whole,
        "left_out": dict(report.left_out),
        "missing": list(report.missing),
        "next": report.next or None,
        "steps": [outcome_document(outcome) for outcome in report.outcomes],
    }


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """What came of one step."""
    return {
        "step": outcome.step,
        "node": outcome.node,
        "seconds": outcome.seconds,
        "detail": outcome.detail,
        "error": outcome.error.message if outcome.error else None,
    }


def error_document(error: FleetRecoverError) -> dict[str, Any]:
    """What `--json` prints where the command ends in an error."""
    report = getattr(error, "report", None)
    base = report_document(report) if isinstance(report, Report) else {"schema": SCHEMA, "outcome": "error"}
    return base | {"error": error.message, "hint": error.hint, "exit_code": error.code}
