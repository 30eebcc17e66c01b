"""etcd from its Go modules: what is pinned, which Go will do, one build at a time; and programs that someone gives."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from fleetrecover.errors import InputError
from fleetrecover.lab import gobuild, layout, packages, rke
from fleetrecover.lab.system import LabError

FAKE_GO = """#!/bin/sh
echo "$@" >>{calls}
case "$1" in
  version) {version} ;;
  build) shift; while [ "$1" != -o ]; do shift; done; mkdir -p "$(dirname "$2")"; {build} ;;
esac
"""


def fake_go(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    version: str = 'echo "go version go1.99.0 linux/amd64"',
    build: str = 'echo program >"$2"',
) -> Path:
    """A `go` that is found before any other; returns the file in which its calls are noted."""
    go = directory / "bin/go"
    go.parent.mkdir()
    go.write_text(FAKE_GO.format(calls=directory / "calls", version=version, build=build))
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:{os.environ['PATH']}")
    return directory / "calls"


class TestModules:
    def test_one_of_each_minor_version_is_pinned(self) -> None:
        assert [rke.version_tuple(version)[:2] for version in gobuild.pinned()] == [(3, 6), (3, 7)]

    @pytest.mark.parametrize("version", gobuild.pinned())
    def test_all_programs_are_of_that_version_and_their_checksums_are_known(self, version: str) -> None:
        folder = gobuild.pinned()[version]
        module, sums = (folder / "go.mod").read_text(), (folder / "go.sum").read_text()
        for path in gobuild.PROGRAMS.values():
            assert f"{path} v{version}" in module
            assert f"{path} v{version} h1:" in sums
        assert "replace" not in module
        assert rke.version_tuple(gobuild.go_directive(module)) >= (1, 24)  # `tool` came with it

    def test_no_place_to_fetch_from_is_written_down(self) -> None:
        for file in gobuild.MODULES.rglob("*"):
            assert file.is_dir() or not re.search(r"https?://|proxy\.", file.read_text())


class TestWhichGo:
    def test_none_is_said_with_what_to_install(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("shutil.which", lambda *_, **__: None)
        with pytest.raises(gobuild.NoGo, match="there is no Go here") as caught:
            gobuild.build(next(iter(gobuild.pinned())), tmp_path / "x", print)
        assert "install Go 1." in str(caught.value.hint)
        assert "--etcd-binaries" in str(caught.value.hint)

    def test_one_that_is_too_old_and_does_not_know(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        calls = fake_go(tmp_path, monkeypatch, version='echo "go version go1.19.8 linux/amd64"')
        with pytest.raises(gobuild.NoGo, match=r"needs Go 1\.\d+.*here is 1\.19\.8"):
            gobuild.build(next(iter(gobuild.pinned())), tmp_path / "x", print)
        assert "build" not in calls.read_text()

    def test_one_that_says_itself_that_it_is_too_old(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        words = "go: go.mod requires go >= 1.25.0 (running go 1.22.0; GOTOOLCHAIN=local)"
        fake_go(tmp_path, monkeypatch, version=f'echo "{words}" >&2; exit 1')
        with pytest.raises(gobuild.NoGo, match="GOTOOLCHAIN=local"):
            gobuild.build(next(iter(gobuild.pinned())), tmp_path / "x", print)


class TestBuild:
    version = next(iter(gobuild.pinned()))

    def test_it_is_built_once(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        calls = fake_go(tmp_path, monkeypatch)
        for _ in range(2):
            gobuild.build(self.version, tmp_path / "cache/etcd", print)
        built = sorted(path.name for path in (tmp_path / "cache/etcd/usr/bin").iterdir())
        assert built == ["etcd", "etcdctl", "etcdutl"]
        assert calls.read_text().count("build ") == 3
        assert "-mod=readonly" in calls.read_text()

    def test_a_failure_leaves_nothing_and_tells_the_last_words(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        fake_go(tmp_path, monkeypatch, build="echo 'no space left' >&2; exit 1")
        with pytest.raises(LabError, match="no space left"):
            gobuild.build(self.version, tmp_path / "cache/etcd", print)
        assert not (tmp_path / "cache/etcd").exists()

    def test_a_version_that_is_not_pinned(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"not 3\.6\.1$") as caught:
            gobuild.build("3.6.1", tmp_path / "x", print)
        assert "--etcd-binaries" in str(caught.value.hint)


class TestOwnPrograms:
    @pytest.fixture(autouse=True)
    def cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("FLEETRECOVER_CACHE", str(tmp_path / "cache"))

    def programs(self, directory: Path, says: str = "etcd Version: 3.6.8", *, names: str = "etcd etcdctl") -> Path:
        directory.mkdir()
        for name in names.split():
            (directory / name).write_text(f"#!/bin/sh\necho '{says}'\n")
            (directory / name).chmod(0o755)
        return directory

    def test_they_are_taken_with_their_version_and_can_be_had_again(self, tmp_path: Path) -> None:
        label = packages.adopt(self.programs(tmp_path / "mine"))
        assert re.fullmatch(r"3\.6\.8\+[0-9a-f]{8}", label)
        assert packages.adopt(tmp_path / "mine") == label
        found = packages.etcd_programs(label, print)
        assert [path.name for path in found.files] == ["etcd", "etcdctl"]
        assert subprocess.run([found.files[0]], capture_output=True, check=True).stdout == b"etcd Version: 3.6.8\n"

    def test_another_build_of_one_version_is_another_one(self, tmp_path: Path) -> None:
        one = packages.adopt(self.programs(tmp_path / "one"))
        other = packages.adopt(self.programs(tmp_path / "other", "etcd Version: 3.6.8\nGit SHA: 1"))
        assert one != other
        assert rke.version_tuple(one) == rke.version_tuple(other) == (3, 6, 8)

    def test_the_name_of_the_image_is_one(self) -> None:
        state = layout.make_hosts("10.77.1.0/24", 1)
        argv = rke.etcd_run(state[0], state, "3.6.8+0a1b2c3d")
        (image,) = [word for word in argv if "mirrored-coreos-etcd" in word]
        assert re.fullmatch(r"[a-z/-]+:[\w][\w.-]{0,127}", image)

    def test_what_is_no_etcd_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="has no etcdctl"):
            packages.adopt(self.programs(tmp_path / "half", names="etcd"))
        with pytest.raises(InputError, match="does not say which version"):
            packages.adopt(self.programs(tmp_path / "silent", "hello"))

    def test_one_that_was_cleared_away_is_asked_for_again(self) -> None:
        with pytest.raises(InputError, match="not here any more"):
            packages.etcd_programs("3.6.8+0a1b2c3d", print)
