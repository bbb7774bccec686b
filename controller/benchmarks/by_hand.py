"""The baseline of dispatch: the arrows that the session takes, written out in Python by hand.

It calls the very guards and callbacks of the table, on the same slate, with the same values; only finding the arrow is different.
It asks no guard twice by construction, and does not turn a guard that breaks into a verdict. Offers, which have a machine of
their own inside a callback, are left to it. What may not go in here: pairs of event and state that the session does not have.
"""

from typing import Any, NoReturn

from handoff_kit.machines.actions.ai import answer_message, ask_bot, await_ai, hear, read_turn, say_reply, settle
from handoff_kit.machines.actions.desk import make_offer, ticket_opened
from handoff_kit.machines.actions.people import (
    accept_offer,
    agent_speaks,
    ask_for_draft,
    barge_in,
    give_back,
    note_foreign_message,
    relay,
    take_floor,
)
from handoff_kit.machines.actions.records import close_as_resolved_by_ai
from handoff_kit.machines.actions.waiting import enter_queue, escalate, promise_callback, reclaim, take_context
from handoff_kit.machines.engine import Engine
from handoff_kit.machines.guards import (
    a_trigger_holds,
    agent_takes_the_floor,
    agent_wrote_past_the_owner,
    ai_wants_to_close,
    copilot_engages_on_accept,
    has_settled,
    keeps_a_place,
    no_human_is_possible,
    stands_in_a_queue,
    turn_went_wrong,
)
from handoff_kit.machines.states import State

__all__ = ["BY_HAND", "ByHand"]


class ByHand(Engine):
    """An engine without a machine."""

    def __init__(self) -> None:
        self.name = "by hand"

    def fire(self, event: str, slate: Any) -> bool:
        """Find the arrow by comparing, and take it."""
        state = slate.before.state
        if event == "customer_message":
            if state is State.BOT_ACTIVE:
                return _customer_writes_to_the_ai(slate)
            if state is State.RESUMED_BOT:
                return _customer_writes_to_the_resumed_ai(slate)
            if state is State.AGENT_ACTIVE:
                hear(slate)
                relay(slate)
                return True
        elif event == "ai_turn":
            if state is State.BOT_ACTIVE:
                return _turn(slate)
            if state is State.RESUMED_BOT:
                return _resumed_turn(slate)
        elif event == "agent_message":
            if state is State.AGENT_ACTIVE:
                return _agent_writes(slate)
        elif event == "context_ready":
            if state is State.ESCALATION_PENDING:
                return _context(slate)
        elif event == "ticket_opened":
            if state is State.QUEUED:
                ticket_opened(slate)
                return True
        elif event == "offer_made":
            if state is State.QUEUED:
                return _offer(slate)
        elif event == "offer_accepted":
            if state is State.QUEUED:
                return _accepted(slate)
        elif event == "returned_to_ai" and state is State.AGENT_ACTIVE:
            slate.state = State.RESUMED_BOT
            give_back(slate)
            return True
        return _unknown(event, state)


def _unknown(event: str, state: str) -> NoReturn:
    raise LookupError(f"{event} in {state} is not written by hand: the measured session does not have it")


def _customer_writes_to_the_ai(slate: Any) -> bool:
    verdict = a_trigger_holds(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        slate.state = State.ESCALATION_PENDING
        hear(slate)
        escalate(slate)
        return True
    hear(slate)
    await_ai(slate)
    ask_bot(slate)
    return True


def _customer_writes_to_the_resumed_ai(slate: Any) -> bool:
    kept = keeps_a_place(slate)
    slate.verdicts.append(kept)
    verdict = a_trigger_holds(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        hear(slate)
        if kept.holds is True:
            slate.state = State.QUEUED
            reclaim(slate)
            enter_queue(slate)
        else:
            slate.state = State.ESCALATION_PENDING
            escalate(slate)
        return True
    hear(slate)
    await_ai(slate)
    ask_bot(slate)
    return True


def _turn(slate: Any) -> bool:
    verdict = a_trigger_holds(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        slate.state = State.ESCALATION_PENDING
        read_turn(slate)
        escalate(slate)
        return True
    verdict = ai_wants_to_close(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        slate.state = State.CLOSED
        read_turn(slate)
        answer_message(slate)
        say_reply(slate)
        close_as_resolved_by_ai(slate)
        return True
    read_turn(slate)
    answer_message(slate)
    say_reply(slate)
    return True


def _resumed_turn(slate: Any) -> bool:
    kept = keeps_a_place(slate)
    slate.verdicts.append(kept)
    holds = a_trigger_holds(slate)
    slate.verdicts.append(holds)
    if kept.holds is True:
        back = holds.holds is True
        if not back:
            verdict = turn_went_wrong(slate)
            slate.verdicts.append(verdict)
            back = verdict.holds is True
        if back:
            slate.state = State.QUEUED
            read_turn(slate)
            reclaim(slate)
            enter_queue(slate)
            return True
    if holds.holds is True:
        slate.state = State.ESCALATION_PENDING
        read_turn(slate)
        escalate(slate)
        return True
    verdict = ai_wants_to_close(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        slate.state = State.CLOSED
        read_turn(slate)
        answer_message(slate)
        say_reply(slate)
        close_as_resolved_by_ai(slate)
        return True
    verdict = has_settled(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        slate.state = State.BOT_ACTIVE
        read_turn(slate)
        answer_message(slate)
        say_reply(slate)
        settle(slate)
        return True
    read_turn(slate)
    answer_message(slate)
    say_reply(slate)
    return True


def _agent_writes(slate: Any) -> bool:
    verdict = agent_takes_the_floor(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        barge_in(slate)
        return True
    verdict = agent_wrote_past_the_owner(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        note_foreign_message(slate)
        return True
    agent_speaks(slate)
    return True


def _context(slate: Any) -> bool:
    verdict = no_human_is_possible(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        slate.state = State.CALLBACK_PENDING
        take_context(slate)
        promise_callback(slate)
        return True
    slate.state = State.QUEUED
    take_context(slate)
    enter_queue(slate)
    return True


def _offer(slate: Any) -> bool:
    verdict = stands_in_a_queue(slate)
    slate.verdicts.append(verdict)
    if verdict.holds is True:
        make_offer(slate)
        return True
    slate.refuse("not_allowed_here", state=str(slate.before.state))
    return True


def _accepted(slate: Any) -> bool:
    verdict = copilot_engages_on_accept(slate)
    slate.verdicts.append(verdict)
    slate.state = State.COPILOT if verdict.holds is True else State.AGENT_ACTIVE
    accept_offer(slate)
    take_floor(slate)
    if verdict.holds is True:
        ask_for_draft(slate)
    return True


#: The one that serves all conversations.
BY_HAND = ByHand()
