"""Every way in which the program says no, and the exit code of each branch.

    FleetRecoverError            1   a fault of the program itself
    ├── UsageError               2   wrong usage of a command or option
    ├── InputError               3   the inventory or another input file is wrong
    │   └── FormatError          3   bytes that are not what they should be; carries the offset
    ├── Degraded                10   quorum stands, something is missing or ill
    ├── QuorumLost              11   quorum is lost
    ├── Undetermined            12   a voter is unaccounted for, or the evidence contradicts itself
    ├── Refused                 20   doing it would not be safe; nothing was changed
    │   └── Unsupported         20   a setting that cannot be reproduced; names it
    ├── StoppedPartWay          21   something was changed; says what stands and what to run next
    ├── CheckFailed             22   done, but the final check failed
    ├── Held                    23   another run holds this cluster
    └── Interrupted            130   by the operator

    RemoteError             12   one node's failure: a value beside the others more often than an exception
    ├── Unreachable       no connection: refused, timed out, no route, gateway down
    ├── HostKeyProblem    the host's key is unknown, changed or revoked
    ├── LoginFailed       no key was accepted
    ├── SudoFailed        `sudo -n` was refused
    ├── CommandFailed     it ran and returned an exit code that was not expected
    ├── OddAnswer         it answered, and the answer could not be read; a FormatError, too
    └── OutcomeUnknown    it may have run: timed out, or the connection dropped; look before doing anything else
        ├── SudoHangs     `sudo -n` was waited for and has started nothing yet
        └── TooMuch       it sent more, or for longer, than is taken from a node: see bounds.py

A RemoteError that escapes before anything was changed says that something is not known: 12. One that escapes afterwards
leaves things half done: within `changing` it becomes StoppedPartWay, 21. Nowhere else is such a code chosen.

An error says which node or file, what is wrong, why, and the next command to type (`hint`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FleetRecoverError(Exception):
    """Base of all errors; `code` is the exit code of INTERFACE.md."""

    code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FleetRecoverError):
    """A command or option was used wrongly."""

    code = 2


class InputError(FleetRecoverError):
    """The inventory or another input file is wrong."""

    code = 3


class FormatError(InputError):
    """Bytes are not in the format they should be in.

    `offset` is the byte at which it was noticed, in the file `source`.
    """

    def __init__(self, message: str, *, source: str = "", offset: int | None = None, hint: str | None = None) -> None:
        place = source if offset is None else f"{source or 'input'} at offset {offset}"
        super().__init__(f"{place}: {message}" if place else message, hint=hint)
        self.source = source
        self.offset = offset
        self.reason = message


class Degraded(FleetRecoverError):
    """Quorum stands, but something is missing or ill."""

    code = 10


class QuorumLost(FleetRecoverError):
    """Quorum is lost."""

    code = 11


class Undetermined(FleetRecoverError):
    """A voter is unaccounted for, or the evidence contradicts itself."""

    code = 12


class Refused(FleetRecoverError):
    """Doing it would not be safe. Nothing was changed."""

    code = 20


class Unsupported(Refused):
    """A setting of a container or of etcd that we could not reproduce; it is named."""


class StoppedPartWay(FleetRecoverError):
    """Something was changed before it stopped; the message says what stands and what to run next."""

    code = 21


class CheckFailed(FleetRecoverError):
    """Everything was done, but the final check failed."""

    code = 22


class Held(FleetRecoverError):
    """Another run holds this cluster."""

    code = 23


class Interrupted(FleetRecoverError):
    """The operator interrupted."""

    code = 130


class RemoteError(FleetRecoverError):
    """Something between us and a node; `host` names it."""

    kind = "remote"
    code = 12

    def __init__(self, host: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{host}: {message}", hint=hint)
        self.host = host
        self.reason = message


class Unreachable(RemoteError):
    """No connection could be made, or it was lost before anything was sent."""

    kind = "unreachable"


class HostKeyProblem(RemoteError):
    """The host's key is unknown, changed or revoked: never connected to."""

    kind = "host-key"


class LoginFailed(RemoteError):
    """The host accepted none of our keys."""

    kind = "login"


class SudoFailed(RemoteError):
    """`sudo -n` was refused for the login user."""

    kind = "sudo"


class CommandFailed(RemoteError):
    """A remote command returned an exit code that was not expected."""

    kind = "command"

    def __init__(self, host: str, message: str, *, exit_code: int, stderr: str = "", hint: str | None = None) -> None:
        super().__init__(host, message, hint=hint)
        self.exit_code = exit_code
        self.stderr = stderr


class OutcomeUnknown(RemoteError):
    """A remote command may or may not have run: it timed out or the connection dropped.

    Look at the node before doing anything else; only reads are repeated without looking.
    """

    kind = "unknown"


class SudoHangs(OutcomeUnknown):
    """`sudo -n` has neither refused nor started anything in the time that was given to it."""

    kind = "sudo"


class TooMuch(OutcomeUnknown):
    """A node sent more than is taken from it, or went on sending for longer. Asking again would give the same."""

    kind = "too-much"


class OddAnswer(RemoteError, FormatError):
    """A node answered, and what it answered could not be read: its own failure, never an input file's.

    `source` names what it was asked.
    """

    kind = "answer"
    code = 12

    def __init__(self, host: str, message: str, *, source: str = "", hint: str | None = None) -> None:
        RemoteError.__init__(self, host, message, hint=hint)
        self.source = source
        self.offset = None

    @classmethod
    def of(cls, host: str, error: FormatError, asked: str = "") -> OddAnswer:
        """What a FormatError is once it is known whose answer it was, and to what."""
        if isinstance(error, OddAnswer):
            return error
        prefix = "" if not asked or asked in error.source else f"{asked}: "
        return cls(host, prefix + error.message, source=asked or error.source, hint=error.hint)


AGAIN = "look with `fleetrecover survey`; the same command again goes on where this stopped"


@contextmanager
def changing(hint: str = AGAIN) -> Iterator[None]:
    """From here on something may have been changed: a RemoteError that escapes leaves things half done."""
    try:
        yield
    except RemoteError as error:
        raise StoppedPartWay(
            f"stopped part-way: {error.message}", hint=f"{error.hint}; {hint}" if error.hint else hint
        ) from error
