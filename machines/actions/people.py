"""The agents' side: taking the floor, speaking, parking, drafts, transfers, and giving the floor up."""

from typing import Any

from ..contracts import ResumeContract
from ..conversation import AgentDraft, Handoff, Held, Parked, Transfer, Waiting
from ..effects import DraftForAgent, PrepopulateConsole, RelayToDesk
from ..events import (
    AgentFinished,
    AgentMessage,
    AgentParked,
    ConsultStarted,
    CustomerMessage,
    DraftProposed,
    DraftResolved,
    OfferEvent,
    ReturnedToAi,
    TransferRequested,
)
from ..evolve import evolve
from ..payload import console_of
from ..slate import Slate
from .ai import resume_ai
from .desk import move_offer, rescind_all

__all__ = [
    "accept_offer",
    "agent_speaks",
    "ask_for_draft",
    "barge_in",
    "cancel_transfer",
    "drop_drafts",
    "drop_transfer",
    "end_consult",
    "finish",
    "give_back",
    "go_idle",
    "keep_wrapped",
    "let_go_as_idle",
    "let_go_as_left",
    "lose_owner",
    "note_foreign_message",
    "park",
    "propose_draft",
    "relay",
    "replace_owner",
    "request_transfer",
    "resolve_draft",
    "start_consult",
    "take_floor",
    "take_up_again",
    "unpark",
    "unpark_after_silence",
]


def _held(slate: Slate) -> Held:
    assert slate.c.held is not None
    return slate.c.held


def _handoff(slate: Slate) -> Handoff:
    assert slate.c.handoff is not None
    return slate.c.handoff


def _hold(slate: Slate, **changes: Any) -> None:
    slate.c.held = evolve(_held(slate), **changes)


# --- the floor


def accept_offer(slate: Slate) -> None:
    """The agent takes the offer; what else rings is taken back."""
    event: OfferEvent = slate.event
    offer = slate.c.offer(event.offer)
    assert offer is not None
    move_offer(slate, offer, "offer_accepted")


def take_floor(slate: Slate) -> None:
    """The event's agent owns the reply from here on; the console gets what the agent needs."""
    c = slate.c
    transfer = c.held.transfer if c.held is not None else None
    leave_floor(slate)
    c.agent = slate.event.agent
    if c.handoff is None:
        c.handoffs += 1
        route = slate.policy.route()
        c.handoff = Handoff(number=c.handoffs, since=slate.at, queue=route.queue, tier=route.tier)
    if transfer is not None:
        if transfer.queue != c.handoff.queue:  # steps are counted by their place in a queue: another queue has its own
            c.handoff = evolve(c.handoff, steps_done=(), widened=())
        c.handoff = evolve(c.handoff, queue=transfer.queue, tier=transfer.tier, skills=transfer.skills)
    if c.handoff.accepted_at is None:
        c.handoff = evolve(c.handoff, accepted_at=slate.at)
    c.held = Held(since=slate.at, turn_since=slate.at)
    rescind_all(slate, "taken")
    c.place = c.waiting = c.contract = c.ai_reply_since = None
    c.awaiting_resume = False
    slate.update_ticket("assigned", agent=c.agent)
    slate.add(PrepopulateConsole(slate.event.agent, **console_of(slate.policy, c, c.handoff)))


def replace_owner(slate: Slate) -> None:
    """A supervisor or the desk puts another agent in the owner's place, who is told."""
    loser = slate.c.agent
    take_floor(slate)
    slate.notify(f"agent:{loser}", "replaced", agent=slate.event.agent)


def barge_in(slate: Slate) -> None:
    """An agent who does not own speaks, and owns from here on; who owned before is told."""
    loser = slate.c.agent if slate.c.held is not None else None
    take_floor(slate)
    agent_speaks(slate)
    if loser is not None:
        slate.notify(f"agent:{loser}", "taken_over", agent=slate.event.agent)


def leave_floor(slate: Slate) -> None:
    """An agent's stretch is over: its time and its pauses are added up."""
    c = slate.c
    if c.held is None:
        return
    _count_pause(slate)
    handoff = _handoff(slate)
    handled_s = handoff.handle_s + (slate.at - c.held.since).total_seconds()
    c.handoff = evolve(handoff, handle_s=handled_s)
    c.held = None


# --- speaking


def agent_speaks(slate: Slate) -> None:
    """An agent wrote: sent unless it is on the channel already; notes inside stay inside."""
    event: AgentMessage = slate.event
    if event.audience == "internal":
        return
    _say_as_agent(slate, event.agent, event.text, sent=event.delivered)
    if event.speaks:
        _agent_answered(slate)


