"""The table: every pair of event and state is decided on purpose, and both kinds of `transitions` classes decide alike."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines_build import START, Talk, at, policy
from transitions import Machine
from walks import POLICIES, events, started

from handoff_kit.machines import EVENTS, REFUSALS, AiTurn, CustomerMessage, HandoffUsageError, State, step
from handoff_kit.machines.actions import CALLBACKS
from handoff_kit.machines.engine import STAY, Engine, Row, SlimTransition, row
from handoff_kit.machines.guards import GUARDS
from handoff_kit.machines.table import CONVERSATION, MACHINE_FINGERPRINT, ROWS, TRIGGERS, new_engine
from handoff_kit.machines.timers import TIMERS
from handoff_kit.machines.verdicts import Verdict

STOCK = new_engine(slim=False)

#: Where each event may move a conversation (state, word, target), as the design lists its arrows; all else stays or is refused.
ARROWS = {
    ("bot_active", "ai_turn"): {"escalation_pending", "closed"},
    ("resumed_bot", "ai_turn"): {"escalation_pending", "queued", "closed", "bot_active"},
    ("bot_active", "customer_message"): {"escalation_pending"},
    ("resumed_bot", "customer_message"): {"escalation_pending", "queued"},
    ("wrap_up", "customer_message"): {"agent_active"},
    ("bot_active", "handoff_requested"): {"escalation_pending"},
    ("resumed_bot", "handoff_requested"): {"escalation_pending", "queued"},
    **{(state, "handoff_withdrawn"): {"bot_active"} for state in ("escalation_pending", "queued", "callback_pending")},
    ("escalation_pending", "context_ready"): {"queued", "callback_pending"},
    ("escalation_pending", "timer_context"): {"queued", "callback_pending"},
    ("callback_pending", "ticket_opened"): {"closed"},
    ("queued", "offer_accepted"): {"agent_active", "copilot"},
    ("resumed_bot", "offer_accepted"): {"agent_active"},
    ("agent_active", "offer_accepted"): {"agent_active"},
    ("copilot", "offer_accepted"): {"agent_active"},
    ("queued", "agent_assigned"): {"agent_active", "copilot"},
    **{
        (state, "agent_assigned"): {"agent_active"}
        for state in ("bot_active", "resumed_bot", "escalation_pending", "callback_pending", "agent_active", "copilot")
    },
    **{
        (state, "agent_message"): {"agent_active"}
        for state in (
            "bot_active",
            "resumed_bot",
            "escalation_pending",
            "queued",
            "callback_pending",
            "agent_active",
            "copilot",
        )
    },
    ("agent_active", "copilot_engaged"): {"copilot"},
    ("copilot", "copilot_disengaged"): {"agent_active"},
    **{
        (state, word): {target}
        for state in ("agent_active", "copilot")
        for word, target in (
            ("returned_to_ai", "resumed_bot"),
            ("agent_finished", "wrap_up"),
            ("agent_lost", "queued"),
            ("timer_agent_silent", "queued"),
            ("timer_parked", "wrap_up"),
            ("timer_customer_gone", "wrap_up"),
        )
    },
    ("wrap_up", "agent_wrapped"): {"closed"},
    ("wrap_up", "timer_wrap_up"): {"closed"},
    ("bot_active", "timer_ai_reply"): {"escalation_pending"},
    ("resumed_bot", "timer_ai_reply"): {"escalation_pending", "queued"},
    **{(state, "timer_bot_idle"): {"closed"} for state in ("bot_active", "resumed_bot")},
    **{(state, "timer_customer_gone"): {"closed"} for state in ("bot_active", "resumed_bot", "escalation_pending", "queued")},
    ("queued", "offloaded"): {"resumed_bot"},
    ("resumed_bot", "reclaimed"): {"queued"},
    ("queued", "timer_queue_step"): {"resumed_bot", "callback_pending", "closed"},
    ("queued", "timer_queue"): {"callback_pending", "closed"},
    ("escalation_pending", "deferred"): {"callback_pending", "closed"},
    ("queued", "deferred"): {"callback_pending", "closed"},
    ("callback_pending", "deferred"): {"closed"},
    ("callback_pending", "timer_callback"): {"queued", "closed"},
    **{(state, "closed"): {"closed"} for state in State if state != "closed"},
}


def test_the_walk_over_the_whole_product_finds_each_pair_decided() -> None:
    """A row without a guard ends each pair; it is an arrow, a change of data, or a refusal with its name."""
    by_pair: dict[tuple[str, str], list[Row]] = {}
    for one in ROWS:
        by_pair.setdefault((one.source, one.event), []).append(one)

    assert set(by_pair) == {(state, word) for state in State for word in TRIGGERS}
    for (state, word), rows in by_pair.items():
        assert rows[-1].when == (), (state, word)
        assert all(one.when for one in rows[:-1]), (state, word)
        assert {one.to for one in rows if one.to is not STAY} == ARROWS.get((state, word), set()), (state, word)
        for one in rows:
            assert one.do, (state, word)
            assert one.refuses is None or (one.refuses in REFUSALS and one.to is STAY)


def test_the_words_of_the_table_are_all_events_and_all_timers() -> None:
    assert set(TRIGGERS) == set(EVENTS) - {"timer_fired"} | {f"timer_{name}" for name in TIMERS}


def test_every_guard_and_callback_is_a_word_of_the_table() -> None:
    """What no row names would be dead."""
    assert set(GUARDS) == {name for one in ROWS for name in one.when}
    fenced = {f"refuse_{name}" for name in REFUSALS}
    assert set(CALLBACKS) - fenced == {name for one in ROWS for name in one.do} - fenced


def test_no_event_is_accepted_in_closed_but_those_that_the_design_names() -> None:
    accepted = {one.event for one in ROWS if one.source == State.CLOSED and one.refuses is None}

    assert accepted == {"feedback", "delivery_failed", "ticket_opened", "ticket_failed"}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), policy=st.sampled_from(POLICIES))
def test_slim_and_stock_classes_decide_alike(data: st.DataObject, policy: object) -> None:
    now = step(policy, None, started()).after
    for _ in range(30):
        event = data.draw(events(now))
        slim, stock = step(policy, now, event), step(policy, now, event, engine=STOCK)
        assert slim == stock
        now = slim.after


def test_one_machine_serves_all_and_knows_no_model() -> None:
    assert isinstance(CONVERSATION.machine, Machine)
    assert CONVERSATION.machine.models == []
    assert STOCK.machine.models == []


def test_steps_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Talk().accept(10)

    assert caplog.records == []


def test_the_fingerprint_of_the_machine_is_stable() -> None:
    """Recordings name it: a change of the table shows here, and bundled recordings must be made again."""
    assert len(MACHINE_FINGERPRINT) == 32


def _true(_: object) -> Verdict:
    return Verdict("yes", True)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (row("go", "a", "b", when="no_such"), "not defined"),
        (row("go", "a", "b", do="no_such"), "not defined"),
        (row("go", "a", "b") + row("go", "a", STAY), "dead"),
        (row("go", "a", "b", when="yes"), "last row must have no guard"),
    ],
)
def test_a_table_with_a_mistake_is_refused_when_it_is_built(rows: list[Row], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Engine("broken", ("a", "b"), rows, {"yes": _true}, {})


def test_slim_transitions_refuse_what_they_leave_out() -> None:
    with pytest.raises(TypeError, match="stock classes"):
        SlimTransition("a", "b", before=["something"])


def test_a_guard_that_raises_sends_the_customer_to_a_person_in_the_ais_states() -> None:
    """Any guard of the table, not only a policy's conditions."""
    broken = _engine_with("ai_wants_to_close")
    talk = Talk(policy(""))
    talk.do(CustomerMessage, 5, text="hello", seq=2)
    done = step(talk.policy, talk.now, AiTurn(conversation="c-1", at=at(6), reply="hi", epoch=0), engine=broken)

    assert done.refused is None
    assert done.after.state == "escalation_pending"
    assert done.after.handoff is not None
    assert done.after.handoff.reasons == ("guard_error",)
    assert done.reply == "withheld"
    assert next(v for v in done.verdicts if v.name == "ai_wants_to_close").error == "ZeroDivisionError: division by zero"


