"""Stories about the way back: from a person to the AI, and what still counts then."""

import naive
import pytest
from machines_build import Talk, at, effects_of, policy

from handoff_kit.machines import (
    AgentFinished,
    AgentMessage,
    AgentWrapped,
    AiTurn,
    AskBot,
    ContextReady,
    ConversationStarted,
    CopilotEngaged,
    CustomerMessage,
    FailedAction,
    HandoffRequested,
    OfferAccepted,
    OfferMade,
    OpenTicket,
    PrepareContext,
    RelayToDesk,
    ResumeBot,
    ReturnedToAi,
    SendToCustomer,
    State,
    Step,
    TicketOpened,
    UpdateTicket,
    Verdict,
    clocks,
    step,
)


def verdict(one: Step, name: str) -> Verdict:
    return next(verdict for verdict in one.verdicts if verdict.name == name)


# --- the end of the human stretch


def test_the_human_stretch_ends_with_a_contract() -> None:
    """S05: once a person had answered, the bot never spoke again."""
    talk = Talk()
    talk.accept(0)
    talk.do(AgentMessage, 60, agent="a1", text="I waive the fee.")
    returned = talk.do(
        ReturnedToAi,
        450,
        agent="a1",
        agreed=("the fee is waived",),
        promises=("a letter by Friday",),
        facts={"fee": "waived"},
    )
    talk.do(CustomerMessage, 460, text="and my balance?")
    turn = talk.turn(465, reply="It is 12 euros.", confidence=0.9)

    (resume,) = effects_of(returned, ResumeBot)
    contract = resume.contract
    assert (contract.held_by, contract.held_s, contract.boundary) == ("a1", 450, at(450))
    assert (contract.agreed, contract.promises, contract.facts) == (
        ("the fee is waived",),
        ("a letter by Friday",),
        {"fee": "waived"},
    )
    assert (returned.after.state, returned.after.epoch, resume.epoch) == (State.RESUMED_BOT, 3, 3)
    assert turn.reply == "accepted"
    assert [sent.text for sent in effects_of(turn, SendToCustomer)] == ["It is 12 euros."]

    silenced = naive.Flag(raised_by=(OfferAccepted,)).play(talk.steps)
    assert silenced.bot_calls == 0
    assert silenced.texts("ai") == []


def test_ten_stretches_give_ten_closed_records() -> None:
    """S05: the same ten times in a row, each with its own beginning and end."""
    talk = Talk()
    for number in range(10):
        begin = 1000 * number
        talk.accept(begin + 10)
        talk.do(ReturnedToAi, begin + 100 + number, agent="a1")
        talk.do(CustomerMessage, begin + 110, text="thanks")
        assert talk.turn(begin + 115, reply="You are welcome.", confidence=0.9).reply == "accepted"
        assert talk.epoch == 3 * (number + 1)

    contracts = [resume.contract for resume in effects_of(talk.steps, ResumeBot)]
    assert [(contract.held_by, contract.held_s) for contract in contracts] == [("a1", 90 + number) for number in range(10)]
    assert talk.now.handoffs == 10
    assert talk.now.held is None

    assert naive.Flag(raised_by=(OfferAccepted,)).play(talk.steps).texts("ai") == []


# --- what counts after it

COUNTING = """
[timers]
ai_reply_s = 600

[[trigger]]
name = "asks"
when = { customer_says = ["human"] }

[[trigger]]
name = "misses"
when = { misses_at_least = 2 }

[[trigger]]
name = "mood"
when = { sentiment_trend_below = -0.2 }

[[trigger]]
name = "long"
when = { turns_at_least = 4 }
"""


def once_around(talk: Talk, begin: float) -> Step:
    """A person is asked for, comes and goes; 200 s later the customer goes on, and the AI does not get it at first."""
    talk.accept(begin)
    talk.do(ReturnedToAi, begin + 30, agent="a1")
    talk.do(CustomerMessage, begin + 225, text="thanks, and my balance?")
    return talk.turn(begin + 230, reply="Your balance?", confidence=0.9, sentiment=0.1, missed=True)


