"""The suites find what is broken: each broken adapter is caught by the test that is about it."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from handoff_kit.controller.channels import CallableChannel, HostChannel, InlineChannel
from handoff_kit.controller.errors import VersionConflict
from handoff_kit.controller.records import PORTS, Commit, Delivery, Settled
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.testing import MemoryChannel, MemoryDesk, ScriptedBot
from handoff_kit.controller.testing.contracts import BotContract, ChannelContract, DeskContract, StoreContract, running
from handoff_kit.controller.testing.contracts.running import Contract, on_loop, run
from handoff_kit.controller.testing.contracts.script import eventful
from handoff_kit.machines import AiTurn, AskBot, Conversation, SendToCustomer


def fails(suite: type[Contract[Any]], make: Callable[[], Any], test: str, **hooks: Any) -> None:
    """The suite's test fails for what `make` makes, and for nothing else in the way."""
    bound = type("Bound", (suite,), {"make": lambda self: make(), **hooks})()
    with pytest.raises(AssertionError):
        getattr(bound, test)()


# --- stores


class Keeps(MemoryStore):
    """Leaves refusals behind where the commit does not fit."""

    async def commit(self, commit: Commit) -> None:
        await super().commit(Commit(declined=commit.declined))
        await super().commit(attrs.evolve(commit, declined=()))


class LastWins(MemoryStore):
    """Tells nobody about conflicts."""

    async def commit(self, commit: Commit) -> None:
        try:
            await super().commit(commit)
        except VersionConflict:
            return


class HalfCommits(MemoryStore):
    """Writes each stream for itself."""

    async def commit(self, commit: Commit) -> None:
        for one in commit.steps:
            await super().commit(Commit(steps=(one,)))
        await super().commit(attrs.evolve(commit, steps=()))


class TalksOver(MemoryStore):
    """Knows no fence."""

    async def claim(self, *args: Any, **more: Any) -> list[Delivery]:
        return [attrs.evolve(one, held=False) for one in await super().claim(*args, **more)]


class HoldsEverything(MemoryStore):
    """Takes every text of an AI that does not own any more for stale."""

    async def claim(self, *args: Any, **more: Any) -> list[Delivery]:
        found = await super().claim(*args, **more)
        return [attrs.evolve(one, held=getattr(one.effect, "speaker", "") in ("ai", "system")) for one in found]


class Overtakes(MemoryStore):
    """Hands out a whole lane at once."""

    async def claim(self, port: str, at: datetime, **more: Any) -> list[Delivery]:
        if more.get("conversation") is not None:
            return await super().claim(port, at, **more)
        found = []
        for name in {one.conversation for one in await self.deliveries(port=port)}:
            found += await super().claim(port, at, **{**more, "conversation": name})
        return found


class NeverLetsGo(MemoryStore):
    """Claims for a day, whatever was asked."""

    async def claim(self, port: str, at: datetime, *, until: datetime, **more: Any) -> list[Delivery]:
        return await super().claim(port, at, until=until + timedelta(days=1), **more)


class LosesFiles(MemoryStore):
    """Has no column for attachments."""

    async def deliveries(self, **more: Any) -> list[Delivery]:
        found = await super().deliveries(**more)
        return [attrs.evolve(one, effect=_without_files(one.effect)) for one in found]


def _without_files(effect: Any) -> Any:
    return attrs.evolve(effect, attachments=()) if getattr(effect, "attachments", ()) else effect


class SkipsRetries(MemoryStore):
    """Lets others pass while one waits."""

    async def settle(self, settled: Any) -> None:
        await super().settle([attrs.evolve(one, result="dead") if one.result == "retry" else one for one in settled])


class ForgetsAtOnce(MemoryStore):
    """Forgets ids of conversations that still run."""

    async def forget_ids(self, before: datetime) -> int:
        return await super().forget_ids(before + timedelta(days=1))


class Forgets(MemoryStore):
    """Does not keep what it was closed with."""

    async def open(self) -> None:
        type(self).__init__(self)


class Races(MemoryStore):
    """Looks, gives way, and writes then."""

    async def commit(self, commit: Commit) -> None:
        fits = all([await self._stands_at(stream) == expected for stream, expected in commit.expected.items()])
        await asyncio.sleep(0)
        try:
            await super().commit(commit)
        except VersionConflict:
            if not fits or not commit.steps:
                raise

    async def _stands_at(self, stream: str) -> int:
        now = await self.load(stream)
        return now.version if now is not None else 0


