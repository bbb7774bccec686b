"""Stories about waiting: every wait has an end, and no clock is set back."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import naive
import pytest
from hypothesis import HealthCheck, given, settings
from machines_build import Talk, at, effects_of, policy

from handoff_kit.machines import (
    AgentAssigned,
    AgentFinished,
    AgentLost,
    AgentMessage,
    AgentParked,
    AiTurn,
    AskBot,
    CancelTimer,
    CloseTicket,
    ContextReady,
    CopilotEngaged,
    CustomerLeft,
    CustomerMessage,
    CustomerReturned,
    Deferred,
    DraftProposed,
    Event,
    FailedAction,
    HandoffRequested,
    HandoffWithdrawn,
    NotifyAgents,
    Observed,
    OfferAccepted,
    OfferConversation,
    OfferDeclined,
    OfferMade,
    Offloaded,
    OpenTicket,
    QueueFacts,
    Reclaimed,
    RescindOffer,
    ResumeBot,
    ReturnedToAi,
    SendToCustomer,
    State,
    Step,
    Target,
    TicketFailed,
    TicketOpened,
    TimerFired,
    TransferCancelled,
    TransferRequested,
    UpdateTicket,
    advance,
    clocks,
    due,
    replay,
    step,
)


def moves(steps: list[Step]) -> list[tuple[str, str, float]]:
    """(timer or event, state after, seconds since the start) of each step that moved the conversation."""
    return [
        (one.event.trigger, str(one.after.state), (one.after.at - at(0)).total_seconds())
        for one in steps
        if one.before is not None and one.before.state is not one.after.state
    ]


def said(steps: Step | list[Step]) -> list[str]:
    return [sent.kind for sent in effects_of(steps, SendToCustomer)]


# --- timers alone lead out


def test_nothing_comes_and_the_customer_is_not_forgotten() -> None:
    """S24: somebody was asked for at night, nobody came, and the conversation waited for ever."""
    talk = Talk()
    talk.escalate(0)
    silence = talk.wait(10)
    talk.do(OfferMade, 600, agent="a1", offer=1, deadline=at(2000))
    silence += talk.wait(610)

    assert moves(silence) == [("timer_context", "queued", 10), ("timer_queue", "callback_pending", 610)]
    assert talk.now.handoff is not None
    assert talk.now.handoff.context_missing
    noise = effects_of(silence[0], NotifyAgents)
    assert [one.facts["context_missing"] for one in noise if one.about == "queued"] == [True]
    assert [(end.agent, end.offer) for end in effects_of(silence[-1], RescindOffer)] == [("a1", 1)]
    assert said(silence[-1]) == ["callback"]

    ringing, flag = naive.Ringing().play(talk.steps), naive.Flag(raised_by=(HandoffRequested,)).play(talk.steps)
    assert ringing.rings_at == {"a1"}
    assert flag.taken_over
    assert flag.sent == []


def test_an_agent_who_says_nothing_loses_the_conversation() -> None:
    """S24: the agent accepted, went to lunch, and kept the customer."""
    talk = Talk()
    talk.accept(0)
    assert moves(talk.wait(300)) == [("timer_agent_silent", "queued", 300)]
    assert talk.now.handoff is not None
    assert talk.now.handoff.since == at(0)


def test_paperwork_has_an_end() -> None:
    """S24: wrap-up was never ended, and the agent got nothing new."""
    talk = Talk()
    talk.accept(0)
    talk.do(AgentFinished, 100, agent="a1")
    assert moves(talk.wait(220)) == [("timer_wrap_up", "closed", 220)]
    assert due(talk.now, at(10**9)) is None


def test_the_reasons_for_a_promise_are_told_apart() -> None:
    """S24: "nobody could help" had four causes, and the report knew one."""

    def reason(lead: Callable[[Talk], Any]) -> tuple[str | None, str | None]:
        talk = Talk()
        talk.escalate(0)
        lead(talk)
        assert talk.now.waiting is not None
        assert talk.now.waiting.promise is not None
        told = [update.facts.get("reason") for update in effects_of(talk.steps, UpdateTicket) if update.what == "deferred"]
        return talk.now.waiting.promise.reason, told[-1] if told else None

    nobody = Observed(queues={"default": QueueFacts(open=True, available=0)})
    closed = Observed(queues={"default": QueueFacts(open=False)})

    def deferred(why: str) -> Callable[[Talk], Any]:
        def lead(talk: Talk) -> None:
            talk.do(ContextReady, 1)
            talk.do(Deferred, 2, kind="callback", reason=why)

        return lead

    assert reason(lambda talk: talk.do(ContextReady, 1, observed=nobody)) == ("none_available", None)
    assert reason(lambda talk: talk.do(ContextReady, 1, observed=closed)) == ("closed", None)
    assert reason(lambda talk: talk.wait(700)) == ("waited_too_long", "waited_too_long")
    for why in ("offer_exhausted", "no_common_language"):
        assert reason(deferred(why)) == (why, why)


HELPFUL = """
[[trigger]]
name = "ai_asks"
when = { wants_handoff = true }

