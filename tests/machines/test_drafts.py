"""Copilot: the AI drafts, the owner decides, and nothing of the AI's reaches the customer by itself."""

from typing import Any

import pytest
from machines_build import Talk, at, effects_of, policy

from handoff_kit.machines import (
    AgentMessage,
    AgentParked,
    AgentUnparked,
    AiTurn,
    CopilotDisengaged,
    CopilotEngaged,
    CustomerMessage,
    DraftForAgent,
    DraftProposed,
    DraftResolved,
    NotifyAgents,
    OfferAccepted,
    OfferMade,
    RelayToDesk,
    ReturnedToAi,
    SendToCustomer,
    State,
    Step,
    Target,
    TransferRequested,
    clocks,
)

ON_ACCEPT = '[copilot]\nengage = "on_accept"\n'


def copilot(policy_text: str = "") -> Talk:
    """a1 owns, the AI drafts, and the customer's message 1 is open."""
    talk = Talk(policy(policy_text))
    talk.accept(1)
    talk.do(CustomerMessage, 10, seq=1, id="m-1", text="Where is my file?")
    if talk.state is not State.COPILOT:
        talk.do(CopilotEngaged, 11, agent="a1")
    return talk


def drafted(seconds: float = 12, in_reply_to: int | str | None = "m-1") -> Talk:
    talk = copilot()
    talk.do(DraftProposed, seconds, draft=1, text="It is in your inbox.", in_reply_to=in_reply_to)
    return talk


def refused(one: Step) -> str | None:
    return one.refused.name if one.refused is not None else None


def ids(talk: Talk) -> list[int | str]:
    assert talk.now.held is not None
    return [draft.draft for draft in talk.now.held.drafts]


def sent(one: Step) -> list[tuple[str, str, str | None]]:
    return [(effect.speaker, effect.text, effect.agent) for effect in effects_of(one, SendToCustomer)]


# --- asking


def test_each_message_asks_for_a_draft() -> None:
    talk = copilot(ON_ACCEPT)
    again = talk.do(CustomerMessage, 20, seq=2, text="Hello?")

    assert effects_of(talk.steps, DraftForAgent) == [
        DraftForAgent("a1", talk.epoch, "m-1"),
        DraftForAgent("a1", talk.epoch, 2),
    ]
    assert effects_of(again, RelayToDesk) == [RelayToDesk("Hello?", "a1")]


def test_a_copilot_on_accept_drafts_for_what_was_said_before() -> None:
    talk = Talk(policy(ON_ACCEPT))
    talk.escalate(1)
    talk.do(CustomerMessage, 2, seq=1, text="Where is my file?")
    accepted = talk.accept(3)

    assert accepted.after.state is State.COPILOT
    assert effects_of(accepted, DraftForAgent) == [DraftForAgent("a1", talk.epoch, 1)]


# --- the owner decides, and nobody else


def test_a_draft_is_shown_to_the_owner_only() -> None:
    talk = copilot()
    shown = talk.do(DraftProposed, 12, draft=1, text="It is in your inbox.", in_reply_to="m-1")

    assert list(shown.effects) == [
        effect for effect in shown.effects if isinstance(effect, NotifyAgents) or "timer" in effect.type
    ]
    assert effects_of(shown, NotifyAgents) == [
        NotifyAgents("agent:a1", "draft_proposed", {"draft": 1, "text": "It is in your inbox."})
    ]
    assert sent(shown) == []
    assert shown.after.messages == talk.steps[-2].after.messages


def test_after_a_change_of_owner_the_drafts_are_the_new_owners() -> None:
    talk = drafted()
    talk.do(AgentMessage, 13, agent="b1", text="Mine now.", takeover=True)

    assert ids(talk) == []
    assert talk.state is State.AGENT_ACTIVE
    assert refused(talk.do(DraftResolved, 14, agent="a1", draft=1, resolution="accepted")) == "not_owner"
    assert refused(talk.do(DraftResolved, 15, agent="b1", draft=1, resolution="accepted")) == "not_allowed_here"


def test_who_does_not_own_decides_nothing() -> None:
    talk = drafted()
    other = talk.do(DraftResolved, 13, agent="a2", draft=1, resolution="accepted")

    assert (refused(other), sent(other), ids(talk)) == ("not_owner", [], [1])


