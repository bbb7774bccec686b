"""Every exception of the controller, in one tree under the machines' `HandoffError`.

What the machine declines is no exception but `Outcome.refused`. Exceptions are for misuse, for a conflict after all retries, and
for the outside world.

    HandoffError
    ├── HandoffUsageError
    │   ├── UnknownConversation     an event of a conversation that was never started here
    │   ├── UnknownPolicy           a fingerprint that this store does not hold
    │   ├── ClockAhead              an `at` that lies in the future of our clock
    │   └── ControllerClosed        `handle` after `close`
    ├── VersionConflict             somebody else wrote first; the controller retries, a host sees it after all retries
    ├── StoreError                  the store cannot be used now; nothing of the failed commit is left
    │   ├── StoreFull               no room on the disk
    │   ├── StoreLocked             another process holds the file for longer than we wait
    │   ├── StoreCorrupt            the file is no database of ours, or is damaged
    │   └── StoreTooNew             a newer version of the library wrote it
    └── DeliveryError               what an adapter raises
        ├── Unavailable             may work later: is tried again, after `retry_after_s` where the other side says so
        └── Rejected                will never work: becomes a dead letter at once
"""

from datetime import datetime

from handoff_kit.machines import HandoffError, HandoffUsageError

__all__ = [
    "ClockAhead",
    "ControllerClosed",
    "DeliveryError",
    "Rejected",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreTooNew",
    "Unavailable",
    "UnknownConversation",
    "UnknownPolicy",
    "VersionConflict",
]


class UnknownConversation(HandoffUsageError):
    """An event of a conversation that this store does not hold."""

    def __init__(self, conversation: str, event: str) -> None:
        super().__init__(
            f"{event} of {conversation!r}, which was never started here: handle ConversationStarted first, "
            "or check the store's URL"
        )
        self.conversation = conversation


class UnknownPolicy(HandoffUsageError):
    """A policy that this store does not hold."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(f"no policy of fingerprint {fingerprint!r} is in this store: open a controller with it once")
        self.fingerprint = fingerprint


class ClockAhead(HandoffUsageError):
    """An event's `at` lies more than the allowed skew ahead of the controller's clock."""

    def __init__(self, at: datetime, now: datetime, skew_s: float) -> None:
        super().__init__(
            f"the event's time {at.isoformat()} is more than {skew_s:g} s ahead of our clock ({now.isoformat()}): "
            "leave `at` to the controller, and put the sender's time into `sent_at`"
        )
        self.at = at
        self.now = now


class ControllerClosed(HandoffUsageError):
    """The controller takes no events any more."""

    def __init__(self) -> None:
        super().__init__("this controller is closed: open another one")


class VersionConflict(HandoffError):
    """A stream is not at the version that a commit expects, or its event id was used by somebody else meanwhile."""

    def __init__(self, stream: str, expected: int, found: int | None) -> None:
        super().__init__(f"{stream!r} is at version {found}, and {expected} was expected: load it again and decide again")
        self.stream = stream
        self.expected = expected
        self.found = found


class StoreError(HandoffError):
    """The store cannot be used now; nothing of what failed is left behind."""


class StoreFull(StoreError):
    """There is no room on the disk; the next commit works once there is."""


class StoreLocked(StoreError):
    """Another process holds the store for longer than we wait."""


class StoreCorrupt(StoreError):
    """The store is damaged, or no store of ours."""


class StoreTooNew(StoreError):
    """A newer version of the library wrote the store."""


class DeliveryError(HandoffError):
    """An adapter could not deliver."""


class Unavailable(DeliveryError):
    """It may work later.

    Args:
        retry_after_s: seconds after which the other side wants to be asked again; None: as our backoff says.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Rejected(DeliveryError):
    """It will never work: the other side understood and declined."""