def _say_as_agent(slate: Slate, agent: str, text: str, *, sent: bool) -> None:
    attachments = getattr(slate.event, "attachments", ())
    slate.remember(f"agent:{agent}", text, attachments)
    if not sent:
        slate.send("agent", text, "agent", agent, attachments)


def _agent_answered(slate: Slate) -> None:
    """The customer's wait is over at the first words, and it is the customer's turn."""
    c = slate.c
    handoff = _handoff(slate)
    if handoff.answered_at is None:
        c.handoff = evolve(handoff, answered_at=slate.at)
    parked = _held(slate).parked
    if parked is not None and parked.idle:
        unpark(slate)
    _hold(slate, to_answer="customer", turn_since=slate.at)
    c.asked = tuple([one if one.answered else evolve(one, answered=True) for one in c.asked])


def note_foreign_message(slate: Slate) -> None:
    """Somebody who does not own wrote past us: it is on record, and the owner is told."""
    event: AgentMessage = slate.event
    slate.remember(f"agent:{event.agent}", event.text, event.attachments)
    slate.notify(f"agent:{slate.c.agent}", "another_agent_wrote", agent=event.agent)


def relay(slate: Slate) -> None:
    """Bring the customer's words to the owner; it is the owner's turn."""
    event: CustomerMessage = slate.event
    c = slate.c
    held = _held(slate)
    if held.parked is not None and held.parked.waiting_for == "customer":
        unpark(slate)
    if held.to_answer == "customer":
        _hold(slate, to_answer="agent", turn_since=slate.at)
    _drop_stale_drafts(slate)
    slate.add(RelayToDesk(event.text, c.agent, event.attachments))


def take_up_again(slate: Slate) -> None:
    """The customer wrote during wrap-up: the same agent goes on."""
    c = slate.c
    c.held = Held(since=slate.at, turn_since=slate.at)
    c.ending = None
    c.handoff = evolve(_handoff(slate), finished_at=None)
    relay(slate)


# --- pauses


def park(slate: Slate) -> None:
    """The conversation weighs nothing until somebody else has done something."""
    event: AgentParked = slate.event
    _count_pause(slate)
    _hold(slate, parked=Parked(event.waiting_for, slate.at, event.until))


def unpark(slate: Slate) -> None:
    """The pause is over; where the agent is to answer, the time for that begins anew."""
    _count_pause(slate)
    _hold(slate, parked=None, turn_since=slate.at)


def _count_pause(slate: Slate) -> None:
    """Add the pause, if there is one, to the time on hold."""
    parked = _held(slate).parked
    if parked is not None:
        handoff = _handoff(slate)
        held_s = handoff.held_s + (slate.at - parked.since).total_seconds()
        slate.c.handoff = evolve(handoff, held_s=held_s)


def unpark_after_silence(slate: Slate) -> None:
    """The third party did nothing in time: the owner is told."""
    unpark(slate)
    _hold(slate, to_answer="agent")
    slate.notify(f"agent:{slate.c.agent}", "third_party_is_silent")


def go_idle(slate: Slate) -> None:
    """The customer does not answer: the conversation weighs nothing from here on."""
    _hold(slate, parked=Parked("customer", slate.at, idle=True))
    slate.notify(f"agent:{slate.c.agent}", "customer_is_idle")


def start_consult(slate: Slate) -> None:
    """The owner asks a colleague."""
    event: ConsultStarted = slate.event
    _hold(slate, consulting=event.with_ or "")
    if event.with_:
        slate.notify(f"agent:{event.with_}", "consult_started", by=event.agent, note=event.note)


def end_consult(slate: Slate) -> None:
    """The colleague has answered."""
    _hold(slate, consulting=None)


# --- copilot


def ask_for_draft(slate: Slate) -> None:
    """Ask the AI for a draft, if the customer waits for an answer."""
    c = slate.c
    open_ = [one for one in c.asked if not one.answered]
    if open_:
        last = open_[-1]
        slate.add(DraftForAgent(c.agent or "", slate.epoch, last.id if last.id is not None else last.seq))


def propose_draft(slate: Slate) -> None:
    """Show the draft to the owner, and to nobody else."""
    event: DraftProposed = slate.event
    drafts = [one for one in _held(slate).drafts if one.draft != event.draft]
    _hold(slate, drafts=(*drafts, AgentDraft(event.draft, event.text, slate.at, event.in_reply_to)))
    slate.notify(f"agent:{slate.c.agent}", "draft_proposed", draft=event.draft, text=event.text)


def _drop_stale_drafts(slate: Slate) -> None:
    """The customer wrote on: drafts for the earlier messages no longer fit, and cannot be accepted any more."""
    stale = _held(slate).drafts
    if stale:
        _hold(slate, drafts=())
        slate.notify(f"agent:{slate.c.agent}", "drafts_superseded", drafts=[one.draft for one in stale])