def test_what_was_said_before_the_return_does_not_count() -> None:
    """S10: after each return the old quarrel sent the customer to a person again."""
    talk = Talk(policy(COUNTING))
    for number, mood in enumerate((-0.1, -0.8)):
        talk.do(CustomerMessage, 10 * number, text="no")
        talk.turn(10 * number + 5, reply="Sorry?", sentiment=mood, missed=number == 1)
    talk.do(CustomerMessage, 40, text="a human, now")
    assert talk.state is State.ESCALATION_PENDING

    turns = [once_around(talk, 60)]
    assert talk.now.boundary == at(90)
    assert turns[0].after.state is State.RESUMED_BOT
    assert (verdict(turns[0], "asks").holds, verdict(turns[0], "asks").value) == (False, None)
    assert (verdict(turns[0], "misses").holds, verdict(turns[0], "misses").value) == (False, 1)
    assert (verdict(turns[0], "mood").holds, verdict(turns[0], "mood").value) == (None, None)
    assert (verdict(turns[0], "long").holds, verdict(turns[0], "long").value) == (False, 1)
    assert not any(one.suppressed for one in turns[0].verdicts)

    turns += [once_around(talk, 1000 * number) for number in range(1, 10)]
    assert {one.after.state for one in turns} == {State.RESUMED_BOT}
    assert len(effects_of(talk.steps, PrepareContext)) == 10

    history = naive.WholeHistory()
    history.play(talk.steps[: talk.steps.index(turns[0])])
    before = history.escalations
    history.play(turns)
    assert history.escalations - before == 10


def test_a_conversation_that_continues_another_counts_from_nothing() -> None:
    """S10: the next day's conversation inherited yesterday's misses, words and mood."""
    talk = Talk(policy(COUNTING))
    talk.do(CustomerMessage, 1, text="no")
    talk.turn(2, reply="Sorry?", missed=True, sentiment=-0.1)
    talk.do(CustomerMessage, 3, text="a human, now")
    talk.accept(4)
    talk.do(AgentFinished, 60, agent="a1")
    talk.do(AgentWrapped, 70, agent="a1")
    assert talk.state is State.CLOSED
    yesterday = list(talk.steps)

    first = ConversationStarted(
        conversation="c-2", at=at(90000), channel="web", customer=talk.now.customer, previous=talk.conversation
    )
    started = step(talk.policy, None, first)
    talk.now = started.after
    talk.conversation = "c-2"
    message = talk.do(CustomerMessage, 90001, text="me again")
    turn = talk.turn(90002, reply="Hello", confidence=0.9, sentiment=-0.8, missed=True)

    after = turn.after
    assert after.previous == "c-1"
    assert (after.state, after.epoch, after.handoffs, after.handoff) == (State.BOT_ACTIVE, 0, 0, None)
    assert (after.boundary, after.boundary_kind) == (at(90000), "start")
    assert [verdict(turn, name).value for name in ("misses", "mood", "long", "asks")] == [1, None, 1, None]
    assert not any(one.holds for one in turn.verdicts)
    later = talk.do(HandoffRequested, 90010, by="customer")
    queued = talk.do(ContextReady, 90011)
    (ticket,) = effects_of(queued, OpenTicket)
    assert (later.after.handoffs, ticket.payload.handoff) == (1, 1)
    assert ticket.payload.links == {"previous": "c-1"}
    assert ticket.payload.auto_escalated_due_to == ("explicit_request",)
    assert [one["text"] for one in ticket.payload.messages] == ["me again", "Hello"]

    history = naive.HistoryOfTheCustomer().play(yesterday)
    before = history.escalations
    history.play([started, message, turn])
    assert history.escalations - before == 1


# --- the AI goes on by itself

EXPORT = FailedAction(name="export_pdf", parameters={"page": 3}, error_code="ERR_PERM_004", message="not permitted")


def in_copilot_after_a_failed_export() -> Talk:
    talk = Talk(policy(""))
    talk.do(CustomerMessage, 1, text="Export it as PDF, please.", seq=1)
    talk.turn(2, reply="That did not work.", failed_action=EXPORT)
    talk.accept(10)
    talk.do(CopilotEngaged, 11, agent="a1")
    assert (talk.state, talk.epoch) == (State.COPILOT, 2)
    return talk


