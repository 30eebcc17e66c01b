"""PURE: the `sh` that scripts are fed to: the login's own, the one of `sudo -n`, or root's through the container engine.

Who may talk to docker's socket is root already: he may start a container that has the host's file system. So a login of the
docker group without sudo becomes root by one short-lived container for each conversation:

- The image only has to be there. Its own files are covered by the host's /usr, /lib and so on, read-only, so that the
  host's `nsenter` runs in any image, also in etcd's, which has no shell. Nothing is pulled.
- `nsenter -t 1 -m` enters the host's own mounts (process numbers, network and name are the host's by `--pid host` …), so a
  script sees and does what it would see and do with sudo; a bind of / would hide what is mounted later.
- Capabilities by name, and not `--privileged`: it needs no devices, and asks the kernel for no more than it uses.
- Standard input and outputs are those of the ssh session itself, opened anew through /proc/PID/fd of the engine's client.
  Nothing of a script or its output passes through the engine or its logs, and a session that is cut is noticed as ever: the
  next separator cannot be written. That these are the same pipes proves that the engine is this host's, and not another's.
- The container has our label and a name of its own, and is removed when the script ends (`--rm`). When the engine is
  stopped, it ends the container and so our script, as if the connection had been cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleetrecover import limits
from fleetrecover.commands.base import Probe
from fleetrecover.commands.environment import LOGIN, NO_ENGINE, THROUGH
from fleetrecover.commands.shell import quote
from fleetrecover.errors import FormatError
from fleetrecover.facts import HELPER_LABEL
from fleetrecover.model import Command, Result

_DIRECTORIES = "/bin /sbin /usr /lib /lib32 /lib64 /libx32"
_CAPABILITIES = ("SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "LINUX_IMMUTABLE", "SYS_NICE")
"""Beside the engine's default ones (CHOWN, DAC_OVERRIDE, FOWNER, KILL, SYS_CHROOT …): to enter the host's mounts, read
everything, see all processes, keep files' attributes, and be nice.
"""


@dataclass(frozen=True)
class LoginShell:
    """`words` are for the login's own shell, quoted already; `by` is "" (nobody: as the login is), "sudo" or the engine.

    `patience`: for how many seconds more than a plain `sh` it may take to start.
    """

    words: tuple[str, ...]
    by: str = ""
    patience: float = 0.0

    @property
    def sudo(self) -> bool:
        """Whether it is sudo's."""
        return self.by == SUDO.by

    @property
    def engine(self) -> str:
        """The command of the engine that gives it; empty where none does."""
        return "" if self.sudo else self.by


PLAIN = LoginShell(("sh",))
SUDO = LoginShell(("sudo", "-n", "sh"), "sudo")


@dataclass(frozen=True)
class Offer:
    """What a host has to become root with through its engine: `problem` says in words what is missing, else ""."""

    root: bool = False
    image: str = ""
    nsenter: str = ""
    problem: str = ""
    passing: bool = False  # the engine does not answer now, and may do so later


# One line without single quotes, `!` and backslashes: the login's shell may be of any kind.
_OUTER = (
    "f=/proc/$$/fd; "
    '[ -p $f/0 ] && [ -p $f/1 ] && [ -p $f/2 ] || { echo "sshd there gives commands no pipes" >&2; exit 95; }; '
    "PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/bin:/bin; m=; "
    f'for d in {_DIRECTORIES}; do if [ -d $d ]; then m="$m -v $d:$d:ro"; fi; done; '
    f'exec "$1" run --rm --name fleetrecover-$$-$(date +%s) --label {HELPER_LABEL}=root --log-driver none --no-healthcheck '
    "--pid host --network host --ipc host --uts host --userns host --user 0:0 --workdir / "
    + " ".join(f"--cap-add {name}" for name in _CAPABILITIES)
    + " --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt label=disable "
    "-e LD_PRELOAD= -e LD_LIBRARY_PATH= $m "
    '--entrypoint "$2" "$3" -t 1 -m -- /bin/sh -c "$4" sh $$ "$(readlink $f/0)" "$1"'
)
_INNER = (
    'f=/proc/$1/fd; [ "$(readlink $f/0)" = "$2" ] || { echo "$3 there starts containers on another machine" >&2; exit 96; }; '
    "exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "
    f'{LOGIN}=$1 {THROUGH}="$3" sh <$f/0 >$f/1 2>$f/2'
)


