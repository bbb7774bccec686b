"""The suite of `Bot`. A subclass gives `make`; `asked`, `ended` and `breaks` where it has them."""

import attrs
import pytest

from handoff_kit.machines import AiTurn, Conversation, CopilotEngaged, step
from handoff_kit.machines.effects import AskBot, DraftForAgent, ResumeBot

from ...errors import Unavailable
from ...ports import Bot
from ..builders import Talk, agent_says, returns_to_ai, says
from .running import Contract, on_loop, raised

__all__ = ["BotContract"]


def asks(text: str = "hello") -> tuple[Talk, AskBot]:
    """Return a conversation in which the customer wrote, and what asks the AI."""
    talk = Talk()
    taken = talk.take(says(text=text, id="m-1"))
    return talk, talk.effects(AskBot, taken)[0]


class BotContract(Contract[Bot]):
    """What every bot promises."""

    def asked(self, bot: Bot) -> int:
        """Return how often the AI behind the adapter was made to act; leave it out where a test cannot see that."""
        pytest.skip("`asked` is not given")

    def ended(self, bot: Bot) -> int:
        """Return how many of the AI's own sessions were ended; leave it out where a test cannot see that."""
        pytest.skip("`ended` is not given")

    def breaks(self, bot: Bot) -> None:
        """Let the next attempt fail as the AI does; leave it out where a test cannot do that."""
        pytest.skip("`breaks` is not given")

    @on_loop
    async def test_it_has_what_a_bot_has(self, bot: Bot) -> None:
        """All of the port is there."""
        assert isinstance(bot, Bot)

    @on_loop
    async def test_a_turn_states_what_it_was_composed_under(self, bot: Bot) -> None:
        """Without its epoch, nothing keeps a late turn from talking over a person; then the machine takes it."""
        talk, ask = asks()
        turn = await bot.turn(talk.now, ask, "c-1:2:0")

        assert turn is None or (turn.epoch, turn.in_reply_to) == (ask.epoch, ask.in_reply_to)
        _is_taken(talk, talk.now, turn)

    @on_loop
    async def test_the_same_key_is_answered_once(self, bot: Bot) -> None:
        """The answer was lost, and is asked for again: the AI does not act twice, and the answer is the same."""
        talk, ask = asks()
        turn = await bot.turn(talk.now, ask, "c-1:2:0")

        assert await bot.turn(talk.now, ask, "c-1:2:0") == turn
        assert self.asked(bot) == 1

    @on_loop
    async def test_it_takes_the_floor_back(self, bot: Bot) -> None:
        """Under the new epoch, and without a message that it would answer."""
        talk, _ = asks()
        talk.take(agent_says(text="a person"))
        taken = talk.take(returns_to_ai(instruction="run it again", agreed=("a refund",)))
        resume = talk.effects(ResumeBot, taken)[0]
        turn = await bot.resume(talk.now, resume, "c-1:4:0")

        assert turn is None or turn.epoch == resume.epoch
        _is_taken(talk, talk.now, turn)
        assert await bot.resume(talk.now, resume, "c-1:4:0") == turn

    @on_loop
    async def test_it_drafts_or_does_not(self, bot: Bot) -> None:
        """A draft is words for the agent's eyes, and never a turn."""
        talk, _ = asks()
        talk.take(agent_says(), CopilotEngaged(agent="a1"))
        ask = talk.effects(DraftForAgent, talk.take(says(text="and then?", id="m-2")))[0]
        draft = await bot.draft(talk.now, ask, "c-1:5:1")

        assert draft is None or (isinstance(draft, str) and draft)
        assert await bot.draft(talk.now, ask, "c-1:5:1") == draft

    @on_loop
    async def test_a_session_is_ended_once(self, bot: Bot) -> None:
        """One that never began is no failure."""
        for _ in range(2):
            await bot.end("c-1", "resolved_by_ai", "c-1:9:0")
        assert self.ended(bot) <= 1

    @on_loop
    async def test_it_fails_with_our_errors_and_can_be_asked_again(self, bot: Bot) -> None:
        """`Unavailable` where a later attempt may work, `Rejected` where none will."""
        talk, ask = asks()
        self.breaks(bot)
        error = await raised(bot.turn(talk.now, ask, "c-1:2:0"))
        if isinstance(error, Unavailable):
            assert error.retry_after_s is None or error.retry_after_s >= 0
            _is_taken(talk, talk.now, await bot.turn(talk.now, ask, "c-1:2:0"))


def _is_taken(talk: Talk, now: Conversation, turn: AiTurn | None) -> None:
    """The machine accepts the turn, as it came."""
    if turn is not None:
        assert turn.conversation in ("", now.id)
        done = step(talk.policy, now, attrs.evolve(turn, conversation=now.id, at=turn.at or now.at))
        assert done.refused is None, done.refused