def test_a_decision_of_another_epoch_is_stale() -> None:
    talk = drafted()
    late = talk.do(DraftResolved, 13, agent="a1", draft=1, resolution="accepted", epoch=talk.epoch - 1)

    assert (refused(late), sent(late), ids(talk)) == ("stale_epoch", [], [1])


def test_an_accepted_draft_is_the_agents_own_words() -> None:
    talk = drafted()
    one = talk.do(DraftResolved, 13, agent="a1", draft=1, resolution="accepted", epoch=talk.epoch)

    assert sent(one) == [("agent", "It is in your inbox.", "a1")]
    assert (one.after.messages[-1].speaker, one.after.messages[-1].text) == ("agent:a1", "It is in your inbox.")
    assert clocks(one.after, at(99)).customer_wait_s == 12
    assert [asked.answered for asked in one.after.asked] == [True]
    assert one.after.held is not None
    assert one.after.held.to_answer == "customer"


def test_an_edited_draft_sends_what_was_edited() -> None:
    talk = drafted()
    one = talk.do(DraftResolved, 13, agent="a1", draft=1, resolution="edited", text="It is in your inbox, page 2.")

    assert sent(one) == [("agent", "It is in your inbox, page 2.", "a1")]
    assert one.after.messages[-1].text == "It is in your inbox, page 2."
    assert ids(talk) == []


def test_a_draft_that_was_edited_to_nothing_new_sends_the_draft() -> None:
    one = drafted().do(DraftResolved, 13, agent="a1", draft=1, resolution="edited")

    assert sent(one) == [("agent", "It is in your inbox.", "a1")]


@pytest.mark.parametrize("resolution", ["rejected", "superseded"])
def test_a_draft_that_is_not_taken_sends_nothing(resolution: Any) -> None:
    talk = drafted()
    one = talk.do(DraftResolved, 13, agent="a1", draft=1, resolution=resolution, text="never")

    assert (sent(one), ids(talk)) == ([], [])
    assert [asked.answered for asked in one.after.asked] == [False]


def test_a_new_text_under_the_same_number_replaces_the_draft() -> None:
    talk = drafted()
    talk.do(DraftProposed, 13, draft=1, text="Better words.")
    one = talk.do(DraftResolved, 14, agent="a1", draft=1, resolution="accepted")

    assert sent(one) == [("agent", "Better words.", "a1")]


# --- too late


def test_drafts_are_dropped_when_the_customer_writes_on() -> None:
    talk = drafted()
    on = talk.do(CustomerMessage, 20, seq=2, text="I found it. Another thing:")
    late = talk.do(DraftResolved, 21, agent="a1", draft=1, resolution="accepted")

    assert NotifyAgents("agent:a1", "drafts_superseded", {"drafts": [1]}) in on.effects
    assert ids(talk) == []
    assert (refused(late), sent(late)) == ("not_allowed_here", [])


def test_where_there_is_no_draft_none_is_superseded() -> None:
    on = copilot().do(CustomerMessage, 20, seq=2, text="Hello?")

    assert effects_of(on, NotifyAgents) == []


@pytest.mark.parametrize("named", [1, "m-1"])
def test_a_draft_for_a_message_that_was_overtaken_is_refused(named: int | str) -> None:
    talk = copilot()
    talk.do(CustomerMessage, 20, seq=2, text="Another thing:")
    late = talk.do(DraftProposed, 21, draft=1, text="It is in your inbox.", in_reply_to=named)

    assert refused(late) == "already_answered"
    assert late.refused is not None
    assert late.refused.facts == {"in_reply_to": named}
    assert effects_of(late, NotifyAgents) == []
    assert refused(talk.do(DraftProposed, 22, draft=2, text="And this.", in_reply_to=2)) is None


def test_a_draft_for_a_message_that_was_answered_is_refused() -> None:
    talk = copilot()
    talk.do(AgentMessage, 12, agent="a1", text="In your inbox.")
    late = talk.do(DraftProposed, 13, draft=1, text="It is in your inbox.", in_reply_to="m-1")

    assert (refused(late), ids(talk)) == ("already_answered", [])


@pytest.mark.parametrize("named", [None, "unknown"])
def test_a_draft_that_names_no_message_of_ours_is_shown(named: str | None) -> None:
    assert ids(drafted(in_reply_to=named)) == [1]


def test_outside_copilot_a_draft_is_not_allowed() -> None:
    talk = Talk(policy(""))
    talk.accept(1)
    talk.do(CustomerMessage, 10, id="m-1", text="?")
    talk.do(AgentMessage, 11, agent="a1", text="!")

    assert refused(talk.do(DraftProposed, 12, draft=1, text="x", in_reply_to="m-1")) == "not_allowed_here"


