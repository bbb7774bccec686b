"""The fakes keep what their ports promise, and fail exactly as they are told."""

import asyncio
import inspect

import pytest

from handoff_kit.controller import ports
from handoff_kit.controller.errors import Rejected, Unavailable
from handoff_kit.controller.testing import (
    MemoryChannel,
    MemoryDesk,
    MemoryNotifier,
    ScriptedBot,
    Sent,
    Talk,
    says,
)
from handoff_kit.controller.testing.contracts import BotContract, ChannelContract, DeskContract, run
from handoff_kit.machines import (
    AiTurn,
    AskBot,
    CloseTicket,
    Conversation,
    DraftForAgent,
    NotifyAgents,
    RelayToDesk,
    ResumeBot,
    ResumeContract,
    SendToCustomer,
)
from handoff_kit.machines.contracts import Manifest, Payload

HELLO = SendToCustomer(speaker="system", text="hello", epoch=0)
PAYLOAD = Payload(conversation="c-1", handoff=1, queue="q", tier="t", manifest=Manifest("q"))


class TestMemoryChannel(ChannelContract):
    def make(self) -> MemoryChannel:
        return MemoryChannel()

    def received(self, channel: ports.Channel) -> list[tuple[str, str]]:
        assert isinstance(channel, MemoryChannel)
        return [(one.conversation, one.text.text) for one in channel.sent]

    def breaks(self, channel: ports.Channel) -> None:
        assert isinstance(channel, MemoryChannel)
        channel.fails(error=Unavailable("busy", retry_after_s=3))

    def unreachable(self, channel: ports.Channel) -> str:
        assert isinstance(channel, MemoryChannel)
        channel.unreachable.add("c-7")
        return "c-7"


class TestMemoryDesk(DeskContract):
    def make(self) -> MemoryDesk:
        return MemoryDesk()

    def opened(self, desk: ports.Desk) -> list[str]:
        assert isinstance(desk, MemoryDesk)
        return [one.conversation for one in desk.tickets.values()]

    def performed(self, desk: ports.Desk) -> list[str]:
        assert isinstance(desk, MemoryDesk)
        return [one.effect.type for one in desk.log]

    def breaks(self, desk: ports.Desk) -> None:
        assert isinstance(desk, MemoryDesk)
        desk.fails()

    def loses_the_answer(self, desk: ports.Desk) -> None:
        assert isinstance(desk, MemoryDesk)
        desk.fails(after=True)


class TestScriptedBot(BotContract):
    async def make(self) -> ports.Bot:
        return ScriptedBot(["an answer"], resumed=["back again"], drafts=["a draft"])

    def asked(self, bot: ports.Bot) -> int:
        assert isinstance(bot, ScriptedBot)
        return len(bot.asks)

    def ended(self, bot: ports.Bot) -> int:
        assert isinstance(bot, ScriptedBot)
        return len(bot.ended)

    def breaks(self, bot: ports.Bot) -> None:
        assert isinstance(bot, ScriptedBot)
        bot.fails(after=True)


def test_a_notifier_remembers_each_notice_once() -> None:
    async def body() -> None:
        notifier, notice = MemoryNotifier(), NotifyAgents("supervisor", "ticket_failed")
        assert isinstance(notifier, ports.Notifier)
        for key in ("k-1", "k-1", "k-2"):
            await notifier.notify("c-1", notice, key)
        assert [(one.effect, one.key) for one in notifier.notices] == [(notice, "k-1"), (notice, "k-2")]
        assert notifier.calls == ["k-1", "k-1", "k-2"]

    run(body())


# --- scripted failures


def test_failures_come_in_the_order_in_which_they_were_scripted() -> None:
    async def body() -> None:
        channel = MemoryChannel()
        channel.fails(times=2, error=Unavailable("busy", retry_after_s=3))
        channel.rejects()
        for kind in (Unavailable, Unavailable, Rejected):
            with pytest.raises(kind):
                await channel.send("c-1", HELLO, "k-1")
        assert channel.sent == []
        await channel.send("c-1", HELLO, "k-1")
        assert channel.sent == [Sent("c-1", HELLO, "k-1")]
        assert channel.calls == ["k-1"] * 4
        assert channel.texts() == channel.texts("c-1") == ["hello"]
        assert channel.texts("c-2") == []

    run(body())


def test_an_answer_may_be_lost_after_the_work_was_done() -> None:
    async def body() -> None:
        desk = MemoryDesk("console")
        desk.fails(after=True)
        with pytest.raises(Unavailable):
            await desk.open("c-1", "q", PAYLOAD, "k-1")
        assert list(desk.tickets) == ["k-1"]
        assert await desk.open("c-1", "q", PAYLOAD, "k-1") == "T-1"
        desk.fails(after=True)
        with pytest.raises(Unavailable):
            await desk.perform("c-1", CloseTicket(1, "done"), "k-2")
        await desk.perform("c-1", CloseTicket(1, "done"), "k-2")
        await desk.perform("c-1", RelayToDesk("hello"), "k-3")
        assert [type(one.effect) for one in desk.log] == [CloseTicket, RelayToDesk]
        assert desk.performed(RelayToDesk) == [RelayToDesk("hello")]
        desk.rejects(message="no such queue")
        with pytest.raises(Rejected, match="no such queue"):
            await desk.open("c-1", "q", PAYLOAD, "k-4")

    run(body())


