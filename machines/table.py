"""The conversation's table: the only place where its arrows exist.

Read it row by row: on this event, from these states, to that state, when these guards hold, do these callbacks. Rows of one pair
are tried in order, and the last has no guard. STAY changes data and moves nothing. A row that refuses says with which name.
Fences (epoch, ownership, offers, timers) are asked before, see `fences`; timers and owners follow from the state, see `step`.
"""

from .actions import CALLBACKS
from .canonical import digest_of
from .engine import STAY, Engine, Row, row, rows_of
from .events import EVENTS
from .guards import GUARDS
from .states import AGENT_STATES, AI_STATES, WAITING_STATES, State
from .timers import TIMERS

__all__ = ["CONVERSATION", "MACHINE_FINGERPRINT", "ROWS", "TRIGGERS", "new_engine"]

BOT, PENDING, QUEUED = State.BOT_ACTIVE, State.ESCALATION_PENDING, State.QUEUED
AGENT, COPILOT, RESUMED = State.AGENT_ACTIVE, State.COPILOT, State.RESUMED_BOT
CALLBACK, WRAP_UP, CLOSED = State.CALLBACK_PENDING, State.WRAP_UP, State.CLOSED
AI, WAITING, AGENTS = AI_STATES, WAITING_STATES, AGENT_STATES
OPEN = frozenset(State) - {CLOSED}