def test_the_ai_goes_on_by_itself() -> None:
    """S13: the permission was there, and the bot waited for the customer to ask once more."""
    talk = in_copilot_after_a_failed_export()
    not_theirs = talk.do(ReturnedToAi, 20, agent="a2", instruction="Close it.")
    returned = talk.do(
        ReturnedToAi,
        30,
        agent="a1",
        instruction="Permission granted. Please re-run the export.",
        facts={"permission": "granted"},
    )
    turn = talk.do(AiTurn, 35, epoch=3, reply="Here is your PDF.")
    late = talk.do(AiTurn, 36, epoch=2, reply="That did not work.")

    assert not_theirs.refused is not None
    assert not_theirs.refused.name == "not_owner"
    assert not_theirs.after.state is State.COPILOT
    assert (returned.after.state, returned.after.epoch) == (State.RESUMED_BOT, 3)
    assert effects_of(talk.steps, ResumeBot) == effects_of(returned, ResumeBot)
    (resume,) = effects_of(returned, ResumeBot)
    contract = resume.contract
    assert (resume.epoch, contract.failed_action) == (3, EXPORT)
    assert contract.instruction == "Permission granted. Please re-run the export."
    assert (contract.facts, contract.held_by, contract.boundary) == ({"permission": "granted"}, "a1", at(30))
    after_return = talk.steps[talk.steps.index(returned) :]
    assert not [one for one in after_return if isinstance(one.event, CustomerMessage)]
    assert effects_of(after_return, AskBot) == []
    assert turn.reply == "accepted"
    assert [(sent.speaker, sent.text) for sent in effects_of(turn, SendToCustomer)] == [("ai", "Here is your PDF.")]
    assert late.refused is not None
    assert late.refused.name == "stale_epoch"

    waits = naive.WaitsForAWord().play(talk.steps)
    assert (waits.returns, waits.bot_calls) == (2, 0)


def test_a_bot_that_does_not_go_on_is_not_waited_for_for_ever() -> None:
    """S13, the unhappy half: the bot was told to go on and said nothing."""
    talk = in_copilot_after_a_failed_export()
    talk.do(ReturnedToAi, 30, agent="a1", instruction="Please re-run the export.")
    talk.wait(100)

    assert talk.state is State.QUEUED
    assert talk.now.handoff is not None
    assert "resume_failed" in talk.now.handoff.reasons


WORDS = """
[[trigger]]
name = "lost_card"
when.all = [{ customer_says = ["card"] }, { confidence_below = 0.8 }]
"""


@pytest.mark.parametrize(("after", "state"), [("and my balance?", State.RESUMED_BOT), ("the card!", State.ESCALATION_PENDING)])
def test_words_from_before_the_person_came_are_not_heard_again(after: str, state: State) -> None:
    """S10: the person had dealt with the card, and the word was still held against the customer."""
    talk = Talk(policy(WORDS))
    talk.do(CustomerMessage, 1, text="my card")
    talk.do(AgentMessage, 5, agent="a1", text="Here I am.")
    talk.do(ReturnedToAi, 30, agent="a1")
    talk.turn(40, reply="I am back.", missed=True, confidence=0.9)
    talk.do(CustomerMessage, 200, text=after)
    assert talk.turn(205, reply="Perhaps?", confidence=0.3).after.state is state


def test_the_first_turn_after_the_person_hears_nothing_from_before() -> None:
    """S10: the same where the AI begins by itself."""
    talk = Talk(policy("[resume]\ncooldown_s = 0\n" + WORDS))
    talk.do(CustomerMessage, 1, text="my card")
    talk.do(AgentMessage, 5, agent="a1", text="Here I am.")
    talk.do(ReturnedToAi, 30, agent="a1")
    turn = talk.turn(40, reply="I am back.", confidence=0.3)
    assert turn.after.state is State.RESUMED_BOT
    assert verdict(turn, "lost_card").holds is False