def test_a_guard_that_raises_elsewhere_moves_nothing() -> None:
    broken = _engine_with("no_human_is_possible")
    talk = Talk()
    talk.escalate(5)
    event = EVENTS["context_ready"](conversation="c-1", at=at(6))
    done = step(talk.policy, talk.now, event, engine=broken)

    assert done.refused is not None
    assert done.refused.name == "guard_error"
    assert done.refused.facts["guard"] == "no_human_is_possible"
    assert done.after is talk.now


@pytest.mark.parametrize("name", ["a_trigger_holds", "keeps_a_place", "has_settled"])
def test_whichever_guard_breaks_the_customer_goes_to_a_person(name: str) -> None:
    talk = Talk()
    talk.accept(10)
    talk.do(EVENTS["returned_to_ai"], 20, agent="a1")
    turn = AiTurn(conversation="c-1", at=at(21), reply="x", epoch=3)
    done = step(talk.policy, talk.now, turn, engine=_engine_with(name))

    assert done.refused is None
    assert done.after.state == "escalation_pending"
    assert done.after.handoff is not None
    assert done.after.handoff.reasons == ("guard_error",)


def _engine_with(broken: str) -> Engine:
    def breaks(_: object) -> Verdict:
        raise ZeroDivisionError("division by zero")

    return Engine("conversation", State, ROWS, {**GUARDS, broken: breaks}, CALLBACKS)


def test_an_event_without_a_time_is_misuse() -> None:
    talk = Talk()
    with pytest.raises(HandoffUsageError, match="give one"):
        step(talk.policy, talk.now, CustomerMessage(conversation="c-1", text="x"))


def test_a_conversation_that_was_never_started_is_misuse() -> None:
    with pytest.raises(HandoffUsageError, match="ConversationStarted first"):
        step(policy(), None, CustomerMessage(conversation="c-1", at=START, text="x"))


def test_an_event_before_the_last_one_is_taken_as_of_that_time() -> None:
    talk = Talk()
    talk.do(CustomerMessage, 20, text="hello")
    done = talk.do(CustomerMessage, 10, text="sent earlier")

    assert done.late
    assert done.refused is None
    assert done.after.at == at(20)
