"""The story about private data: it is taken out before anything is decided, so that it is nowhere."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import attrs
import naive_hosts as naive
import pytest
from machines_build import DEFAULT, policy
from story_host import World, all_attempts, history, rest

from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.testing import (
    MemoryDesk,
    ScriptedBot,
    accepts,
    agent_says,
    finishes,
    offered,
    returns_to_ai,
    says,
    started,
)
from handoff_kit.machines import CustomerMessage, Event, RelayToDesk, Replay
from handoff_kit.machines.codec import RecordedStep, event_from_data

CARD = "4111 1111 1111 1111"
CARD_NUMBER = re.compile(r"\b(?:\d[ -]?){13,19}\b")


def redact(text: str) -> str:
    return CARD_NUMBER.sub("[card]", text)


class CardRedactor:
    """Takes card numbers out of every text of an event."""

    def redact(self, event: Event) -> Event:
        changed: dict[str, Any] = {}
        for field in attrs.fields(type(event)):
            value = getattr(event, field.name)
            if isinstance(value, str) and redact(value) != value:
                changed[field.name] = redact(value)
            elif isinstance(value, dict):
                changed[field.name] = {key: redact(one) if isinstance(one, str) else one for key, one in value.items()}
        return attrs.evolve(event, **changed) if changed else event


#: A policy whose trigger sees a word beside the number, and one whose trigger would see the number itself.
SEES_BOTH = policy(DEFAULT + '\n[[trigger]]\nname = "card"\nwhen = { customer_says = ["4111"] }\n')
SAID = says(text=f"my card is {CARD}, I want a human", id="m-1")


def forms_of(number: str) -> list[bytes]:
    """The number as it was typed, and without its spaces."""
    return [number.encode(), number.replace(" ", "").encode(), number.encode("utf-16-le")]


def assert_nowhere(data: bytes, where: str) -> None:
    for form in forms_of(CARD):
        assert form not in data, where


@pytest.mark.parametrize("closed", [False, True], ids=["as it lies", "closed"])
def test_a_card_number_is_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], *, closed: bool
) -> None:
    """S51: the number was masked in the chat, and stood in the database, the ticket and the log."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "handoff.db"

    def search() -> None:
        files = sorted(tmp_path.iterdir())
        assert path in files
        for file in files:
            assert_nowhere(file.read_bytes(), file.name)

    async def main() -> None:
        bot = ScriptedBot(
            [{"reply": f"You said {CARD}.", "entities": {"card": CARD}, "confidence": 0.95}], resumed=[f"Again: {CARD}"]
        )
        world = World(bot=bot, desk=MemoryDesk())
        world.desk.fails(2)
        world.channel.rejects()
        async with world.open(path, policy=SEES_BOTH, redactor=CardRedactor()) as controller:
            await controller.handle(started())
            await controller.handle(says(text=f"is {CARD} blocked?", id="m-0"))
            await rest(controller)
            outcome = await controller.handle(SAID)
            assert outcome.step is not None
            assert b"[card], I want a human" in repr(outcome.step.event).encode()
            held = {verdict.name: verdict.holds for verdict in outcome.verdicts}
            assert (held["asks"], held["card"]) == (True, False), "triggers saw the text that is stored"
            assert_nowhere(repr(outcome).encode(), "the outcome")
            await all_attempts(controller, world.clock, "desk")
            for event in (offered(), accepts(), says(text=f"{CARD}!", id="m-2"), agent_says(text=f"I see {CARD}."), SAID):
                await controller.handle(event)
                await rest(controller)
            await controller.handle(returns_to_ai(instruction=f"unblock {CARD}", facts={"card": CARD}))
            await rest(controller)
            refused = await controller.handle(finishes(disposition=CARD))
            assert refused.refused is not None
            assert_nowhere(repr(await controller.conversation("c-1")).encode(), "the snapshot")
            assert_nowhere(repr([one async for one in controller.store.declined()]).encode(), "what was refused")
            assert_nowhere(repr(await controller.store.deliveries()).encode(), "the outbox")
            if not closed:
                search()
                assert any(file.name.endswith("-wal") for file in tmp_path.iterdir())
            lines = await history(controller)
            assert_nowhere(repr(lines).encode(), "the history")
            for kind in ("customer_message", "ai_turn", "agent_message", "returned_to_ai"):
                assert "[card]" in repr([line for line in lines if line["type"] == kind]), kind

        for outside in (world.desk.tickets, world.desk.log, world.channel.sent, world.notifier.notices, bot.asks, bot.resumes):
            assert_nowhere(repr(outside).encode(), "what was delivered")
        assert "[card]" in repr(world.desk.tickets)
        assert [effect.text for effect in world.desk.performed(RelayToDesk)] == ["[card]!"]

        replay = Replay(SEES_BOTH)
        for line in lines:
            recorded = RecordedStep(**line.pop("step"))
            assert {one.result for one in replay.feed(event_from_data(line), recorded)} == {"verified"}

    asyncio.run(main())
    search()
    written = caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    shown = capfd.readouterr()
    assert "handoff_moved" in written + shown.out + shown.err
    assert_nowhere((written + shown.out + shown.err).encode(), "the log lines")


def test_a_redactor_that_breaks_lets_nothing_through() -> None:
    """S51: the redactor raised, and the text was stored as it was."""

    class Broken:
        def redact(self, event: Event) -> Event:
            if isinstance(event, CustomerMessage):
                raise RuntimeError("no model")
            return event

    async def main() -> None:
        world, store = World(), MemoryStore()
        async with world.open(store, redactor=Broken()) as controller:
            await controller.handle(started())
            with pytest.raises(RuntimeError, match="no model"):
                await controller.handle(SAID)
            assert [line["type"] for line in await history(controller)] == ["conversation_started"]
            assert (await controller.conversation("c-1")).version == 1

    asyncio.run(main())


def test_redacting_on_the_way_out_leaves_the_number_in_the_file(tmp_path: Path) -> None:
    """S51, the other half: the ticket is clean, and the file is not."""
    file = tmp_path / "talks.jsonl"

    async def main() -> naive.RedactsOnTheWayOut:
        flow = naive.RedactsOnTheWayOut(file, redact)
        await flow.handle(SAID)
        return flow

    flow = asyncio.run(main())
    assert flow.tickets == ["my card is [card], I want a human"]
    assert CARD.encode() in file.read_bytes()
