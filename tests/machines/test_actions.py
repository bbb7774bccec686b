"""Callbacks whose effects no story tells: one behaviour a test."""

import sys
from typing import Any

import pytest
from machines_build import START, Talk, at, effects_of, policy
from walks import started

from handoff_kit.machines import (
    AgentAssigned,
    AgentFinished,
    AgentLost,
    AgentMessage,
    AgentParked,
    AgentUnparked,
    AiTurn,
    Closed,
    CloseTicket,
    ConsultEnded,
    ConsultStarted,
    ContextReady,
    CopilotDisengaged,
    CopilotEngaged,
    CustomerChange,
    CustomerLeft,
    CustomerMessage,
    CustomerReturned,
    CustomerUpdated,
    Deferred,
    DraftForAgent,
    DraftProposed,
    DraftResolved,
    HandoffRequested,
    HandoffUsageError,
    NotifyAgents,
    Observed,
    OfferAccepted,
    OfferMade,
    Offloaded,
    OpenTicket,
    QueueFacts,
    Reclaimed,
    Replay,
    RescindOffer,
    ReturnedToAi,
    SendToCustomer,
    Target,
    TicketFailed,
    TicketOpened,
    TimerFired,
    TransferCancelled,
    TransferRequested,
    UpdateTicket,
    advance,
    needs,
)
from handoff_kit.machines.engine import Engine, Slate, row
from handoff_kit.machines.replay import Difference
from handoff_kit.machines.slate import Slate as ConversationSlate
from handoff_kit.machines.verdicts import Verdict

OPEN = Observed(queues={"default": QueueFacts(open=True, available=1, eta_s=200, position=3)})


def texts(steps: Any, kind: str) -> list[str]:
    return [effect.text for effect in effects_of(steps, SendToCustomer) if effect.kind == kind]


# --- the customer


def test_facts_about_the_customer_are_merged() -> None:
    talk = Talk()
    change = CustomerChange(tier="gold", attributes={"a": 1})
    talk.do(CustomerUpdated, 1, customer=change, channel="email", linked=["c-0", "c-0"])
    talk.do(CustomerUpdated, 2, customer=CustomerChange(attributes={"b": 2}))
    talk.do(CustomerUpdated, 3, linked=["c-9"])

    assert talk.now.customer.id == "cu-1"
    assert talk.now.customer.tier == "gold"
    assert talk.now.customer.attributes == {"a": 1, "b": 2}
    assert talk.now.channel == "email"
    assert talk.now.linked == ("c-0", "c-9")


def test_a_customer_who_comes_back_stops_the_clock_and_leaving_twice_does_not_move_it() -> None:
    talk = Talk()
    talk.do(CustomerLeft, 5)
    talk.do(CustomerLeft, 20)
    assert talk.now.left_at == at(5)
    talk.do(CustomerReturned, 30)
    assert talk.now.left_at is None
    assert [timer.name for timer in talk.now.timers] == ["bot_idle"]


def test_who_waits_for_a_callback_need_not_stay() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(CustomerLeft, 6)
    talk.do(Deferred, 7, kind="callback", reason="none_available", due=at(100))
    talk.do(CustomerLeft, 8)
    talk.wait(200)

    assert talk.state == "queued"
    assert talk.now.left_at is None


# --- tickets


def test_an_agents_message_in_one_handoff_has_one_ticket_and_the_next_handoff_another() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(TicketOpened, 6, desk="d", ticket="T-1")
    talk.accept(10)
    finished = talk.do(AgentFinished, 20, agent="a1", resolved=True)

    assert effects_of(talk.steps, OpenTicket) == [effects_of(talk.steps, OpenTicket)[0]]
    assert effects_of(finished, UpdateTicket)[0].ticket == "T-1"


def test_a_ticket_that_opens_too_late_is_closed_whatever_became_of_the_conversation() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(Closed, 6, reason="duplicate")
    late = talk.do(TicketOpened, 7, desk="d", ticket="T-1")

    assert effects_of(late, CloseTicket) == [CloseTicket(1, "duplicate", "d", "T-1")]
    assert talk.now.tickets == ()
    assert talk.do(TicketOpened, 8, desk="d", ticket="T-1").refused.name == "unknown_ticket"


