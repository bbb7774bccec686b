"""Stories about what the decision is made from: flags, numbers, and guards that break."""

import json
from typing import Any

import attrs
import naive
import pytest
from machines_build import Talk, at, effects_of, policy

from handoff_kit.machines import (
    AgentAssigned,
    AiTurn,
    ContextReady,
    CustomerMessage,
    HandoffRequested,
    OfferAccepted,
    OfferMade,
    Offloaded,
    OpenTicket,
    Policy,
    PolicyError,
    PrepareContext,
    ReturnedToAi,
    SendToCustomer,
    State,
    Target,
    TicketOpened,
    TransferRequested,
    UpdateTicket,
    Verdict,
    parse_policy,
    replay,
    step,
)
from handoff_kit.machines.actions import CALLBACKS
from handoff_kit.machines.canonical import rfc3339
from handoff_kit.machines.codec import canonical_step, conversation_from_data, conversation_to_data
from handoff_kit.machines.conditions import Leaf
from handoff_kit.machines.engine import Engine
from handoff_kit.machines.guards import GUARDS
from handoff_kit.machines.policy import Trigger
from handoff_kit.machines.table import ROWS

# --- prose

REPLIES = {
    "en": (
        "[HANDOFF]",
        "I am transferring you now",
        "",
        "Let me connect you to a human agent.",
        "No human agent is needed for that.",
        "Your parcel arrives on Monday.",
        "I would rather not hand this over.",
        "Escalate? Not yet.",
        "A person wrote our terms, see section 4.",
        "One moment.",
    ),
    "de": (
        "[HANDOFF]",
        "Ich verbinde Sie jetzt mit einer Kollegin.",
        "",
        "Einen Moment bitte.",
        "Ein Mensch hilft Ihnen gleich.",
        "Ihr Paket kommt am Montag.",
        "Dafür braucht es keinen Menschen.",
        "Ich leite Sie weiter.",
        "Das weiß ich leider nicht.",
        "Gern geschehen.",
    ),
    "fr": (
        "[HANDOFF]",
        "Je vous transfère tout de suite.",
        "",
        "Un instant, s'il vous plaît.",
        "Un conseiller arrive.",
        "Votre colis arrive lundi.",
        "Il n'y a pas besoin d'un conseiller.",
        "Je vous mets en relation.",
        "Je ne sais pas.",
        "Je vous en prie.",
    ),
    "es": (
        "[HANDOFF]",
        "Le transfiero ahora mismo.",
        "",
        "Un momento, por favor.",
        "Una persona le ayudará enseguida.",
        "Su paquete llega el lunes.",
        "No hace falta una persona.",
        "Le paso con mi compañera.",
        "No lo sé.",
        "De nada.",
    ),
    "tr": (
        "[HANDOFF]",
        "Sizi hemen bağlıyorum.",
        "",
        "Bir dakika lütfen.",
        "Bir temsilci geliyor.",
        "Paketiniz pazartesi geliyor.",
        "Buna bir temsilci gerekmez.",
        "Aktarıyorum.",
        "Bilmiyorum.",
        "Rica ederim.",
    ),
}
ALL_REPLIES = [reply for replies in REPLIES.values() for reply in replies]
FLAG_ONLY = '[[trigger]]\nname = "ai_asks"\nwhen = { wants_handoff = true }\n'


def handed_over(reply: str, **fields: Any) -> Talk:
    """The AI says `reply`, and if that escalated, the context is gathered."""
    talk = Talk(policy(FLAG_ONLY))
    talk.do(CustomerMessage, 0, text="?")
    talk.turn(2, reply=reply, **fields)
    if talk.state is State.ESCALATION_PENDING:
        talk.do(ContextReady, 3)
    return talk


def test_the_flag_decides_and_never_the_words() -> None:
    """S39: the bot promised a person in words that nothing acted on, or was handed over for words that meant nothing."""
    assert len(ALL_REPLIES) == 50
    missed = invented = 0
    for reply in ALL_REPLIES:
        with_flag, without = handed_over(reply, wants_handoff=True), handed_over(reply)
        assert with_flag.state is State.QUEUED
        assert [sent.kind for sent in effects_of(with_flag.steps, SendToCustomer)] == ["connecting"]
        assert without.state is State.BOT_ACTIVE
        assert [sent.text for sent in effects_of(without.steps, SendToCustomer)] == ([reply] if reply else [])

        missed += not naive.Prose().play(with_flag.steps).escalated
        invented += naive.Prose().play(without.steps).escalated

    assert missed > 0, "asked for in words that the pattern does not know: said and not done"
    assert invented > 0, "nobody asked, and the customer is sent away"


