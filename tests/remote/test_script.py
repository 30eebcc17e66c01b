"""The batch script, on every sh that this machine has: what is fed to sshd's sh is fed to a local one here."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetrecover.commands.base import TIMED_OUT
from fleetrecover.model import Command
from fleetrecover.remote.script import Cutter, Script, batch_script, seconds

SHELLS = {name: path for name in ("dash", "bash", "busybox") if (path := shutil.which(name)) is not None}


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory whose `sh` is that shell; the inner shells that the script starts are found there too."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to(SHELLS[request.param])
    return tmp_path / "bin"


def run(
    shell: Path, *commands: Command | str, stdin: bytes | None = None
) -> tuple[list[int], list[bytes], list[bytes]]:
    """Run a batch as sshd would; return exit codes, outputs and errors."""
    named = [c if isinstance(c, Command) else Command("test", c) for c in commands]
    script = batch_script(named, stdin=stdin is not None)
    process = subprocess.Popen(
        [shell / "sh"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": f"{shell}:/usr/bin:/bin"},
    )
    out, err = Cutter(script.nonce), Cutter(script.nonce)
    if stdin is None:
        stdout, stderr = process.communicate(script.text)
    else:
        stdout, stderr = _feed(process, script, stdin)
    out.feed(stdout)
    err.feed(stderr)
    assert process.returncode == 0
    assert out.codes == err.codes
    assert out.noise == err.noise == out.rest() == err.rest() == b""
    return out.codes, out.pieces, err.pieces


def _feed(process: subprocess.Popen[bytes], script: Script, stdin: bytes) -> tuple[bytes, bytes]:
    """Feed the payload only after the first separator has come, as the conversation does."""
    assert process.stdin and process.stdout
    process.stdin.write(script.text)
    process.stdin.flush()
    first = process.stdout.readline()
    stdout, stderr = process.communicate(stdin)
    return first + stdout, stderr


def running(mark: str) -> list[str]:
    """Return the command lines that hold `mark`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if mark in line:
            found.append(line)
    return found


def left(mark: str) -> list[str]:
    """The command lines that hold `mark` and do not go away: what was sent KILL is given the time to die."""
    for _ in range(100):
        found = running(mark)
        if not found:
            break
        time.sleep(0.1)
    return found


def test_each_command_has_its_own_code_and_output(shell: Path) -> None:
    codes, out, err = run(shell, "echo one; exit 3", "echo two >&2", "false", "kill -9 $$", "true")
    assert codes == [3, 0, 1, 137, 0]
    assert out == [b"one\n", b"", b"", b"", b""]
    assert err == [b"", b"two\n", b"", b"", b""]


def test_nothing_of_a_command_reaches_the_next(shell: Path) -> None:
    _, out, _ = run(
        shell, "cd /; x=1; set -f; exec >/dev/null", "echo ${x:-unset} *s*tem-nothing", "set -e; false; echo no"
    )
    assert out[1:] == [b"unset *s*tem-nothing\n", b""]


def test_standard_input_is_empty(shell: Path) -> None:
    codes, out, _ = run(shell, "cat", "echo after")
    assert codes == [0, 0]
    assert out == [b"", b"after\n"]


def test_output_may_hold_any_byte(shell: Path, tmp_path: Path) -> None:
    payload = bytes(range(256)) * 5000
    (tmp_path / "payload").write_bytes(payload)
    _, out, err = run(shell, f"cat {tmp_path}/payload", f"cat {tmp_path}/payload >&2; printf 'no newline'")
    assert out == [payload, b"no newline"]
    assert err == [b"", payload]


@pytest.mark.parametrize("script", ["echo 'open", "{ echo", "if true; then"])
def test_a_script_with_a_syntax_error_hurts_only_itself(shell: Path, script: str) -> None:
    codes, out, err = run(shell, script, "echo after")
    assert codes[0] != 0
    assert codes[1] == 0
    assert err[0]
    assert out == [b"", b"after\n"]


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("# only a comment", b""),
        ("", b""),
        ("cat <<E\nit's $((1+1))\nE", b"it's 2\n"),
        ("echo 'ä\n%s\\n'", "ä\n%s\\n\n".encode()),
    ],
)
def test_scripts_are_passed_on_unchanged(shell: Path, script: str, wanted: bytes) -> None:
    if "\\n" in script:
        script = script.replace("echo", "printf '%s\\n'")
    assert run(shell, script)[:2] == ([0], [wanted])


