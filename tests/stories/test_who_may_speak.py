"""Stories about who may write to the customer, and who must be silent."""

import hypothesis.strategies as st
import naive
import pytest
from hypothesis import given, settings
from machines_build import Talk, effects_of

from handoff_kit.machines import (
    AgentMessage,
    AiTurn,
    AskBot,
    Closed,
    CustomerMessage,
    EndBotSession,
    OfferAccepted,
    PrepareContext,
    SendToCustomer,
    State,
    Step,
)


def refusals(steps: list[Step]) -> list[str]:
    return [one.refused.name for one in steps if one.refused is not None]


def a_day_at_the_desk(old_at: int = 3, guessed_at: int = 7) -> list[Step]:
    """The offer that a1 accepts; then ten messages and ten answers, and two turns of the AI among them: old, and guessed."""
    talk = Talk()
    talk.accept(10)
    begun = len(talk.steps)
    for number in range(10):
        now = 20 + 20 * number
        talk.do(CustomerMessage, now, text=f"question {number}")
        if number == old_at:
            talk.do(AiTurn, now + 5, reply="old words", epoch=0)
        if number == guessed_at:
            talk.do(AiTurn, now + 6, reply="guessed words", epoch=2)
        talk.do(AgentMessage, now + 10, agent="a1", text=f"answer {number}", epoch=2)
    return talk.steps[begun - 1 :]