def resolve_draft(slate: Slate) -> None:
    """The owner decided: an accepted or edited draft is sent as the agent's own words."""
    event: DraftResolved = slate.event
    drafts = _held(slate).drafts
    draft = next(one for one in drafts if one.draft == event.draft)
    _hold(slate, drafts=tuple([one for one in drafts if one is not draft]))
    if event.resolution in ("accepted", "edited"):
        _say_as_agent(slate, event.agent, draft.text if event.text is None else event.text, sent=False)
        _agent_answered(slate)


def drop_drafts(slate: Slate) -> None:
    """Drafts end with the copilot."""
    _hold(slate, drafts=())


# --- transfers


def request_transfer(slate: Slate) -> None:
    """Look for somebody else; the owner stays until somebody accepts. A new request replaces the waiting one."""
    event: TransferRequested = slate.event
    c = slate.c
    handoff = _handoff(slate)
    route = slate.policy.route_to(event.target)
    target = event.target
    if target is None:
        route = evolve(route, queue=handoff.queue, tier=handoff.tier)
    c.handoff = evolve(handoff, transfers=handoff.transfers + 1)
    drop_transfer_offers(slate)
    transfer = Transfer(event.agent, slate.at, route.queue, route.tier, route.skills, route.agent, event.note)
    _hold(slate, transfer=transfer)
    slate.notify(f"queue:{route.queue}", "transfer_requested", by=event.agent, note=event.note)
    if c.handoff.transfers == slate.policy.limits.transfers:
        slate.notify("supervisor", "transfer_limit", transfers=c.handoff.transfers)


def cancel_transfer(slate: Slate) -> None:
    """The owner keeps it after all."""
    drop_transfer_offers(slate)
    _end_transfer(slate)


def drop_transfer(slate: Slate) -> None:
    """Nobody took it in time: the owner keeps it and is told."""
    cancel_transfer(slate)
    slate.notify(f"agent:{slate.c.agent}", "transfer_dropped")


def _end_transfer(slate: Slate) -> None:
    """End the waiting transfer; whoever is to act has the full time again, since no clock closed on them meanwhile."""
    _hold(slate, transfer=None)
    held = _held(slate)
    if held.parked is not None:
        _count_pause(slate)
        _hold(slate, parked=evolve(held.parked, since=slate.at))
    elif held.to_answer == "customer":
        _hold(slate, turn_since=slate.at)


def drop_transfer_offers(slate: Slate) -> None:
    """What rings for a transfer is taken back."""
    rescind_all(slate, "transfer_ended")


# --- giving the floor up


def give_back(slate: Slate) -> None:
    """The AI gets the floor, and what the agent knows: who held it, what was agreed, what has changed, what to re-run."""
    event: ReturnedToAi = slate.event
    c = slate.c
    held_s = (slate.at - _held(slate).since).total_seconds()
    leave_floor(slate)
    contract = ResumeContract(
        boundary=slate.at,
        held_by=event.agent,
        held_s=held_s,
        instruction=event.instruction,
        facts=event.facts,
        agreed=event.agreed,
        promises=event.promises,
        failed_action=c.reading.failed_action if c.reading is not None else None,
        bot=event.bot,
    )
    c.boundary_kind = "return"
    slate.say("resumed")
    resume_ai(slate, contract)
    slate.update_ticket("returned_to_ai", instruction=event.instruction)


def finish(slate: Slate) -> None:
    """The agent is done with the customer, who is asked for a rating."""
    event: AgentFinished = slate.event
    _wrap(slate, "resolved_by_agent")
    slate.update_ticket("agent_finished", disposition=event.disposition, resolved=event.resolved)
    slate.say("rating")


def let_go_as_idle(slate: Slate) -> None:
    """The customer never answered."""
    _wrap(slate, "customer_idle")


def let_go_as_left(slate: Slate) -> None:
    """The customer left the agent."""
    _wrap(slate, "customer_left")


def _wrap(slate: Slate, ending: str) -> None:
    leave_floor(slate)
    slate.c.ending = ending
    slate.c.handoff = evolve(_handoff(slate), finished_at=slate.at)


def keep_wrapped(slate: Slate) -> None:
    """The paperwork says how it ended."""
    slate.update_ticket("agent_wrapped", disposition=slate.event.disposition, tags=list(slate.event.tags))


def lose_owner(slate: Slate) -> None:
    """The owner is gone or silent: the first wait is kept."""
    leave_floor(slate)
    slate.c.waiting = Waiting()
