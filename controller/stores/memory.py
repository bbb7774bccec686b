"""A store in memory: for tests, demos, and hosts that may forget. It is a peer of the others and passes the same suite."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Literal

from handoff_kit.machines import Agent, Conversation, Policy
from handoff_kit.machines.codec import event_to_data, recorded_step

from ..records import Accepted, Commit, Declined, Delivery, Line, Remembered, Settled, key_of
from .ledger import Ledger

__all__ = ["MemoryStore"]


class MemoryStore:
    """Everything is lost when the process ends."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._policies: dict[str, Policy] = {}
        self._history: list[Accepted] = []
        self._declined: list[Declined] = []
        self._records = 0

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: a store that is opened again goes on."""

    async def load(self, conversation: str) -> Conversation | None:
        """Return a conversation's snapshot."""
        stream = self._ledger.streams.get(conversation)
        return stream.snapshot if stream is not None and isinstance(stream.snapshot, Conversation) else None

    async def load_agent(self, agent: str) -> Agent | None:
        """Return an agent's snapshot."""
        stream = self._ledger.streams.get(f"agent/{agent}")
        return stream.snapshot if stream is not None and isinstance(stream.snapshot, Agent) else None

    async def successor(self, conversation: str) -> str | None:
        """Return the conversation that continues a closed one."""
        return self._ledger.successors.get(conversation)

    async def recall(self, conversation: str, id: str) -> Remembered | None:
        """Return the first outcome of an event's id."""
        return self._ledger.remembered.get((conversation, id))

    async def commit(self, commit: Commit) -> None:
        """Take in all of it or nothing."""
        ledger = self._ledger

        def version_of(stream: str) -> int:
            known = ledger.streams.get(stream)
            return known.version if known is not None else 0

        ledger.check(commit, version_of, lambda stream, name: (stream, name) in ledger.remembered)
        self._records += 1
        ledger.apply(commit, self._records)
        self._history += [one for one in commit.steps if isinstance(one, Accepted)]
        self._declined += commit.declined

    async def put_policy(self, policy: Policy) -> None:
        """Keep a policy."""
        self._policies[policy.fingerprint] = policy

    async def policy(self, fingerprint: str) -> Policy | None:
        """Return a policy."""
        return self._policies.get(fingerprint)

    async def policies(self) -> list[Policy]:
        """Return all policies."""
        return list(self._policies.values())

    async def due(self, at: datetime, limit: int) -> list[str]:
        """Return conversations with a timer that is due."""
        return [name for _, name in self._ledger.due(at, limit)]

    async def next_due(self) -> datetime | None:
        """Return when the next timer is due."""
        return self._ledger.next_due()

    async def claim(
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
        """Claim deliveries."""
        return self._ledger.claim(port, at, limit=limit, by=by, until=until, reaches=reaches, conversation=conversation)

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Say what became of claimed deliveries."""
        self._ledger.outbox.settle(settled)

    async def next_delivery(self, port: str) -> datetime | None:
        """Return when the next delivery may be claimed."""
        return self._ledger.outbox.next_at(port)

    async def deliveries(
        self,
        *,
        port: str | None = None,
        conversation: str | None = None,
        status: Literal["pending", "sending", "dead"] | None = None,
        limit: int = 1000,
    ) -> list[Delivery]:
        """Return open deliveries and dead letters."""
        return self._ledger.outbox.listed(port=port, conversation=conversation, status=status, limit=limit)

    async def revive(self, keys: Collection[str], at: datetime) -> list[str]:
        """Let dead letters be tried again."""
        return self._ledger.outbox.revive(keys, at)

    async def drop(self, keys: Collection[str]) -> list[str]:
        """Forget dead letters."""
        known = self._ledger.outbox.dead_among(keys)
        for key in known:
            self._ledger.outbox.remove(key)
        return known

    async def port_of(self, key: str) -> str | None:
        """Return the port to which the effect of a key was owed."""
        for one in self._history:
            for index, port in one.owed:
                if key == key_of(one.stream, one.step.after.version, index):
                    return port
        return None

    async def history(self, conversation: str | None = None) -> AsyncIterator[Line]:
        """Yield accepted events with their recorded steps."""
        for one in list(self._history):
            if conversation is None or one.stream == conversation:
                data = event_to_data(one.step.event)
                data["seq"] = one.step.after.version
                data["step"] = recorded_step(one.step, one.policy)
                yield Line(one.stream, data, one.step.event.seq)

    async def declined(self, conversation: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yield refused events."""
        for one in list(self._declined):
            if conversation is None or one.event.conversation == conversation:
                yield {
                    "event": event_to_data(one.event),
                    "at": one.at,
                    "version": one.version,
                    "name": one.refusal.name,
                    "facts": dict(one.refusal.facts),
                }

    async def forget_ids(self, before: datetime) -> int:
        """Forget event ids of conversations that were closed before a time."""
        ledger = self._ledger
        gone = [key for key in ledger.remembered if _closed_before(ledger, key[0], before)]
        for key in gone:
            del ledger.remembered[key]
        return len(gone)


def _closed_before(ledger: Ledger, conversation: str, before: datetime) -> bool:
    stream = ledger.streams.get(conversation)
    snapshot = stream.snapshot if stream is not None else None
    return isinstance(snapshot, Conversation) and snapshot.state == "closed" and snapshot.at < before