[[trigger]]
name = "unsure"
when = { confidence_below = 0.8 }

[[queue]]
name = "default"
"""

POLICIES = {
    "callback": HELPFUL,
    "ticket": HELPFUL + 'fallback = "ticket"\n',
    "leave": HELPFUL + "keep_helping = true\n[copilot]\nengage = 'on_accept'\n[offer]\nparallel = 2\n",
    "steps": HELPFUL
    + """
[[queue.step]]
after_s = 30
do = "widen"
tier = "tier2"

[[queue.step]]
when_wait_above_s = 90
do = "offload_to_ai"
only = { priority_at_most = 5 }

[[queue.step]]
after_s = 120
do = "notify"

[[queue.step]]
when_none_available = true
do = "callback"

[[queue.step]]
after_s = 400
do = "ticket"

[limits]
offloads = 2
[callback]
attempts = 1
""",
    "hasty": HELPFUL
    + """
[timers]
context_s = 0
queue_s = 0
ai_reply_s = 0
agent_silent_s = 0
customer_idle_s = 0
parked_s = 0
wrap_up_s = 0
callback_s = 60
""",
}

QUEUE_FACTS = (
    None,
    QueueFacts(open=True, available=3, eta_s=120, position=2),
    QueueFacts(open=True, available=0),
    QueueFacts(open=False, opens_at=at(50000)),
)

#: What may happen on a walk: the event's class, and its fields for an agent and a number.
ACTS: list[tuple[type[Event], Callable[[Talk, str, int], dict[str, Any]]]] = [
    (CustomerMessage, lambda talk, agent, n: {"text": "hello?", "id": f"m-{len(talk.steps)}"}),
    (AiTurn, lambda talk, agent, n: {"reply": "yes", "epoch": talk.epoch, "confidence": 0.9}),
    (AiTurn, lambda talk, agent, n: {"reply": "no", "epoch": talk.epoch, "missed": True}),
    (AiTurn, lambda talk, agent, n: {"reply": "hm", "epoch": talk.epoch, "failed_action": FailedAction(name="x")}),
    (AiTurn, lambda talk, agent, n: {"reply": "hm", "epoch": talk.epoch, "wants_handoff": True}),
    (AiTurn, lambda talk, agent, n: {"reply": "hm", "epoch": talk.epoch, "confidence": 0.1}),
    (HandoffRequested, lambda talk, agent, n: {"by": "customer" if n % 2 else "api"}),
    (HandoffWithdrawn, lambda talk, agent, n: {}),
    (ContextReady, lambda talk, agent, n: {"facts": {"n": n}}),
    (TicketOpened, lambda talk, agent, n: {"desk": "console", "ticket": f"t-{n}"}),
    (TicketFailed, lambda talk, agent, n: {"desk": "console", "error": "busy"}),
    (OfferMade, lambda talk, agent, n: {"agent": agent, "offer": len(talk.steps)}),
    (OfferAccepted, lambda talk, agent, n: pending(talk, agent)),
    (OfferDeclined, lambda talk, agent, n: pending(talk, agent)),
    (AgentAssigned, lambda talk, agent, n: {"agent": agent, "by": "supervisor"}),
    (AgentMessage, lambda talk, agent, n: {"agent": talk.now.agent or agent, "text": "me"}),
    (AgentMessage, lambda talk, agent, n: {"agent": agent, "text": "me", "takeover": True}),
    (AgentParked, lambda talk, agent, n: {"agent": talk.now.agent or agent, "waiting_for": "customer"}),
    (AgentParked, lambda talk, agent, n: {"agent": talk.now.agent or agent, "waiting_for": "third_party"}),
    (AgentLost, lambda talk, agent, n: {"agent": talk.now.agent or agent}),
    (CopilotEngaged, lambda talk, agent, n: {"agent": talk.now.agent or agent}),
    (DraftProposed, lambda talk, agent, n: {"draft": n, "text": "dear customer"}),
    (ReturnedToAi, lambda talk, agent, n: {"agent": talk.now.agent or agent}),
    (TransferRequested, lambda talk, agent, n: {"agent": talk.now.agent or agent, "target": Target(tier="tier2")}),
    (TransferCancelled, lambda talk, agent, n: {"agent": talk.now.agent or agent}),
    (AgentFinished, lambda talk, agent, n: {"agent": talk.now.agent or agent}),
    (Offloaded, lambda talk, agent, n: {}),
    (Reclaimed, lambda talk, agent, n: {}),
    (Deferred, lambda talk, agent, n: {"kind": "ticket" if n % 2 else "callback", "reason": "offer_exhausted"}),
    (CustomerLeft, lambda talk, agent, n: {}),
    (CustomerReturned, lambda talk, agent, n: {}),
]


def pending(talk: Talk, agent: str) -> dict[str, Any]:
    """An answer to what rings, else to nothing."""
    first = next(iter(talk.now.offers), None)
    return {"agent": first.agent, "offer": first.number} if first is not None else {"agent": agent, "offer": 1}


_WALK = st.lists(
    st.tuples(
        st.sampled_from(ACTS),
        st.sampled_from(["a1", "a2", "b1"]),
        st.integers(1, 9),
        st.sampled_from(QUEUE_FACTS),
        st.sampled_from([0, 1, 5, 20, 60, 130, 400]),
    ),
    max_size=22,
)


def rests(talk: Talk) -> bool:
    """Whether nothing more is owed to the customer here: it is over, or a ticket is promised and the desk must answer."""
    waiting = talk.now.waiting
    promise = waiting.promise if waiting is not None else None
    if talk.state is State.CLOSED:
        return True
    return talk.state is State.CALLBACK_PENDING and promise is not None and promise.kind == "ticket"


def goes_to_rest(talk: Talk, most: int) -> list[Step]:
    """Fire timers, each at its time, until the conversation rests; fail after `most`."""
    fired: list[Step] = []
    while not rests(talk):
        timer = due(talk.now, at(10**9))
        assert timer is not None, f"{talk.state} owes nothing"
        fired.append(step(talk.policy, talk.now, timer))
        talk.steps.append(fired[-1])
        assert fired[-1].refused is None, fired[-1].refused
        talk.now = fired[-1].after
        assert len(fired) <= most, [(one.event.trigger, str(one.after.state)) for one in fired]
    return fired


@pytest.mark.parametrize("name", sorted(POLICIES))
@given(walk=_WALK)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_wherever_it_was_left_it_comes_to_rest(name: str, walk: list[Any]) -> None:
    """S24: from wherever a conversation may get to, timers alone lead to its end or to a promise that the desk must keep."""
    talk = Talk(policy(POLICIES[name]))
    now = 0
    for (kind, fields), agent, number, seen, gap in walk:
        now += gap
        talk.wait(now)
        observed = Observed(queues={"default": seen}) if seen is not None else None
        talk.do(kind, now, observed=observed, **fields(talk, agent, number))
        assert (talk.now.timers == ()) is (talk.state is State.CLOSED), "every state but the last owes a timer"
        assert all(one.due >= talk.now.at for one in talk.now.timers)

    goes_to_rest(talk, most=100)
    if talk.state is not State.CLOSED:
        again = due(talk.now, at(10**9))
        assert again is not None
        assert again.timer == "callback"
        reminded = step(talk.policy, talk.now, again)
        assert reminded.after.state in (State.CALLBACK_PENDING, State.CLOSED)
        if reminded.after.state is State.CALLBACK_PENDING:
            assert "supervisor" in [noise.audience for noise in effects_of(reminded, NotifyAgents)]


def everywhere() -> dict[str, Talk]:
    """A conversation in each state, left there."""
    talks = {str(state): Talk() for state in State}
    talks["escalation_pending"].escalate(1)
    talks["queued"].queue(1)
    talks["agent_active"].accept(1)
    talks["copilot"].accept(1)
    talks["copilot"].do(CopilotEngaged, 2, agent="a1")
    talks["resumed_bot"].accept(1)
    talks["resumed_bot"].do(ReturnedToAi, 2, agent="a1")
    talks["callback_pending"].queue(1)
    talks["callback_pending"].do(Deferred, 2, kind="callback", reason="none_available")
    talks["wrap_up"].accept(1)
    talks["wrap_up"].do(AgentFinished, 2, agent="a1")
    talks["closed"].turn(1, wants_close=True)
    return talks


@pytest.mark.parametrize("state", sorted(map(str, State)))
def test_every_state_comes_to_rest(state: str) -> None:
    """S24: the same from each state by name."""
    talk = everywhere()[state]
    assert talk.state == state
    goes_to_rest(talk, most=20)
    assert rests(talk)


# --- only what nobody took can expire

PATIENT = '[[trigger]]\nname = "ai_asks"\nwhen = { wants_handoff = true }\n'


def ringing_until_long_after() -> Talk:
    """Queued at 0 s, so that the queue's time is over at 600 s; offer 1 rings at a1 for longer than that."""
    talk = Talk(policy(PATIENT))
    talk.queue(0)
    talk.do(OfferMade, 1, agent="a1", offer=1, deadline=at(5000))
    (timer,) = [timer for timer in talk.now.timers if timer.name == "queue"]
    assert (timer.generation, timer.due) == (1, at(600))
    return talk