PROMISES = (
    FLAG_ONLY
    + """
[[trigger]]
name = "promises"
when = { reply_says = ["transferring you", "verbinde Sie jetzt", "je vous transfère", "le transfiero", "sizi hemen bağlıyorum"] }
"""
)


@pytest.mark.parametrize("language", sorted(REPLIES))
def test_a_promise_in_words_is_kept(language: str) -> None:
    """S39: where the words promise a person and the flag was forgotten, the person comes; the words are not sent."""
    talk = Talk(policy(PROMISES))
    talk.do(CustomerMessage, 0, text="?")
    turn = talk.turn(2, reply=REPLIES[language][1])

    assert (turn.after.state, turn.reply) == (State.ESCALATION_PENDING, "withheld")
    assert turn.after.handoff is not None
    assert turn.after.handoff.reasons == ("promised_human",)
    promise = next(verdict for verdict in turn.verdicts if verdict.name == "promises")
    assert promise.holds
    assert str(promise.value).casefold() in REPLIES[language][1].casefold()
    assert isinstance(turn.event, AiTurn)
    assert turn.event.reply == REPLIES[language][1], "the words stay on record"

    talk.do(ContextReady, 3)
    assert [sent.kind for sent in effects_of(talk.steps, SendToCustomer)] == ["connecting"]


# --- numbers

FEES = """
[[trigger]]
name = "fee_dispute_unsure"
when.all = [{ intent = "fee_dispute" }, { confidence_below = 0.8 }]
"""


def test_a_decision_says_its_numbers() -> None:
    """S42: nobody could say why a conversation was handed over, or how nearly another was."""
    talk = Talk(policy(FEES))
    sure = talk.turn(5, intent="fee_dispute", confidence=0.93, reply="I see.")
    unsure = talk.turn(10, intent="fee_dispute", confidence=0.42, reply="Perhaps.")

    first = next(verdict for verdict in sure.verdicts if verdict.name == "fee_dispute_unsure")
    assert (first.holds, first.value, first.threshold) == (False, 0.93, 0.8)
    assert sure.after.state is State.BOT_ACTIVE

    second = next(verdict for verdict in unsure.verdicts if verdict.name == "fee_dispute_unsure")
    assert (second.holds, second.value, second.threshold) == (True, 0.42, 0.8)
    assert second.margin == pytest.approx(0.38)
    assert second.margin == 0.8 - 0.42
    assert unsure.after.state is State.ESCALATION_PENDING
    assert effects_of(unsure, PrepareContext)[0].reasons == ("low_confidence",)

    for one in (sure, unsure):
        assert '"fee_dispute_unsure"' in canonical_step(one), "the log has them"


def test_a_near_miss_can_be_told_from_a_clear_case() -> None:
    """S42: with a bare yes there is nothing to set a threshold by."""
    near, far = (Talk(policy(FEES)).turn(5, intent="fee_dispute", confidence=value) for value in (0.79, 0.05))

    margins = [verdict.margin for one in (near, far) for verdict in one.verdicts if verdict.name == "fee_dispute_unsure"]
    assert margins == pytest.approx([0.01, 0.75])

    answers = {naive.bare_bool(one.event) for one in (near, far) if isinstance(one.event, AiTurn)}
    assert answers == {True}


@pytest.mark.parametrize(("confidence", "holds"), [(0.7999999, True), (0.8, False)])
def test_below_means_below(confidence: float, holds: bool) -> None:
    """S42: at the threshold itself the AI keeps the floor."""
    turn = Talk(policy(FEES)).turn(5, intent="fee_dispute", confidence=confidence)

    verdict = next(verdict for verdict in turn.verdicts if verdict.name == "fee_dispute_unsure")
    assert verdict.holds is holds
    assert (verdict.margin is not None and verdict.margin > 0) is holds


# --- guards that break

SEVERE = """
[[trigger]]
name = "asks"
when = { customer_says = ["human"] }

[[trigger]]
name = "severe"
tier = "nurses"
when = { attribute = { name = "symptom_severity", at_least = 7 } }

[[trigger]]
name = "unsure"
when = { confidence_below = 0.8 }
"""