def test_a_ticket_that_fails_too_late_is_forgotten() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(Closed, 6)

    assert talk.do(TicketFailed, 7, desk="d").effects == ()
    assert talk.now.tickets == ()


def test_a_ticket_that_fails_makes_a_noise_and_moves_nothing() -> None:
    talk = Talk()
    talk.queue(5)
    done = talk.do(TicketFailed, 6, desk="d", error="500")

    assert talk.state == "queued"
    assert effects_of(done, NotifyAgents) == [NotifyAgents("supervisor", "ticket_failed", {"desk": "d", "error": "500"})]


def test_a_promised_ticket_is_asked_for_again_after_it_failed() -> None:
    talk = Talk()
    talk.escalate(5)
    talk.do(Deferred, 6, kind="ticket", reason="closed")
    talk.do(TicketFailed, 7, desk="d")
    fired = talk.wait(6 + 3600)

    assert [effect.handoff for effect in effects_of(fired, OpenTicket)] == [1]
    assert talk.do(TicketOpened, 4000, desk="d", ticket="T-2").after.state == "closed"
    assert talk.now.ending == "continued_by_ticket"


def test_a_queue_that_falls_back_to_its_open_ticket_tells_the_customer_once() -> None:
    talk = Talk(policy('[[queue]]\nname = "q"\nfallback = "ticket"'))
    talk.queue(5)
    talk.do(TicketOpened, 6, desk="d", ticket="T-1")
    fired = talk.wait(605)

    assert talk.state == "closed"
    assert talk.now.ending == "continued_by_ticket"
    assert len(texts(fired, "callback")) == 1
    assert effects_of(fired, CloseTicket) == []


def test_a_step_that_promises_a_ticket_which_is_open_ends_the_conversation() -> None:
    text = '[[queue]]\nname = "q"\n[[queue.step]]\nafter_s = 60\ndo = "ticket"'
    talk = Talk(policy(text))
    talk.queue(5)
    talk.do(TicketOpened, 6, desk="d", ticket="T-1")
    talk.wait(65)
    other = Talk(policy(text))
    other.queue(5)
    other.wait(65)

    assert talk.state == "closed"
    assert other.state == "callback_pending"
    assert other.now.waiting.promise.kind == "ticket"


def test_a_ticket_for_an_earlier_handoff_does_not_keep_a_later_promise() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(Deferred, 6, kind="callback", reason="closed")
    talk.do(HandoffRequested, 7, by="customer")
    from handoff_kit.machines import HandoffWithdrawn

    talk.do(HandoffWithdrawn, 8)
    talk.escalate(9)
    talk.do(Deferred, 10, kind="ticket", reason="closed")
    late = talk.do(TicketOpened, 11, desk="d", ticket="T-1")

    assert talk.state == "callback_pending"
    assert effects_of(late, CloseTicket)[0].ticket == "T-1"
    assert talk.do(TicketOpened, 12, desk="d", ticket="T-2").after.state == "closed"


# --- the queue


def test_a_request_while_waiting_adds_reason_and_summary() -> None:
    talk = Talk()
    talk.do(HandoffRequested, 1, by="api", reason="vip")
    talk.do(HandoffRequested, 2, by="customer", summary="wants a refund")
    handoff = talk.now.handoff

    assert handoff.reasons == ("vip", "explicit_request")
    assert handoff.explicit
    assert handoff.summary == "wants a refund"


def test_position_and_wait_are_told_rounded_and_not_repeated() -> None:
    talk = Talk()
    talk.escalate(5)
    first = talk.do(ContextReady, 6, observed=OPEN)
    again = talk.wait(66)
    moved = talk.do(CustomerMessage, 70, text="?", observed=_at_position(2))
    told = talk.wait(130)

    assert texts(first, "position") == ["You are number 3 in line. The wait is about 4 minutes."]
    assert texts(again, "position") == []
    assert texts(moved, "position") == []
    assert texts(told, "position") == ["You are number 2 in line. The wait is about 4 minutes."]