def test_what_was_taken_does_not_expire() -> None:
    """S26: the agent took it in the last millisecond, and two seconds later the customer read that nobody was there."""
    talk = ringing_until_long_after()
    taken = talk.do(OfferAccepted, 599.999, agent="a1", offer=1)
    late = talk.do(TimerFired, 602, timer="queue", generation=1)

    assert ("queue", 1) in [(end.timer, end.generation) for end in effects_of(taken, CancelTimer)]
    assert late.refused is not None
    assert late.refused.name == "stale_timer"
    assert late.after is taken.after
    assert late.after.state is State.AGENT_ACTIVE
    assert "callback" not in said(talk.steps)

    asleep = naive.SleepingTimer(after_s=600).play(talk.steps)
    assert asleep.state == "callback_pending"
    assert asleep.texts("system") == ["Nobody is free right now."]


def test_ten_thousand_times_exactly_one_of_the_two_happens() -> None:
    """S26: whichever millisecond the answer comes in, it is either taken or expired, and never both."""
    talk = ringing_until_long_after()
    endings = {"taken": 0, "expired": 0}
    for milliseconds in range(-5000, 5000):
        accept = OfferAccepted(conversation="c-1", at=at(600 + milliseconds / 1000), agent="a1", offer=1)
        steps = list(advance(talk.policy, talk.now, accept))
        late = TimerFired(conversation="c-1", at=at(606), timer="queue", generation=1)
        steps.append(step(talk.policy, steps[-1].after, late))

        refused = [one.refused.name for one in steps if one.refused is not None]
        if milliseconds < 0:
            endings["taken"] += 1
            assert (refused, steps[-1].after.state) == (["stale_timer"], State.AGENT_ACTIVE)
            assert said(steps) == []
        else:
            endings["expired"] += 1
            assert (refused, steps[-1].after.state) == (["stale_offer", "stale_timer"], State.CALLBACK_PENDING)
            assert said(steps) == ["callback"]
    assert endings == {"taken": 5000, "expired": 5000}


