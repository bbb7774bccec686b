"""Replay: fold events into steps again, and compare them with what was recorded.

Where a conversation was recorded with its steps, timers come from the record alone and each step is verified. Where it was not
(another system's log), owed timers fire by the one rule, and a timer that would end the conversation under its own later events
is passed over and counted. What may not go in here: files, counters over many conversations.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

import attrs

from .codec import RecordedStep, recorded_step, verdict_from_data
from .conversation import Conversation
from .errors import HandoffUsageError
from .events import ConversationStarted, Event
from .policy import Policy
from .states import State
from .step import Step, step
from .timers import due
from .values import Json

__all__ = ["Difference", "Replay", "Replayed", "replay"]

#: What is compared with the record, in the order in which it is reported.
_COMPARED = ("state", "version", "epoch", "verdicts", "effects")


@attrs.frozen
class Difference:
    """One field in which a step differs from its record."""

    field: str
    recorded: Json
    now: Json


@attrs.frozen
class Replayed:
    """One step of a replay.

    Args:
        result: `stepped` (nothing to compare with), `verified`, `mismatch`, or `changed` (decided by another policy than the
            recorded one).
        differences: for `mismatch` and `changed`.
        erased: fields of the event were erased. From the first such event on, the conversation's recorded verdicts are taken and
            its effects are not compared, since later ones may quote what was erased.
    """

    step: Step
    result: Literal["stepped", "verified", "mismatch", "changed"] = "stepped"
    differences: tuple[Difference, ...] = ()
    erased: bool = False


class Replay:
    """The replay of one conversation.

    Attributes:
        conversation: the snapshot as it stands; None before the first event.
        verifying: the record has steps, so that timers come from it alone.
        overrun: timers that were passed over, since the record goes on after them.
    """

    __slots__ = ("_erased", "_spent", "conversation", "overrun", "policy", "verifying")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.conversation: Conversation | None = None
        self.verifying = False
        self.overrun = 0
        self._erased = False
        self._spent: set[tuple[str, int]] = set()

    def feed(self, event: Event, recorded: RecordedStep | None = None) -> list[Replayed]:
        """Replay one event, and before it the timers that fall due; return their steps in order.

        Raises:
            HandoffUsageError: the first event is not `ConversationStarted`, or the event has no `at`.
        """
        if self.conversation is None:
            if not isinstance(event, ConversationStarted):
                raise HandoffUsageError(f"conversation {event.conversation!r} does not begin with conversation_started")
            self.verifying = recorded is not None
        out = [] if self.verifying or self.conversation is None else self._fire(event.at, may_close=False)
        self._erased = self._erased or bool(event.erased)
        verdicts = None
        if self._erased and recorded is not None:
            verdicts = tuple(map(verdict_from_data, recorded.verdicts))
        done = step(self.policy, self.conversation, event, recorded=verdicts)
        self.conversation = done.after
        out.append(Replayed(done, erased=bool(event.erased)) if recorded is None else self._compared(done, recorded))
        return out

    def run_until(self, at: datetime) -> list[Replayed]:
        """Fire the timers that fall due after the last event, up to and including `at`."""
        return self._fire(at, may_close=True)

    def _fire(self, at: datetime | None, *, may_close: bool) -> list[Replayed]:
        out: list[Replayed] = []
        now = self.conversation
        while now is not None and at is not None and (timer := due(now, max(at, now.at), self._spent)) is not None:
            fired = step(self.policy, now, timer)
            if fired.refused is not None or (fired.after.state is State.CLOSED and not may_close):
                self._spent.add((timer.timer, timer.generation or 0))
                self.overrun += fired.refused is None
                continue
            out.append(Replayed(fired))
            now = self.conversation = fired.after
        return out

    def _compared(self, done: Step, recorded: RecordedStep) -> Replayed:
        erased = bool(done.event.erased)
        if done.refused is not None:
            differences = [Difference("refused", None, done.refused.name)]
        else:
            now = recorded_step(done, self.policy.fingerprint)
            differences = [
                Difference(name, getattr(recorded, name), now[name])
                for name in _COMPARED
                if getattr(recorded, name) != now[name] and not (self._erased and name == "effects")
            ]
        if not differences:
            return Replayed(done, "verified", (), erased)
        same_policy = recorded.policy == self.policy.fingerprint
        return Replayed(done, "mismatch" if same_policy else "changed", tuple(differences), erased)


def replay(policy: Policy, events: Iterable[Event]) -> Iterator[Step]:
    """Yield the steps of recorded events, fired timers and refused events included; conversations may interleave.

    Timers fall due by the rule of `advance`; one that would close a conversation which has later events is passed over.

    Raises:
        HandoffUsageError: a conversation does not begin with `ConversationStarted`, or an event has no `at`.
    """
    running: dict[str, Replay] = {}
    for event in events:
        one = running.get(event.conversation)
        if one is None:
            one = running[event.conversation] = Replay(policy)
        for replayed in one.feed(event):
            yield replayed.step