@pytest.mark.parametrize(
    ("store", "test"),
    [
        (Keeps, "test_what_does_not_fit_leaves_nothing"),
        (LastWins, "test_what_does_not_fit_leaves_nothing"),
        (LastWins, "test_a_stream_that_is_not_there_has_version_0"),
        (LastWins, "test_an_id_that_is_remembered_already_is_a_conflict_and_leaves_nothing"),
        (LastWins, "test_one_conversation_continues_a_closed_one"),
        (LastWins, "test_of_many_that_remember_one_id_one_wins"),
        (HalfCommits, "test_what_does_not_fit_leaves_nothing"),
        (HalfCommits, "test_all_streams_of_a_commit_or_none"),
        (TalksOver, "test_the_ai_does_not_talk_over_a_person"),
        (TalksOver, "test_a_claim_is_the_point_of_no_return"),
        (HoldsEverything, "test_what_the_system_said_is_never_held"),
        (HoldsEverything, "test_after_the_return_the_ai_speaks_again"),
        (Overtakes, "test_only_the_first_of_a_conversation_and_port_can_be_claimed"),
        (NeverLetsGo, "test_a_claim_ends_and_then_anybody_may_claim"),
        (LosesFiles, "test_every_effect_is_handed_out_as_it_was_committed"),
        (SkipsRetries, "test_a_retry_keeps_its_place"),
        (ForgetsAtOnce, "test_ids_are_forgotten_some_time_after_the_end"),
        (Forgets, "test_everything_is_there_after_it_was_closed_and_opened"),
        (Races, "test_of_many_tasks_on_one_stream_one_wins_each_version"),
    ],
)
def test_a_broken_store_is_found(store: type[MemoryStore], test: str) -> None:
    fails(StoreContract, store, test)


# --- channels


class SendsTwice(MemoryChannel):
    """Knows no keys."""

    async def send(self, conversation: str, text: SendToCustomer, key: str) -> None:
        await super().send(conversation, text, f"{key}/{len(self.calls)}")


class RaisesAnything(MemoryChannel):
    """Lets the other side's errors through."""

    def breaks(self) -> None:
        self.fails(error=ConnectionResetError("reset"))


def received(self: Any, channel: MemoryChannel) -> list[tuple[str, str]]:
    return [(one.conversation, one.text.text) for one in channel.sent]


def test_a_channel_that_sends_twice_is_found() -> None:
    fails(ChannelContract, SendsTwice, "test_the_same_key_is_sent_once", received=received)


def test_a_channel_that_raises_anything_is_found() -> None:
    bound = type(
        "Bound",
        (ChannelContract,),
        {"make": lambda self: RaisesAnything(), "received": received, "breaks": lambda self, channel: channel.breaks()},
    )()
    with pytest.raises(ConnectionResetError):
        bound.test_it_fails_with_our_errors_and_can_be_asked_again()


def test_a_channel_that_says_nothing_about_its_failure_is_found() -> None:
    fails(
        ChannelContract,
        MemoryChannel,
        "test_it_fails_with_our_errors_and_can_be_asked_again",
        received=received,
        breaks=lambda self, channel: None,
    )


class TestHostChannel(ChannelContract):
    def make(self) -> HostChannel:
        return HostChannel()


class TestInlineChannel(ChannelContract):
    def make(self) -> InlineChannel:
        return InlineChannel()


class TestCallableChannel(ChannelContract):
    def make(self) -> CallableChannel:
        self.inner = MemoryChannel()
        return CallableChannel(self.inner.send, reaches=lambda conversation: conversation != "c-8")

    def received(self, channel: Any) -> list[tuple[str, str]]:
        return [(one.conversation, one.text.text) for one in self.inner.sent]

    def breaks(self, channel: Any) -> None:
        self.inner.rejects()

    def unreachable(self, channel: Any) -> str:
        return "c-8"


# --- desks


class OpensAgain(MemoryDesk):
    """Does not look before it opens."""

    async def open(self, conversation: str, queue: str, payload: Any, key: str) -> str | None:
        return await super().open(conversation, queue, payload, f"{key}/{len(self.calls)}")


class PerformsAgain(MemoryDesk):
    """Rings twice."""

    async def perform(self, conversation: str, effect: Any, key: str) -> None:
        await super().perform(conversation, effect, f"{key}/{len(self.calls)}")