_COMES = st.sampled_from(["accept", "timer", "message", "context", "repeat"])


@given(comes=st.lists(st.tuples(st.integers(590_000, 610_000), _COMES), max_size=12))
@settings(max_examples=300, deadline=None)
def test_in_any_order_exactly_one_of_the_two_happens(comes: list[tuple[int, str]]) -> None:
    """S26: the same with messages and late context in between, and answers and timers that come twice."""
    talk = ringing_until_long_after()
    for milliseconds, what in sorted(comes):
        now = milliseconds / 1000
        if what in ("accept", "repeat"):
            talk.do(OfferAccepted, now, agent="a1", offer=1)
        elif what == "timer":
            talk.do(TimerFired, now, timer="queue", generation=1)
        elif what == "message":
            talk.do(CustomerMessage, now, text="hello?")
        else:
            talk.do(ContextReady, now)
    talk.wait(611)

    taken = [one for one in talk.steps if isinstance(one.event, OfferAccepted) and one.refused is None]
    expired = [one for one in talk.steps if one.event.trigger == "timer_queue" and one.refused is None]
    assert len(taken) + len(expired) == 1
    assert all(one.after.at >= at(600) for one in expired), "never before its time"
    assert talk.state is (State.AGENT_ACTIVE if taken else State.CALLBACK_PENDING)
    assert said(talk.steps).count("callback") == len(expired)
    assert all(sent.text for sent in effects_of(talk.steps, SendToCustomer))