# --- messages while waiting


def round_of(talk: Talk, begin: float) -> list[Step]:
    """Escalation, three messages, the queue, three more, an agent, and back; return all steps."""
    first = len(talk.steps)
    talk.do(CustomerMessage, begin, text="my card")
    talk.turn(begin + 1, reply="let me see", wants_handoff=True)
    for number in range(3):
        talk.do(CustomerMessage, begin + 2 + number, text=f"pending {number}")
    talk.do(ContextReady, begin + 6)
    talk.do(TicketOpened, begin + 7, desk="console", ticket=f"t-{begin}")
    for number in range(3):
        talk.do(CustomerMessage, begin + 8 + number, text=f"queued {number}")
    assert clocks(talk.now, at(begin + 20)).customer_wait_s == 19
    talk.accept(begin + 20)
    talk.do(ReturnedToAi, begin + 60, agent="a1")
    talk.turn(begin + 65, reply="I am back.")
    return talk.steps[first:]


def test_a_message_while_waiting_restarts_nothing() -> None:
    """S15: every "hello?" of a waiting customer began the handoff again, and the second handoff died in silence."""
    talk = Talk(policy('[[trigger]]\nname = "ai_asks"\nwhen = { wants_handoff = true }\n[context]\nmessages = 20\n'))
    rounds = [round_of(talk, 1000 * number) for number in range(5)]

    paths = [[str(one.after.state) for one in steps] for steps in rounds]
    assert all(path[1:] == paths[0][1:] for path in paths)
    for number, steps in enumerate(rounds):
        assert len(effects_of(steps, OpenTicket)) == 1
        assert len(effects_of(steps, PrepareContext)) == 1
        assert len(effects_of(steps, AskBot)) == 1, "only for the message before the escalation"
        texts = [sent.kind for sent in effects_of(steps, SendToCustomer)]
        assert texts.count("connecting") == 1
        assert texts.count("hold") == 1
        waiting = [one for one in steps if isinstance(one.event, CustomerMessage) and one.after.owner == "system"]
        assert {one.after.epoch for one in waiting} == {1 + 3 * number}
        relayed = [relay.text for relay in effects_of(steps, RelayToDesk)]
        assert relayed == ["queued 0", "queued 1", "queued 2"]
        said = [message.text for message in steps[-1].after.messages if message.speaker == "customer"]
        assert said[-6:] == ["pending 0", "pending 1", "pending 2", "queued 0", "queued 1", "queued 2"]

    graph = naive.RestartedGraph().play(rounds[0])
    assert graph.bot_calls > 1
    assert graph.tickets > 1
    assert graph.play(step for steps in rounds[1:] for step in steps).rounds == 1


KEEPS_HELPING = """
[[trigger]]
name = "ai_asks"
when = { wants_handoff = true }

[[queue]]
name = "tier1"
keep_helping = true
"""


def test_the_ai_may_help_by_leave_and_no_longer() -> None:
    """S15: an AI that helps while the customer waits neither hands over again nor talks over the person who comes."""
    talk = Talk(policy(KEEPS_HELPING))
    talk.turn(1, reply="let me see", wants_handoff=True)
    talk.do(ContextReady, 2)
    asked = talk.do(CustomerMessage, 10, text="which papers do I need?")
    helped = talk.do(AiTurn, 12, reply="Your passport.", epoch=1, wants_handoff=True, wants_close=True)
    talk.do(OfferMade, 20, agent="a1", offer=1)
    talk.do(OfferAccepted, 21, agent="a1", offer=1)
    late = talk.do(AiTurn, 22, reply="And your card.", epoch=1)

    assert [ask.epoch for ask in effects_of(asked, AskBot)] == [1]
    assert (helped.reply, helped.after.state, helped.after.epoch) == ("accepted", State.QUEUED, 1)
    assert effects_of(helped, PrepareContext) == []
    assert talk.now.handoffs == 1
    assert late.refused is not None
    assert late.refused.name == "stale_epoch"
    assert effects_of(talk.steps, UpdateTicket)


# --- a person's own wish