def test_a_value_of_the_wrong_kind_sends_the_customer_to_a_person() -> None:
    """S61: the classifier wrote a word where a number belonged, and the urgent case stayed with the bot."""
    talk = Talk(policy(SEVERE))
    turn = talk.turn(5, reply="Drink some water.", confidence=0.99, attributes={"symptom_severity": "very bad"})

    assert (turn.after.state, turn.reply) == (State.ESCALATION_PENDING, "withheld")
    assert turn.after.handoff is not None
    assert turn.after.handoff.reasons == ("guard_error",)
    assert turn.after.handoff.tier == "nurses", "it stands in its trigger's place"
    broken = next(verdict for verdict in turn.verdicts if verdict.error is not None)
    assert (broken.name, broken.value) == ("severe", "very bad")
    assert "very bad" in (broken.error or "")
    assert [verdict.name for verdict in turn.verdicts if verdict.holds is True] == ["severe", "a_trigger_holds"]

    assert isinstance(turn.event, AiTurn)
    assert not naive.swallowed_errors(turn.event)


def broken_policy() -> Policy:
    """A policy whose threshold is a string: no file can say that, but a host that builds policies in Python can."""
    return attrs.evolve(policy(FLAG_ONLY), trigger=(Trigger(name="unsure", when=Leaf("confidence_below", "0.8")),))


def test_a_guard_that_raises_sends_the_customer_to_a_person() -> None:
    """S61: the guard itself raised, which read as "no"."""
    talk = Talk(broken_policy())
    turn = talk.turn(5, reply="Sure.", confidence=0.99)

    assert (turn.after.state, turn.reply) == (State.ESCALATION_PENDING, "withheld")
    assert turn.after.handoff is not None
    assert turn.after.handoff.reasons == ("guard_error",)
    broken: Verdict = next(verdict for verdict in turn.verdicts if verdict.name == "unsure")
    assert (broken.error or "").startswith("TypeError")


def test_a_guard_of_the_machine_itself_that_raises_does_no_harm() -> None:
    """S61: the same where the broken guard is not one of the policy's; where no AI holds the floor nothing moves at all."""

    def breaks(_: Any) -> Verdict:
        raise LookupError("lost")

    broken = {"ai_wants_to_close": breaks, "offload_is_allowed": breaks}
    engine = Engine("conversation", State, ROWS, {**GUARDS, **broken}, CALLBACKS)
    talk = Talk(policy(FLAG_ONLY))
    turn = step(talk.policy, talk.now, AiTurn(conversation="c-1", at=at(5), reply="Bye.", epoch=0), engine=engine)
    assert (turn.after.state, turn.reply) == (State.ESCALATION_PENDING, "withheld")
    assert turn.after.handoff is not None
    assert turn.after.handoff.reasons == ("guard_error",)
    assert "LookupError: lost" in [verdict.error for verdict in turn.verdicts]

    talk.queue(10)
    refused = step(talk.policy, talk.now, Offloaded(conversation="c-1", at=at(20)), engine=engine)
    assert refused.refused is not None
    assert refused.refused.name == "guard_error"
    assert refused.after is talk.now


def test_a_broken_guard_breaks_in_the_same_way_again() -> None:
    """S61: what was decided for a broken guard is decided again when the record is replayed."""
    for talk, fields in (
        (Talk(policy(SEVERE)), {"attributes": {"symptom_severity": "very bad"}}),
        (Talk(broken_policy()), {"confidence": 0.99}),
    ):
        talk.turn(5, reply="Sure.", **fields)
        again = list(replay(talk.policy, [one.event for one in talk.steps]))
        assert [canonical_step(one) for one in again] == [canonical_step(one) for one in talk.steps]


@pytest.mark.parametrize("fields", [{"confidence": float("nan")}, {"attributes": {"symptom_severity": float("nan")}}])
def test_what_is_no_number_never_gets_in(fields: dict[str, Any]) -> None:
    """S61: NaN compares as false with everything, so that no event may carry it."""
    with pytest.raises(ValueError, match=r"confidence|symptom_severity"):
        AiTurn(conversation="c-1", **fields)


# --- what the policy says


def test_a_misspelt_field_is_found_before_it_is_missed() -> None:
    """S41: a name with a slip in it took nothing along, and the agent saw an empty page."""
    text = '[context]\nmessages = 5\nentites = ["transaction_id"]\n'

    with pytest.raises(PolicyError) as caught:
        parse_policy(text, file="banking.toml")
    assert caught.value.place == "banking.toml: context.entites"
    assert "'entites'" in caught.value.what
    assert caught.value.mend == "did you mean 'entities'?"

    assert naive.bag_of_settings(text) == ()