class OneTicketForAll(MemoryDesk):
    """Takes the conversation for the key."""

    async def open(self, conversation: str, queue: str, payload: Any, key: str) -> str | None:
        return await super().open(conversation, queue, payload, conversation)


DESK_HOOKS = {
    "opened": lambda self, desk: [one.conversation for one in desk.tickets.values()],
    "performed": lambda self, desk: [one.effect.type for one in desk.log],
    "loses_the_answer": lambda self, desk: desk.fails(after=True),
}


@pytest.mark.parametrize(
    ("desk", "test"),
    [
        (OpensAgain, "test_the_same_key_opens_once"),
        (OpensAgain, "test_what_may_have_been_opened_is_not_opened_again"),
        (PerformsAgain, "test_the_same_key_is_performed_once"),
        (OneTicketForAll, "test_another_key_opens_another"),
    ],
)
def test_a_broken_desk_is_found(desk: type[MemoryDesk], test: str) -> None:
    fails(DeskContract, desk, test, **DESK_HOOKS)


# --- bots


class SaysNoEpoch(ScriptedBot):
    """Cannot be fenced."""

    async def turn(self, conversation: Conversation, ask: AskBot, key: str) -> AiTurn | None:
        turn = await super().turn(conversation, ask, key)
        return turn and attrs.evolve(turn, epoch=None)


class AsksAgain(ScriptedBot):
    """Knows no keys."""

    async def turn(self, conversation: Conversation, ask: AskBot, key: str) -> AiTurn | None:
        return await super().turn(conversation, ask, f"{key}/{len(self.calls)}")


def test_a_bot_without_an_epoch_is_found() -> None:
    fails(BotContract, lambda: SaysNoEpoch(["words"]), "test_a_turn_states_what_it_was_composed_under")


def test_a_bot_that_acts_twice_is_found() -> None:
    fails(
        BotContract,
        lambda: AsksAgain(["words", "words"]),
        "test_the_same_key_is_answered_once",
        asked=lambda self, bot: len(bot.asks),
    )


# --- how they run


def test_hooks_that_are_not_given_are_skipped_or_asked_for() -> None:
    channel, desk, bot = ChannelContract(), DeskContract(), BotContract()
    for call in (
        lambda: channel.breaks(MemoryChannel()),
        lambda: channel.unreachable(MemoryChannel()),
        lambda: desk.breaks(MemoryDesk()),
        lambda: desk.loses_the_answer(MemoryDesk()),
        lambda: bot.asked(ScriptedBot()),
        lambda: bot.ended(ScriptedBot()),
        lambda: bot.breaks(ScriptedBot()),
    ):
        with pytest.raises(pytest.skip.Exception):
            call()
    with pytest.raises(NotImplementedError, match=r"ChannelContract\.received"):
        channel.received(MemoryChannel())
    with pytest.raises(NotImplementedError, match=r"DeskContract\.opened"):
        desk.opened(MemoryDesk())
    with pytest.raises(NotImplementedError, match=r"DeskContract\.performed"):
        desk.performed(MemoryDesk())
    with pytest.raises(NotImplementedError, match=r"StoreContract\.make"):
        StoreContract().test_an_empty_store_knows_nothing()


def test_a_store_is_closed_where_its_test_fails() -> None:
    closed = []

    class Closes(LastWins):
        async def close(self) -> None:
            closed.append(self)

    fails(StoreContract, Closes, "test_what_does_not_fit_leaves_nothing")
    assert len(closed) == 1


def test_no_test_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LIMIT_S", 0.01)
    with pytest.raises(TimeoutError):
        run(asyncio.sleep(3600))


def test_a_test_keeps_its_name_and_asks_pytest_for_nothing() -> None:
    import inspect

    @on_loop
    async def test_something(self: Any, adapter: Any) -> None:
        """Something."""

    assert (test_something.__name__, test_something.__doc__) == ("test_something", "Something.")
    assert list(inspect.signature(test_something).parameters) == ["self"]


def test_the_script_holds_every_effect_that_a_port_gets() -> None:
    talk = eventful()

    assert {type(effect) for one in talk.steps for effect in one.effects} >= {cls for cls, port in PORTS.items() if port}
    assert all(one.refused is None for one in talk.steps)
    assert Settled(key="k", result="done").attempts == 0
