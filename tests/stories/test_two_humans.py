"""Stories about offers, wishes and transfers: which person, and what if that person is not there."""

import hypothesis.strategies as st
import naive
import pytest
from hypothesis import given, settings
from machines_build import Talk, at, effects_of, policy

from handoff_kit.machines import (
    AiTurn,
    AskBot,
    ContextReady,
    FailedAction,
    HandoffRequested,
    NotifyAgents,
    Observed,
    OfferAccepted,
    OfferConversation,
    OfferDeclined,
    OfferMade,
    Offloaded,
    OpenTicket,
    PrepareContext,
    QueueFacts,
    RescindOffer,
    ResumeBot,
    State,
    Step,
    Target,
    TransferRequested,
    clocks,
)


def refused(one: Step) -> str | None:
    return one.refused.name if one.refused is not None else None


# --- an answer is bound to one offer


def test_an_old_offer_cannot_be_taken() -> None:
    """S53: an agent clicked a ring that was over, and two people thought that they had the conversation."""
    talk = Talk()
    talk.queue(1)
    begun = len(talk.steps)
    talk.do(OfferMade, 2, agent="a1", offer=1)
    second = talk.do(OfferMade, 10, agent="a2", offer=2)
    assert [(end.agent, end.offer) for end in effects_of(second, RescindOffer)] == [("a1", 1)]

    late = [talk.do(OfferAccepted, 11 + number, agent="a1", offer=1) for number in range(2)]
    foreign = talk.do(OfferAccepted, 13, agent="a1", offer=2)
    taken = talk.do(OfferAccepted, 14, agent="a2", offer=2)
    again = talk.do(OfferAccepted, 15, agent="a2", offer=2)

    assert [refused(one) for one in late] == ["stale_offer", "stale_offer"]
    assert refused(foreign) == "not_offered"
    assert (taken.after.owner, taken.after.epoch) == ("agent:a2", 2)
    assert refused(again) == "stale_offer"
    assert again.after is taken.after

    assert set(naive.Ringing().play(talk.steps[begun:]).owners) == {"a1", "a2"}


@pytest.mark.parametrize("answer", [OfferAccepted, OfferDeclined])
def test_an_answer_to_an_old_offer_leaves_the_new_one_ringing(answer: type[OfferAccepted] | type[OfferDeclined]) -> None:
    """S53: the same agent is rung again, and the answer to the first ring arrives only then."""
    talk = Talk()
    talk.queue(1)
    begun = len(talk.steps)
    talk.do(OfferMade, 2, agent="a1", offer=1)
    talk.do(OfferMade, 30, agent="a1", offer=3)
    late = talk.do(answer, 31, agent="a1", offer=1)

    assert any(one.event.trigger == "timer_offer" for one in talk.steps), "offer 1 expired at its deadline"
    assert refused(late) == "stale_offer"
    assert [(offer.number, offer.agent) for offer in late.after.offers] == [(3, "a1")]
    assert late.after.state is State.QUEUED

    ringing = naive.Ringing().play(talk.steps[begun:])
    assert ringing.owners or not ringing.rings_at, "the old answer acts on the new ring"

    assert talk.do(OfferAccepted, 32, agent="a1", offer=3).after.owner == "agent:a1"


def test_a_number_that_nobody_gave_is_not_offered() -> None:
    """S53: an answer needs an offer."""
    talk = Talk()
    talk.queue(1)
    assert refused(talk.do(OfferAccepted, 2, agent="a1", offer=9)) == "not_offered"
    assert refused(talk.do(OfferDeclined, 2, agent="a1", offer=9)) == "not_offered"


_ACTS = st.sampled_from(["offer", "accept", "decline"])


@given(acts=st.lists(st.tuples(_ACTS, st.sampled_from(["a1", "a2", "a3"]), st.integers(1, 6), st.integers(0, 25)), max_size=25))
@settings(max_examples=150, deadline=None)
def test_whoever_owns_took_an_offer_that_rang(acts: list[tuple[str, str, int, int]]) -> None:
    """S53: under any order of rings and answers, an owner is whoever answered a ring that was pending."""
    talk = Talk()
    talk.queue(1)
    now, number = 1, 0
    for act, agent, offer, gap in acts:
        now += gap
        if act == "offer":
            number += 1
            talk.do(OfferMade, now, agent=agent, offer=number)
            continue
        talk.wait(now)
        pending = {(one.number, one.agent) for one in talk.now.offers}
        one = talk.do(OfferAccepted if act == "accept" else OfferDeclined, now, agent=agent, offer=offer)
        assert (refused(one) is None) is ((offer, agent) in pending)
        assert (one.after.owner == f"agent:{agent}") or act == "decline" or refused(one) is not None
        assert len(one.after.offers) <= 1
    for one in talk.steps:
        if one.before is not None and one.after.owner not in ("ai", "system", one.before.owner):
            assert isinstance(one.event, OfferAccepted)
            assert one.after.owner == f"agent:{one.event.agent}"


# --- a wish


