"""What a store writes down for ever, and that it is there again after it was closed."""

import json
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from handoff_kit.machines import Event, Policy, Replay, SendToCustomer
from handoff_kit.machines.codec import RecordedStep, event_from_data, event_to_data

from ...errors import VersionConflict
from ...ports import Store
from ...records import Commit, Settled
from ..builders import Talk, agent_says, closed, says, started, turn
from .kept import LATER, accepted, agent_step, claim, commit_all, declined, only, remembered, seen
from .running import Contract, on_loop
from .script import eventful, rich_policy

__all__ = ["LogTests"]


async def replayed(store: Store, conversation: str, policy: Policy) -> Replay:
    """Replay a conversation's history: every step must be what was recorded."""
    replay = Replay(policy)
    async for line in store.history(conversation):
        assert line.conversation == conversation
        data = json.loads(json.dumps(dict(line.data)))
        recorded = RecordedStep(**data.pop("step"))
        assert recorded.policy == policy.fingerprint
        (done,) = replay.feed(event_from_data(data), recorded)
        assert done.result == "verified", done.differences
    return replay


class LogTests(Contract[Store]):
    """See the module."""

    def reopen(self, store: Store) -> Store | Awaitable[Store]:
        """Return a store on what another one, which was closed, has left; a store that forgets returns the same object."""
        return store

    async def _reopened(self, store: Store) -> Store:
        await store.close()
        again = self.reopen(store)
        found = await again if isinstance(again, Awaitable) else again
        await found.open()
        return found

    # --- history

    @on_loop
    async def test_the_history_replays_to_the_snapshot(self, store: Store) -> None:
        """It is a recording: every step is verified, and the last snapshot is the stored one."""
        talk = eventful()
        await commit_all(store, talk)
        replay = await replayed(store, "c-1", talk.policy)

        assert replay.verifying
        assert replay.conversation == await store.load("c-1") == talk.now

    @on_loop
    async def test_half_a_character_is_kept(self, store: Store) -> None:
        """A platform cut an emoji in two: JSON allows that, and nothing may break of it."""
        talk = Talk(rich_policy())
        talk.take(says(text="cut \ud83d"), turn(reply="cut \ude00"))
        await commit_all(store, talk)

        assert await store.load("c-1") == talk.now
        assert (await replayed(store, "c-1", talk.policy)).conversation == talk.now
        text = only(await claim(store, "channel"))
        assert text.effect == talk.effects(SendToCustomer)[0]
        again = await self._reopened(store)
        assert await again.load("c-1") == talk.now
        await again.close()

    @on_loop
    async def test_the_history_is_in_the_order_in_which_it_was_written(self, store: Store) -> None:
        """Of all conversations, or of one."""
        talks = [eventful(), eventful("c-2"), Talk(first="c-3")]
        await commit_all(store, *talks)
        lines = [(line.conversation, line.data["step"]["version"]) async for line in store.history()]

        most = max(talk.now.version for talk in talks)
        assert lines == [
            (talk.now.id, version) for version in range(1, most + 1) for talk in talks if version <= talk.now.version
        ]
        assert [(line.conversation, line.data["step"]["version"]) async for line in store.history("c-2")] == [
            one for one in lines if one[0] == "c-2"
        ]
        assert [line async for line in store.history("c-9")] == []

    @on_loop
    async def test_walks_of_every_kind_are_kept(self, store: Store) -> None:
        """Whatever happens to conversations, snapshot and history are what the machine said. Needs Hypothesis."""
        pytest.importorskip("hypothesis")
        from hypothesis import HealthCheck, given, settings

        from .. import strategies

        policy = rich_policy()
        walks: list[list[Event]] = []

        @settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(strategies.conversations(policy))
        def collect(walk: list[Event]) -> None:
            walks.append(walk)

        collect()
        for number, (first, *events) in enumerate(walks):
            name = f"w-{number}"
            talk = Talk(policy, started(name, at=first.at))
            talk.take(*events)
            taken = accepted(talk.steps, policy)
            await store.commit(Commit(steps=taken[:1], declined=tuple(declined(s) for s in talk.steps if s.refused is not None)))
            for at in range(1, len(taken), 3):
                await store.commit(Commit(steps=taken[at : at + 3]))

            assert await store.load(name) == talk.now
            assert (await replayed(store, name, policy)).conversation == talk.now
            assert len([one async for one in store.declined(name)]) == len(talk.steps) - len(taken)
            for owed in await store.deliveries(conversation=name):
                version, index = owed.position
                assert owed.effect == taken[version - 1].step.effects[index]

    @on_loop
    async def test_refused_events_are_in_a_log_beside(self, store: Store) -> None:
        """With the reason and its facts, and not in the history."""
        talk, other = eventful(), Talk(first="c-2")
        before = len(talk.steps)
        late = [*talk.take(says(text="after the end", id="m-9"), turn(epoch=0)), *other.take(agent_says(automatic=True))]
        assert all(one.refused is not None for one in late)
        await commit_all(store, talk, other)
        for one in late:
            await store.commit(Commit(declined=(declined(one),)))
        found = [one async for one in store.declined()]

        for one, entry in zip(late, found, strict=True):
            assert one.refused is not None
            assert set(entry) == {"event", "at", "version", "name", "facts"}
            assert entry["event"] == event_to_data(one.event)
            assert (entry["at"], entry["version"]) == (one.event.at, one.after.version)
            assert (entry["name"], entry["facts"]) == (one.refused.name, dict(one.refused.facts))
        assert [one async for one in store.declined("c-2")] == found[2:]
        assert [one async for one in store.declined("c-9")] == []
        assert len([line async for line in store.history("c-1")]) == before

    # --- after it was closed

    @on_loop
    async def test_everything_is_there_after_it_was_closed_and_opened(self, store: Store) -> None:
        """Snapshots, ids, successors, policies, log, refusals, timers, and what is owed, with its attempts."""
        talk, second = eventful(), Talk(rich_policy(), started("c-2", previous="c-1"))
        late = talk.take(turn(epoch=0))[-1]
        second.take(says(), turn(), says(), turn())
        await store.put_policy(talk.policy)
        await commit_all(store, talk)
        await store.commit(
            Commit(
                steps=(*accepted(second.steps, second.policy), agent_step()),
                declined=(declined(late),),
                remembered=(remembered(late, "late"), remembered(second.steps[2], "turn")),
                continues=("c-1", "c-2"),
            )
        )
        retried, dead = await claim(store, "channel")
        await store.settle(
            [
                Settled(key=retried.key, result="retry", attempts=3, next_at=LATER + timedelta(hours=1), error="busy"),
                Settled(key=dead.key, result="dead", attempts=4, error="it was declined"),
            ]
        )
        ids = [("c-1", "late"), ("c-2", "turn")]
        before = await seen(store, ids=ids)
        again = await self._reopened(store)
        assert await seen(again, ids=ids) == before
        again = await self._reopened(again)
        assert await seen(again, ids=ids) == before
        await again.close()

    @on_loop
    async def test_it_goes_on_where_it_was_closed(self, store: Store) -> None:
        """Versions, ids, lanes and fences hold as before."""
        talk = Talk(rich_policy())
        talk.take(says(), turn(reply="before"), agent_says(text="a person"))
        taken = accepted(talk.steps, talk.policy)
        await store.commit(Commit(steps=taken, remembered=(remembered(talk.steps[1], "m-1"),)))
        again = await self._reopened(store)
        for commit in (Commit(steps=taken[-1:]), Commit(remembered=(remembered(talk.steps[1], "m-1"),))):
            with pytest.raises(VersionConflict):
                await again.commit(commit)
        await again.commit(Commit(steps=accepted(talk.take(agent_says(text="after")), talk.policy)))
        found: list[Any] = []
        while claimed := await claim(again, "channel"):
            one = only(claimed)
            found.append((one.effect.text, one.held))  # type: ignore[attr-defined]
            await again.settle([Settled(key=one.key, result="done")])

        assert found == [("before", True), ("a person", False), ("after", False)]
        assert await again.load("c-1") == talk.now
        await again.commit(Commit(steps=accepted(talk.take(closed()), talk.policy)))
        assert await again.next_due() is None
        await again.close()

    @on_loop
    async def test_what_was_being_sent_is_claimed_again(self, store: Store) -> None:
        """The process ended while it sent: nobody knows whether it arrived, so it is sent once more, in its place."""
        talk = Talk(rich_policy())
        talk.take(says(), turn(reply="first"), says(), turn(reply="second"))
        await commit_all(store, talk)
        first = only(await claim(store, "channel"))
        again = await self._reopened(store)
        found = await claim(again, "channel", LATER + timedelta(minutes=2), by="p-2")

        assert [one.key for one in found] == [first.key]
        await again.close()