def test_no_figure_is_told_where_none_is_known() -> None:
    talk = Talk()
    talk.escalate(5)
    talk.do(ContextReady, 6, observed=Observed(queues={"default": QueueFacts(open=True, available=2, position=1)}))

    assert texts(talk.steps, "position") == []
    assert texts(talk.wait(200), "position") == []
    assert talk.do(CustomerMessage, 201, text="?", observed=Observed(queues={"other": QueueFacts()})).refused is None


def _at_position(position: int) -> Observed:
    return Observed(queues={"default": QueueFacts(open=True, available=1, eta_s=200, position=position)})


STEPS = """
[[trigger]]
name = "t"
when = { wants_handoff = true }
skills = ["cards", "german"]
priority = 8
[[queue]]
name = "q"
[[queue.step]]
after_s = 10
do = "widen"
tier = "tier2"
[[queue.step]]
after_s = 20
do = "drop_skill"
skill = "german"
[[queue.step]]
after_s = 30
do = "raise_priority"
by = 5
[[queue.step]]
after_s = 40
do = "drop_skill"
[[queue.step]]
after_s = 50
do = "notify"
audience = "team:leads"
[[queue.step]]
after_s = 60
do = "raise_priority"
only = { priority_at_most = 3 }
[[queue.step]]
after_s = 70
do = "callback"
only = { intent_in = ["fees"] }
"""


def test_steps_of_a_queue_act_at_their_deadlines_and_the_item_stays() -> None:
    talk = Talk(policy(STEPS))
    talk.turn(1, wants_handoff=True, intent="cards")
    talk.do(ContextReady, 2)
    seen = []
    for seconds in (12, 22, 32, 42, 52, 62, 72):
        fired = talk.wait(seconds)
        seen.append((talk.now.handoff.skills, talk.now.handoff.priority, [n.about for n in effects_of(fired, NotifyAgents)]))

    assert talk.state == "queued"
    assert talk.now.handoff.widened == ("tier2",)
    assert seen == [
        (("cards", "german"), 8, ["widened"]),
        (("cards",), 8, []),
        (("cards",), 9, []),
        ((), 9, []),
        ((), 9, ["waited_too_long"]),
        ((), 9, []),
        ((), 9, []),
    ]
    assert talk.now.handoff.steps_done == (0, 1, 2, 3, 4, 5, 6)


def test_a_step_that_a_changed_policy_no_longer_has_is_spent() -> None:
    talk = Talk(policy(STEPS))
    talk.turn(1, wants_handoff=True)
    talk.do(ContextReady, 2)
    talk.policy = policy("")
    timer = next(timer for timer in talk.now.timers if timer.name == "queue_step")
    from handoff_kit.machines import step

    done = step(talk.policy, talk.now, TimerFired(conversation="c-1", at=timer.due, timer="queue_step"))

    assert done.refused is None
    assert done.after.state == "queued"
    assert done.after.handoff.steps_done == (0,)


def test_an_empty_text_is_not_sent() -> None:
    talk = Talk(policy('[texts.default]\nconnecting = ""'))
    talk.queue(5)

    assert texts(talk.steps, "connecting") == []


def test_a_summary_is_put_into_the_text() -> None:
    talk = Talk(policy('[texts.default]\nconnecting = "They see: {summary}"'))
    talk.do(CustomerMessage, 1, text="where is it?")
    talk.turn(2, intent="order_status", confidence=0.9)
    talk.queue(5)

    assert texts(talk.steps, "connecting") == ["They see: About: order status."]


# --- offers


def test_an_agent_who_is_gone_loses_the_offer_and_nobody_else_does() -> None:
    talk = Talk(policy("[offer]\nparallel = 3"))
    talk.queue(5)
    talk.do(OfferMade, 6, agent="a1", offer=1)
    talk.do(OfferMade, 6, agent="a2", offer=2)
    done = talk.do(AgentLost, 7, agent="a1")

    assert effects_of(done, RescindOffer) == [RescindOffer("a1", 1, "agent_lost")]
    assert [offer.agent for offer in talk.now.offers] == ["a2"]