@pytest.mark.parametrize("by", ["customer", "ai"])
@pytest.mark.parametrize("reacts", ["accepts", "declines", "is silent", "is away"])
def test_a_named_person_is_rung_first_and_others_after(by: str, reacts: str) -> None:
    """S33: the chat was pinned to a named agent who was not there, and nobody else could take it."""
    talk = Talk()
    asked = talk.do(HandoffRequested, 1, by=by, target=Target(agent="a7"))
    queued = talk.do(ContextReady, 2)
    assert asked.after.handoff is not None
    assert asked.after.handoff.wish == "a7"
    assert asked.after.handoff.reasons == ("explicit_request" if by == "customer" else "ai_request",)

    if reacts != "is away":
        talk.do(OfferMade, 3, agent="a7", offer=1)
    if reacts == "accepts":
        assert talk.do(OfferAccepted, 5, agent="a7", offer=1).after.owner == "agent:a7"
        return
    if reacts == "declines":
        talk.do(OfferDeclined, 5, agent="a7", offer=1)
    if reacts == "is silent":
        assert [(one.event.trigger, one.after.at) for one in talk.wait(23)] == [("timer_offer", at(23))]
    assert talk.now.offers == ()
    assert talk.state is State.QUEUED
    assert talk.now.queue == queued.after.queue
    assert talk.now.handoff is not None
    assert (talk.now.handoff.since, talk.now.handoff.wish) == (at(1), "a7")

    talk.do(OfferMade, 23, agent="a1", offer=2)
    taken = talk.do(OfferAccepted, 25, agent="a1", offer=2)
    assert taken.after.owner == "agent:a1"
    assert taken.after.handoff is not None
    assert taken.after.handoff.wish == "a7", "who comes instead can read whom the customer wanted"
    assert clocks(taken.after, at(25)).time_to_accept_s == 24

    pinned = naive.DirectAssignment().play(talk.steps)
    assert (pinned.assignee, pinned.working) == ("a7", None)


@pytest.mark.parametrize("by", ["customer", "ai"])
def test_a_named_skill_travels_to_the_desk(by: str) -> None:
    """S33: a wish for somebody who knows about cards got lost on the way to the queue."""
    talk = Talk()
    talk.do(HandoffRequested, 1, by=by, target=Target(skills=("cards",)))
    queued = talk.do(ContextReady, 2)

    assert [ticket.payload.skills for ticket in effects_of(queued, OpenTicket)] == [("cards",)]
    assert queued.after.handoff is not None
    assert queued.after.handoff.skills == ("cards",)


# --- circles

NOBODY = Observed(queues={"default": QueueFacts(open=True, available=0)})
FAILING = '[[trigger]]\nname = "broken"\nwhen = { failed_action = true }\n'


def test_a_failing_bot_and_an_empty_tier_do_not_play_ball() -> None:
    """S37: the bot handed over to nobody, nobody handed back to the bot, and so on all night."""
    talk = Talk(policy(FAILING))
    failed = FailedAction(name="export_pdf", error_code="ERR_PERM_004")
    talk.turn(1, reply="Let me see.", failed_action=failed)
    second = talk.do(AiTurn, 2, reply="And again.", failed_action=failed, epoch=0)
    promised = talk.do(ContextReady, 3, observed=NOBODY)

    assert refused(second) == "stale_epoch"
    assert promised.after.state is State.CALLBACK_PENDING
    assert promised.after.waiting is not None
    assert promised.after.waiting.promise is not None
    assert promised.after.waiting.promise.reason == "none_available"

    rest = talk.wait(40000)
    assert len(effects_of(talk.steps, PrepareContext)) == 1
    assert effects_of(talk.steps, AskBot) == []
    assert effects_of(talk.steps, ResumeBot) == []
    assert not any(one.after.owner == "ai" for one in rest)
    assert sum(one.before is not None and one.before.state is not one.after.state for one in rest) <= 2 * 3

    circle = naive.EachOthersFallback().play(talk.steps)
    assert circle.bot_calls >= circle.enough


OFFLOADING = """
[[trigger]]
name = "unsure"
when = { confidence_below = 0.8 }

[[queue]]
name = "default"

[[queue.step]]
when_wait_above_s = 60
do = "offload_to_ai"
"""


def test_an_item_is_offloaded_once() -> None:
    """S37: the queue gave the customer back to the bot that had failed, again and again."""
    talk = Talk(policy(OFFLOADING))
    talk.turn(1, confidence=0.5)
    talk.do(ContextReady, 2)
    offloaded = talk.wait(61)
    talk.turn(70, reply="Hm.", missed=True)
    assert [one.after.state for one in offloaded] == [State.RESUMED_BOT]
    assert talk.state is State.QUEUED

    assert refused(talk.do(Offloaded, 80)) == "not_allowed_here"
    talk.wait(600)
    assert talk.state is State.QUEUED
    assert len(effects_of(talk.steps, ResumeBot)) == 1


def test_a_conversation_is_not_passed_on_for_ever() -> None:
    """S37: two queues sent the customer back and forth; the sixth time it ends, and somebody is told."""
    talk = Talk()
    talk.accept(1)
    assert talk.now.handoff is not None
    own = Target(queue=talk.now.handoff.queue)
    asked = [talk.do(TransferRequested, 10 + number, agent="a1", target=own) for number in range(6)]

    assert [refused(one) for one in asked] == [None] * 5 + ["transfer_limit"]
    assert {(one.after.owner, one.after.epoch, one.after.state) for one in asked} == {("agent:a1", 2, State.AGENT_ACTIVE)}
    assert asked[5].after is asked[4].after
    told = [(noise.audience, noise.about) for noise in effects_of(asked, NotifyAgents) if noise.audience == "supervisor"]
    assert told == [("supervisor", "transfer_limit")]
    assert effects_of(asked, OfferConversation) == []

    assert naive.EachOthersFallback().play(talk.steps).transfers == 6