def test_a_script_longer_than_a_pipe_holds(shell: Path) -> None:
    assert run(shell, f": {'x' * 300_000}\necho done")[1] == [b"done\n"]


@pytest.mark.parametrize(
    "script",
    [
        "sleep 4711",
        "echo before; sleep 4711; echo never",
        "(sleep 4711 & sleep 4711); wait",
        "sh -c 'sleep 4711; true'; true",
    ],
)
def test_the_alarm_ends_the_whole_group(shell: Path, script: str) -> None:
    codes, out, _ = run(shell, Command("slow", script, timeout=1), "echo after")
    assert codes == [TIMED_OUT, 0]
    assert out[1] == b"after\n"
    assert b"never" not in out[0]
    assert left("sleep 4711") == []


def test_what_ignores_the_alarm_is_killed(shell: Path) -> None:
    codes, _, _ = run(shell, Command("stubborn", 'trap "" TERM; sleep 4712; sleep 4712', timeout=1))
    assert codes == [TIMED_OUT]
    assert left("sleep 4712") == []


def test_children_that_ignore_the_alarm_are_killed_with_it(shell: Path) -> None:
    codes, _, _ = run(shell, Command("stubborn child", '(trap "" TERM; sleep 4713) & wait', timeout=1))
    assert codes == [TIMED_OUT]
    assert left("sleep 4713") == []


def test_no_clock_is_left_behind(shell: Path) -> None:
    run(shell, *[Command("quick", "true", timeout=4714)] * 20)
    assert left("4714") == []


def test_an_exit_code_124_of_its_own_is_no_alarm(shell: Path) -> None:
    assert run(shell, "exit 124", "echo after")[1] == [b"", b"after\n"]


