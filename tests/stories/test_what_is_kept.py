"""Stories about what is stored: a conversation that was put away goes on as if it had not been."""

import json
from typing import Any

import attrs
import naive
import pytest
from machines_build import Talk, at, effects_of, policy

from handoff_kit.machines import (
    AgentFinished,
    AgentMessage,
    AiTurn,
    Closed,
    ContextReady,
    Conversation,
    CopilotEngaged,
    CustomerLeft,
    CustomerMessage,
    Deferred,
    DraftProposed,
    DraftResolved,
    Event,
    FailedAction,
    Feedback,
    HandoffRequested,
    Observed,
    OfferAccepted,
    OfferMade,
    Offloaded,
    PolicyChanged,
    PrepareContext,
    QueueFacts,
    Replay,
    ReturnedToAi,
    SnapshotError,
    State,
    Step,
    Target,
    TicketOpened,
    TransferRequested,
    due,
    step,
)
from handoff_kit.machines.codec import (
    RecordedStep,
    canonical_step,
    conversation_from_data,
    conversation_to_data,
    recorded_step,
)

TRIGGERS = """
[[trigger]]
name = "asks"
when = { customer_says = ["human"] }

[[trigger]]
name = "ai_asks"
tier = "tier1"
when = { wants_handoff = true }
"""
SEEN = Observed(queues={"tier1": QueueFacts(open=True, available=2, eta_s=250.5, position=3)})


def led_to(state: State) -> Talk:
    """A conversation in that state, with as much about it as there can be."""
    talk = Talk(policy(TRIGGERS))
    talk.do(CustomerMessage, 1, text="grüß Gott", id="m-1", seq=2, choice="menu")
    talk.turn(2, reply="Hello!", intent="export", confidence=0.95, sentiment=0.25, entities={"file": "a.pdf", "size": 1.5})
    talk.do(CustomerMessage, 3, text="export it")
    if state is State.BOT_ACTIVE:
        return talk
    if state is State.CLOSED:
        talk.turn(4, reply="Done.", wants_close=True)
        return talk
    failed = FailedAction(name="export_pdf", parameters={"id": 7}, error_code="ERR_PERM_004")
    talk.turn(4, reply="Cannot.", failed_action=failed, wants_handoff=True)
    if state is State.ESCALATION_PENDING:
        talk.do(CustomerMessage, 5, text="hello?")
        talk.do(CustomerLeft, 6)
        return talk
    talk.do(ContextReady, 5, summary="wants a PDF", facts={"plan": "pro"}, observed=SEEN)
    talk.do(TicketOpened, 6, desk="console", ticket="t-1")
    if state is State.CALLBACK_PENDING:
        talk.do(Deferred, 7, kind="callback", reason="offer_exhausted", due=at(4000))
        return talk
    if state is State.RESUMED_BOT:
        talk.do(Offloaded, 7)
    talk.do(OfferMade, 8, agent="a1", offer=1)
    if state in (State.QUEUED, State.RESUMED_BOT):
        return talk
    talk.do(OfferAccepted, 9, agent="a1", offer=1)
    talk.do(AgentMessage, 10, agent="a1", text="I am here.")
    talk.do(CustomerMessage, 11, text="good", id="m-9")
    if state is State.COPILOT:
        talk.do(CopilotEngaged, 12, agent="a1")
        talk.do(DraftProposed, 13, draft="d-1", text="Here is your file.", in_reply_to="m-9")
    if state is State.WRAP_UP:
        talk.do(AgentFinished, 12, agent="a1", disposition="solved", tags=("pdf",), resolved=True)
    if state is State.AGENT_ACTIVE:
        talk.do(TransferRequested, 12, agent="a1", target=Target(tier="tier2", skills=("pdf",)), note="please")
        talk.do(OfferMade, 13, agent="b1", offer=2)
    return talk


def stored(conversation: Conversation, times: int = 3) -> Conversation:
    """Put it away and fetch it again, so many times."""
    for _ in range(times):
        conversation = conversation_from_data(json.loads(json.dumps(conversation_to_data(conversation))))
    return conversation


def next_events(talk: Talk) -> list[Event]:
    common: dict[str, Any] = {"conversation": talk.conversation, "at": at(15)}
    timer = due(talk.now, at(10**6))
    return [
        CustomerMessage(text="a human please", id="m-99", **common),
        AiTurn(reply="Here.", epoch=talk.epoch, in_reply_to="m-1", wants_handoff=True, **common),
        AiTurn(reply="Here.", epoch=talk.epoch, confidence=0.9, missed=True, **common),
        OfferAccepted(agent="a1", offer=1, **common),
        OfferAccepted(agent="b1", offer=2, **common),
        AgentMessage(agent="a1", text="there", **common),
        DraftResolved(agent="a1", draft="d-1", resolution="accepted", **common),
        ReturnedToAi(agent="a1", instruction="re-run", facts={"permission": "granted"}, **common),
        HandoffRequested(by="customer", **common),
        Feedback(csat=4, **common),
        Closed(reason="spam", **common),
        *([timer] if timer is not None else []),
    ]


