"""Every exception of the machines, in one tree.

What the machine declines is no exception but a `Refusal` value; exceptions are for misuse and for bad input.

    HandoffError
    ├── HandoffUsageError        the caller's mistake: a missing `at`, a first event that starts nothing
    └── BadInput                 text from outside that cannot be used; names the place and the mend
        ├── PolicyError          a policy file: file, key path, what was found, what is allowed
        ├── RecordingError       a line of a recorded session: file, line, what is wrong, the mend
        └── SnapshotError        a stored snapshot: newer schema, or another machine's
"""

__all__ = ["BadInput", "HandoffError", "HandoffUsageError", "PolicyError", "RecordingError", "SnapshotError"]


class HandoffError(Exception):
    """The root of everything that this library raises on purpose."""


class HandoffUsageError(HandoffError):
    """The caller asked for something that cannot be; the message says what to do instead."""


class BadInput(HandoffError):
    """Text from outside is not usable as it stands.

    Args:
        place: where: a file and line, or a file and key path.
        what: what is wrong there, in one sentence without a full stop.
        mend: what to do about it, in one sentence without a full stop.
    """

    def __init__(self, place: str, what: str, mend: str) -> None:
        super().__init__(place, what, mend)
        self.place = place
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.mend}"


class PolicyError(BadInput):
    """A policy file cannot be used."""


class RecordingError(BadInput):
    """A line of a recorded session cannot be used."""


class SnapshotError(BadInput):
    """A stored snapshot cannot be used by this version of the library."""
