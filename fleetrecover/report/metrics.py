"""PURE: what `check` found, in the text format that node_exporter's textfile collector reads.

The format is Prometheus' text exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). The collector
refuses timestamps and a metric whose samples do not stand together, so each family is gathered over all clusters and written
once, in one order, with its HELP and TYPE before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fleetrecover.checks.table import CheckReport
from fleetrecover.decide.finding import Severity
from fleetrecover.decide.loss import seconds
from fleetrecover.decide.words import Verdict

_HELP = {
    "fleetrecover_check_ok": "1 if nothing was found that would stop a recovery.",
    "fleetrecover_check_exit_code": "What `fleetrecover check` exits with: 0, 10, 11, 12, or 3 for a wrong inventory.",
    "fleetrecover_check_verdict": "1 for the verdict that holds, 0 for the others.",
    "fleetrecover_check_passed": "1 for each check that found nothing wrong.",
    "fleetrecover_check_findings": "Findings by host (empty: of the whole cluster), check and severity.",
    "fleetrecover_check_timestamp_seconds": "When the cluster was looked at, seconds since the epoch.",
    "fleetrecover_host_reachable": "1 if the host let us in.",
    "fleetrecover_host_healthy": "1 if its etcd answered a linearizable read.",
    "fleetrecover_host_clock_offset_seconds": "By how much the host's clock is ahead of this machine's.",
    "fleetrecover_certificate_not_after_seconds": "When the first of the host's certificates expires, seconds since the epoch.",
    "fleetrecover_data_free_bytes": "Free bytes on the filesystem of the host's data.",
    "fleetrecover_data_size_bytes": "Bytes of the host's data.",
    "fleetrecover_snapshot_newest_timestamp_seconds": "When the host's newest snapshot that is whole was taken.",
}
Labels = tuple[tuple[str, str], ...]


@dataclass
class Metrics:
    """Samples by family; `add` one report or row after the other, `text` is the file."""

    _samples: dict[str, dict[Labels, float]] = field(default_factory=lambda: {name: {} for name in _HELP})

    def add(self, report: CheckReport) -> None:
        """Take what one cluster's report says."""
        cluster = report.observed.survey.fleet.cluster
        taken = seconds(report.observed.survey.taken_at) or 0.0
        self._put("check_ok", float(report.ok), cluster=cluster)
        self._put("check_exit_code", report.exit_code, cluster=cluster)
        self._put("check_timestamp_seconds", taken, cluster=cluster)
        for verdict in Verdict:
            self._put("check_verdict", float(verdict is report.verdict), cluster=cluster, verdict=verdict.value)
        for each in report.checked:
            self._put("check_passed", float(each.ok), cluster=cluster, check=each.check.name)
            for severity, host in [(found.severity, found.node or "") for found in each.findings]:
                self._count(cluster, host, each.check.name, severity)
        self._hosts(report, cluster)

    def add_failure(self, cluster: str, exit_code: int) -> None:
        """Take a cluster that could not be judged."""
        self._put("check_ok", 0, cluster=cluster)
        self._put("check_exit_code", exit_code, cluster=cluster)

    def _hosts(self, report: CheckReport, cluster: str) -> None:
        for node in report.observed.survey.nodes:
            self._put("host_reachable", float(node.reachable), cluster=cluster, host=node.name)
            self._put("host_healthy", float(node.healthy), cluster=cluster, host=node.name)
            ends = [found for each in node.certificates if (found := seconds(each.not_after)) is not None]
            if node.clock_offset is not None:
                self._put("host_clock_offset_seconds", node.clock_offset, cluster=cluster, host=node.name)
            if ends:
                self._put("certificate_not_after_seconds", min(ends), cluster=cluster, host=node.name)
            if node.data is not None and node.data.exists:
                self._put("data_free_bytes", node.data.free, cluster=cluster, host=node.name)
                self._put("data_size_bytes", node.data.size, cluster=cluster, host=node.name)
        for seen in report.observed.snapshots:
            if seen.taken is not None and seen.whole:
                self._put("snapshot_newest_timestamp_seconds", seen.taken, cluster=cluster, host=seen.node)

    def _count(self, cluster: str, host: str, check: str, severity: Severity) -> None:
        labels = _labels({"cluster": cluster, "host": host, "check": check, "severity": severity.value})
        family = self._samples["fleetrecover_check_findings"]
        family[labels] = family.get(labels, 0) + 1

    def _put(self, name: str, value: float, **labels: str) -> None:
        self._samples[f"fleetrecover_{name}"][_labels(labels)] = value

    def text(self) -> str:
        """The file."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, samples in self._samples.items():
            if samples:
                yield f"# HELP {name} {_HELP[name]}"
                yield f"# TYPE {name} gauge"
            for labels, value in sorted(samples.items()):
                told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
                yield f"{name}{{{told}}} {value!r}"


def _labels(labels: Mapping[str, str]) -> Labels:
    return tuple(labels.items())


def _escaped(text: str) -> str:
    r"""A label's value: backslash, quote and line feed are escaped.

    >>> _escaped('a"b\\c')
    'a\\"b\\\\c'
    """
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