def through_engine(cli: str, offer: Offer) -> LoginShell:
    """Root's `sh` in a container of the engine that `cli` talks to, with what the host has offered."""
    words = ("sh", "-c", quote(_OUTER), "sh", *map(quote, (cli, offer.nsenter, offer.image, _INNER)))
    return LoginShell(words, cli, limits.ENGINE_SHELL)


def not_enough(cli: str, why: str) -> str:
    """What to say where the engine's container did not give root."""
    return _NOT_ENOUGH.format(cli=cli) + why


def without_root(why: str) -> LoginShell:
    """The login's own `sh`, which can say what keeps it from being root through the engine."""
    word = " ".join(re.sub(r"[^A-Za-z0-9.,:;/()=_-]+", " ", why).split())[:300]
    return LoginShell(("env", quote(f"{NO_ENGINE}={word}"), "sh"))


def is_root() -> Probe[bool]:
    """Whether a script can read what only root can, of the first process of the host."""
    script = "[ $(id -u) = 0 ] && readlink /proc/1/ns/mnt >/dev/null && echo root=1\n"
    command = Command("is-root", script, timeout=limits.PEEK, ok_codes=(0, 1))
    return Probe(command, lambda result: result.text == "root=1\n")


_OFFER = """\
if [ "$(id -u)" = 0 ]; then echo root=1; exit 0; fi
if ! said=$(@CLI@ version --format '{{.Server.Version}}' 2>&1); then
  case $said in *[Pp]ermission*denied*) echo problem=denied ;; *) echo problem=engine ;; esac
  exit 0
fi
@CLI@ container prune -f --filter label=@LABEL@ --filter until=1h >/dev/null 2>&1 || true
nsenter=$(command -v nsenter) || { echo problem=nsenter; exit 0; }
used=$(@CLI@ ps -q --no-trunc | while read -r c; do @CLI@ inspect --type container -f '{{.Image}}' "$c" 2>/dev/null; done)
for image in $used $(@CLI@ images -q --no-trunc); do
  if @CLI@ inspect --type image -f '{{.Id}}' "$image" >/dev/null 2>&1; then
    printf 'nsenter=%s\\nimage=%s\\n' "$nsenter" "$image"
    exit 0
  fi
done
echo problem=image
"""
_NOT_ENOUGH = "being in the group of `{cli}` is not enough there: "
_PROBLEMS = {
    "engine": "with the rights to use `{cli}` it needs no more, but that does not answer there",
    "denied": "a login that may use `{cli}` (the docker group: log in anew) needs no more",
    "nsenter": _NOT_ENOUGH + "the host has no `nsenter`",
    "image": _NOT_ENOUGH + "`{cli}` has no image",
}


def engine_offer(cli: str) -> Probe[Offer]:
    """Whether the login is root already, and else what there is to become root with through the engine.

    Containers of ours that never started, since their client was killed at that moment, are removed after an hour.
    """
    script = _OFFER.replace("@CLI@", quote(cli)).replace("@LABEL@", HELPER_LABEL)

    def parse(result: Result) -> Offer:
        values = dict(line.split("=", 1) for line in result.text.splitlines() if "=" in line)
        if values.get("root") == "1":
            return Offer(root=True)
        problem = values.get("problem", "")
        if problem in _PROBLEMS:
            return Offer(problem=_PROBLEMS[problem].format(cli=cli), passing=problem == "engine")
        image, nsenter = values.get("image", ""), values.get("nsenter", "")
        if not re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", image):
            raise FormatError(f"{image[:80]!r} is not the id of an image", source="engine-offer")
        if not re.fullmatch(r"/(usr|bin|sbin)/[A-Za-z0-9._/-]+", nsenter):
            raise FormatError(f"{nsenter[:80]!r} is not where nsenter is", source="engine-offer")
        return Offer(image=image, nsenter=nsenter)

    return Probe(Command("engine-offer", script, timeout=limits.ENGINE), parse)