@pytest.mark.parametrize("state", sorted(State))
def test_a_pause_survives_being_stored(state: State) -> None:
    """S16: after a restart the conversation was handed over a second time, and lines stood twice in its history."""
    talk = led_to(state)
    assert talk.state is state
    again = stored(talk.now)
    assert conversation_to_data(again) == conversation_to_data(talk.now)
    assert again == talk.now or attrs.asdict(again) == attrs.asdict(talk.now)

    accepted = 0
    for event in next_events(talk):
        one, other = step(talk.policy, talk.now, event), step(talk.policy, again, event)
        assert (one.refused and one.refused.name) == (other.refused and other.refused.name), event
        assert canonical_step(other).encode() == canonical_step(one).encode()
        assert conversation_to_data(other.after) == conversation_to_data(one.after)
        accepted += one.refused is None
    assert accepted > 0


def test_what_was_escalated_is_escalated_once_after_a_restart() -> None:
    """S16: the turn comes again after the restart; the history has each line once, and there is one handoff."""
    talk = Talk(policy(TRIGGERS))
    asked = talk.do(CustomerMessage, 1, text="help", id="m-1")
    turn = talk.turn(2, reply="I fetch somebody.", wants_handoff=True)
    talk.now = stored(talk.now)
    again = talk.take(attrs.evolve(turn.event, at=at(3)))

    assert again.refused is not None
    assert again.refused.name == "stale_epoch"
    assert [message.text for message in talk.now.messages] == ["help"]
    assert len(effects_of(talk.steps, PrepareContext)) == 1

    apart = naive.StoredApart().play(talk.steps[: talk.steps.index(again)])
    apart.restart(unfinished=[asked.event, turn.event])
    assert apart.history == ["help", "help"]
    assert apart.escalations == 2


# --- another policy

POLICY_A = TRIGGERS + '[timers]\nqueue_s = 600\n[[tier]]\nname = "tier1"\n'
POLICY_B = '[[trigger]]\nname = "asks"\nwhen = { customer_says = ["human"] }\n[timers]\nqueue_s = 60\n'


def queued_under_a() -> Talk:
    talk = Talk(policy(POLICY_A))
    talk.turn(0, reply="One moment.", wants_handoff=True)
    talk.do(ContextReady, 0)
    return talk


def queue_timer(conversation: Conversation) -> tuple[int, float]:
    (timer,) = [timer for timer in conversation.timers if timer.name == "queue"]
    return timer.generation, (timer.due - at(0)).total_seconds()


def test_a_new_policy_does_not_bend_a_conversation_that_runs() -> None:
    """S64: a new setting was deployed, and everybody who waited was thrown out of the queue at once."""
    talk = queued_under_a()
    a, b = talk.policy, policy(POLICY_B)
    assert queue_timer(talk.now) == (1, 600)

    talk.now = stored(talk.now)
    talk.policy = b
    message = talk.do(CustomerMessage, 100, text="hello?")
    assert queue_timer(message.after) == (1, 600)
    assert message.after.state is State.QUEUED
    assert message.after.policy == a.fingerprint, "which policy decides is said, until another one is"

    changed = talk.do(PolicyChanged, 110, fingerprint=b.fingerprint)
    assert changed.after.policy == b.fingerprint
    assert (changed.effects, queue_timer(changed.after)) == ((), (1, 600))
    assert recorded_step(changed, b.fingerprint)["policy"] == b.fingerprint

    (expired,) = talk.wait(600)
    assert (expired.event.trigger, expired.after.state, expired.after.at) == ("timer_queue", State.CALLBACK_PENDING, at(600))
    assert expired.after.handoff is not None
    assert expired.after.handoff.tier == "tier1", "where it stood in line stays where it is"

    at_use = naive.SettingsAtUse().play(talk.steps)
    assert at_use.due(queue_s=60) < message.after.at, "gone, though six hundred seconds were promised"


def recorded(talk: Talk, steps: list[Step]) -> list[tuple[Event, RecordedStep]]:
    return [(one.event, RecordedStep(**recorded_step(one, talk.policy.fingerprint))) for one in steps if one.refused is None]


def test_the_record_of_a_conversation_replays_to_itself() -> None:
    """S64: what was decided is verified from the log, with no difference."""
    talk = queued_under_a()
    talk.do(CustomerMessage, 100, text="hello?")
    talk.wait(700)
    replay = Replay(talk.policy)
    results = [one for event, record in recorded(talk, talk.steps) for one in replay.feed(event, record)]

    assert {one.result for one in results} == {"verified"}
    assert len(results) == len(talk.steps)
    assert replay.conversation == talk.now


def test_under_another_policy_a_difference_is_a_change_and_no_mismatch() -> None:
    """S64: tried on paper, the new policy shows what it would change."""
    talk = queued_under_a()
    replay = Replay(policy(POLICY_B))
    results = [one for event, record in recorded(talk, talk.steps) for one in replay.feed(event, record)]

    assert {one.result for one in results} == {"verified", "changed"}


def test_a_snapshot_of_another_machine_is_refused_by_name() -> None:
    """S64: a snapshot of a machine that nobody knows is not bent until it fits."""
    data = conversation_to_data(queued_under_a().now)
    with pytest.raises(SnapshotError, match=r"machine fingerprint .*feedbeef"):
        conversation_from_data({**data, "machine": "feedbeef"})