def test_a_waiting_customer_reads_that_they_wait() -> None:
    """S26: a paused run was shown as an empty answer."""
    talk = ringing_until_long_after()
    first = talk.do(CustomerMessage, 20, text="hello?")
    second = talk.do(CustomerMessage, 40, text="hello??")

    (hold,) = effects_of(first, SendToCustomer)
    assert (hold.speaker, hold.kind) == ("system", "hold")
    assert hold.text.strip()
    assert effects_of([first, second], AskBot) == []
    assert effects_of(second, SendToCustomer) == []


# --- the customer's clock

WIDENING = """
[[trigger]]
name = "ai_asks"
when = { wants_handoff = true }

[[queue]]
name = "tier1"

[[queue.step]]
when_wait_above_s = 295
do = "widen"
tier = "tier2"
"""


def a_long_wait() -> Talk:
    """Escalated at 5 s, connecting at 6 s, offloaded at 180 s, reclaimed at 240 s, widened to tier 2 at 300 s."""
    talk = Talk(policy(WIDENING))
    talk.do(CustomerMessage, 0, text="my card is gone")
    talk.turn(5, reply="One moment.", wants_handoff=True)
    talk.do(ContextReady, 6)
    for minute in (1, 2):
        talk.do(CustomerMessage, 60 * minute, text="hello?")
    talk.do(Offloaded, 180)
    talk.turn(185, reply="Can I help meanwhile?")
    talk.do(Reclaimed, 240)
    talk.do(CustomerMessage, 290, text="still there?")
    widened = talk.wait(300)
    assert [one.after.handoff.widened for one in widened if one.after.handoff is not None][-1] == ("tier2",)
    talk.do(CustomerMessage, 390, text="please")
    return talk