def test_a_decided_draft_cannot_be_decided_again() -> None:
    talk = drafted()
    talk.do(DraftResolved, 13, agent="a1", draft=1, resolution="rejected")

    assert refused(talk.do(DraftResolved, 14, agent="a1", draft=1, resolution="accepted")) == "not_allowed_here"


def test_drafts_do_not_outlive_the_copilot() -> None:
    talk = drafted()
    talk.do(CopilotDisengaged, 13, agent="a1")
    assert ids(talk) == []
    talk.do(CopilotEngaged, 14, agent="a1")

    assert refused(talk.do(DraftResolved, 15, agent="a1", draft=1, resolution="accepted")) == "not_allowed_here"


def test_drafts_do_not_outlive_the_return_to_the_ai() -> None:
    talk = drafted()
    talk.do(ReturnedToAi, 13, agent="a1")

    assert refused(talk.do(DraftResolved, 14, agent="a1", draft=1, resolution="accepted")) is not None


# --- the AI does not speak


@pytest.mark.parametrize("fields", [{}, {"in_reply_to": "m-1"}, {"wants_handoff": True}, {"wants_close": True}])
def test_in_copilot_a_turn_of_the_ai_is_refused(fields: dict[str, Any]) -> None:
    talk = copilot()
    turn = talk.do(AiTurn, 12, reply="It is in your inbox.", epoch=talk.epoch, **fields)

    assert (refused(turn), sent(turn), turn.after.state) == ("not_owner", [], State.COPILOT)


# --- transfer and pause, with the copilot and without


def owned(state: State) -> Talk:
    talk = copilot()
    if state is State.AGENT_ACTIVE:
        talk.do(CopilotDisengaged, 12, agent="a1")
    assert talk.state is state
    return talk


AGENT_STATES = [State.AGENT_ACTIVE, State.COPILOT]


@pytest.mark.parametrize("state", AGENT_STATES)
def test_a_transfer_goes_from_either_state(state: State) -> None:
    talk = owned(state)
    asked = talk.do(TransferRequested, 20, agent="a1", target=Target(queue="tier2"))
    assert (asked.after.state, asked.after.owner, asked.after.queue) == (state, "agent:a1", "tier2")
    talk.do(OfferMade, 21, agent="a2", offer=9)
    taken = talk.do(OfferAccepted, 22, agent="a2", offer=9)

    assert (taken.after.state, taken.after.owner) == (State.AGENT_ACTIVE, "agent:a2")
    assert taken.after.epoch == asked.after.epoch + 1


@pytest.mark.parametrize("state", AGENT_STATES)
@pytest.mark.parametrize("waiting_for", ["customer", "third_party"])
def test_a_pause_is_made_in_either_state_and_keeps_it(state: State, waiting_for: Any) -> None:
    talk = owned(state)
    parked = talk.do(AgentParked, 20, agent="a1", waiting_for=waiting_for)
    assert (parked.after.state, parked.after.weighs_nothing) == (state, True)
    back = talk.do(AgentUnparked, 50, agent="a1")

    assert (back.after.state, back.after.weighs_nothing) == (state, False)
    assert clocks(back.after, at(60)).hold_s == 30


@pytest.mark.parametrize("state", AGENT_STATES)
@pytest.mark.parametrize("event", [(TransferRequested, {}), (AgentParked, {})], ids=["transfer", "pause"])
def test_only_the_owner_passes_on_or_pauses(state: State, event: tuple[Any, dict[str, Any]]) -> None:
    cls, fields = event

    assert refused(owned(state).do(cls, 20, agent="a2", **fields)) == "not_owner"


def test_a_parked_copilot_drafts_again_when_the_customer_writes() -> None:
    talk = copilot()
    talk.do(DraftResolved, 12, agent="a1", draft=1, resolution="rejected")
    talk.do(AgentMessage, 13, agent="a1", text="Please send the number.")
    talk.do(AgentParked, 14, agent="a1", waiting_for="customer")
    back = talk.do(CustomerMessage, 60, seq=2, text="It is 7.")

    assert back.after.state is State.COPILOT
    assert not back.after.weighs_nothing
    assert effects_of(back, DraftForAgent) == [DraftForAgent("a1", talk.epoch, 2)]