def test_an_agent_who_is_gone_and_has_nothing_to_do_with_it_is_refused() -> None:
    talk = Talk()
    assert talk.do(AgentLost, 1, agent="a9").refused.name == "not_allowed_here"
    talk.accept(10)
    assert talk.do(AgentLost, 11, agent="a9").refused.name == "not_owner"


def test_a_number_is_offered_once() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(OfferMade, 6, agent="a1", offer=1)

    assert talk.do(OfferMade, 7, agent="a2", offer=1).refused.name == "stale_offer"


def test_an_offer_expires_by_a_timer_that_names_no_generation() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(OfferMade, 6, agent="a1", offer=1)
    done = talk.do(TimerFired, 26, timer="offer")

    assert talk.steps[-2].event.trigger == "timer_offer"
    assert effects_of(talk.steps[-2], RescindOffer) == [RescindOffer("a1", 1, "expired")]
    assert done.refused.name == "stale_timer"


# --- agents


@pytest.mark.parametrize(
    ("by", "refused"), [("agent", "not_offered"), ("router", "not_offered"), ("desk", None), ("supervisor", None)]
)
def test_while_an_agent_owns_only_desk_and_supervisor_assign_another(by: str, refused: str | None) -> None:
    talk = Talk()
    talk.accept(10)
    done = talk.do(AgentAssigned, 11, agent="a2", by=by)

    assert (done.refused.name if done.refused else None) == refused
    assert talk.now.owner == ("agent:a1" if refused else "agent:a2")
    if refused:
        assert done.refused.facts["owner"] == "agent:a1"
    else:
        assert effects_of(done, NotifyAgents)[-1].audience == "agent:a1"


def test_a_draft_that_is_rejected_sends_nothing_and_one_that_is_accepted_sends_itself() -> None:
    talk = Talk()
    talk.accept(10)
    talk.do(CustomerMessage, 11, text="and now?", id="m-1")
    asked = talk.do(CopilotEngaged, 12, agent="a1")
    talk.do(DraftProposed, 13, draft=1, text="first")
    talk.do(DraftProposed, 14, draft=2, text="second")
    rejected = talk.do(DraftResolved, 15, draft=1, agent="a1", resolution="rejected")
    accepted = talk.do(DraftResolved, 16, draft=2, agent="a1", resolution="accepted")

    assert effects_of(asked, DraftForAgent) == [DraftForAgent("a1", 2, "m-1")]
    assert effects_of(rejected, SendToCustomer) == []
    assert [effect.text for effect in effects_of(accepted, SendToCustomer)] == ["second"]
    assert talk.now.held.to_answer == "customer"
    assert talk.do(DraftResolved, 17, draft=2, agent="a1", resolution="accepted").refused.name == "not_allowed_here"


def test_drafts_end_with_the_copilot() -> None:
    talk = Talk()
    talk.accept(10)
    talk.do(CopilotEngaged, 12, agent="a1")
    talk.do(DraftProposed, 13, draft=1, text="first")
    talk.do(CopilotDisengaged, 14, agent="a1")

    assert talk.state == "agent_active"
    assert talk.now.held.drafts == ()
    assert talk.epoch == 2


def test_what_another_agent_wrote_on_the_channel_itself_is_on_record_and_the_owner_is_told() -> None:
    talk = Talk()
    talk.accept(10)
    done = talk.do(AgentMessage, 11, agent="a2", text="from my phone", delivered=True, epoch=0)

    assert talk.now.owner == "agent:a1"
    assert talk.now.messages[-1].speaker == "agent:a2"
    assert effects_of(done, SendToCustomer) == []
    assert effects_of(done, NotifyAgents) == [NotifyAgents("agent:a1", "another_agent_wrote", {"agent": "a2"})]


