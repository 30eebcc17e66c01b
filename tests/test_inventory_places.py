"""Where an inventory is found that nobody has named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetrecover import inventory
from fleetrecover.errors import InputError


def test_here_then_the_users_then_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, home, etc = (tmp_path / name for name in ("here", "home", "etc"))
    users = home / ".config" / "fleetrecover"
    for directory in (here, users, etc):
        directory.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("FLEETRECOVER_INVENTORY", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(inventory, "SYSTEM", etc)
    with pytest.raises(InputError) as caught:
        inventory.find(None)
    for place in ("hosts.toml: there is no such inventory", str(users / "hosts.toml"), str(etc / "hosts.toml")):
        assert place in caught.value.message
    for directory, found in ((etc, etc / "hosts.toml"), (users, users / "hosts.toml"), (here, Path("hosts.toml"))):
        (directory / "hosts.toml").touch()
        assert inventory.find(None) == found
    monkeypatch.setenv("FLEETRECOVER_INVENTORY", "nowhere.toml")
    with pytest.raises(InputError, match=r"nowhere.toml: there is no such inventory \(\$FLEETRECOVER_INVENTORY\)"):
        inventory.find(None)


def test_the_users_place_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert inventory.places()[1] == tmp_path / "fleetrecover" / "hosts.toml"


def test_one_that_points_nowhere_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLEETRECOVER_INVENTORY", raising=False)
    monkeypatch.setattr(inventory, "SYSTEM", tmp_path / "etc")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts.toml").touch()
    (tmp_path / "hosts.toml").symlink_to("gone")
    with pytest.raises(InputError, match="there is no such inventory"):
        inventory.find(None)
