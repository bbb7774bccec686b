"""What the tests of a store share: commits out of a talk's steps, and everything that can be seen of a store."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from handoff_kit.machines import Agent, Event, Policy, Step, step_agent

from ...ports import Store
from ...records import PORTS, Accepted, AgentAccepted, Commit, Declined, Delivery, Remembered, owed_of
from ..builders import Talk, presence
from ..clock import START

__all__ = ["DELIVERED", "LATER", "accepted", "agent_step", "claim", "commit_all", "declined", "only", "remembered", "seen"]

#: After everything that a talk of these tests did.
LATER = START + timedelta(hours=1)


#: The ports to which something is delivered.
DELIVERED = tuple(sorted({port for port in PORTS.values() if port is not None}))


def accepted(steps: Iterable[Step], policy: Policy, ports: Collection[str] = DELIVERED) -> tuple[Accepted, ...]:
    """Return steps as they are committed, with all that they owe to some ports; refused ones are no steps."""
    return tuple(Accepted(one, policy.fingerprint, owed_of(one, ports)) for one in steps if one.refused is None)


def declined(one: Step) -> Declined:
    """Return a refused step for the log."""
    assert one.refused is not None
    return Declined(one.event, one.event.at or one.after.at, one.after.version, one.refused)


def remembered(one: Step, id: str, stream: str | None = None) -> Remembered:
    """Return a step's outcome as it is remembered."""
    now = one.after
    return Remembered(
        stream=stream or now.id,
        id=id,
        conversation=now.id,
        state=str(now.state),
        version=now.version,
        epoch=now.epoch,
        owner=now.owner,
        reply=one.reply,
        verdicts=one.verdicts,
        refused=one.refused,
        at=now.at,
    )


def agent_step(before: Agent | None = None, event: Event | None = None, *, talk: Talk | None = None) -> AgentAccepted:
    """Return a step of agent a1's stream: by default the first, in which they become available."""
    event = event or presence("a1", capacity=3.5, skills={"fees": 5}, languages=("de",), tiers=("tier1",), at=START)
    policy = talk.policy if talk is not None else Talk().policy
    done = step_agent(policy, before, event, conversation=talk.now if talk is not None else None, agent="a1")
    assert done.refused is None
    return AgentAccepted(done)


async def commit_all(store: Store, *talks: Talk) -> None:
    """Commit the steps of talks, one a commit, in turns."""
    waiting = [list(accepted(talk.steps, talk.policy)) for talk in talks]
    while any(waiting):
        for steps in waiting:
            if steps:
                await store.commit(Commit(steps=(steps.pop(0),)))


async def claim(
    store: Store, port: str, at: datetime = LATER, *, by: str = "p-1", limit: int = 100, **more: Any
) -> list[Delivery]:
    """Claim for a minute."""
    return await store.claim(port, at, limit=limit, by=by, until=at + timedelta(seconds=60), **more)


def only(found: Sequence[Delivery]) -> Delivery:
    """Return the one delivery that there must be."""
    assert len(found) == 1, found
    return found[0]


async def seen(store: Store, *, ids: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
    """Return everything that a store shows: what must be the same where nothing was written."""
    history = [one async for one in store.history()]
    deliveries = await store.deliveries(limit=10_000)
    names = {line.conversation for line in history} | {"c-1", "c-2", "c-3"}
    return {
        "conversations": {name: await store.load(name) for name in sorted(names)},
        "agents": {name: await store.load_agent(name) for name in ("a1", "a2")},
        "successors": {name: await store.successor(name) for name in sorted(names)},
        "remembered": {one: await store.recall(*one) for one in ids},
        "policies": sorted(policy.fingerprint for policy in await store.policies()),
        "history": [(line.conversation, dict(line.data)) for line in history],
        "declined": [one async for one in store.declined()],
        "due": await store.due(LATER + timedelta(days=365), 10_000),
        "next_due": await store.next_due(),
        "deliveries": deliveries,
        "next_delivery": {port: await store.next_delivery(port) for port in DELIVERED},
    }