_ROWS = rows_of(
    # The AI's turn. In one turn: trigger, reclaim, wants_close, settle.
    row("ai_turn", BOT, PENDING, when="a_trigger_holds", do="read_turn escalate"),
    row("ai_turn", BOT, CLOSED, when="ai_wants_to_close", do="read_turn answer_message say_reply close_as_resolved_by_ai"),
    row("ai_turn", BOT, STAY, do="read_turn answer_message say_reply"),
    row("ai_turn", RESUMED, QUEUED, when="keeps_a_place a_trigger_holds", do="read_turn reclaim enter_queue"),
    row("ai_turn", RESUMED, QUEUED, when="keeps_a_place turn_went_wrong", do="read_turn reclaim enter_queue"),
    row("ai_turn", RESUMED, PENDING, when="a_trigger_holds", do="read_turn escalate"),
    row("ai_turn", RESUMED, CLOSED, when="ai_wants_to_close", do="read_turn answer_message say_reply close_as_resolved_by_ai"),
    row("ai_turn", RESUMED, BOT, when="has_settled", do="read_turn answer_message say_reply settle"),
    row("ai_turn", RESUMED, STAY, do="read_turn answer_message say_reply"),
    row("ai_turn", {QUEUED, CALLBACK}, STAY, do="read_turn answer_message say_reply"),
    # The customer writes.
    row("customer_message", BOT, PENDING, when="a_trigger_holds", do="hear escalate"),
    row("customer_message", BOT, STAY, do="hear await_ai ask_bot"),
    row("customer_message", RESUMED, QUEUED, when="keeps_a_place a_trigger_holds", do="hear reclaim enter_queue"),
    row("customer_message", RESUMED, PENDING, when="a_trigger_holds", do="hear escalate"),
    row("customer_message", RESUMED, STAY, do="hear await_ai ask_bot"),
    row("customer_message", WAITING, STAY, do="hear hold"),
    row("customer_message", AGENT, STAY, do="hear relay"),
    row("customer_message", COPILOT, STAY, do="hear relay ask_for_draft"),
    row("customer_message", WRAP_UP, AGENT, do="hear take_up_again"),
    # Somebody asks for a person, or no longer does.
    row("handoff_requested", BOT, PENDING, do="escalate_by_request"),
    row("handoff_requested", RESUMED, QUEUED, when="keeps_a_place", do="reclaim_by_request enter_queue"),
    row("handoff_requested", RESUMED, PENDING, do="escalate_by_request"),
    row("handoff_requested", WAITING, STAY, do="add_request"),
    row("handoff_withdrawn", WAITING, BOT, do="withdraw"),
    # The context for the person is gathered, or time is up.
    row("context_ready", PENDING, CALLBACK, when="no_human_is_possible", do="take_context promise_callback"),
    row("context_ready", PENDING, QUEUED, do="take_context enter_queue"),
    row("context_ready", {QUEUED, CALLBACK, *AGENTS}, STAY, do="take_context"),
    row("timer_context", PENDING, CALLBACK, when="no_human_is_possible", do="flag_missing_context promise_callback"),
    row("timer_context", PENDING, QUEUED, do="flag_missing_context enter_queue"),
    # The desk's ticket.
    row("ticket_opened", CALLBACK, CLOSED, when="ticket_was_promised", do="ticket_opened close_by_ticket"),
    row("ticket_opened", frozenset(State), STAY, do="ticket_opened"),
    row("ticket_failed", frozenset(State), STAY, do="ticket_failed"),
    # Offers ring at agents while the conversation stands in a queue.
    row("offer_made", {QUEUED, RESUMED, *AGENTS}, STAY, when="stands_in_a_queue", do="make_offer"),
    row("offer_accepted", QUEUED, COPILOT, when="copilot_engages_on_accept", do="accept_offer take_floor ask_for_draft"),
    row("offer_accepted", QUEUED, AGENT, do="accept_offer take_floor"),
    row("offer_accepted", {RESUMED, *AGENTS}, AGENT, do="accept_offer take_floor"),
    row("offer_declined", {QUEUED, RESUMED, *AGENTS}, STAY, do="end_offer"),
    row("offer_expired", {QUEUED, RESUMED, *AGENTS}, STAY, do="end_offer"),
    row("offer_rescinded", {QUEUED, RESUMED, *AGENTS}, STAY, do="end_offer"),
    row("timer_offer", {QUEUED, RESUMED, *AGENTS}, STAY, do="expire_offer"),
    # An agent takes the floor without an offer of ours.
    row("agent_assigned", QUEUED, COPILOT, when="copilot_engages_on_accept", do="take_floor ask_for_draft"),
    row("agent_assigned", {*AI, *WAITING}, AGENT, do="take_floor"),
    row("agent_assigned", AGENTS, AGENT, when="agent_is_another", do="replace_owner"),
    row("agent_assigned", AGENTS, STAY, do="note"),
    row("agent_message", {*AI, *WAITING}, AGENT, when="agent_takes_the_floor", do="barge_in"),
    row("agent_message", {*AI, *WAITING}, STAY, do="agent_speaks"),
    row("agent_message", AGENTS, AGENT, when="agent_takes_the_floor", do="barge_in"),
    row("agent_message", AGENTS, STAY, when="agent_wrote_past_the_owner", do="note_foreign_message"),
    row("agent_message", AGENTS, STAY, do="agent_speaks"),
    row("agent_message", WRAP_UP, STAY, when="is_a_note", do="agent_speaks"),
    # The owner at work.
    row("agent_parked", AGENTS, STAY, do="park"),
    row("agent_unparked", AGENTS, STAY, do="unpark"),
    row("consult_started", AGENTS, STAY, do="start_consult"),
    row("consult_ended", AGENTS, STAY, do="end_consult"),
    row("copilot_engaged", AGENT, COPILOT, do="ask_for_draft"),
    row("copilot_disengaged", COPILOT, AGENT, do="drop_drafts"),
    row("draft_proposed", COPILOT, STAY, do="propose_draft"),
    row("draft_resolved", COPILOT, STAY, do="resolve_draft"),
    row("transfer_requested", AGENTS, STAY, do="request_transfer"),
    row("transfer_cancelled", AGENTS, STAY, when="a_transfer_waits", do="cancel_transfer"),
    row("timer_queue", AGENTS, STAY, do="drop_transfer"),
    row("timer_customer_idle", AGENTS, STAY, do="go_idle"),
    row("timer_parked", AGENTS, STAY, when="parked_for_a_third_party", do="unpark_after_silence"),
    row("timer_parked", AGENTS, WRAP_UP, do="let_go_as_idle"),
    # The floor is given up.
    row("returned_to_ai", AGENTS, RESUMED, do="give_back"),
    row("agent_finished", AGENTS, WRAP_UP, do="finish"),
    row("agent_lost", AGENTS, QUEUED, when="owner_is_lost", do="lose_owner enter_queue"),
    row("agent_lost", {QUEUED, RESUMED, *AGENTS}, STAY, do="lose_offers"),
    row("timer_agent_silent", AGENTS, QUEUED, do="lose_owner enter_queue"),
    row("agent_wrapped", WRAP_UP, CLOSED, do="keep_wrapped close_wrapped"),
    row("timer_wrap_up", WRAP_UP, CLOSED, do="close_wrapped"),
    # The AI is silent, or the customer is.
    row("timer_ai_reply", BOT, PENDING, when="a_trigger_holds", do="miss_a_turn escalate"),
    row("timer_ai_reply", BOT, STAY, do="miss_a_turn fall_back"),
    row("timer_ai_reply", RESUMED, QUEUED, when="resume_failed", do="miss_a_turn reclaim_after_silence enter_queue"),
    row("timer_ai_reply", RESUMED, QUEUED, when="keeps_a_place a_trigger_holds", do="miss_a_turn reclaim enter_queue"),
    row("timer_ai_reply", RESUMED, QUEUED, when="keeps_a_place", do="miss_a_turn reclaim enter_queue"),
    row("timer_ai_reply", RESUMED, PENDING, when="a_trigger_holds", do="miss_a_turn escalate"),
    row("timer_ai_reply", RESUMED, STAY, do="miss_a_turn fall_back"),
    row("timer_bot_idle", AI, CLOSED, do="close_as_idle"),
    row("timer_customer_gone", AI, CLOSED, do="close_as_left"),
    row("timer_customer_gone", {PENDING, QUEUED}, CLOSED, do="close_as_abandoned"),
    row("timer_customer_gone", AGENTS, WRAP_UP, do="let_go_as_left"),
    # The queue: offload and reclaim, steps, time is up.
    row("offloaded", QUEUED, RESUMED, when="offload_is_allowed", do="offload"),
    row("reclaimed", RESUMED, QUEUED, when="keeps_a_place", do="reclaim enter_queue"),
    row("timer_queue_step", QUEUED, RESUMED, when="step_offloads offload_is_allowed", do="offload"),
    row("timer_queue_step", QUEUED, CALLBACK, when="step_calls_back", do="fall_back_to_callback"),
    row("timer_queue_step", QUEUED, CLOSED, when="step_opens_a_ticket ticket_is_open", do="close_by_ticket"),
    row("timer_queue_step", QUEUED, CALLBACK, when="step_opens_a_ticket", do="promise_ticket"),
    row("timer_queue_step", QUEUED, STAY, do="do_queue_step"),
    row("timer_eta_update", QUEUED, STAY, do="tell_position"),
    row("timer_queue", QUEUED, CLOSED, when="fallback_is_an_open_ticket", do="close_by_ticket"),
    row("timer_queue", QUEUED, CALLBACK, do="fall_back_to_ticket_or_callback"),
    # A callback or a ticket instead of a person now.
    row("deferred", {PENDING, QUEUED, CALLBACK}, CLOSED, when="ticket_keeps_the_promise", do="close_by_ticket"),
    row("deferred", {PENDING, QUEUED}, CALLBACK, do="defer"),
    row("deferred", CALLBACK, STAY, do="defer"),
    row("timer_callback", CALLBACK, QUEUED, when="callbacks_are_left", do="try_callback enter_queue"),
    row("timer_callback", CALLBACK, CLOSED, when="ticket_is_open", do="close_by_ticket"),
    row("timer_callback", CALLBACK, STAY, do="promise_ticket"),
    # What is only taken down, and the end.
    row("customer_updated", OPEN, STAY, do="update_customer"),
    row("policy_changed", OPEN, STAY, do="change_policy"),
    row("customer_left", OPEN, STAY, do="customer_is_gone"),
    row("customer_returned", OPEN, STAY, do="customer_is_back"),
    row("delivery_failed", frozenset(State), STAY, do="note"),
    row("feedback", frozenset(State), STAY, do="record_feedback"),
    row("closed", OPEN, CLOSED, do="close_as_told"),
)

