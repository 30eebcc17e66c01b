"""Every field that docker has ever shown is reproduced, known to be derived, or refused by name.

fields.json are the JSON names of Config, HostConfig with Resources, NetworkSettings and EndpointSettings in moby's
`api/types` at v1.13.1, 17.03, 17.06, 17.09, 17.12, 18.06, 18.09, 19.03, 20.10, 23, 24, 25, 26, 27, 28 and 29, all together.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from fleetrecover.docker.options import TABLE
from fleetrecover.docker.spec import DERIVED, SPECIAL, from_inspect
from fleetrecover.errors import Unsupported
from fleetrecover.plain import words

FIELDS: dict[str, list[str]] = json.loads((Path(__file__).parent / "fields.json").read_text())
CASE = json.loads((Path(__file__).parent / "cases" / "rke-k8s1.30.json").read_text())
REFUSED = {
    ("HostConfig", key)
    for key in words(
        "Capabilities Cgroup CpuCount CpuPercent DiskQuota IOMaximumBandwidth IOMaximumIOps InitPath KernelMemoryTCP"
    )
}
EVERY = [(section, key) for section, keys in FIELDS.items() for key in keys]


def test_every_field_is_accounted_for() -> None:
    reproduced = {(row.section, row.key) for row in TABLE}
    reproduced |= {(section, key) for section, keys in SPECIAL.items() for key in keys}
    derived = {(section, key) for section, keys in DERIVED.items() for key in keys}
    assert len(EVERY) > 120
    assert set(EVERY) == reproduced | derived | REFUSED
    assert not reproduced & derived
    assert not (reproduced | derived) & REFUSED


@pytest.mark.parametrize(("section", "key"), sorted(REFUSED))
def test_a_refused_field_is_named(section: str, key: str) -> None:
    document = copy.deepcopy(CASE["container"])
    document[section][key] = "x"
    with pytest.raises(Unsupported, match=rf"{section}\.{key}: 'x'"):
        from_inspect(document, CASE["image"])
    document[section][key] = None
    from_inspect(document, CASE["image"])


def test_every_derived_field_says_why() -> None:
    assert all(reason for section in DERIVED.values() for reason in section.values())