def test_a_turn_that_names_its_message_is_fenced_by_that_messages_epoch() -> None:
    talk = Talk()
    talk.do(CustomerMessage, 1, text="hello", id="m-1")
    fenced = talk.do(AiTurn, 2, reply="hi", in_reply_to="m-1", confidence=0.9)
    unfenced = talk.do(AiTurn, 3, reply="hi", confidence=0.9)

    assert "unfenced" not in [verdict.name for verdict in fenced.verdicts]
    assert "unfenced" in [verdict.name for verdict in unfenced.verdicts]


def test_no_draft_is_asked_for_where_nothing_is_open() -> None:
    talk = Talk()
    talk.accept(10)

    assert effects_of(talk.do(CopilotEngaged, 12, agent="a1"), DraftForAgent) == []


def test_a_transfer_that_is_cancelled_gives_whoever_is_to_act_the_full_time_again() -> None:
    talk = Talk()
    talk.accept(10)
    talk.do(AgentMessage, 20, agent="a1", text="one moment")
    talk.do(TransferRequested, 30, agent="a1")
    assert {timer.name for timer in talk.now.timers} == {"queue"}
    talk.do(TransferCancelled, 40, agent="a1")
    assert [(timer.name, timer.due) for timer in talk.now.timers] == [("customer_idle", at(640))]

    parked = Talk()
    parked.accept(10)
    parked.do(AgentParked, 20, agent="a1")
    parked.do(TransferRequested, 30, agent="a1")
    parked.do(TransferCancelled, 40, agent="a1")
    assert [(timer.name, timer.due) for timer in parked.now.timers] == [("parked", at(86440))]
    assert parked.now.handoff.held_s == 20

    busy = Talk()
    busy.accept(10)
    busy.do(TransferRequested, 30, agent="a1")
    busy.do(TransferCancelled, 40, agent="a1")
    assert [(timer.name, timer.due) for timer in busy.now.timers] == [("agent_silent", at(310))]
    assert busy.do(TransferCancelled, 41, agent="a1").refused.name == "not_allowed_here"


def test_a_transfer_that_nobody_takes_is_dropped_and_the_owner_is_told() -> None:
    talk = Talk()
    talk.accept(10)
    talk.do(AgentMessage, 20, agent="a1", text="one moment")
    talk.do(TransferRequested, 30, agent="a1")
    talk.do(OfferMade, 620, agent="b1", offer=2, deadline=at(700))
    fired = talk.wait(630)

    assert talk.now.owner == "agent:a1"
    assert talk.now.held.transfer is None
    assert effects_of(fired, RescindOffer) == [RescindOffer("b1", 2, "transfer_ended")]
    assert effects_of(fired, NotifyAgents) == [NotifyAgents("agent:a1", "transfer_dropped", {})]


def test_a_consultation_rings_at_the_colleague_and_ends() -> None:
    talk = Talk()
    talk.accept(10)
    started_ = talk.do(ConsultStarted, 11, agent="a1", with_="b1", note="fees")
    assert talk.now.held.consulting == "b1"
    assert effects_of(started_, NotifyAgents)[0].audience == "agent:b1"
    talk.do(ConsultEnded, 12, agent="a1", with_="b1")
    assert talk.now.held.consulting is None
    assert effects_of(talk.do(ConsultStarted, 13, agent="a1"), NotifyAgents) == []


def test_who_does_not_own_may_note_but_not_write() -> None:
    talk = Talk()
    talk.accept(10)
    assert talk.do(AgentMessage, 11, agent="a2", text="hi").refused.name == "not_owner"
    assert talk.do(AgentMessage, 12, agent="a2", text="hi", takeover=True, automatic=True).refused.name == "not_owner"
    assert talk.do(AgentMessage, 13, agent="a2", text="look at the fee", audience="internal").effects == ()
    talk.do(AgentFinished, 14, agent="a1")
    assert talk.do(AgentMessage, 15, agent="a2", text="for the file", audience="internal").refused is None
    assert talk.do(AgentMessage, 16, agent="a2", text="hi", automatic=True).refused.name == "not_allowed_here"

    other = Talk()
    assert other.do(AgentMessage, 1, agent="a1", text="we are busy", automatic=True).refused.name == "not_owner"
    kept = other.do(AgentMessage, 2, agent="a1", text="we are busy", automatic=True, delivered=True)
    assert kept.after.state == "bot_active"
    assert kept.after.messages[-1].text == "we are busy"


