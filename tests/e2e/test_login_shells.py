"""Whatever the login shell is, and whatever it says before and beside: recovered whole, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from fleetrecover.lab import Lab
from fleetrecover.lab.install import services_stay_down
from tests.e2e.conftest import Fleet
from tests.e2e.test_recover import assert_whole, write_and_kill
from tests.e2e.tool import original_containers

pytestmark = pytest.mark.lab

SHELLS = {"etcd1": "fish", "etcd2": "tcsh", "etcd3": "ash", "etcd4": "bash", "etcd5": "bash"}
"""Whose login shell is what; the machine's packages of the same names, but for ash, which is busybox's."""

CHATTY = """
echo "Welcome to $(hostname): 3 updates can be installed. NOT for production; 17 users logged in"
printf 'no line feed at its end, and bytes that are no text: \\377\\376 \\001'
echo "warning: the disk is 91 % full" >&2
"""
SLOW = "sleep 2\n" + CHATTY
FILES = {
    # what each shell reads when sshd starts it for a command
    "etcd1": {".config/fish/config.fish": CHATTY.replace("$(hostname)", "(hostname)")},
    "etcd2": {".cshrc": 'echo "Welcome, root"\nset noclobber\nalias rm "rm -i"\n'},
    "etcd3": {},
    "etcd4": {".bashrc": SLOW},
    "etcd5": {
        ".bashrc": CHATTY + "set -o noclobber\nset -u\nalias cd=false\nexport CDPATH=/ LC_ALL=C POSIXLY_CORRECT=1\n"
    },
}


def have(shell: str) -> bool:
    """Whether the machine, whose programs the hosts see, has that shell; installed where it can be."""
    if shell == "ash":
        return shutil.which("busybox") is not None
    if shutil.which(shell) is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", shell]
        with services_stay_down():
            subprocess.run(
                command, check=False, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            )
    return shutil.which(shell) is not None


SET_UP = """
set -e
shell={shell}
if [ "$shell" = ash ]; then ln -sf "$(command -v busybox)" /usr/local/bin/ash; fi
cp -p /etc/passwd /etc/passwd.lab
sed -i "s,^\\(root:.*:\\)[^:]*\\$,\\1$(command -v "$shell")," /etc/passwd
grep -q "$(command -v "$shell")\\$" /etc/passwd
"""


@pytest.fixture
def odd() -> Iterator[list[Lab]]:
    """Labs whose logins are to be plain again afterwards: others use them."""
    labs: list[Lab] = []
    yield labs
    for lab in labs:
        for name, files in FILES.items():
            lab.shell(name, "[ ! -e /etc/passwd.lab ] || mv -f /etc/passwd.lab /etc/passwd; rm -f /usr/local/bin/ash")
            for file in files:
                lab.host(name).path(f"/root/{file}").unlink(missing_ok=True)


def make_odd(lab: Lab) -> None:
    for name, shell in SHELLS.items():
        lab.shell(name, SET_UP.format(shell=shell))
        for file, text in FILES[name].items():
            path = lab.host(name).path(f"/root/{file}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("latin-1"))


def test_every_host_with_another_login_shell(fleet: Fleet, odd: list[Lab]) -> None:
    """fish, tcsh, busybox's ash, a .bashrc that sleeps and talks, and one that changes what words mean."""
    missing = sorted({shell for shell in SHELLS.values() if not have(shell)})
    if missing:
        pytest.skip(f"not installed here, and not to be had: {', '.join(missing)}")
    lab, tool = fleet(5, "3.5.30")
    before = original_containers(lab)
    odd.append(lab)
    make_odd(lab)
    begun = time.monotonic()
    said = subprocess.run(lab.ssh_argv("etcd4", "true"), capture_output=True, check=False)
    assert (said.returncode, b"Welcome to" in said.stdout, b"91 %" in said.stderr) == (0, True, True)
    assert time.monotonic() - begun >= 2
    assert b"fish" in subprocess.run(lab.ssh_argv("etcd1", "status fish-path"), capture_output=True, check=False).stdout
    assert subprocess.run(lab.ssh_argv("etcd2", "echo $tcsh"), capture_output=True, check=False).stdout.strip()

    acknowledged, leader, others = write_and_kill(lab)
    for name in others[:3]:
        lab.wipe(name)
    # every conversation with one of them begins two seconds late
    done = tool.recover(lab.name, restless=True, timeout=900).document
    assert (done["outcome"], len(done["members"])) == ("recovered", 5)
    assert done["survivor"]["name"] in (leader, others[3])
    assert_whole(lab, tool, acknowledged)
    assert original_containers(lab) == before
