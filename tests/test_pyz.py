"""The one file for a bastion without pip: it runs with nothing of ours, and nothing of pip's, in reach."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fleetrecover import __version__

ROOT = Path(__file__).parents[1]
PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"

pytestmark = pytest.mark.long


def run(archive: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [str(PYTHON), "-I", str(archive), *words]
    return subprocess.run(
        argv, env={"HOME": str(home), "PATH": os.defpath}, cwd=home, capture_output=True, text=True, check=False
    )


def test_one_file_runs_in_a_clean_home(tmp_path: Path) -> None:
    archive, home = tmp_path / "fleetrecover.pyz", tmp_path / "home"
    home.mkdir()
    subprocess.run([sys.executable, "scripts/pyz.py", str(archive)], cwd=ROOT, check=True, capture_output=True)
    assert (archive.stat().st_mode & 0o777) == 0o755
    assert run(archive, home, "--version").stdout == f"fleetrecover {__version__}\n"
    [unpacked] = (home / ".cache" / "fleetrecover").iterdir()
    assert unpacked.stat().st_mode & 0o777 == 0o700
    (home / "hosts.toml").write_text('cluster = "p"\n[[hosts]]\nname = "a"\naddress = "127.0.0.1"\nport = 1\n')
    asked = run(archive, home, "diagnose", "--json")  # imports Paramiko and cryptography
    assert (asked.returncode, '"undetermined"' in asked.stdout) == (12, True), asked.stderr
    assert run(archive, home, "--help").stdout.startswith("Usage: fleetrecover")
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert not [name for name in names if "/tests/e2e" in name or name.endswith(".pyc") or "/pytest/" in name]