def test_a_third_party_that_is_silent_gives_the_turn_back_to_the_owner() -> None:
    talk = Talk()
    talk.accept(10)
    talk.do(AgentParked, 20, agent="a1", waiting_for="third_party", until=at(100))
    talk.do(CustomerMessage, 50, text="any news?")
    assert talk.now.held.parked is not None
    fired = talk.wait(100)

    assert effects_of(fired, NotifyAgents)[0].about == "third_party_is_silent"
    assert talk.now.handoff.held_s == 80
    assert [(timer.name, timer.due) for timer in talk.now.timers] == [("agent_silent", at(400))]


def test_an_idle_customer_weighs_nothing_until_the_agent_writes_again() -> None:
    talk = Talk()
    talk.accept(10)
    talk.do(AgentMessage, 20, agent="a1", text="is that all?")
    talk.wait(620)
    assert talk.now.weighs_nothing
    talk.do(AgentMessage, 700, agent="a1", text="hello?")
    assert not talk.now.weighs_nothing
    talk.do(AgentParked, 710, agent="a1")
    talk.do(AgentParked, 720, agent="a1", waiting_for="third_party")
    talk.do(AgentUnparked, 730, agent="a1")
    assert talk.now.handoff.held_s == 80 + 10 + 10


def test_an_item_that_goes_back_to_its_place_needs_the_queues_facts() -> None:
    talk = Talk()
    talk.do(HandoffRequested, 1, by="api")
    talk.do(ContextReady, 2)
    talk.do(Offloaded, 3)

    assert talk.state == "resumed_bot"
    assert needs(talk.policy, talk.now, Reclaimed(conversation="c-1", at=at(4))).queues == ("default",)


# --- times that are the same, late, or spent


def test_a_new_end_of_a_pause_moves_its_timer_even_at_the_same_instant() -> None:
    talk = Talk()
    talk.accept(1)
    talk.do(AgentParked, 10, agent="a1", waiting_for="third_party", until=at(100))
    talk.do(AgentParked, 10, agent="a1", until=at(5000))
    assert [timer.due for timer in talk.now.timers] == [at(5000)]

    promised = Talk()
    promised.queue(1)
    promised.do(Deferred, 10, kind="callback", reason="closed", due=at(100))
    promised.do(Deferred, 5, kind="callback", reason="closed", due=at(5000))
    assert [timer.due for timer in promised.now.timers] == [at(5000)]


def test_a_message_whose_time_was_counted_is_not_counted_again() -> None:
    talk = Talk()
    talk.do(CustomerMessage, 0, text="a", id="m-1")
    talk.do(CustomerMessage, 70, text="b", id="m-2")
    talk.do(AiTurn, 75, reply="Here you go", in_reply_to="m-2", epoch=0, confidence=0.9)

    assert [step.event.trigger for step in talk.steps].count("timer_ai_reply") == 1
    assert talk.wait(200) == []
    assert talk.now.misses == 0


def test_a_late_event_overtakes_no_timer_that_is_due() -> None:
    talk = Talk(policy("[timers]\nai_reply_s = 0"))
    talk.do(CustomerMessage, 100, text="hello")
    talk.do(CustomerMessage, 50, text="sent before")

    assert [step.event.trigger for step in talk.steps] == [
        "conversation_started",
        "customer_message",
        "timer_ai_reply",
        "customer_message",
    ]


def test_an_owner_who_takes_the_transfer_back_ends_what_else_rings() -> None:
    talk = Talk(policy("[offer]\nparallel = 2"))
    talk.accept(1)
    talk.do(TransferRequested, 2, agent="a1")
    talk.do(OfferMade, 3, agent="a1", offer=5)
    talk.do(OfferMade, 3, agent="a2", offer=6)
    done = talk.do(OfferAccepted, 4, agent="a1", offer=5)

    assert effects_of(done, RescindOffer) == [RescindOffer("a2", 6, "taken")]
    assert talk.do(OfferAccepted, 5, agent="a2", offer=6).refused.name == "stale_offer"


