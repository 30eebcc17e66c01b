"""The manual page and the completion say what `--help` says, and the shells take them."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from fleetrecover import cli, manual
from fleetrecover.cli_group import EXAMPLES


def test_every_command_option_and_example_is_in_the_page() -> None:
    page, found = manual.page().replace("\\-", "-"), manual.all_entries()
    assert {"snapshot restore", "lab up", "diagnose", "support", ""} <= {each.path for each in found}
    for each in found:
        assert not each.path or f".SS fleetrecover {each.path} " in page
        for written, _ in each.options:
            assert f".B {written}" in page
    assert set(EXAMPLES) <= {each.path for each in found}
    for told in EXAMPLES.values():
        assert all(f"fleetrecover {example}" in page for example in told)
    assert not re.search(r"^[.'](?!TH|SH|SS|PP|TP|B )", page, re.MULTILINE)


def test_examples_stand_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["diagnose", "--help"]) == 0
    assert "Examples:\n    fleetrecover diagnose\n" in capsys.readouterr().out


def completed(*words: str) -> set[str]:
    """What bash offers after these words."""
    script = manual.completion("bash")
    asked = f"{script}\nCOMP_WORDS=({' '.join(repr(word) for word in words)})\nCOMP_CWORD={len(words) - 1}\n"
    asked += "_fleetrecover; printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(["bash"], input=asked, capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes() -> None:
    assert completed("fleetrecover", "dia") == {"diagnose"}
    assert {"--dead", "--from", "--json"} <= completed("fleetrecover", "--json", "diagnose", "--")
    assert completed("fleetrecover", "--inventory", "recover", "snapshot", "re") == {"restore"}
    assert "--fetch" in completed("fleetrecover", "snapshot", "save", "--")


@pytest.mark.parametrize("shell", manual.SHELLS)
def test_each_shell_can_read_its_script(shell: str) -> None:
    script = manual.completion(shell)
    assert "diagnose" in script and "restore" in script
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_another_shell_is_refused() -> None:
    assert cli.run(["completion", "tcsh"]) == 2