@given(old_at=st.integers(0, 9), guessed_at=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_a_person_holds_the_conversation_and_not_one_message(old_at: int, guessed_at: int) -> None:
    """S02: the bot came back into a talk after the first human answer."""
    steps = a_day_at_the_desk(old_at, guessed_at)[1:]

    assert [(sent.speaker, sent.text) for sent in effects_of(steps, SendToCustomer)] == [
        ("agent", f"answer {number}") for number in range(10)
    ]
    assert {(one.after.state, one.after.epoch) for one in steps} == {(State.AGENT_ACTIVE, 2)}
    assert sorted(refusals(steps)) == ["not_owner", "stale_epoch"]
    assert effects_of(steps, AskBot) == []
    turns = {one.event.reply: one for one in steps if isinstance(one.event, AiTurn)}
    assert refusals([turns["old words"], turns["guessed words"]]) == ["stale_epoch", "not_owner"]
    assert all(one.after is one.before for one in turns.values())


def test_a_flag_gives_the_second_message_to_the_bot() -> None:
    """S02, the other half: a flag that the first answer lowers, and a status that the bot never reads."""
    steps = a_day_at_the_desk()

    flag = naive.Flag(raised_by=(OfferAccepted,), lowered_by=(AgentMessage,)).play(steps)
    assert flag.bot_calls > 0
    assert flag.texts("ai")

    assert naive.DeafWebhook().play(steps).texts("ai") == ["old words", "guessed words"]


def test_an_answer_from_the_phone_takes_the_floor() -> None:
    """S03: staff answered in the phone's own app, and the bot went on talking beside them."""
    talk = Talk()
    talk.do(CustomerMessage, 0, text="is anybody there?")
    answered = talk.do(AgentMessage, 20, agent="owner", text="It is me, Ana.", delivered=True)
    asked = talk.do(CustomerMessage, 60, text="good, then tell me")

    assert (answered.after.state, answered.after.owner, answered.after.epoch) == (State.AGENT_ACTIVE, "agent:owner", 1)
    assert effects_of([answered, asked], SendToCustomer) == []
    assert effects_of(asked, AskBot) == []
    assert asked.after.epoch == 1
    silent = [timer for timer in asked.after.timers if timer.name == "agent_silent"]
    assert [(timer.due - asked.after.at).total_seconds() for timer in silent] == [300]

    button = naive.Flag(raised_by=(OfferAccepted,)).play([answered, asked])
    assert button.bot_calls == 1


def both_answer(talk: Talk, seq: int, seconds: float, order: tuple[int, ...]) -> list[Step]:
    """The customer writes message `seq`, and several workers answer it at once, in some order."""
    talk.do(CustomerMessage, seconds, seq=seq, text=f"message {seq}")
    return [
        talk.do(AiTurn, seconds + 1, seq=seq + 1 + place, reply=f"worker {worker}", epoch=0, in_reply_to=seq, confidence=0.9)
        for place, worker in enumerate(order)
    ]


def test_one_message_gets_one_answer_two_hundred_times() -> None:
    """S06: two workers read the same message, and the customer got two answers."""
    talk = Talk()
    posting, alone = naive.CheckThenPost(), naive.EpochAlone()
    replies = 0
    for number in range(200):
        steps = both_answer(talk, 1 + 3 * number, 10 * number, (0, 1) if number % 2 else (1, 0))
        assert [one.reply for one in steps] == ["accepted", "withheld"]
        assert refusals(steps) == ["already_answered"]
        replies += len(effects_of(steps, SendToCustomer))
        posting.at_once(one.event for one in steps if isinstance(one.event, AiTurn))
        alone.play(steps)

    assert replies == 200
    assert (talk.state, talk.epoch, talk.now.owner) == (State.BOT_ACTIVE, 0, "ai")

    assert len(posting.sent) == 400
    assert len(alone.sent) == 400


@given(orders=st.lists(st.integers(2, 4).flatmap(lambda workers: st.permutations(range(workers))), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_whichever_worker_is_first_it_is_the_only_one(orders: list[list[int]]) -> None:
    """S06: the same with any number of workers in any order."""
    talk = Talk()
    for number, order in enumerate(orders):
        steps = both_answer(talk, 1 + 5 * number, 10 * number, tuple(order))
        assert [sent.text for sent in effects_of(steps, SendToCustomer)] == [f"worker {order[0]}"]
        assert refusals(steps) == ["already_answered"] * (len(order) - 1)
        assert (talk.state, talk.epoch) == (State.BOT_ACTIVE, 0)


@pytest.mark.parametrize("named_by", ["seq", "id"])
def test_a_second_answer_that_asks_for_a_person_is_heard_and_not_sent(named_by: str) -> None:
    """S06: the second worker wanted a person; its words are withheld, and the person comes."""
    talk = Talk()
    talk.do(CustomerMessage, 0, seq=7, id="m-7", text="help")
    reference = 7 if named_by == "seq" else "m-7"
    talk.do(AiTurn, 1, reply="first", epoch=0, in_reply_to=reference)
    second = talk.do(AiTurn, 1, reply="I fetch somebody", epoch=0, in_reply_to=reference, wants_handoff=True)

    assert second.refused is None
    assert second.reply == "withheld"
    assert second.after.state is State.ESCALATION_PENDING
    assert effects_of(second, SendToCustomer) == []
    assert len(effects_of(second, PrepareContext)) == 1


def test_an_answer_to_one_message_leaves_the_other_open() -> None:
    """S06: two messages, two answers, in either order."""
    talk = Talk()
    for seq in (7, 8):
        talk.do(CustomerMessage, seq, seq=seq, text=f"message {seq}")
    steps = [talk.do(AiTurn, 10, reply=f"to {seq}", epoch=0, in_reply_to=seq) for seq in (8, 7, 8)]
    assert [one.reply for one in steps] == ["accepted", "accepted", "withheld"]
    assert refusals(steps) == ["already_answered"]


def test_the_ai_says_goodbye_before_it_leaves() -> None:
    """S09: the bot closed the case, and its own last words were dropped as if a person had come in between."""
    talk = Talk()
    talk.do(CustomerMessage, 0, text="that is all, thanks")
    last = talk.turn(5, reply="Goodbye!", wants_close=True)
    report = talk.do(Closed, 7, reason="resolved_by_ai")

    said = [effect for effect in last.effects if isinstance(effect, SendToCustomer | EndBotSession)]
    assert isinstance(said[0], SendToCustomer)
    assert (said[0].speaker, said[0].text, said[0].epoch) == ("ai", "Goodbye!", last.after.epoch)
    assert isinstance(said[1], EndBotSession)
    assert (last.reply, last.after.state, last.after.ending) == ("accepted", State.CLOSED, "resolved_by_ai")
    assert refusals([report]) == ["not_allowed_here"]
    assert report.after is last.after

    assert naive.OwnerGate().play(talk.steps).texts("ai") == []
