"""What a store knows in memory: versions, snapshots, remembered ids, owed timers and owed deliveries, and the rules over them.

The memory store is a ledger and nothing else; the SQLite store keeps in one what its tables do not have yet. What may not go in
here: files, SQL, waiting.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable
from datetime import datetime

import attrs

from handoff_kit.machines import Agent, Conversation
from handoff_kit.machines.effects import SendToCustomer

from ..errors import VersionConflict
from ..records import Accepted, Commit, Delivery, DeliveryStatus, Remembered, Settled, deliveries_of

__all__ = ["Ledger", "Stream", "first_due", "is_stale"]


@attrs.define
class Stream:
    """What is known of one stream.

    Attributes:
        version: after its last accepted step.
        snapshot: after its last accepted step; None where only the version is known here.
        person_epoch: the epoch at which a person last took the reply; 0 where none has.
        record: the place of its last step in the log.
    """

    version: int
    snapshot: Conversation | Agent | None = None
    person_epoch: int = 0
    record: int = 0


def first_due(conversation: Conversation) -> datetime | None:
    """Return when the conversation's next timer is due."""
    return min((timer.due for timer in conversation.timers), default=None)


def _free_from(delivery: Delivery) -> datetime:
    """Return from when on a delivery may be claimed, by itself or once its claim has run out."""
    if delivery.status == "sending" and delivery.claimed_until is not None:
        return delivery.claimed_until
    return delivery.next_at


def is_stale(delivery: Delivery, person_epoch: int) -> bool:
    """Whether a text is the AI's, from before a person took the reply."""
    effect = delivery.effect
    return isinstance(effect, SendToCustomer) and effect.speaker == "ai" and effect.epoch < person_epoch


@attrs.define
class Ledger:
    """See the module."""

    streams: dict[str, Stream] = attrs.field(factory=dict)
    remembered: dict[tuple[str, str], Remembered] = attrs.field(factory=dict)
    successors: dict[str, str] = attrs.field(factory=dict)
    outbox: "Outbox" = attrs.field(factory=lambda: Outbox())
    _due: list[tuple[datetime, str]] = attrs.field(factory=list)
    _due_of: dict[str, datetime] = attrs.field(factory=dict)

    # --- commits

    def check(self, commit: Commit, version_of: Callable[[str], int], remembers: Callable[[str, str], bool]) -> None:
        """Raise `VersionConflict` where the commit does not fit what is known.

        Args:
            version_of: the version at which a stream stands, 0 where it does not exist.
            remembers: whether an event's id is remembered.
        """
        for stream, expected in commit.expected.items():
            found = version_of(stream)
            if found != expected:
                raise VersionConflict(stream, expected, found)
        for one in commit.remembered:
            if remembers(one.stream, one.id):
                raise VersionConflict(one.stream, one.version, None)
        if commit.continues is not None and commit.continues[0] in self.successors:
            raise VersionConflict(commit.continues[0], 0, None)

    def apply(self, commit: Commit, record: int) -> list[Delivery]:
        """Take a commit in; return what it owes to the world."""
        owed: list[Delivery] = []
        for one in commit.steps:
            stream = self.streams.setdefault(one.stream, Stream(0))
            stream.version = one.step.after.version
            stream.snapshot = one.step.after
            stream.record = record
            if isinstance(one, Accepted):
                after = one.step.after
                before = one.step.before
                if after.owner.startswith("agent:") and (before is None or before.owner != after.owner):
                    stream.person_epoch = after.epoch
                self.owe_timers(after)
                owed += deliveries_of(one)
        for remembered in commit.remembered:
            self.remembered[remembered.stream, remembered.id] = remembered
        if commit.continues is not None:
            self.successors[commit.continues[0]] = commit.continues[1]
        for delivery in owed:
            self.outbox.add(delivery)
        return owed

    # --- timers

    def owe_timers(self, conversation: Conversation) -> None:
        """Keep when a conversation's next timer is due."""
        due = first_due(conversation)
        if due is None:
            self._due_of.pop(conversation.id, None)
        elif self._due_of.get(conversation.id) != due:
            self._due_of[conversation.id] = due
            heapq.heappush(self._due, (due, conversation.id))
            if len(self._due) > 64 and len(self._due) > 4 * len(self._due_of):
                self._due = [(at, name) for name, at in self._due_of.items()]
                heapq.heapify(self._due)

    def forget(self, stream: str) -> None:
        """Forget a stream and its timers: somebody else keeps them."""
        self.streams.pop(stream, None)
        self._due_of.pop(stream, None)

    def due(self, at: datetime, limit: int) -> list[tuple[datetime, str]]:
        """Return conversations whose next timer is due by `at`, the earliest first."""
        found: list[tuple[datetime, str]] = []
        seen = set()
        while self._due and self._due[0][0] <= at and len(found) < limit:
            entry = heapq.heappop(self._due)
            if self._due_of.get(entry[1]) == entry[0] and entry[1] not in seen:
                seen.add(entry[1])
                found.append(entry)
        for entry in found:  # still owed until a step says otherwise
            heapq.heappush(self._due, entry)
        return found

    def next_due(self) -> datetime | None:
        """Return when the next timer is due."""
        while self._due and self._due_of.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    # --- deliveries

    def claim(
        self,
        port: str,
        at: datetime,
        *,
        limit: int,
        by: str,
        until: datetime,
        reaches: Callable[[str], bool] | None = None,
        conversation: str | None = None,
    ) -> list[Delivery]:
        """Claim deliveries as the port `Store.claim` says."""
        chosen = self.outbox.claimable(port, at, limit=limit, reaches=reaches, conversation=conversation)
        claimed = self.claimed(chosen, by, until, lambda name: self.streams[name].person_epoch)
        for delivery in claimed:
            self.outbox.put(delivery)
        return claimed

    def claimed(self, chosen: Iterable[Delivery], by: str, until: datetime, person_epoch: Callable[[str], int]) -> list[Delivery]:
        """Return deliveries as claimed; the AI's texts from before a person took the reply are held."""
        return [
            attrs.evolve(
                one, status="sending", claimed_by=by, claimed_until=until, held=is_stale(one, person_epoch(one.conversation))
            )
            for one in chosen
        ]