def test_what_was_seen_before_a_callback_says_nothing_about_the_queue_afterwards() -> None:
    text = '[[queue]]\nname = "q"\n[[queue.step]]\nwhen_none_available = true\ndo = "callback"'
    talk = Talk(policy(text))
    talk.escalate(1)
    talk.do(ContextReady, 2, observed=Observed(queues={"q": QueueFacts(open=True, available=0)}))
    assert talk.state == "callback_pending"
    talk.wait(2 + 3600)

    assert talk.state == "queued"
    assert {timer.name for timer in talk.now.timers} == {"queue"}


def test_a_floor_that_is_not_taken_counts_as_a_miss_and_has_the_triggers_judged() -> None:
    talk = Talk(policy('[[trigger]]\nname = "missed"\npriority = 8\nwhen = { misses_at_least = 1 }'))
    talk.accept(1)
    talk.do(AgentMessage, 2, agent="a1", text="the assistant goes on")
    talk.do(ReturnedToAi, 3, agent="a1")
    talk.wait(3 + 60)

    assert talk.state == "queued"
    assert talk.now.misses == 1
    assert talk.now.handoff.reasons[-1] == "resume_failed"


def test_the_skills_of_a_transfer_are_kept_when_its_new_owner_is_lost() -> None:
    talk = Talk()
    talk.accept(1)
    talk.do(TransferRequested, 2, agent="a1", target=Target(queue="q2", skills=["fr"]))
    talk.accept(3, agent="a2")
    talk.do(AgentLost, 4, agent="a2")

    assert (talk.now.handoff.queue, talk.now.handoff.skills) == ("q2", ("fr",))


# --- the engine's edges


def test_a_pair_without_rows_is_taken_by_nobody() -> None:
    engine = Engine("small", ("a", "b"), row("go", "a", "b"), {}, {})

    assert engine.fire("go", Slate("a"))
    assert not engine.fire("go", Slate("b"))


def _breaks(_: object) -> Verdict:
    raise RuntimeError("boom")


