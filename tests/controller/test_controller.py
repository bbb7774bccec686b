"""The controller as a host uses it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from handoff_kit.controller import (
    ClockAhead,
    Controller,
    ControllerClosed,
    InlineChannel,
    Outcome,
    ThreadedController,
    UnknownConversation,
    UnknownPolicy,
)
from handoff_kit.controller.lanes import Lanes
from handoff_kit.controller.stores import store_of
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import (
    ManualClock,
    MemoryChannel,
    MemoryDesk,
    MemoryNotifier,
    ScriptedBot,
    agent_says,
    asks_for_a_person,
    closed,
    finishes,
    returns_to_ai,
    says,
    small_policy,
    started,
    turn,
)
from handoff_kit.machines import (
    AiTurn,
    Conversation,
    CustomerMessage,
    Event,
    HandoffUsageError,
    PolicyChanged,
    Prediction,
    PresenceChanged,
    TimerFired,
    parse_policy,
)
from handoff_kit.machines.effects import OpenTicket, SendToCustomer


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(limited())


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Controller]:
    options = {"policy": small_policy(), "clock": ManualClock(), **options}
    async with Controller.open(options.pop("store", "memory://"), **options) as controller:
        yield controller


async def settled(controller: Controller) -> None:
    """Let the poller and the dispatcher see what the clock shows."""
    for _ in range(5):
        await asyncio.sleep(0)
        await controller.drain()


def test_an_outcome_says_what_became_of_the_event() -> None:
    async def test() -> None:
        async with opened() as controller:
            first = await controller.handle(started())
            assert (first.state, first.version, first.epoch, first.owner) == ("bot_active", 1, 0, "ai")
            await controller.handle(says(text="hello"))
            outcome = await controller.handle(turn(confidence=0.3, reply="perhaps"))

            assert (outcome.state, outcome.reply, outcome.epoch) == ("escalation_pending", "withheld", 1)
            assert [verdict.name for verdict in outcome.verdicts if verdict.leaves and verdict.holds] == ["unsure"]
            assert outcome.refused is None
            assert outcome.step is not None
            assert outcome.effects == outcome.step.effects

            refused = await controller.handle(finishes(agent="nobody"))
            assert refused.refused is not None
            assert refused.refused.name == "not_allowed_here"
            assert (refused.version, refused.effects) == (outcome.version, ())

    run(test)


def test_an_event_of_a_conversation_that_was_never_started_is_an_error_with_the_mend() -> None:
    async def test() -> None:
        async with opened() as controller:
            with pytest.raises(UnknownConversation, match="handle ConversationStarted first"):
                await controller.handle(says())
            with pytest.raises(UnknownConversation):
                await controller.conversation("c-1")

    run(test)


def test_the_same_id_gives_the_first_outcome_also_a_refusal() -> None:
    async def test() -> None:
        async with opened() as controller:
            await controller.handle(started())
            first = await controller.handle(says(text="a human please", id="m-1"))
            again = await controller.handle(says(text="a human please", id="m-1"))
            refused = await controller.handle(finishes(agent="a9", id="f-1"))
            refused_again = await controller.handle(finishes(agent="a9", id="f-1"))

            assert (first.duplicate, again.duplicate) == (False, True)
            assert (again.state, again.version, again.verdicts) == (first.state, first.version, first.verdicts)
            assert refused_again.refused == refused.refused
            assert again.step is None

    run(test)


def test_ids_are_forgotten_some_days_after_the_end(tmp_path: Path) -> None:
    async def test() -> None:
        clock = ManualClock()
        path = str(tmp_path / "h.db")
        async with opened(store=path, clock=clock, dedupe_days=1) as controller:
            await controller.handle(started())
            await controller.handle(closed(id="x"))
        async with opened(store=path, clock=clock, dedupe_days=1) as controller:
            assert (await controller.handle(closed(id="x"))).duplicate
        clock.advance(2 * 86400)
        async with opened(store=path, clock=clock, dedupe_days=1) as controller:
            assert not (await controller.handle(closed(id="x"))).duplicate

    run(test)


def test_a_time_ahead_of_our_clock_is_refused_beyond_the_skew_and_taken_as_now_within_it() -> None:
    async def test() -> None:
        clock = ManualClock()
        async with opened(clock=clock) as controller:
            await controller.handle(started())
            now = clock.now()
            with pytest.raises(ClockAhead, match="sent_at"):
                await controller.handle(says(at=now.replace(second=6)))
            outcome = await controller.handle(says(at=now.replace(second=4)))
            assert outcome.step is not None
            assert outcome.step.after.at == now

    run(test)


def test_the_controller_numbers_and_stamps_what_comes_without() -> None:
    async def test() -> None:
        clock = ManualClock()
        async with opened(clock=clock) as controller:
            await controller.handle(started())
            clock.advance(3)
            outcome = await controller.handle(says())
            assert outcome.step is not None
            assert (outcome.step.event.seq, outcome.step.event.at) == (2, clock.now())
            answered = await controller.handle(turn(in_reply_to=2, reply="hello"))
            assert answered.reply == "accepted"
            twice = await controller.handle(turn(in_reply_to=2, reply="hello again"))
            assert twice.refused is not None
            assert twice.refused.name == "already_answered"

    run(test)


# --- a closed conversation goes on in a new one


def test_a_customer_who_comes_back_begins_anew_with_the_ai() -> None:
    async def test() -> None:
        async with opened() as controller:
            await controller.handle(started())
            await controller.handle(closed())
            first = await controller.handle(says(text="it is me again", id="m-9"))
            again = await controller.handle(says(text="it is me again", id="m-9"))
            other = await controller.handle(says(text="and one more thing", id="m-10"))

            assert (first.conversation, first.state, first.version) == ("c-1~m-9", "bot_active", 2)
            assert again.duplicate
            assert (other.conversation, other.version) == ("c-1~m-9", 3)
            assert (await controller.conversation("c-1")).state == "closed"
            assert (await controller.conversation("c-1~m-9")).previous == "c-1"

    run(test)


def test_a_timer_that_closes_just_before_a_message_sends_the_message_on() -> None:
    async def test() -> None:
        clock = ManualClock()
        async with opened(clock=clock) as controller:
            await controller.handle(started())
            clock.advance(86400)
            outcome = await controller.handle(CustomerMessage(conversation="c-1", text="good morning", id="m-2"))
            assert (outcome.conversation, outcome.state, outcome.refused) == ("c-1~m-2", "bot_active", None)
            assert (await controller.conversation("c-1")).state == "closed"

    run(test)


def test_a_timer_that_a_host_fires_itself_is_answered_with_its_step() -> None:
    async def test() -> None:
        clock = ManualClock()
        async with opened(clock=clock) as controller:
            await controller.handle(started())
            clock.advance(1800)
            fired = TimerFired(conversation="c-1", timer="bot_idle", generation=1, id="t")
            outcome = await controller.handle(fired)
            assert (outcome.state, outcome.refused) == ("closed", None)
            assert (await controller.handle(fired)).duplicate
            late = await controller.handle(TimerFired(conversation="c-1", timer="bot_idle", generation=1))
            assert late.refused is not None

    run(test)


# --- policies


def test_a_conversation_keeps_its_policy_until_it_is_told_otherwise(tmp_path: Path) -> None:
    easy = parse_policy('[[trigger]]\nname = "any_turn"\nwhen = { turns_at_least = 1 }')

    async def test() -> None:
        path = str(tmp_path / "h.db")
        async with opened(store=path) as controller:
            await controller.handle(started())
            with pytest.raises(UnknownPolicy):
                await controller.handle(PolicyChanged(conversation="c-1", fingerprint=easy.fingerprint))
        async with opened(store=path, policy=easy) as controller:
            assert (await controller.handle(turn(confidence=0.9, reply="hello"))).state == "bot_active"
            await controller.handle(started("c-2"))
            assert (await controller.handle(turn("c-2", confidence=0.9, reply="hello"))).state == "escalation_pending"
            await controller.handle(PolicyChanged(conversation="c-1", fingerprint=easy.fingerprint))
            assert (await controller.handle(turn(confidence=0.9, reply="hello"))).state == "escalation_pending"

    run(test)


# --- ports


def test_the_ai_is_asked_and_its_answer_reaches_the_customer() -> None:
    async def test() -> None:
        channel, bot = MemoryChannel(), ScriptedBot({"hello": {"reply": "hi", "confidence": 0.9}})
        async with opened(channel=channel, bot=bot) as controller:
            await controller.handle(started())
            await controller.handle(says(text="hello", id="m-1"))
            await controller.drain()
            assert channel.texts() == ["hi"]
            assert [one.effect.in_reply_to for one in bot.asks] == ["m-1"]

    run(test)


def test_a_handoff_reaches_the_desk_and_its_ticket_comes_back() -> None:
    async def test() -> None:
        channel, desk, notifier = MemoryChannel(), MemoryDesk(), MemoryNotifier()
        async with opened(channel=channel, desk=desk, notifier=notifier) as controller:
            await controller.handle(started())
            await controller.handle(asks_for_a_person())
            await controller.drain()
            (ticket,) = desk.tickets.values()
            conversation = await controller.conversation("c-1")
            assert conversation.state == "queued"
            assert [one.ticket for one in conversation.tickets] == [ticket.handle]
            assert [one.effect.about for one in notifier.notices] == ["queued"]
            assert len(channel.texts()) == 1

    run(test)


def test_a_ticket_that_cannot_be_opened_is_a_failed_one_and_a_dead_letter() -> None:
    async def test() -> None:
        desk = MemoryDesk()
        desk.rejects()
        async with opened(desk=desk) as controller:
            await controller.handle(started())
            await controller.handle(asks_for_a_person())
            await controller.drain()
            assert [one.status for one in (await controller.conversation("c-1")).tickets] == ["failed"]
            dead = [one for one in await controller.deliveries("c-1") if one.status == "dead"]
            assert [(type(one.effect), one.attempts) for one in dead] == [(OpenTicket, 1)]

    run(test)


def test_a_text_that_fails_for_good_is_told_as_an_event() -> None:
    async def test() -> None:
        channel, clock = MemoryChannel(), ManualClock()
        channel.fails(times=99)
        async with opened(channel=channel, clock=clock) as controller:
            await controller.handle(started())
            await controller.handle(turn(confidence=0.9, reply="hello"))
            for _ in range(12):
                await settled(controller)
                clock.advance(61)
            (dead,) = [one for one in await controller.deliveries("c-1") if one.status == "dead"]
            assert dead.attempts == 10
            events = [line.data["type"] async for line in controller.store.history("c-1")]
            assert "delivery_failed" in events

    run(test)


def test_a_prediction_is_asked_for_where_a_trigger_needs_it_and_a_broken_model_is_no_error() -> None:
    policy = parse_policy('[[trigger]]\nname = "soon"\nwhen = { frustration_within_s = 60 }')

    class Model:
        def __init__(self) -> None:
            self.asked = 0

        async def predict(self, conversation: Conversation, turn: AiTurn) -> Prediction | None:
            self.asked += 1
            if turn.intent == "odd":
                raise RuntimeError("no such feature")
            return Prediction(time_to_frustration_s=30)

    async def test() -> None:
        model = Model()
        async with opened(policy=policy, predictor=model) as controller:
            await controller.handle(started())
            assert (await controller.handle(turn(intent="odd", reply="a"))).state == "bot_active"
            assert (await controller.handle(turn(intent="bill", reply="b"))).state == "escalation_pending"
            assert model.asked == 2
        async with opened(predictor=model) as controller:
            await controller.handle(started())
            await controller.handle(turn(confidence=0.9, reply="a"))
            assert model.asked == 2

    run(test)


def test_what_a_redactor_takes_out_is_nowhere() -> None:
    class Stars:
        def redact(self, event: Event) -> Event:
            return attrs.evolve(event, text=event.text.replace("4111", "****")) if isinstance(event, CustomerMessage) else event

    async def test() -> None:
        async with opened(redactor=Stars()) as controller:
            await controller.handle(started())
            outcome = await controller.handle(says(text="my card is 4111"))
            assert outcome.step is not None
            assert outcome.step.after.messages[-1].text == "my card is ****"

    run(test)


# --- texts that the host sends


def test_without_a_channel_the_texts_are_the_hosts() -> None:
    async def test() -> None:
        async with opened() as controller:
            await controller.handle(started())
            outcome = await controller.handle(turn(confidence=0.9, reply="hello"))
            (owed,) = outcome.owed
            assert isinstance(owed.effect, SendToCustomer)
            assert (owed.effect.text, owed.key) == ("hello", "c-1:2:0")
            assert await controller.sent(owed.key)
            assert not await controller.sent("c-1:2:9")
            assert not await controller.sent("somebody else's id")
            assert [one.key for one in await controller.drain()] == [owed.key]
            await controller.delivered(owed.key, "c-9:1:0")
            assert await controller.drain() == []

    run(test)


def test_what_a_person_overtook_is_not_owed_any_more() -> None:
    async def test() -> None:
        async with opened() as controller:
            await controller.handle(started())
            await controller.handle(turn(confidence=0.9, reply="hello"))
            await controller.handle(agent_says(text="I am here"))
            assert [one.effect.text for one in await controller.drain()] == ["I am here"]  # type: ignore[attr-defined]
            held = [line.data async for line in controller.store.history("c-1") if line.data["type"] == "delivery_failed"]
            assert [(line["error"], line.get("attempts", 0)) for line in held] == [("stale_epoch", 0)]

    run(test)


def test_inline_texts_travel_in_the_answer_until_it_is_written() -> None:
    async def test() -> None:
        async with opened(channel=InlineChannel()) as controller:

            def texts(outcome: Outcome) -> list[str]:
                return [one.effect.text for one in outcome.owed]  # type: ignore[attr-defined]

            await controller.handle(started())
            first = await controller.handle(turn(confidence=0.9, reply="one"))
            second = await controller.handle(turn(confidence=0.9, reply="two"))
            assert (texts(first), texts(second)) == (["one"], ["one", "two"])
            await controller.delivered(*(one.key for one in second.owed))
            third = await controller.handle(turn(confidence=0.9, reply="three"))
            assert texts(third) == ["three"]
            taken = await controller.handle(agent_says(text="a person"))
            assert texts(taken) == ["a person"]

    run(test)


# --- timers


def test_timers_fire_without_an_event_and_survive_a_restart(tmp_path: Path) -> None:
    async def test() -> None:
        path, clock = str(tmp_path / "h.db"), ManualClock()
        async with opened(store=path, clock=clock) as controller:
            await controller.handle(started())
            clock.advance(1799)
            await settled(controller)
            assert (await controller.conversation("c-1")).state == "bot_active"
        async with opened(store=path, clock=clock) as controller:
            await settled(controller)
            clock.advance(1)
            await settled(controller)
            assert (await controller.conversation("c-1")).state == "closed"

    run(test)


# --- concurrency, threads, closing


def test_events_of_one_conversation_keep_their_order() -> None:
    async def test() -> None:
        async with opened() as controller:
            await controller.handle(started())
            outcomes = await asyncio.gather(*(controller.handle(says(text=str(n))) for n in range(50)))
            assert [outcome.version for outcome in outcomes] == list(range(2, 52))

    run(test)


def test_a_cancelled_caller_does_not_undo_the_event() -> None:
    async def test() -> None:
        async with opened() as controller:
            await controller.handle(started())
            task = asyncio.create_task(controller.handle(says(id="m-1")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await controller.handle(says(id="m-1"))).duplicate

    run(test)


def test_a_closed_controller_takes_nothing_and_says_so() -> None:
    async def test() -> None:
        async with opened() as controller:
            await controller.handle(started())
        with pytest.raises(ControllerClosed):
            await controller.handle(says())

    run(test)


def test_presence_is_not_kept_yet_and_says_so() -> None:
    async def test() -> None:
        async with opened() as controller:
            with pytest.raises(HandoffUsageError, match="agent's own stream"):
                await controller.handle(PresenceChanged(agent="a1", presence="available"))

    run(test)


def test_other_threads_submit_events() -> None:
    async def test() -> None:
        async with opened() as controller:
            outcomes: list[Outcome] = []

            def work() -> None:
                outcomes.append(controller.submit(started()).result())
                outcomes.append(controller.submit(says()).result())

            thread = threading.Thread(target=work)
            thread.start()
            await asyncio.to_thread(thread.join)
            assert [outcome.version for outcome in outcomes] == [1, 2]

    run(test)


def test_a_controller_that_was_never_opened_says_so() -> None:
    controller = Controller(
        MemoryStore(),
        small_policy(),
        channel=MemoryChannel(),
        desk=None,
        bot=None,
        summarizer=None,
        notifier=None,
        predictor=None,
        redactor=None,
        clock=ManualClock(),
        clock_skew_s=5,
        dedupe_days=30,
    )
    with pytest.raises(HandoffUsageError, match=r"Controller\.open"):
        controller.submit(started())


def test_a_host_without_a_loop_uses_the_threaded_controller(tmp_path: Path) -> None:
    with ThreadedController.open(str(tmp_path / "h.db"), policy=small_policy()) as controller:
        controller.handle(started())
        outcome = controller.handle(turn(confidence=0.9, reply="hello"))
        assert [one.key for one in controller.drain()] == [one.key for one in outcome.owed]
        controller.delivered(*(one.key for one in outcome.owed))
        assert controller.drain() == []
        assert controller.conversation("c-1").version == 2
    with pytest.raises(RuntimeError), ThreadedController.open(str(tmp_path / "h.db"), policy=small_policy()) as controller:
        assert controller.conversation("c-1").version == 2
        raise RuntimeError


def test_the_lanes_hold_no_name_that_nobody_uses() -> None:
    async def test() -> None:
        lanes, order = Lanes(), []

        async def work(number: int) -> None:
            async with lanes.lane("a"):
                order.append(number)
                await asyncio.sleep(0)

        async with lanes.lane("a"):
            tasks = [asyncio.create_task(work(number)) for number in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 2]
        assert lanes.names == 0

    run(test)


def test_nothing_that_a_person_wrote_is_logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    async def test() -> None:
        async with opened(channel=MemoryChannel()) as controller:
            await controller.handle(started())
            await controller.handle(says(text="my secret is 0xC0FFEE"))
            await controller.handle(asks_for_a_person())
            await controller.handle(agent_says(text="noted: 0xC0FFEE"))
            await controller.handle(returns_to_ai(instruction="say 0xC0FFEE"))
            await controller.drain()

    caplog.set_level(logging.DEBUG, logger="handoff_kit")
    run(test)
    out = capsys.readouterr()
    assert "handoff_moved" in out.out + out.err + caplog.text
    assert "C0FFEE" not in out.out + out.err + caplog.text


# --- stores by URL


def test_a_store_is_named_by_its_url(tmp_path: Path) -> None:
    assert isinstance(store_of("memory://"), MemoryStore)
    for url, path in (
        ("sqlite:///h.db", "h.db"),
        (f"sqlite:///{tmp_path}/h.db", f"{tmp_path}/h.db"),
        ("h.db", "h.db"),
        ("sqlite:///h.db?durability=last_events_may_be_lost", "h.db"),
    ):
        store = store_of(url)
        assert isinstance(store, SqliteStore)
        assert store.path == path
    for url in ("redis://x", "sqlite:///h.db?durability=none"):
        with pytest.raises(HandoffUsageError, match="known"):
            store_of(url)
