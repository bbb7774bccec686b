"""What a store owes to the world: lanes, claims, fencing, retries, dead letters."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

from ...ports import Store
from ...records import PORTS, Commit, Delivery, Settled, deliveries_of, key_of
from ..builders import (
    Talk,
    accepts,
    agent_says,
    asks_for_a_person,
    assigned,
    context_ready,
    offered,
    returns_to_ai,
    says,
    turn,
)
from ..clock import START
from .kept import DELIVERED, LATER, accepted, claim, commit_all, only, seen
from .running import Contract, on_loop
from .script import eventful, rich_policy

__all__ = ["OutboxTests"]

MINUTE = timedelta(seconds=60)


def owed(talk: Talk, port: str | None = None) -> list[Delivery]:
    """Return what a talk owes, in order."""
    steps = accepted(talk.steps, talk.policy)
    found = [delivery for one in steps for delivery in deliveries_of(one)]
    return [delivery for delivery in found if port in (None, delivery.port)]


def shown(deliveries: Iterable[Delivery]) -> list[tuple[str, str, str, object, tuple[int, int]]]:
    """Return what a delivery is, without how it stands."""
    return [(one.key, one.conversation, one.port, one.effect, one.position) for one in deliveries]


def answered(conversation: str = "c-1", start: datetime = START, replies: int = 3) -> Talk:
    """Return a talk in which the AI answered several times."""
    talk = Talk(rich_policy(), conversation, start=start)
    for number in range(1, replies + 1):
        talk.take(says(text=f"question {number}"), turn(reply=f"answer {number}"))
    return talk


def words(deliveries: Iterable[Delivery]) -> list[tuple[str, bool]]:
    """Return the words of texts, and whether they are held."""
    return [(getattr(one.effect, "text", ""), one.held) for one in deliveries]


async def done(store: Store, deliveries: Iterable[Delivery]) -> None:
    """Say that deliveries were delivered."""
    await store.settle([Settled(key=one.key, result="done", attempts=1) for one in deliveries])


async def delivered(store: Store, port: str, at: datetime = LATER) -> list[Delivery]:
    """Deliver all that a port owes, and return it in the order in which it was claimed."""
    found: list[Delivery] = []
    while claimed := await claim(store, port, at):
        found += claimed
        await done(store, claimed)
    return found


class OutboxTests(Contract[Store]):
    """See the module."""

    # --- what is owed, and in which order

    @on_loop
    async def test_every_effect_is_handed_out_as_it_was_committed(self, store: Store) -> None:
        """Payload, contract, attachments, times, odd texts: nothing is lost and nothing is out of order."""
        talk = eventful()
        await commit_all(store, talk)

        assert {type(one.effect) for one in owed(talk)} == {kind for kind, port in PORTS.items() if port is not None}
        assert shown(await store.deliveries()) == shown(owed(talk))
        for port in DELIVERED:
            assert shown(await store.deliveries(port=port)) == shown(owed(talk, port))
            assert shown(await delivered(store, port)) == shown(owed(talk, port))
        assert await store.deliveries() == []

    @on_loop
    async def test_only_what_a_step_owes_is_handed_out(self, store: Store) -> None:
        """Where there is no desk and no bot, nothing waits for them."""
        talk = eventful()
        for one in accepted(talk.steps, talk.policy, ["channel"]):
            await store.commit(Commit(steps=(one,)))

        assert shown(await store.deliveries()) == shown(owed(talk, "channel"))
        assert await claim(store, "desk") == []
        assert await store.next_delivery("bot") is None

    @on_loop
    async def test_only_the_first_of_a_conversation_and_port_can_be_claimed(self, store: Store) -> None:
        """The second waits until the first is settled, whoever asks; other ports do not wait for it."""
        talk = answered()
        await commit_all(store, talk)
        first, second, third = owed(talk, "channel")

        assert shown(await claim(store, "channel")) == shown([first])
        assert await claim(store, "channel") == []
        assert await claim(store, "channel", by="p-2") == []
        assert shown(await claim(store, "bot")) == shown(owed(talk, "bot")[:1])
        await done(store, [first])
        assert shown(await claim(store, "channel")) == shown([second])
        await done(store, [second])
        assert shown(await claim(store, "channel", by="p-2")) == shown([third])

    @on_loop
    async def test_what_comes_later_goes_behind(self, store: Store) -> None:
        """A text that is committed while another one is being sent waits for it."""
        talk = answered(replies=1)
        await commit_all(store, talk)
        first = only(await claim(store, "channel"))
        await store.commit(Commit(steps=accepted(talk.take(says(), turn(reply="more")), talk.policy)))

        assert await claim(store, "channel") == []
        await done(store, [first])
        assert words(await claim(store, "channel")) == [("more", False)]

    @on_loop
    async def test_conversations_do_not_wait_for_each_other(self, store: Store) -> None:
        """One of each, those that wait longest first, and no more than were asked for."""
        talks = [answered(f"c-{number}", START - timedelta(minutes=number)) for number in range(1, 6)]
        await commit_all(store, *talks)

        two = await claim(store, "channel", limit=2)
        rest = await claim(store, "channel")

        assert [one.conversation for one in two] == ["c-5", "c-4"]
        assert [one.conversation for one in rest] == ["c-3", "c-2", "c-1"]
        await done(store, two[:1])
        assert [(one.conversation, one.position) for one in await claim(store, "channel")] == [
            ("c-5", owed(talks[4], "channel")[1].position)
        ]

    @on_loop
    async def test_only_whom_this_process_reaches(self, store: Store) -> None:
        """What cannot be reached from here stays for others, and is in nobody's way."""
        await commit_all(store, *(answered(f"c-{number}") for number in range(1, 5)))

        found = await claim(store, "channel", limit=2, reaches=lambda name: name in ("c-3", "c-4"))
        assert sorted(one.conversation for one in found) == ["c-3", "c-4"]
        assert await claim(store, "channel", reaches=lambda name: False) == []
        found = await claim(store, "channel", by="p-2", reaches=lambda name: True)
        assert sorted(one.conversation for one in found) == ["c-1", "c-2"]

    @on_loop
    async def test_of_one_conversation_all_in_order(self, store: Store) -> None:
        """A webhook's answer takes everything that is owed at once."""
        talk = answered()
        await commit_all(store, talk, answered("c-2"))

        found = await claim(store, "channel", conversation="c-1")
        assert shown(found) == shown(owed(talk, "channel"))
        assert {(one.status, one.claimed_by) for one in found} == {("sending", "p-1")}
        assert await claim(store, "channel", conversation="c-1") == []
        assert await claim(store, "channel", conversation="c-3") == []
        assert [one.conversation for one in await claim(store, "channel")] == ["c-2"]
        await done(store, found)
        assert await store.deliveries(port="channel", conversation="c-1") == []

    @on_loop
    async def test_of_one_conversation_nothing_overtakes_what_is_being_sent(self, store: Store) -> None:
        """Somebody is sending the first: the others are not handed out around it."""
        talk = answered()
        await commit_all(store, talk)
        first = only(await claim(store, "channel"))

        assert await claim(store, "channel", conversation="c-1", by="p-2") == []
        await done(store, [first])
        assert shown(await claim(store, "channel", conversation="c-1", by="p-2")) == shown(owed(talk, "channel")[1:])

    @on_loop
    async def test_nothing_is_claimed_twice_at_once(self, store: Store) -> None:
        """Ten dispatchers take hold of thirty conversations."""
        await commit_all(store, *(answered(f"c-{number}", replies=1) for number in range(30)))
        claims = await asyncio.gather(*(claim(store, "channel", by=f"p-{number}", limit=7) for number in range(10)))
        keys = [one.key for claimed in claims for one in claimed]

        assert len(keys) == len(set(keys)) == 30
        assert all(len(claimed) <= 7 for claimed in claims)

    # --- claims

    @on_loop
    async def test_a_claim_shows_who_holds_it_and_until_when(self, store: Store) -> None:
        """For operators, and for whoever waits for it."""
        await commit_all(store, answered())
        found = only(await claim(store, "channel", by="p-7"))

        assert (found.status, found.claimed_by, found.claimed_until, found.attempts) == ("sending", "p-7", LATER + MINUTE, 0)
        assert await store.deliveries(status="sending") == [found]
        assert found not in await store.deliveries(status="pending")

    @on_loop
    async def test_a_claim_ends_and_then_anybody_may_claim(self, store: Store) -> None:
        """Whoever claimed it may have died while sending."""
        await commit_all(store, answered())
        first = only(await claim(store, "channel", by="p-1"))

        assert await claim(store, "channel", LATER + MINUTE - timedelta(seconds=1), by="p-2") == []
        again = only(await claim(store, "channel", LATER + MINUTE + timedelta(seconds=1), by="p-2"))
        assert (again.key, again.claimed_by) == (first.key, "p-2")
        assert await claim(store, "channel", LATER + MINUTE + timedelta(seconds=2), by="p-3") == []

    @on_loop
    async def test_the_next_delivery_is_known(self, store: Store) -> None:
        """So that nobody must ask again and again: now, after a claim ends, after a wait, never."""
        await commit_all(store, answered(replies=1), answered("c-2", replies=1))
        assert await store.next_delivery("desk") is None
        found = await store.next_delivery("channel")
        assert found is not None
        assert found <= LATER
        claimed = await claim(store, "channel")
        assert len(claimed) == 2
        first, second = claimed
        assert await store.next_delivery("channel") == LATER + MINUTE
        await store.settle([Settled(key=first.key, result="retry", attempts=1, next_at=LATER + 3 * MINUTE)])
        assert await store.next_delivery("channel") == LATER + MINUTE
        await done(store, [second])
        assert await store.next_delivery("channel") == LATER + 3 * MINUTE
        await store.settle([Settled(key=first.key, result="dead", attempts=2)])
        assert await store.next_delivery("channel") is None

    # --- what a person's reply fences off

    @on_loop
    async def test_the_ai_does_not_talk_over_a_person(self, store: Store) -> None:
        """What the AI wrote before a person took the reply comes back held; the person's own words do not."""
        talk = answered(replies=2)
        await commit_all(store, talk)
        steps = talk.take(agent_says(text="a person"), agent_says(text="goes on"))
        await store.commit(Commit(steps=accepted(steps, talk.policy)))
        found = await delivered(store, "channel")

        assert words(found) == [("answer 1", True), ("answer 2", True), ("a person", False), ("goes on", False)]

    @on_loop
    async def test_held_texts_stand_in_their_place_where_all_are_claimed_at_once(self, store: Store) -> None:
        """The same where a webhook's answer takes everything."""
        talk = answered(replies=1)
        talk.take(agent_says(text="a person"))
        await commit_all(store, talk)

        assert words(await claim(store, "channel", conversation="c-1")) == [("answer 1", True), ("a person", False)]

    @on_loop
    async def test_a_claim_is_the_point_of_no_return(self, store: Store) -> None:
        """What was claimed before the person came is being sent; if that claim ends, it is not sent again."""
        talk = answered(replies=1)
        await commit_all(store, talk)
        assert words(await claim(store, "channel")) == [("answer 1", False)]
        await store.commit(Commit(steps=accepted(talk.take(agent_says(text="a person")), talk.policy)))

        assert await claim(store, "channel") == [], "the person's words wait for what is being sent"
        assert words(await claim(store, "channel", LATER + 2 * MINUTE)) == [("answer 1", True)]

    @on_loop
    async def test_what_the_system_said_is_never_held(self, store: Store) -> None:
        """Nor what the AI wrote while nobody took the reply from it but the system."""
        talk = answered(replies=1)
        talk.take(asks_for_a_person(), context_ready())
        await commit_all(store, talk)
        texts = words(await claim(store, "channel", conversation="c-1"))
        assert talk.now.epoch == 1
        assert len(texts) > 1
        assert not any(held for _, held in texts)

        talk.take(offered(), accepts())
        assert talk.now.epoch == 2
        await store.commit(Commit(steps=accepted(talk.steps[-2:], talk.policy)))
        texts = words(await claim(store, "channel", LATER + 2 * MINUTE, conversation="c-1"))
        assert [held for _, held in texts] == [True] + [False] * (len(texts) - 1)

    @on_loop
    async def test_what_the_ai_wrote_by_leave_is_held_once_a_person_is_there(self, store: Store) -> None:
        """It helped while the customer waited, and the agent came before its words went out."""
        talk = Talk(rich_policy())
        talk.take(asks_for_a_person(), context_ready(), says(), turn(reply="by leave"), assigned())
        await commit_all(store, talk)

        assert ("by leave", True) in words(await claim(store, "channel", conversation="c-1"))

    @on_loop
    async def test_after_the_return_the_ai_speaks_again(self, store: Store) -> None:
        """Its new words are not held, its old ones still are."""
        talk = answered(replies=1)
        talk.take(agent_says(text="a person"), returns_to_ai(), turn(reply="back again"))
        await commit_all(store, talk)
        texts = words(await delivered(store, "channel"))

        assert [text for text, held in texts if held] == ["answer 1"]
        assert texts[-1] == ("back again", False)

        talk.take(says(), turn(reply="too late"), agent_says(text="a second person", agent="a2"))
        await store.commit(Commit(steps=accepted(talk.steps[-3:], talk.policy)))
        assert words(await delivered(store, "channel")) == [("too late", True), ("a second person", False)]

    # --- what became of it

    @on_loop
    async def test_a_retry_keeps_its_place(self, store: Store) -> None:
        """What comes after it waits with it; other conversations and ports do not."""
        talk = answered()
        await commit_all(store, talk, answered("c-2"))
        claimed = await claim(store, "channel")
        assert sorted(one.conversation for one in claimed) == ["c-1", "c-2"]
        first, other = sorted(claimed, key=lambda one: one.conversation)
        await store.settle([Settled(key=first.key, result="retry", attempts=1, next_at=LATER + 5 * MINUTE, error="busy")])
        await done(store, [other])

        assert [one.conversation for one in await claim(store, "channel")] == ["c-2"]
        assert await claim(store, "bot") != []
        found = await claim(store, "channel", LATER + 5 * MINUTE, reaches=lambda name: name == "c-1")
        assert [(one.key, one.attempts, one.error) for one in found] == [(first.key, 1, "busy")]
        assert [(one.status, one.held) for one in found] == [("sending", False)]

    @on_loop
    async def test_a_retry_keeps_its_place_in_lists(self, store: Store) -> None:
        """The oldest is the oldest, however often it was tried."""
        talk = answered()
        await commit_all(store, talk)
        first = only(await claim(store, "channel"))
        await store.settle([Settled(key=first.key, result="retry", attempts=1, next_at=LATER + 5 * MINUTE)])

        assert shown(await store.deliveries(port="channel", conversation="c-1")) == shown(owed(talk, "channel"))

    @on_loop
    async def test_of_one_conversation_nothing_is_handed_out_before_its_time(self, store: Store) -> None:
        """A retry holds back what comes after it there too."""
        talk = answered()
        await commit_all(store, talk)
        first = only(await claim(store, "channel"))
        await store.settle([Settled(key=first.key, result="retry", attempts=1, next_at=LATER + 5 * MINUTE)])

        assert await claim(store, "channel", LATER + 4 * MINUTE, conversation="c-1") == []
        assert shown(await claim(store, "channel", LATER + 5 * MINUTE, conversation="c-1")) == shown(owed(talk, "channel"))

    @on_loop
    async def test_a_dead_letter_lets_the_others_go_on(self, store: Store) -> None:
        """It is kept with what went wrong, and not claimed."""
        talk = answered()
        await commit_all(store, talk)
        first = only(await claim(store, "channel"))
        await store.settle([Settled(key=first.key, result="dead", attempts=9, error="it was declined")])
        dead = only(await store.deliveries(status="dead"))

        assert shown([dead]) == shown([first])
        assert (dead.status, dead.attempts, dead.error) == ("dead", 9, "it was declined")
        assert shown(await delivered(store, "channel")) == shown(owed(talk, "channel")[1:])
        assert await claim(store, "channel", LATER + timedelta(days=365)) == []
        assert await store.deliveries(port="channel") == [dead]

    @on_loop
    async def test_dead_letters_are_revived(self, store: Store) -> None:
        """From a time on, in their old place; what is no dead letter is passed over."""
        talk = answered()
        await commit_all(store, talk)
        first = only(await claim(store, "channel"))
        await store.settle([Settled(key=first.key, result="dead", attempts=9, error="it was declined")])
        second = owed(talk, "channel")[1]

        assert await store.revive([first.key, second.key, "unknown"], LATER + 5 * MINUTE) == [first.key]
        assert await store.revive([first.key], LATER) == []
        assert await store.deliveries(status="dead") == []
        assert await claim(store, "channel", LATER + 4 * MINUTE) == [], "the second waits for the first again"
        found = await claim(store, "channel", LATER + 5 * MINUTE)
        assert shown(found) == shown([first])
        await done(store, found)
        assert shown(await claim(store, "channel", LATER + 5 * MINUTE)) == shown([second])

    @on_loop
    async def test_dead_letters_are_dropped(self, store: Store) -> None:
        """For good; what is no dead letter stays."""
        talk = answered()
        await commit_all(store, talk)
        first = only(await claim(store, "channel"))
        await store.settle([Settled(key=first.key, result="dead", attempts=9)])
        second = owed(talk, "channel")[1]

        assert await store.drop([first.key, second.key, "unknown"]) == [first.key]
        assert await store.drop([first.key]) == []
        assert await store.revive([first.key], LATER) == []
        assert shown(await store.deliveries(port="channel")) == shown(owed(talk, "channel")[1:])

    @on_loop
    async def test_what_is_not_open_is_passed_over(self, store: Store) -> None:
        """A late answer about what is settled already changes nothing."""
        await commit_all(store, answered())
        first = only(await claim(store, "channel"))
        await done(store, [first])
        before = await seen(store)
        await store.settle([])
        await store.settle(
            [
                Settled(key=first.key, result="retry", attempts=5, next_at=LATER),
                Settled(key=first.key, result="dead", attempts=5),
                Settled(key="unknown", result="done"),
            ]
        )

        assert await seen(store) == before

    @on_loop
    async def test_several_are_settled_together(self, store: Store) -> None:
        """With different results, of different conversations."""
        await commit_all(store, *(answered(f"c-{number}", replies=1) for number in range(1, 4)))
        keys = {one.conversation: one.key for one in await claim(store, "channel")}
        await store.settle(
            [
                Settled(key=keys["c-1"], result="done", attempts=1),
                Settled(key=keys["c-2"], result="retry", attempts=1, next_at=LATER + MINUTE),
                Settled(key=keys["c-3"], result="dead", attempts=1),
            ]
        )

        left = {one.conversation: one.status for one in await store.deliveries(port="channel")}
        assert left == {"c-2": "pending", "c-3": "dead"}

    @on_loop
    async def test_a_key_says_its_port(self, store: Store) -> None:
        """Delivered by now or not; what was never owed, and what is no key of ours, has none."""
        talk = eventful()
        await commit_all(store, talk)
        expected = {one.key: one.port for one in owed(talk)}
        assert {key: await store.port_of(key) for key in expected} == expected
        letters = await claim(store, "channel")
        await store.settle([Settled(key=letters[0].key, result="dead", attempts=1)])
        for port in DELIVERED:
            await delivered(store, port)
        assert {key: await store.port_of(key) for key in expected} == expected

        steps = accepted(talk.steps, talk.policy)
        every = {key_of("c-1", one.step.after.version, index) for one in steps for index in range(len(one.step.effects))}
        others = [*sorted(every - set(expected)), "c-1:3:99", "c-1:99:0", "c-2:3:0", "c-1", "c-1:x:y", "c-1:-1:0", ":", ""]
        assert len(others) > 8
        assert [await store.port_of(key) for key in others] == [None] * len(others)

    @on_loop
    async def test_deliveries_are_listed_as_asked(self, store: Store) -> None:
        """By port, conversation and status, the oldest first, and no more than asked for."""
        old, new = answered("c-2", START - timedelta(hours=1)), answered("c-1")
        await commit_all(store, old)
        await commit_all(store, new)

        assert shown(await store.deliveries(port="channel")) == shown([*owed(old, "channel"), *owed(new, "channel")])
        assert shown(await store.deliveries(port="channel", limit=4)) == shown([*owed(old, "channel"), *owed(new, "channel")][:4])
        assert shown(await store.deliveries(conversation="c-1")) == shown(owed(new))
        assert shown(await store.deliveries(conversation="c-1", port="bot", status="pending")) == shown(owed(new, "bot"))
        assert await store.deliveries(conversation="c-1", status="dead") == []
        assert await store.deliveries(port="desk") == []
