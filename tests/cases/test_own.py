"""Our own inputs, of the kinds of the public ones beside them (README.md has the table): in this process, so at each change.

What a public tool makes of an input decides: Ansible inventories are read by our own reading, and by Ansible's where it is there.
"""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.cli import run
from fleetrecover.drafts import ansible_tool

HERE = Path(__file__).parent
OWN = sorted(path.parent.name for path in HERE.glob("own-*/case.json"))
ANSIBLE = shutil.which("ansible-inventory", path=str(Path(sys.executable).parent)) or shutil.which("ansible-inventory")


def judge(expect: dict[str, Any], text: str, rc: int, value: Any) -> list[str]:
    """The runner's own judgement: why it is not right."""
    loader = SourceFileLoader("cases_try", str(HERE / "try"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    found: list[str] = module.judge(expect, text=text, rc=rc, value=value)
    return found


def made(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    case = json.loads((HERE / name / "case.json").read_text())
    origin = str(HERE / name / case["input"]) if case["try"] == "init" else case["from"]
    code = run(["init", "--from", origin, "-o", "-", *case.get("args", ())])
    said = capsys.readouterr()
    value = tomllib.loads(said.out) if code == 0 else {}
    expect = json.loads((HERE / name / "expect.json").read_text())
    return judge(expect, (said.out + said.err).replace(str(HERE / name), ""), code, value)


@pytest.mark.parametrize("name", OWN)
def test_what_is_right(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ansible_tool, "installed", lambda: None)
    assert made(name, capsys) == []


@pytest.mark.long
@pytest.mark.skipif(ANSIBLE is None, reason="ansible-core is not installed")
@pytest.mark.parametrize("name", [name for name in OWN if (HERE / name / "ansible-says.json").exists()])
def test_as_ansible_reads_it(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The right values are Ansible's own."""
    monkeypatch.setattr(ansible_tool, "installed", lambda: ANSIBLE)
    assert made(name, capsys) == []
