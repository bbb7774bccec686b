"""What a store keeps of streams: snapshots, versions, remembered ids, successors, policies, timers."""

import asyncio
from datetime import timedelta

from handoff_kit.machines import Closed, Step, TimerFired, parse_policy
from handoff_kit.machines.policy_codec import policy_to_data

from ...errors import VersionConflict
from ...ports import Store
from ...records import Accepted, AgentAccepted, Commit
from ..builders import Talk, accepts, asks_for_a_person, closed, context_ready, offered, rates, says, started, turn
from ..clock import START
from .kept import LATER, accepted, agent_step, commit_all, declined, remembered, seen
from .running import Contract, on_loop
from .script import POLICIES, eventful

__all__ = ["StreamTests"]


async def conflict(store: Store, commit: Commit) -> VersionConflict:
    """Commit what must not fit, and return the conflict."""
    try:
        await store.commit(commit)
    except VersionConflict as error:
        return error
    raise AssertionError(f"it does not fit what is there, and was taken: {commit!r}")


def refused(talk: Talk) -> Step:
    """Let the machine refuse something, with facts."""
    (done,) = talk.take(TimerFired(timer="wrap_up", generation=9), after_s=0)
    assert done.refused is not None
    return done


class StreamTests(Contract[Store]):
    """See the module."""

    # --- snapshots and versions

    @on_loop
    async def test_an_empty_store_knows_nothing(self, store: Store) -> None:
        """Nothing is no error."""
        found = await seen(store, ids=[("c-1", "m-1")])

        assert found["conversations"] == {"c-1": None, "c-2": None, "c-3": None}
        assert set(found["agents"].values()) == {None}
        assert set(found["successors"].values()) == {None}
        assert found["remembered"] == {("c-1", "m-1"): None}
        assert set(found["next_delivery"].values()) == {None}
        assert found["next_due"] is None
        for name in ("history", "declined", "due", "deliveries"):
            assert found[name] == [], name
        assert await store.policy("f" * 32) is None

    @on_loop
    async def test_what_was_committed_is_loaded(self, store: Store) -> None:
        """After every step of a conversation that went everywhere, the snapshot is the step's own."""
        talk = eventful()
        for one in accepted(talk.steps, talk.policy):
            await store.commit(Commit(steps=(one,)))

            assert await store.load("c-1") == one.step.after

    @on_loop
    async def test_one_commit_may_hold_several_steps_of_a_stream(self, store: Store) -> None:
        """A timer that was due is committed with the event that came after it."""
        talk = eventful()
        steps = accepted(talk.steps, talk.policy)
        await store.commit(Commit(steps=steps[:1]))
        await store.commit(Commit(steps=steps[1:]))

        assert await store.load("c-1") == talk.now
        assert [line.data["step"]["version"] async for line in store.history("c-1")] == list(range(1, talk.now.version + 1))

    @on_loop
    async def test_ids_are_taken_as_they_are(self, store: Store) -> None:
        """Ids come from the outside: nothing in one means anything to a store."""
        names = ["c 1", "C 1", "c/1", "c:1", "c:1:2", "%", "_", "ä", "'", "c-1 ", "\U0001f600", "x" * 300]
        await commit_all(store, *(eventful(name) for name in names))

        for name in names:
            found = await store.load(name)
            assert found is not None
            assert found.id == name
            assert {line.conversation async for line in store.history(name)} == {name}
            assert {one.conversation for one in await store.deliveries(conversation=name)} == {name}

    @on_loop
    async def test_what_does_not_fit_leaves_nothing(self, store: Store) -> None:
        """Whatever the version expects that is not there: neither log, snapshot, ids nor outbox has a trace of it."""
        talk, other = eventful(), Talk(first="c-2")
        steps = accepted(talk.steps, talk.policy)
        await store.commit(Commit(steps=steps[:5]))
        new = accepted(other.steps, other.policy)
        late = refused(other)
        before = await seen(store, ids=[("c-1", "x"), ("c-2", "x")])
        for wrong, expected in ((steps[:1], 0), (steps[4:5], 4), (steps[6:7], 6)):
            commit = Commit(
                steps=(*new, *wrong),
                declined=(declined(late),),
                remembered=(remembered(wrong[0].step, "x"), remembered(late, "x")),
                continues=("c-3", "c-1"),
            )
            error = await conflict(store, commit)

            assert (error.stream, error.expected, error.found) == ("c-1", expected, 5)
            assert await seen(store, ids=[("c-1", "x"), ("c-2", "x")]) == before
        await store.commit(Commit(steps=steps[5:6]))

        assert await store.load("c-1") == steps[5].step.after

    @on_loop
    async def test_a_stream_that_is_not_there_has_version_0(self, store: Store) -> None:
        """A step in the middle of a conversation that this store does not hold does not fit."""
        talk = eventful()
        before = await seen(store)
        error = await conflict(store, Commit(steps=accepted(talk.steps, talk.policy)[3:5]))

        assert (error.stream, error.expected) == ("c-1", 3)
        assert error.found in (0, None)
        assert await seen(store) == before

    @on_loop
    async def test_all_streams_of_a_commit_or_none(self, store: Store) -> None:
        """An offer stands in the conversation and in the agent's stream, or in neither."""
        talk = Talk()
        talk.take(asks_for_a_person(), context_ready())
        first = agent_step()
        await commit_all(store, talk)
        await store.commit(Commit(steps=(first,)))
        (made,) = talk.take(offered(agent="a1"))
        ring = agent_step(first.step.after, made.event, talk=talk)
        both = Commit(steps=(*accepted([made], talk.policy), ring))
        (taken,) = talk.take(accepts(agent="a1"))
        hold = agent_step(ring.step.after, taken.event, talk=talk)
        before = await seen(store)
        offer, acceptance = accepted([made, taken], talk.policy)
        wrong: tuple[tuple[Accepted | AgentAccepted, ...], ...] = ((offer, hold), (acceptance, ring), (hold, offer))
        for steps in wrong:
            await conflict(store, Commit(steps=steps))

            assert await seen(store) == before
        await store.commit(both)

        assert await store.load("c-1") == made.after
        assert await store.load_agent("a1") == ring.step.after
        assert [one.reserved for one in ring.step.after.work] == [True]
        await store.commit(Commit(steps=(*accepted([taken], talk.policy), hold)))
        assert await store.load("c-1") == talk.now
        assert await store.load_agent("a1") == hold.step.after

    @on_loop
    async def test_agents_are_no_conversations(self, store: Store) -> None:
        """The two kinds of streams do not meet under one id."""
        talk = Talk(first="a1")
        first = agent_step()
        await store.commit(Commit(steps=(*accepted(talk.steps, talk.policy), first)))

        assert await store.load("a1") == talk.now
        assert await store.load_agent("a1") == first.step.after
        assert await store.load_agent("c-1") is None
        assert (await conflict(store, Commit(steps=(first,)))).stream == first.stream

    # --- remembered ids

    @on_loop
    async def test_the_first_outcome_is_recalled_as_it_was(self, store: Store) -> None:
        """Accepted with its verdicts, and refused with its reason; an id means something in its own conversation only."""
        talk = eventful()
        steps = accepted(talk.steps, talk.policy)
        judged = max((one.step for one in steps), key=lambda step: len(step.verdicts))
        late = refused(talk)
        outcomes = [remembered(judged, "judged"), remembered(late, "late"), remembered(judged, "judged", "c-0")]
        await store.commit(Commit(steps=steps, declined=(declined(late),), remembered=tuple(outcomes)))

        assert judged.verdicts
        assert [await store.recall(one.stream, one.id) for one in outcomes] == outcomes
        assert await store.recall("c-2", "judged") is None
        assert await store.recall("c-1", "Judged") is None

    @on_loop
    async def test_an_id_that_is_remembered_already_is_a_conflict_and_leaves_nothing(self, store: Store) -> None:
        """Of two that handle one event at once, the second must look at what the first remembered."""
        talk, other = eventful(), Talk(first="c-2")
        steps = accepted(talk.steps, talk.policy)
        late = refused(talk)
        await store.commit(Commit(steps=steps[:2], remembered=(remembered(steps[1].step, "m-1"),)))
        before = await seen(store, ids=[("c-1", "m-1"), ("c-2", "n-1")])
        new = accepted(other.steps, other.policy)
        free = remembered(other.steps[0], "n-1")
        for commit in (
            Commit(steps=(*steps[2:3], *new), remembered=(free, remembered(steps[2].step, "m-1"))),
            Commit(declined=(declined(late),), remembered=(remembered(late, "m-1"),)),
        ):
            assert (await conflict(store, commit)).stream == "c-1"
            assert await seen(store, ids=[("c-1", "m-1"), ("c-2", "n-1")]) == before

    @on_loop
    async def test_a_refusal_takes_no_version(self, store: Store) -> None:
        """A commit may hold no step at all."""
        talk = Talk()
        await commit_all(store, talk)
        before = await seen(store)
        late = refused(talk)
        await store.commit(Commit())
        await store.commit(Commit(declined=(declined(late),), remembered=(remembered(late, "late"),)))
        after = await seen(store)

        assert len(after.pop("declined")) == 1
        assert before.pop("declined") == []
        assert after == before
        assert await store.recall("c-1", "late") == remembered(late, "late")

    @on_loop
    async def test_a_refusal_as_of_another_version_does_not_fit(self, store: Store) -> None:
        """What was refused before somebody else's step may be right after it: it must be decided again."""
        talk = Talk()
        late = refused(talk)
        talk.take(says())
        await commit_all(store, Talk())
        await store.commit(Commit(steps=accepted(talk.steps[2:], talk.policy)))
        before = await seen(store, ids=[("c-1", "late")])
        error = await conflict(store, Commit(declined=(declined(late),), remembered=(remembered(late, "late"),)))

        assert (error.stream, error.expected, error.found) == ("c-1", 1, 2)
        assert await seen(store, ids=[("c-1", "late")]) == before

    @on_loop
    async def test_ids_are_forgotten_some_time_after_the_end(self, store: Store) -> None:
        """Only those of conversations that were closed before; they may then be used again."""
        ended, later, running = Talk(), Talk(first="c-2"), Talk(first="c-3")
        ended.take(Closed(reason="duplicate"), after_s=100)
        later.take(Closed(reason="duplicate"), after_s=200)
        talks = [ended, later, running]
        await commit_all(store, *talks)
        await store.commit(Commit(remembered=tuple(remembered(talk.steps[0], "start") for talk in talks)))
        await store.commit(Commit(remembered=(remembered(ended.steps[0], "second"),)))

        assert await store.forget_ids(START + timedelta(seconds=50)) == 0
        assert await store.forget_ids(START + timedelta(seconds=150)) == 2
        assert await store.forget_ids(START + timedelta(seconds=150)) == 0
        assert [await store.recall(talk.now.id, "start") is not None for talk in talks] == [False, True, True]
        await store.commit(Commit(remembered=(remembered(ended.steps[0], "start"),)))
        assert await store.recall("c-1", "start") is not None

    # --- successors and policies

    @on_loop
    async def test_one_conversation_continues_a_closed_one(self, store: Store) -> None:
        """The second that wants to is told that somebody was faster, and leaves nothing."""
        first, second, third = Talk(), Talk(first=started("c-2", previous="c-1")), Talk(first=started("c-3", previous="c-1"))
        first.take(closed())
        await commit_all(store, first)
        await store.commit(Commit(steps=accepted(second.steps, second.policy), continues=("c-1", "c-2")))
        before = await seen(store)
        await conflict(store, Commit(steps=accepted(third.steps, third.policy), continues=("c-1", "c-3")))

        assert await seen(store) == before
        assert await store.successor("c-1") == "c-2"
        assert await store.successor("c-2") is None

    @on_loop
    async def test_policies_are_kept_by_fingerprint(self, store: Store) -> None:
        """Each once, whole, however often it is given."""
        policies = [*POLICIES, parse_policy('[policy]\nname = "é"\n[texts.en]\nhold = "%s {position} “ok”"')]
        for policy in (*policies, *policies):
            await store.put_policy(policy)

        for policy in policies:
            found = await store.policy(policy.fingerprint)
            assert found is not None
            assert found.fingerprint == policy.fingerprint
            assert policy_to_data(found) == policy_to_data(policy)
        assert sorted(one.fingerprint for one in await store.policies()) == sorted(one.fingerprint for one in policies)

    # --- timers

    @on_loop
    async def test_timers_follow_the_snapshot(self, store: Store) -> None:
        """After each step the store owes what the snapshot owes; a closed conversation owes nothing."""
        talk = eventful()
        for one in accepted(talk.steps, talk.policy):
            await store.commit(Commit(steps=(one,)))
            owed = [timer.due for timer in one.step.after.timers]

            assert await store.next_due() == min(owed, default=None)
            if owed:
                assert await store.due(min(owed), 10) == ["c-1"]
                assert await store.due(min(owed) - timedelta(microseconds=1), 10) == []
        assert talk.now.timers == ()
        assert await store.due(LATER + timedelta(days=1000), 10) == []

    @on_loop
    async def test_the_earliest_timer_comes_first(self, store: Store) -> None:
        """Each conversation once, however many timers it owes, and no more than were asked for."""
        talks = [Talk(first=f"c-{number}", start=START - timedelta(seconds=number)) for number in range(1, 6)]
        for talk in talks:
            talk.take(says(), turn())
        talks[0].take(asks_for_a_person(), context_ready(), offered(agent="a1"))
        assert len(talks[0].now.timers) > 1
        await commit_all(store, *talks)
        in_order = [name for _, name in sorted((min(t.due for t in talk.now.timers), talk.now.id) for talk in talks)]
        at = LATER + timedelta(days=365)

        assert await store.due(at, 10) == in_order
        assert await store.due(at, 2) == in_order[:2]
        assert await store.due(at, 10) == in_order, "to ask is not to take"
        first = next(talk for talk in talks if talk.now.id == in_order[0])
        await store.commit(Commit(steps=accepted(first.take(closed()), first.policy)))
        assert await store.due(at, 10) == in_order[1:]
        await store.commit(Commit(steps=accepted(first.take(rates()), first.policy)))
        assert await store.due(at, 10) == in_order[1:]

    # --- many at once

    @on_loop
    async def test_many_tasks_commit_to_streams_of_their_own(self, store: Store) -> None:
        """Nobody is in anybody's way."""
        talks = [eventful(f"c-{number}") for number in range(50)]
        await asyncio.gather(*(commit_all(store, talk) for talk in talks))

        for talk in talks:
            name = talk.now.id
            assert await store.load(name) == talk.now
            assert [line.data["step"]["version"] async for line in store.history(name)] == list(range(1, talk.now.version + 1))

    @on_loop
    async def test_of_many_tasks_on_one_stream_one_wins_each_version(self, store: Store) -> None:
        """The others are told, and leave nothing."""
        talk = Talk()
        await commit_all(store, talk)
        messages = [f"{number}" for number in range(20)]

        async def write(text: str) -> int | None:
            now = await store.load("c-1")
            assert now is not None
            mine = Talk(talk.policy)
            mine.now = now
            steps = accepted(mine.take(says(text=text)), mine.policy)
            try:
                await store.commit(Commit(steps=steps))
            except VersionConflict:
                return None
            return mine.now.version

        async def write_until_it_is_there(text: str) -> int:
            while (version := await write(text)) is None:
                await asyncio.sleep(0)
            return version

        versions = await asyncio.gather(*(write_until_it_is_there(text) for text in messages))

        assert sorted(versions) == list(range(2, 22))
        lines = [line.data async for line in store.history("c-1")]
        assert [line["step"]["version"] for line in lines] == list(range(1, 22))
        assert sorted(line["text"] for line in lines[1:]) == sorted(messages)

    @on_loop
    async def test_of_many_that_remember_one_id_one_wins(self, store: Store) -> None:
        """The same event arrived twenty times at once."""
        talk = Talk()
        await commit_all(store, talk)
        late = refused(talk)
        commit = Commit(declined=(declined(late),), remembered=(remembered(late, "same"),))
        results = await asyncio.gather(*(store.commit(commit) for _ in range(20)), return_exceptions=True)

        assert results.count(None) == 1
        assert all(one is None or isinstance(one, VersionConflict) for one in results)
        assert len([one async for one in store.declined()]) == 1