class Outbox:
    """Open deliveries and dead letters, in lanes: of one conversation and port only the first open one may be claimed."""

    def __init__(self) -> None:
        self.rows: dict[str, Delivery] = {}
        self._lanes: dict[tuple[str, str], deque[str]] = {}
        self._ready: dict[str, list[tuple[datetime, tuple[int, int], str]]] = {}

    def add(self, delivery: Delivery) -> None:
        """Take in a new delivery; one that is known already is left as it is."""
        if delivery.key in self.rows:
            return
        self.rows[delivery.key] = delivery
        if delivery.status == "dead":
            return
        lane = self._lanes.setdefault((delivery.port, delivery.conversation), deque())
        lane.append(delivery.key)
        if len(lane) > 1 and self.rows[lane[-2]].position > delivery.position:
            self._lanes[delivery.port, delivery.conversation] = lane = deque(
                sorted(lane, key=lambda key: self.rows[key].position)
            )
        if lane[0] == delivery.key:
            self._offer(delivery)

    def put(self, delivery: Delivery) -> None:
        """Replace a known delivery by what became of it."""
        before = self.rows.get(delivery.key)
        if before is None:
            self.add(delivery)
            return
        self.rows[delivery.key] = delivery
        if delivery.status == "dead":
            if before.status != "dead":
                self._leave_lane(delivery)
        elif before.status == "dead":
            del self.rows[delivery.key]
            self.add(delivery)
        elif self._lanes[delivery.port, delivery.conversation][0] == delivery.key:
            self._offer(delivery)

    def remove(self, key: str) -> Delivery | None:
        """Take a delivery out; return it, or None where it is not known."""
        delivery = self.rows.pop(key, None)
        if delivery is not None and delivery.status != "dead":
            self._leave_lane(delivery)
        return delivery

    def _leave_lane(self, delivery: Delivery) -> None:
        name = (delivery.port, delivery.conversation)
        lane = self._lanes[name]
        was_first = lane[0] == delivery.key
        lane.remove(delivery.key)
        if not lane:
            del self._lanes[name]
        elif was_first:
            self._offer(self.rows[lane[0]])

    def _offer(self, delivery: Delivery) -> None:
        """Let the first of a lane be claimed from its time on."""
        heapq.heappush(self._ready.setdefault(delivery.port, []), (_free_from(delivery), delivery.position, delivery.key))

    def _is_ready(self, entry: tuple[datetime, tuple[int, int], str]) -> bool:
        """Whether an entry still stands for the first of a lane."""
        delivery = self.rows.get(entry[2])
        if delivery is None or delivery.status == "dead":
            return False
        return _free_from(delivery) == entry[0] and self._lanes[delivery.port, delivery.conversation][0] == entry[2]

    def claimable(
        self,
        port: str,
        at: datetime,
        *,
        limit: int,
        reaches: Callable[[str], bool] | None = None,
        conversation: str | None = None,
    ) -> list[Delivery]:
        """Return deliveries of a port that may be claimed at a time, those that became ready first in front."""
        if conversation is not None:
            lane = (self.rows[key] for key in self._lanes.get((port, conversation), ()))
            return list(itertools.islice(itertools.takewhile(lambda one: _free_from(one) <= at, lane), limit))
        ready = self._ready.get(port, [])
        found: list[Delivery] = []
        seen: set[str] = set()
        popped: list[tuple[datetime, tuple[int, int], str]] = []
        try:
            while ready and ready[0][0] <= at and len(found) < limit:
                entry = heapq.heappop(ready)
                if entry[2] in seen or not self._is_ready(entry):
                    continue
                seen.add(entry[2])
                popped.append(entry)
                delivery = self.rows[entry[2]]
                if reaches is None or reaches(delivery.conversation):
                    found.append(delivery)
        finally:  # whoever asked may leave them unclaimed
            for entry in popped:
                heapq.heappush(ready, entry)
        return found

    def next_at(self, port: str) -> datetime | None:
        """Return when the next delivery of a port may be claimed."""
        ready = self._ready.get(port, [])
        while ready and not self._is_ready(ready[0]):
            heapq.heappop(ready)
        return ready[0][0] if ready else None

    # --- what became of them

    def settle(self, settled: Iterable[Settled]) -> list[Settled]:
        """Say what became of deliveries; return those that were known."""
        known = []
        for one in settled:
            delivery = self.rows.get(one.key)
            if delivery is None or (one.result != "done" and one.by is not None and one.by != delivery.claimed_by):
                continue
            known.append(one)
            if one.result == "done":
                self.remove(one.key)
            else:
                status: DeliveryStatus = "dead" if one.result == "dead" else "pending"
                self.put(
                    attrs.evolve(
                        delivery,
                        status=status,
                        attempts=one.attempts,
                        next_at=one.next_at or delivery.next_at,
                        error=one.error,
                        claimed_by=None,
                        claimed_until=None,
                        held=False,
                    )
                )
        return known

    def release(self, is_gone: Callable[[str], bool]) -> list[str]:
        """Give back what was claimed by those who are gone; return the keys."""
        given = []
        for delivery in list(self.rows.values()):
            if delivery.status == "sending" and delivery.claimed_by is not None and is_gone(delivery.claimed_by):
                self.put(attrs.evolve(delivery, status="pending", claimed_by=None, claimed_until=None, held=False))
                given.append(delivery.key)
        return given

    def revive(self, keys: Collection[str], at: datetime) -> list[str]:
        """Let dead letters be tried again; return the keys that were dead letters."""
        known = self.dead_among(keys)
        for key in known:
            self.put(attrs.evolve(self.rows[key], status="pending", attempts=0, next_at=at, revived=self.rows[key].revived + 1))
        return known

    def dead_among(self, keys: Collection[str]) -> list[str]:
        """Return the keys that are dead letters."""
        return [key for key in keys if key in self.rows and self.rows[key].status == "dead"]

    def listed(self, *, port: str | None, conversation: str | None, status: DeliveryStatus | None, limit: int) -> list[Delivery]:
        """Return deliveries, oldest first."""
        found = [
            one
            for one in self.rows.values()
            if (port is None or one.port == port)
            and (conversation is None or one.conversation == conversation)
            and (status is None or one.status == status)
        ]
        found.sort(key=lambda one: (one.since, one.conversation, one.position))
        return found[:limit]