def test_the_clock_of_the_wait_is_never_set_back() -> None:
    """S40: the report showed a wait of seconds, since every line of the bot began it anew."""
    talk = a_long_wait()
    talk.do(OfferMade, 410, agent="b1", offer=1)
    taken = talk.do(OfferAccepted, 420, agent="b1", offer=1)
    answered = talk.do(AgentMessage, 440, agent="b1", text="I am here.")
    talk.do(AgentMessage, 500, agent="b1", text="Done.")

    for steps in (talk.steps, list(replay(talk.policy, [one.event for one in talk.steps if one.event.type != "timer_fired"]))):
        by_time = {one.after.at: one.after for one in steps}
        at_accept = clocks(by_time[taken.after.at], at(420))
        assert (at_accept.customer_wait_s, at_accept.time_to_accept_s, at_accept.handle_s) == (415, 415, 0)
        at_answer = clocks(by_time[answered.after.at], at(440))
        assert (at_answer.customer_wait_s, at_answer.time_to_accept_s, at_answer.handle_s) == (435, 415, 20)
        later = clocks(by_time[at(500)], at(520))
        assert (later.customer_wait_s, later.handle_s) == (435, 100)

    assert said(talk.steps).count("connecting") == len(effects_of(talk.steps, OpenTicket)) == 1

    restarting = naive.RestartingClock().play(talk.steps[: talk.steps.index(answered) + 1])
    assert restarting.waited_s < 60


def test_a_transfer_without_a_word_does_not_end_the_wait() -> None:
    """S40: who takes it and passes it on unanswered has not ended anybody's wait."""
    talk = a_long_wait()
    talk.accept(391)
    talk.do(TransferRequested, 400, agent="a1", target=Target(tier="tier2"))
    talk.do(OfferMade, 410, agent="b1", offer=9)
    talk.do(OfferAccepted, 420, agent="b1", offer=9)
    assert clocks(talk.now, at(420)).customer_wait_s == 415
    assert talk.now.held is not None
    assert talk.now.held.since == at(420)
    talk.do(AgentMessage, 440, agent="b1", text="I am here.")

    now = clocks(talk.now, at(1000))
    assert (now.customer_wait_s, now.time_to_accept_s) == (435, 386)


# --- gone from the queue


def test_who_leaves_the_queue_has_not_been_served() -> None:
    """S50: the customer gave up waiting, and was asked how the conversation with the agent had been."""
    talk = Talk()
    talk.queue(1)
    talk.do(TicketOpened, 3, desk="console", ticket="t-1")
    talk.do(OfferMade, 5, agent="a1", offer=1, deadline=at(500))
    talk.do(CustomerLeft, 20)
    (gone,) = talk.wait(80)

    assert gone.event.trigger == "timer_customer_gone"
    assert (gone.after.at, gone.after.state, gone.after.epoch) == (at(80), State.CLOSED, 2)
    assert gone.after.ending == "abandoned_waiting"
    assert [(end.agent, end.offer) for end in effects_of(gone, RescindOffer)] == [("a1", 1)]
    assert [(one.what, one.ticket) for one in effects_of(gone, UpdateTicket)] == [("abandoned_waiting", "t-1")]
    assert [(one.reason, one.ticket) for one in effects_of(gone, CloseTicket)] == [("abandoned_waiting", "t-1")]
    assert effects_of(talk.steps, ResumeBot) == []
    assert State.WRAP_UP not in {one.after.state for one in talk.steps}
    assert "rating" not in said(talk.steps)
    assert clocks(gone.after, at(1000)).handle_s is None
    assert clocks(gone.after, at(1000)).customer_wait_s == 79

    flag = naive.Flag(raised_by=(HandoffRequested,)).play(talk.steps)
    assert flag.texts("system") == ["How was this conversation?"]


@pytest.mark.parametrize("back", [CustomerReturned, CustomerMessage])
def test_who_comes_back_in_time_still_stands_in_line(back: type[Event]) -> None:
    """S50: a tunnel is no farewell."""
    talk = Talk()
    talk.queue(1)
    talk.do(CustomerLeft, 20)
    talk.do(back, 79.9, **({"text": "hello?"} if back is CustomerMessage else {}))
    talk.wait(200)

    assert talk.state is State.QUEUED
    assert effects_of(talk.steps, OfferConversation) == []
    assert len(effects_of(talk.steps, OpenTicket)) == 1