def test_whoever_hangs_goes_on_when_released() -> None:
    async def body() -> None:
        channel = MemoryChannel()
        channel.release()  # nobody hangs: nothing happens
        channel.hangs()
        tasks = [asyncio.create_task(channel.send("c-1", HELLO, key)) for key in ("k-1", "k-2")]
        await asyncio.sleep(0)
        assert channel.calls == ["k-1", "k-2"]
        assert channel.sent == []
        channel.release()
        await asyncio.gather(*tasks)
        assert [one.key for one in channel.sent] == ["k-1", "k-2"]
        await channel.send("c-1", HELLO, "k-3")

    run(body())


# --- scripts of a bot

NOW = Talk().now
ASK = AskBot(epoch=0, in_reply_to="m-1")


def answers(bot: ScriptedBot, *texts: str) -> list[AiTurn | None]:
    """What the bot says to some messages of the customer."""
    talk = Talk()

    async def body() -> list[AiTurn | None]:
        found = []
        for number, text in enumerate(texts):
            talk.take(says(text=text))
            found.append(await bot.turn(talk.now, ASK, f"k-{number}"))
        return found

    return run(body())


def test_a_list_is_played_in_order_and_then_there_is_silence() -> None:
    whole = AiTurn(conversation="c-1", reply="whole", epoch=7)
    bot = ScriptedBot(["words", {"confidence": 0.4, "wants_handoff": True}, None, whole])
    found = answers(bot, "a", "b", "c", "d", "e", "f")

    assert found == [
        AiTurn(conversation="c-1", reply="words", epoch=0, in_reply_to="m-1"),
        AiTurn(conversation="c-1", confidence=0.4, wants_handoff=True, epoch=0, in_reply_to="m-1"),
        None,
        whole,
        None,
        None,
    ]
    assert [(one.conversation, one.effect) for one in bot.asks] == [("c-1", ASK)] * 6


def test_a_map_answers_what_the_customer_wrote_last() -> None:
    bot = ScriptedBot({"fees?": "None.", "bye": {"reply": "Bye.", "wants_close": True}, "psst": None})
    found = answers(bot, "bye", "fees?", "what?", "psst")

    assert [one and one.reply for one in found] == ["Bye.", "None.", None, None]
    assert [one and one.missed for one in found] == [False, False, True, None]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_sees_the_conversation_and_what_asks(is_async: bool) -> None:
    def plain(conversation: Conversation, ask: AskBot) -> dict[str, object]:
        return {"reply": conversation.messages[-1].text.upper(), "epoch": ask.epoch + 1}

    async def slow(conversation: Conversation, ask: AskBot) -> dict[str, object]:
        return plain(conversation, ask)

    (found,) = answers(ScriptedBot(slow if is_async else plain), "hello")

    assert found == AiTurn(conversation="c-1", reply="HELLO", epoch=1, in_reply_to="m-1")


def test_each_question_has_a_script_of_its_own() -> None:
    async def body() -> None:
        bot = ScriptedBot(["a turn"], resumed=["back"], drafts=["a draft"])
        resume = ResumeBot(3, ResumeContract(boundary=NOW.at))
        turn = await bot.resume(NOW, resume, "k-1")
        assert turn == AiTurn(conversation="c-1", reply="back", epoch=3)
        assert await bot.resume(NOW, resume, "k-1") == turn
        assert await bot.resume(NOW, resume, "k-2") is None
        assert await bot.draft(NOW, DraftForAgent("a1", 2), "k-3") == "a draft"
        assert await bot.draft(NOW, DraftForAgent("a1", 2), "k-4") is None
        await bot.end("c-1", "over", "k-5")
        await bot.end("c-1", "over", "k-5")
        assert [len(log) for log in (bot.asks, bot.resumes, bot.drafts, bot.ended)] == [0, 2, 2, 1]
        assert (await bot.turn(NOW, ASK, "k-6")).reply == "a turn"  # type: ignore[union-attr]

    run(body())


def test_a_script_that_cannot_be_meant_is_told() -> None:
    with pytest.raises(TypeError, match="write \\['hello'\\]"):
        ScriptedBot("hello")
    bot = ScriptedBot(drafts=[{"reply": "no draft"}])
    with pytest.raises(TypeError, match="a scripted draft is a string"):
        run(bot.draft(NOW, DraftForAgent("a1", 2), "k-1"))


def test_every_method_of_a_port_is_async_as_the_port_says() -> None:
    for fake, port in (
        (MemoryChannel, ports.Channel),
        (MemoryDesk, ports.Desk),
        (MemoryNotifier, ports.Notifier),
        (ScriptedBot, ports.Bot),
    ):
        for name, method in vars(port).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                mine = getattr(fake, name)
                assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(method), name
                assert list(inspect.signature(mine).parameters) == list(inspect.signature(method).parameters), name