def test_secrets_are_on_no_command_line(shell: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"password=hunter2-of-the-test; while [ ! -e {go} ]; do sleep 0.05; done; echo $password"
    seen: list[str] = []

    def look() -> None:
        for _ in range(20):
            seen.extend(running("hunter2-of-the-test"))
        go.touch()

    thread = threading.Thread(target=look)
    thread.start()
    assert run(shell, script)[1] == [b"hunter2-of-the-test\n"]
    thread.join()
    assert seen == []


def test_input_after_the_script_goes_to_the_command(shell: Path) -> None:
    payload = bytes(range(256)) * 4000
    codes, out, _ = run(shell, "cat; exit 5", stdin=payload)
    assert (codes, out) == ([5], [payload])


def test_a_command_may_leave_input_unread(shell: Path) -> None:
    assert run(shell, "head -c 3", stdin=b"abcdef")[1] == [b"abc"]


def test_the_locale_is_plain_and_sbin_is_found(shell: Path) -> None:
    assert run(shell, 'echo $LC_ALL; case ":$PATH:" in *:/usr/sbin:*) echo sbin;; esac')[1] == [b"C\nsbin\n"]


def test_a_login_shells_noise_is_thrown_away() -> None:
    cutter = Cutter(b"NONCE")
    cutter.feed(b"Welcome to etcd1!\nNONCE 0 0\nfirstNONCE 1 7\nNON")
    cutter.feed(b"CE 2 0\nrest")
    assert cutter.noise == b"Welcome to etcd1!\n"
    assert (cutter.pieces, cutter.codes, cutter.rest()) == ([b"first", b""], [7, 0], b"rest")


@given(
    pieces=st.lists(st.binary(max_size=200), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=50),
)
def test_the_stream_may_be_torn_anywhere(pieces: list[bytes], sizes: list[int]) -> None:
    nonce = b"0123456789abcdef0123456789abcdef"
    stream = nonce + b" 0 0\n" + b"".join(p + nonce + b" %d %d\n" % (i, i + 2) for i, p in enumerate(pieces, 1))
    cutter = Cutter(nonce)
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        cutter.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert cutter.pieces == pieces
    assert cutter.codes == [i + 3 for i in range(len(pieces))]


def test_a_sink_gets_the_output_and_not_the_noise() -> None:
    got: list[bytes] = []
    cutter = Cutter(b"NONCE", got.append)
    for byte in b"noise NONCE 0 0\npayload NONCX NONCE 1 0\n":
        cutter.feed(bytes([byte]))
    assert b"".join(got) == b"payload NONCX "
    assert cutter.codes == [0]


@pytest.mark.parametrize(("timeout", "wanted"), [(0.1, 1), (1, 1), (1.2, 2), (30.0, 30)])
def test_timeouts_become_whole_seconds(timeout: float, wanted: int) -> None:
    assert seconds(timeout) == wanted


def test_every_batch_has_a_nonce_of_its_own() -> None:
    first, second = (batch_script([Command("a", "true")]) for _ in range(2))
    assert first.nonce != second.nonce
    assert len(first.nonce) == 32


def test_nothing_runs_before_the_whole_script_has_come(shell: Path, tmp_path: Path) -> None:
    script = batch_script([Command("write", f"touch {tmp_path}/done")])
    for cut in (len(script.text) - 3, len(script.text) // 2):
        subprocess.run([shell / "sh"], input=script.text[:cut], capture_output=True, check=False)
    assert not (tmp_path / "done").exists()


# --- separators, and what only looks like one


NOISE = b"0123456789abcdef" * 2


def cut(*chunks: bytes) -> Cutter:
    """A cutter that was fed these."""
    cutter = Cutter(NOISE)
    for chunk in chunks:
        cutter.feed(chunk)
    return cutter


@pytest.mark.parametrize(
    "odd",
    [
        b"+ _nonce=%s\n+ exec\n" % NOISE,  # SHELLOPTS=xtrace
        b"_nonce=%s\n" % NOISE,  # verbose
        b"%s\n" % NOISE,
        b"%s 0\n" % NOISE,
        b"%s x y\n" % NOISE,
        b"%s 7 0\n" % NOISE,  # not its turn
        b"%s 0 0 0\n" % NOISE,
        b"%s  0 0\n" % NOISE,
        b"%s 0 12345\n" % NOISE,
        b"%s 00 0\n" % NOISE,
        b"%s -1 0\n" % NOISE,
        b"%s \xd9\xa0 0\n" % NOISE,
        NOISE * 3 + b"\n",
        NOISE[:-1] + b"\n",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_what_only_looks_like_a_separator_is_output(odd: bytes, size: int) -> None:
    stream = odd + b"%s 0 0\n" % NOISE + b"out" + odd + b"put%s 1 3\n" % NOISE + b"rest"
    found = cut(*(stream[at : at + size] for at in range(0, len(stream), size)))
    assert (found.done, found.codes, found.pieces, found.noise) == (2, [3], [b"out" + odd + b"put"], odd)
    assert found.rest() == b"rest"


def test_a_nonce_without_an_end_is_not_held_back_for_ever() -> None:
    found = cut(b"%s 0 0\n" % NOISE, NOISE + b" 1 1" + b"x" * 100)
    assert found.done == 1
    assert len(found.rest()) == len(NOISE) + 104


@pytest.mark.parametrize("option", ["xtrace", "verbose", "errexit", "noclobber", "xtrace:verbose:errexit:nounset"])
def test_a_login_that_exports_shellopts(option: str) -> None:
    """An honest node: bash takes options from its environment, and shows the script on standard error."""
    script = batch_script(
        [Command("hello", "echo hello; false; echo $unset; echo on > /dev/null"), Command("x", "echo x")]
    )
    done = subprocess.run(
        ["bash", "--posix"],
        input=script.text,
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "SHELLOPTS": option},
    )
    out, err = Cutter(script.nonce), Cutter(script.nonce)
    out.feed(done.stdout)
    err.feed(done.stderr)
    assert out.codes == err.codes == [0, 0]
    assert out.pieces == [b"hello\n\n", b"x\n"]
    assert err.pieces == [b"", b""], "and what comes after is as quiet as ever"