CROSSING = """
[context]
messages = 5
entities = ["transaction_id", "iban"]

[[destination]]
name = "cards"
purpose = "fee disputes"
fields = ["messages", "entities.transaction_id", "entities.iban"]

[[destination]]
name = "nurses"
purpose = "minimum necessary"
fields = ["entities.symptom"]
"""


def twelve_messages(queue: str) -> Talk:
    """Six questions and six answers, of which the second named the transaction; then a person is asked for."""
    talk = Talk(policy(CROSSING))
    for number in range(6):
        named = {"transaction_id": "tx-9"} if number == 1 else {}
        talk.do(CustomerMessage, 10 * number, text=f"question {number}")
        talk.turn(10 * number + 5, reply=f"answer {number}", entities=named)
    talk.do(HandoffRequested, 100, by="customer", target=Target(queue=queue))
    talk.do(ContextReady, 101)
    return talk


def test_what_crosses_is_a_contract() -> None:
    """S41: the agent saw no transcript, and variables that were empty without a word."""
    talk = twelve_messages("cards")
    (ticket,) = effects_of(talk.steps, OpenTicket)
    sent = ticket.payload

    assert [(one["speaker"], one["text"], one["at"]) for one in sent.messages] == [
        ("ai", "answer 3", rfc3339(at(35))),
        ("customer", "question 4", rfc3339(at(40))),
        ("ai", "answer 4", rfc3339(at(45))),
        ("customer", "question 5", rfc3339(at(50))),
        ("ai", "answer 5", rfc3339(at(55))),
    ]
    assert sent.entities == {"transaction_id": "tx-9"}
    assert (sent.manifest.missing, sent.manifest.sent) == (("iban",), ("messages", "entities.transaction_id"))

    bag = naive.BagOfVariables(("transaction_id", "iban")).play(talk.steps)
    assert bag.tickets == [{"transaction_id": "", "iban": ""}]


def test_each_desk_gets_what_its_rule_says() -> None:
    """S41: what one desk may read is not what the next may."""
    (ticket,) = effects_of(twelve_messages("nurses").steps, OpenTicket)
    sent = ticket.payload

    assert (sent.messages, sent.entities, sent.summary) == ((), {}, None)
    assert {"messages", "entities.transaction_id", "summary"} <= {one.field for one in sent.manifest.withheld}
    assert {one.rule for one in sent.manifest.withheld} == {"not among the fields of nurses (minimum necessary)"}
    assert sent.manifest.missing == ()


def test_a_misspelt_field_of_a_desk_is_an_error_and_not_an_empty_page() -> None:
    """S41: the same slip in what a desk may read."""
    text = '[[destination]]\nname = "cards"\nfields = ["messages", "entitys.transaction_id"]\n'

    with pytest.raises(PolicyError) as caught:
        parse_policy(text, file="banking.toml")
    assert caught.value.place.startswith("banking.toml: destination[0]")
    assert "did you mean 'entities'?" in str(caught.value)

    bag = naive.BagOfVariables(("entitys.transaction_id",)).play(twelve_messages("cards").steps)
    assert bag.tickets == [{"entitys.transaction_id": ""}]


def test_the_ticket_survives_transfer_return_and_restart() -> None:
    """S41: after the way back to the bot nobody knew the ticket any more, and the next agent got a second one."""
    talk = twelve_messages("cards")
    talk.do(TicketOpened, 102, desk="console", ticket="T-1")
    talk.accept(110)
    talk.do(TransferRequested, 120, agent="a1", target=Target(queue="nurses"))
    talk.do(OfferMade, 121, agent="a2", offer=50)
    transferred = talk.do(OfferAccepted, 122, agent="a2", offer=50)
    talk.now = conversation_from_data(json.loads(json.dumps(conversation_to_data(talk.now))))
    returned = talk.do(ReturnedToAi, 130, agent="a2")
    again = talk.do(AgentAssigned, 140, agent="a3", by="desk")

    for one in (transferred, returned, again):
        assert {update.ticket for update in effects_of(one, UpdateTicket)} == {"T-1"}
    assert [ticket.ticket for ticket in again.after.tickets] == ["T-1"]
    assert len(effects_of(talk.steps, OpenTicket)) == 1

    assert naive.BagOfVariables(()).play(talk.steps).ticket is None