def test_a_timer_that_is_refused_does_not_hold_the_event_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither live nor in a replay, where it is not tried again."""
    from handoff_kit.machines.actions import CALLBACKS
    from handoff_kit.machines.guards import GUARDS
    from handoff_kit.machines.states import State
    from handoff_kit.machines.table import ROWS

    broken = Engine("conversation", State, ROWS, {**GUARDS, "no_human_is_possible": _breaks}, CALLBACKS)
    module = sys.modules["handoff_kit.machines.step"]
    whole = module.step

    def step(*args: Any, **kwargs: Any) -> Any:
        return whole(*args, **{**kwargs, "engine": broken})

    talk = Talk()
    talk.escalate(5)
    monkeypatch.setattr(module, "step", step)
    monkeypatch.setattr(sys.modules["handoff_kit.machines.replay"], "step", step)
    message = CustomerMessage(conversation="c-1", at=at(60), text="still there?")
    live = list(advance(talk.policy, talk.now, message))
    replay = Replay(talk.policy)
    replay.conversation = talk.now
    replayed = replay.feed(message)

    assert [one.refused.name if one.refused else None for one in live] == ["guard_error", None]
    assert [one.step.event for one in replayed] == [message]
    assert replay.overrun == 0


# --- replay


def test_a_replay_must_begin_at_the_beginning() -> None:
    with pytest.raises(HandoffUsageError, match="does not begin with conversation_started"):
        Replay(policy()).feed(CustomerMessage(conversation="c-1", at=START, text="x"))


def test_a_replay_compares_and_says_what_differs() -> None:
    from handoff_kit.machines.codec import RecordedStep, recorded_step

    mine = policy()
    first = started()
    fine = Replay(mine).feed(first)[0]
    record = RecordedStep(**recorded_step(fine.step, mine.fingerprint))
    import attrs

    assert Replay(mine).feed(first, record)[0].result == "verified"
    other = Replay(mine).feed(first, attrs.evolve(record, epoch=4))[0]
    assert (other.result, other.differences) == ("mismatch", (Difference("epoch", 4, 0),))
    elsewhere = Replay(mine).feed(first, attrs.evolve(record, epoch=4, policy="another"))[0]
    assert elsewhere.result == "changed"


def test_a_recorded_event_that_is_refused_now_differs() -> None:
    from handoff_kit.machines.codec import RecordedStep, recorded_step

    mine = policy()
    replay = Replay(mine)
    record = RecordedStep(**recorded_step(replay.feed(started())[0].step, mine.fingerprint))
    replay.verifying = True
    turn = AiTurn(conversation="w-1", at=at(5), reply="x", epoch=7)
    done = replay.feed(turn, record)[0]

    assert done.result == "mismatch"
    assert done.differences == (Difference("refused", None, "stale_epoch"),)


def test_an_erased_event_takes_the_recorded_verdicts_of_triggers() -> None:
    from handoff_kit.machines.codec import RecordedStep, recorded_step

    mine = policy()
    live = Replay(mine)
    replay = Replay(mine)
    for event, erased in (
        (started(), None),
        (
            CustomerMessage(conversation="w-1", at=at(5), text="a human"),
            CustomerMessage(conversation="w-1", at=at(5), text="", erased=("text",)),
        ),
    ):
        record = RecordedStep(**recorded_step(live.feed(event)[0].step, mine.fingerprint))
        done = replay.feed(erased or event, record)[0]

        assert done.result == "verified"
        assert done.erased is (erased is not None)
    assert replay.conversation.state == "escalation_pending"


def test_until_fires_what_is_left_even_if_that_closes() -> None:
    replay = Replay(policy())
    replay.feed(started())

    assert [one.step.after.state for one in replay.run_until(at(1800))] == ["closed"]


def test_the_slate_of_a_conversation_has_its_own_slots() -> None:
    talk = Talk()
    slate = ConversationSlate(talk.policy, talk.now, talk.steps[0].event, START)

    assert not hasattr(slate, "__dict__")


def test_a_transfer_to_another_queue_begins_the_steps_of_that_queue_anew() -> None:
    """Steps are remembered by their place in a queue: those of the first queue say nothing about the second."""
    talk = Talk(
        policy(
            """
[[queue]]
name = "a"
step = [{ after_s = 10, do = "widen", tier = "x" }]
[[queue]]
name = "b"
step = [{ after_s = 10, do = "notify" }]
"""
        )
    )
    talk.queue(0)
    talk.wait(11)
    assert talk.now.handoff is not None
    assert (talk.now.handoff.steps_done, talk.now.handoff.widened) == ((0,), ("x",))
    talk.accept(20)
    talk.do(TransferRequested, 21, agent="a1", target=Target(queue="b"))
    talk.do(OfferMade, 22, agent="b1", offer=5)
    talk.do(OfferAccepted, 23, agent="b1", offer=5)
    assert (talk.now.handoff.steps_done, talk.now.handoff.widened) == ((), ())
    talk.do(AgentLost, 30, agent="b1")

    fired = talk.wait(41)

    assert [effect.about for effect in effects_of(fired, NotifyAgents)] == ["waited_too_long"]


def test_a_transfer_within_the_queue_does_not_run_its_steps_again() -> None:
    talk = Talk(policy('[[queue]]\nname = "a"\nstep = [{ after_s = 10, do = "notify" }]'))
    talk.queue(0)
    talk.wait(11)
    talk.accept(20)
    talk.do(TransferRequested, 21, agent="a1", target=Target(queue="a"))
    talk.do(OfferMade, 22, agent="b1", offer=5)
    talk.do(OfferAccepted, 23, agent="b1", offer=5)

    assert talk.now.handoff is not None
    assert talk.now.handoff.steps_done == (0,)