#: Every word that the table knows: the types of events, and one a timer.
TRIGGERS: tuple[str, ...] = (
    *(name for name in EVENTS if name != "timer_fired"),
    *(f"timer_{name}" for name in TIMERS),
)


def _decided(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows, and a refusal for each pair of event and state that has none or whose guards may all fail."""
    decided = {(one.event, one.source) for one in rows if not one.when}
    refusals = [
        Row(trigger, state, STAY, do=("refuse_stale_timer" if trigger.startswith("timer_") else "refuse_not_allowed_here",))
        for trigger in TRIGGERS
        for state in State
        if (trigger, state) not in decided
    ]
    return (*rows, *refusals)


#: The whole table: each pair of event and state is an arrow, a change of data, or a refusal with its name.
ROWS: tuple[Row, ...] = _decided(_ROWS)


def new_engine(*, slim: bool = True) -> Engine:
    """Return the conversation's machine, with our slim classes or with the stock classes of `transitions`."""
    return Engine("conversation", State, ROWS, GUARDS, CALLBACKS, slim=slim)


#: The machine that serves all conversations.
CONVERSATION = new_engine()


#: A digest of the table; recordings and stored snapshots name it.
MACHINE_FINGERPRINT = digest_of([[one.event, one.source, one.to, list(one.when), list(one.do)] for one in ROWS])