GATES = """
[[trigger]]
name = "unsure"
when = { confidence_below = 0.8 }

[[trigger]]
name = "valued"
reason = "valued_customer"
when = { channel_in = ["web"] }

[[trigger]]
name = "asks"
reason = "explicit_request"
when = { customer_says = ["real person"] }
"""


def thirty_seconds_after_a_return() -> Talk:
    talk = Talk(policy(GATES))
    talk.accept(10)
    talk.do(AgentMessage, 40, agent="a1", text="Done.")
    talk.do(ReturnedToAi, 100, agent="a1")
    return talk


def test_a_wish_for_a_person_passes_every_gate() -> None:
    """S45: the customer begged for a person, and a confident bot went on."""
    talk = thirty_seconds_after_a_return()
    asked = talk.do(CustomerMessage, 130, text="a  Real person please")

    assert asked.after.state is State.ESCALATION_PENDING
    assert effects_of(asked, AskBot) == []
    assert asked.after.handoff is not None
    assert asked.after.handoff.reasons == ("explicit_request",)
    assert asked.after.handoff.explicit
    assert verdict(asked, "valued").suppressed

    gate = naive.OneGate(below=0.8, cooldown_s=120).play(talk.steps)
    gate.handle(AiTurn(conversation="c-1", at=at(131), confidence=0.99, reply="I can help!"))
    assert gate.bot_calls == 1
    assert not gate.escalated


def test_the_wish_is_named_before_what_else_holds() -> None:
    """S45: the reason that a person reads first is the customer's own."""
    talk = Talk(policy(GATES))
    asked = talk.do(CustomerMessage, 5, text="REAL\tPERSON")

    assert asked.after.handoff is not None
    assert asked.after.handoff.reasons == ("explicit_request", "valued_customer")


def test_an_automatic_trigger_waits_for_the_cool_down() -> None:
    """S45: an unsure turn right after the return is held back, and says for how long."""
    talk = thirty_seconds_after_a_return()
    turn = talk.turn(130, reply="Perhaps this?", confidence=0.3)

    unsure = verdict(turn, "unsure")
    assert (turn.reply, turn.after.state) == ("accepted", State.RESUMED_BOT)
    assert (unsure.holds, unsure.suppressed, unsure.value, unsure.cooldown_left_s) == (True, True, 0.3, 90)
    assert unsure.margin == pytest.approx(0.5)


@pytest.mark.parametrize(("after_s", "state"), [(119.999, State.BOT_ACTIVE), (120, State.ESCALATION_PENDING)])
def test_the_cool_down_ends_on_the_second(after_s: float, state: State) -> None:
    """S45: just before its end it holds back, though the AI has settled; at its end no longer."""
    talk = Talk()
    talk.accept(10)
    talk.do(ReturnedToAi, 100, agent="a1")
    talk.turn(110, reply="I am back.", confidence=0.9)
    assert talk.turn(100 + after_s, confidence=0.3).after.state is state


@pytest.mark.parametrize(("action", "state"), [("export_pdf", State.ESCALATION_PENDING), ("send_mail", State.RESUMED_BOT)])
def test_what_the_person_mended_and_still_fails_is_not_held_back(action: str, state: State) -> None:
    """S45: the cool-down is for old quarrels; the very action that was given back, and fails again, needs the person again."""
    talk = Talk(policy('[[trigger]]\nname = "broken"\nwhen = { failed_action = true }\n'))
    talk.turn(1, failed_action=FailedAction(name="export_pdf", error_code="ERR_PERM_004"))
    talk.accept(10)
    talk.do(ReturnedToAi, 60, agent="a1", instruction="Permission granted. Please run it again.")
    assert talk.turn(70, failed_action=FailedAction(name=action, error_code="ERR_PERM_004")).after.state is state


def test_a_request_beside_the_conversation_passes_too() -> None:
    """S45: a button for a person works during the cool-down as words do."""
    talk = thirty_seconds_after_a_return()
    pressed = talk.do(HandoffRequested, 130, by="customer")

    assert pressed.after.state is State.ESCALATION_PENDING
