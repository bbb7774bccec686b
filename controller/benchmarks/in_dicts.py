"""The floor: the session decided over plain dictionaries and tuples, by hand, without classes, machine or policy objects.

It does the same work: fences, verdicts with value, threshold and margin, effects, owed timers with their generations, the window
of the transcript, owner, epoch and version. Nothing is checked, nothing is frozen, and only what the session needs is written;
anything else is a `LookupError`. `canonical_text` shows that each step says the same as ours.

A conversation is a dictionary with the keys of a snapshot. In it a message is (speaker, text, at), a message that was asked
(seq, id, epoch, at, answered), a timer (name, generation, due, basis, key), an offer (number, agent, at, deadline), a verdict
(name, holds, value, threshold, margin, leaves).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn

import attrs

from handoff_kit.machines import Conversation, Event
from handoff_kit.machines.canonical import canonical
from handoff_kit.machines.phrases import normalized, phrase_finder
from handoff_kit.machines.texts import eta_in_words

from .session import POLICY

__all__ = ["canonical_text", "decided_in_dicts", "event_in_dict", "same_snapshot", "step_in_dicts"]

_Dict = dict[str, Any]
_Verdict = tuple[str, bool | None, Any, Any, float | None, tuple[Any, ...]]

_TEXTS = {name: POLICY.text(name, "en-GB") for name in ("connecting", "position", "resumed")}
_QUEUE = POLICY.route()
_WINDOW = POLICY.context.messages
_TREND = POLICY.context.trend_turns
_COOLDOWN_S = POLICY.resume.cooldown_s
_OFFER = timedelta(seconds=POLICY.offer.deadline_s)
_SPANS = {name: getattr(POLICY.durations("web"), name) for name in ("context", "queue", "ai_reply", "bot_idle", "eta_update")}
_AGENT_SPANS = {name: getattr(POLICY.durations("web"), name) for name in ("agent_silent", "customer_idle")}
_OWNERS = {
    "bot_active": "ai",
    "resumed_bot": "ai",
    "escalation_pending": "system",
    "queued": "system",
    "callback_pending": "system",
    "wrap_up": "nobody",
    "closed": "nobody",
}


# --- the policy's triggers

_find = phrase_finder(POLICY.trigger[0].when.threshold)  # type: ignore[union-attr]
_UNHAPPY_BELOW = POLICY.trigger[1].when.conditions[1].threshold  # type: ignore[union-attr]
_UNSURE_BELOW = POLICY.trigger[2].when.threshold  # type: ignore[union-attr]


def _said(holds: bool, phrase: str | None) -> _Verdict:
    leaf: _Verdict = ("customer_says", holds, phrase, None, None, ())
    return ("asks_for_a_person", holds, phrase, None, None, (leaf,))


_NOT_ASKED = _said(False, None)
_FAILED: _Verdict = ("failed_action", True, True, True, None, ())
_NOT_FAILED: _Verdict = ("failed_action", False, False, True, None, ())
_UNREAD: tuple[_Verdict, ...] = (
    (
        "failed_and_unhappy",
        None,
        None,
        True,
        None,
        (("failed_action", None, None, True, None, ()), ("sentiment_below", None, None, _UNHAPPY_BELOW, None, ())),
    ),
    ("is_unsure", None, None, _UNSURE_BELOW, None, (("confidence_below", None, None, _UNSURE_BELOW, None, ()),)),
)
_NONE_HOLDS: _Verdict = ("a_trigger_holds", False, None, None, None, ())
_ANSWERS: dict[str, tuple[_Verdict, _Verdict]] = {
    name: ((name, False, None, None, None, ()), (name, True, None, None, None, ()))
    for name in (
        "keeps_a_place",
        "ai_wants_to_close",
        "no_human_is_possible",
        "stands_in_a_queue",
        "copilot_engages_on_accept",
        "agent_takes_the_floor",
        "agent_wrote_past_the_owner",
    )
}
_KEEPS, _CLOSES, _NO_HUMAN = _ANSWERS["keeps_a_place"], _ANSWERS["ai_wants_to_close"], _ANSWERS["no_human_is_possible"]
_IN_LINE, _COPILOT = _ANSWERS["stands_in_a_queue"], _ANSWERS["copilot_engages_on_accept"]
_TAKES, _PAST = _ANSWERS["agent_takes_the_floor"], _ANSWERS["agent_wrote_past_the_owner"]


def _asked_for_a_person(before: _Dict, text: str | None, choice: str | None) -> _Verdict:
    for said in before["heard"]:
        if (found := _find(normalized(said))) is not None:
            return _said(True, found)
    if text is not None and (found := _find(normalized(text))) is not None:
        return _said(True, found)
    return _NOT_ASKED


def _judge_turn(before: _Dict, event: _Dict, at: datetime, verdicts: list[_Verdict]) -> tuple[str, tuple[str, ...]] | None:
    """Judge the triggers on a turn of the AI; return (name, reasons) of the one that holds."""
    asked = _asked_for_a_person(before, None, None)
    failed = _FAILED if event.get("failed_action") is not None else _NOT_FAILED
    mood, confidence = event["sentiment"], event["confidence"]
    if mood is None or confidence is None:
        _unknown("a turn without sentiment or confidence", before["state"])
    unhappy: _Verdict = ("sentiment_below", mood < _UNHAPPY_BELOW, mood, _UNHAPPY_BELOW, _UNHAPPY_BELOW - mood, ())
    both = failed[1] is True and unhappy[1] is True
    shown = unhappy if unhappy[1] is both else failed
    first: _Verdict = ("failed_and_unhappy", both, shown[2], shown[3], shown[4], (failed, unhappy))
    margin = _UNSURE_BELOW - confidence
    leaf: _Verdict = ("confidence_below", confidence < _UNSURE_BELOW, confidence, _UNSURE_BELOW, margin, ())
    second: _Verdict = ("is_unsure", leaf[1], confidence, _UNSURE_BELOW, margin, (leaf,))
    verdicts += (asked, first, second)
    held = None
    if asked[1]:
        held = (asked[0], ("explicit_request",))
    elif both or leaf[1]:
        if before["boundary_kind"] != "start" and (at - before["boundary"]).total_seconds() < _COOLDOWN_S:
            _unknown("a trigger that is held back", before["state"])
        reasons = (*(("failed_action", "negative_sentiment") if both else ()), *(("low_confidence",) if leaf[1] else ()))
        held = (first[0] if both else second[0], reasons)
    verdicts.append(_NONE_HOLDS if held is None else ("a_trigger_holds", True, held[0], None, None, ()))
    return held


def _judge_message(before: _Dict, event: _Dict, verdicts: list[_Verdict]) -> None:
    asked = _asked_for_a_person(before, event["text"], event.get("choice"))
    if asked[1]:
        _unknown("a message that asks for a person", before["state"])
    verdicts += (asked, *_UNREAD, _NONE_HOLDS)


# --- events


def _answered(before: _Dict, named: int | str | None) -> tuple[Any, ...] | None:
    if named is not None:
        for one in before["asked"]:
            if named in (one[0], one[1]):
                found: tuple[Any, ...] = one
                return found
    return None


def _remember(c: _Dict, speaker: str, text: str, at: datetime) -> None:
    c["messages"] = (*c["messages"], (speaker, text, at))[-_WINDOW:]


def _update_ticket(c: _Dict, effects: list[_Dict], what: str, facts: _Dict) -> None:
    number = c["handoff"]["number"]
    for handoff, status, desk, ticket in c["tickets"]:
        if handoff == number and status != "failed":
            effect = {"type": "update_ticket", "handoff": number, "what": what, "desk": desk, "ticket": ticket}
            if facts:
                effect["facts"] = facts
            effects.append(effect)


def _customer_message(
    before: _Dict, c: _Dict, event: _Dict, at: datetime, effects: list[_Dict], verdicts: list[_Verdict]
) -> None:
    state = before["state"]
    if state == "resumed_bot":
        verdicts.append(_KEEPS[before["place"] is not None])
    if state != "agent_active":
        _judge_message(before, event, verdicts)
    c["asked"] = (*c["asked"], (event["seq"], event.get("id"), before["epoch"], at, False))[-16:]
    c["left_at"] = None
    _remember(c, "customer", event["text"], at)
    if state == "agent_active":
        held = c["held"]
        if held["to_answer"] == "customer":
            c["held"] = {**held, "to_answer": "agent", "turn_since": at}
        effects.append({"type": "relay_to_desk", "text": event["text"], "agent": c["agent"]})
        return
    c["heard"] = (*c["heard"], event["text"])[-16:]
    c["active_at"] = at
    if c["ai_reply_since"] is None:
        c["ai_reply_since"] = at
    effects.append({"type": "ask_bot", "epoch": c["epoch"], "in_reply_to": event["id"] if "id" in event else event["seq"]})


def _ai_turn(before: _Dict, c: _Dict, event: _Dict, at: datetime, effects: list[_Dict], verdicts: list[_Verdict]) -> None:
    state, epoch = before["state"], before["epoch"]
    named = _answered(before, event["in_reply_to"])
    if event["epoch"] != epoch or (state != "bot_active" and state != "resumed_bot") or (named is not None and named[4]):
        _unknown("a turn that is refused", state)
    if state == "resumed_bot":
        verdicts.append(_KEEPS[before["place"] is not None])
    held = _judge_turn(before, event, at, verdicts)
    closes = False
    if held is None:
        closes = bool(event.get("wants_close"))
        verdicts.append(_CLOSES[closes])
        if state == "resumed_bot" and not closes:
            _unknown("a turn after which the AI goes on", state)
    failed = event.get("failed_action")
    if "entities" in event:
        c["entities"] = {**c["entities"], **event["entities"]}
    reading = c["reading"]
    c["reading"] = {
        "intent": event["intent"],
        "confidence": event["confidence"],
        "sentiment": event["sentiment"],
        "summary": event.get("summary"),
        "failed_action": failed,
        "actions": reading["actions"] if reading is not None else (),
        "attributes": {},
    }
    missed = event.get("missed", False)
    c["turns"] += 1
    c["misses"] = c["misses"] + 1 if missed else 0
    c["settled"] = 0 if missed or failed is not None else c["settled"] + 1
    c["sentiments"] = (*c["sentiments"], event["sentiment"])[-_TREND:]
    c["heard"] = c["choices"] = ()
    c["active_at"] = at
    c["awaiting_resume"] = False
    if held is not None:
        _escalate(c, held[1], at, effects)
        return
    asked = tuple([(*one[:4], True) if not one[4] and (named is None or one is named) else one for one in c["asked"]])
    c["asked"] = asked
    c["ai_reply_since"] = next((one[3] for one in asked if not one[4] and one[2] == epoch), None)
    if closes:
        c["state"] = "closed"
    effects.append({"type": "send_to_customer", "speaker": "ai", "text": event["reply"], "epoch": epoch + closes})
    _remember(c, "ai", event["reply"], at)
    if closes:
        _close(c, at, effects)


def _escalate(c: _Dict, reasons: tuple[str, ...], at: datetime, effects: list[_Dict]) -> None:
    c["state"] = "escalation_pending"
    number = c["handoffs"] = c["handoffs"] + 1
    c["handoff"] = {
        "number": number,
        "since": at,
        "reasons": reasons,
        "explicit": False,
        "priority": 5,
        "queue": _QUEUE.queue,
        "tier": _QUEUE.tier,
        "skills": (),
        "wish": None,
        "summary": None,
        "facts": {},
        "connected": False,
        "context_missing": False,
        "accepted_at": None,
        "answered_at": None,
        "finished_at": None,
        "handle_s": 0.0,
        "held_s": 0.0,
    }
    c["waiting"] = {"hold_said": False, "seen": None, "told": "", "told_at": None, "promise": None}
    effects.append({"type": "prepare_context", "handoff": number, "reasons": reasons, "queue": _QUEUE.queue})


def _close(c: _Dict, at: datetime, effects: list[_Dict]) -> None:
    c["ending"] = "resolved_by_ai"
    for handoff, status, desk, ticket in c["tickets"]:
        if status != "open":
            _unknown("a ticket that is not open", "closed")
        effects.append({"type": "close_ticket", "handoff": handoff, "reason": "resolved_by_ai", "desk": desk, "ticket": ticket})
    c["tickets"] = ()
    if c["handoff"] is not None and c["handoff"]["finished_at"] is None:
        c["handoff"] = {**c["handoff"], "finished_at": at}
    c["place"] = c["waiting"] = None
    effects.append({"type": "end_bot_session", "reason": "resolved_by_ai"})


def _payload(c: _Dict, summary: str) -> _Dict:
    """What the person receives; the policy of the session has no rule for a destination, so everything may leave."""
    handoff, reading = c["handoff"], c["reading"]
    known = {
        "channel": c["channel"],
        "customer": {name: value for name, value in c["customer"].items() if value not in (None, {})},
        "messages": tuple([{"speaker": speaker, "text": text, "at": at} for speaker, text, at in c["messages"]]),
        "entities": c["entities"],
        "facts": handoff["facts"],
        "auto_escalated_due_to": handoff["reasons"],
        "priority": handoff["priority"],
        "sentiments": c["sentiments"],
        "intent": reading["intent"],
        "confidence": reading["confidence"],
        "sentiment": reading["sentiment"],
        "actions": reading["actions"],
        "failed_action": reading["failed_action"],
    }
    known = {name: value for name, value in known.items() if value not in (None, (), {})}
    return {
        "conversation": c["id"],
        "handoff": handoff["number"],
        "queue": handoff["queue"],
        "tier": handoff["tier"],
        **known,
        "summary": summary,
        "manifest": {"destination": handoff["queue"], "sent": [*known, "summary"]},
    }


def _context_ready(before: _Dict, c: _Dict, event: _Dict, at: datetime, effects: list[_Dict], verdicts: list[_Verdict]) -> None:
    handoff = before["handoff"]
    seen = event["observed"]["queues"].get(handoff["queue"])
    verdicts.append(_NO_HUMAN[seen["open"] is False or (seen["available"] == 0 and seen["eta_s"] is None)])
    c["state"] = "queued"
    summary = event["summary"] or handoff["summary"]
    c["handoff"] = {
        **handoff,
        "summary": summary,
        "facts": {**handoff["facts"], **event["facts"]},
        "context_missing": False,
        "connected": True,
    }
    number, queue, reasons = handoff["number"], handoff["queue"], handoff["reasons"]
    c["tickets"] = (*[one for one in c["tickets"] if one[0] != number], (number, "asked", None, None))
    effects.append(
        {
            "type": "open_ticket",
            "handoff": number,
            "queue": queue,
            "tier": handoff["tier"],
            "payload": _payload(c, summary),
        }
    )
    epoch = c["epoch"] + 0
    text = _TEXTS["connecting"].replace("{summary}", summary)
    effects.append({"type": "send_to_customer", "speaker": "system", "text": text, "epoch": epoch, "kind": "connecting"})
    effects.append(
        {
            "type": "notify_agents",
            "audience": f"queue:{queue}",
            "about": "queued",
            "facts": {"reasons": list(reasons), "priority": handoff["priority"], "context_missing": False},
        }
    )
    position, eta = str(seen["position"]), eta_in_words(seen["eta_s"])
    text = _TEXTS["position"].replace("{position}", position).replace("{eta}", eta)
    effects.append({"type": "send_to_customer", "speaker": "system", "text": text, "epoch": epoch, "kind": "position"})
    told = {"promise": None, "seen": seen, "told": f"{position}/{eta}", "told_at": at}
    c["waiting"] = {**c["waiting"], **told}


def _ticket_opened(before: _Dict, c: _Dict, event: _Dict, at: datetime, effects: list[_Dict], verdicts: list[_Verdict]) -> None:
    old = next((one for one in c["tickets"] if one[1] == "asked"), None)
    if old is None:
        _unknown("a ticket that nobody asked for", before["state"])
    c["tickets"] = tuple([(one[0], "open", event["desk"], event["ticket"]) if one is old else one for one in c["tickets"]])


def _offer_made(before: _Dict, c: _Dict, event: _Dict, at: datetime, effects: list[_Dict], verdicts: list[_Verdict]) -> None:
    number = event["offer"]
    if number in c["offers_used"] or c["offers"]:
        _unknown("a second offer", before["state"])
    verdicts.append(_IN_LINE[before["state"] == "queued" and before["handoff"] is not None])
    deadline = event.get("deadline") or at + _OFFER
    c["offers"] = (*c["offers"], (number, event["agent"], at, deadline))
    c["offers_used"] = tuple(sorted({*c["offers_used"], number}))
    effects.append(
        {
            "type": "offer_conversation",
            "agent": event["agent"],
            "offer": number,
            "deadline": deadline,
            "queue": c["handoff"]["queue"],
            "reasons": c["handoff"]["reasons"],
        }
    )


def _offer_accepted(before: _Dict, c: _Dict, event: _Dict, at: datetime, effects: list[_Dict], verdicts: list[_Verdict]) -> None:
    number, agent = event["offer"], event["agent"]
    offer = next((one for one in before["offers"] if one[0] == number), None)
    if offer is None or offer[1] != agent:
        _unknown("an offer that is not open", before["state"])
    verdicts.append(_COPILOT[False])
    c["state"] = "agent_active"
    c["offers"] = tuple([one for one in c["offers"] if one[0] != number])
    c["agent"] = agent
    if c["handoff"]["accepted_at"] is None:
        c["handoff"] = {**c["handoff"], "accepted_at": at}
    c["held"] = {"since": at, "turn_since": at, "to_answer": "agent", "parked": None, "transfer": None}
    c["place"] = c["waiting"] = c["contract"] = c["ai_reply_since"] = None
    c["awaiting_resume"] = False
    _update_ticket(c, effects, "assigned", {"agent": agent})
    customer, reading = c["customer"], c["reading"]
    effects.append(
        {
            "type": "prepopulate_console",
            "agent": agent,
            "customer": {name: value for name, value in customer.items() if value not in (None, {})},
            "failed_action": reading["failed_action"] if reading is not None else None,
            "entities": c["entities"],
        }
    )


def _agent_message(before: _Dict, c: _Dict, event: _Dict, at: datetime, effects: list[_Dict], verdicts: list[_Verdict]) -> None:
    agent, text = event["agent"], event["text"]
    if event["epoch"] != before["epoch"] or agent != before["agent"]:
        _unknown("a message of another agent", before["state"])
    verdicts += (_TAKES[False], _PAST[False])
    _remember(c, f"agent:{agent}", text, at)
    epoch = before["epoch"]
    effects.append(
        {"type": "send_to_customer", "speaker": "agent", "text": text, "epoch": epoch, "kind": "agent", "agent": agent}
    )
    if c["handoff"]["answered_at"] is None:
        c["handoff"] = {**c["handoff"], "answered_at": at}
    c["held"] = {**c["held"], "to_answer": "customer", "turn_since": at}
    c["asked"] = tuple([one if one[4] else (*one[:4], True) for one in c["asked"]])


def _returned_to_ai(before: _Dict, c: _Dict, event: _Dict, at: datetime, effects: list[_Dict], verdicts: list[_Verdict]) -> None:
    agent = event["agent"]
    if agent != before["agent"]:
        _unknown("an agent who does not own", before["state"])
    c["state"] = "resumed_bot"
    held_s = (at - c["held"]["since"]).total_seconds()
    c["handoff"] = {**c["handoff"], "handle_s": c["handoff"]["handle_s"] + held_s}
    c["held"] = None
    reading = c["reading"]
    contract = {"boundary": at, "held_by": agent, "held_s": held_s, "instruction": event["instruction"]}
    contract |= {"facts": event["facts"], "agreed": event["agreed"]}
    if reading is not None and reading["failed_action"] is not None:
        contract["failed_action"] = reading["failed_action"]
    epoch = before["epoch"] + 1
    effects.append(
        {"type": "send_to_customer", "speaker": "system", "text": _TEXTS["resumed"], "epoch": epoch, "kind": "resumed"}
    )
    c["boundary_kind"] = "return"
    c["boundary"] = c["active_at"] = c["ai_reply_since"] = at
    c["turns"] = c["misses"] = c["settled"] = 0
    c["sentiments"] = c["heard"] = c["choices"] = ()
    c["contract"] = contract
    c["waiting"] = None
    c["awaiting_resume"] = True
    effects.append({"type": "resume_bot", "epoch": epoch, "contract": contract})
    _update_ticket(c, effects, "returned_to_ai", {"instruction": event["instruction"]})


_BY_TYPE = {
    "customer_message": _customer_message,
    "ai_turn": _ai_turn,
    "context_ready": _context_ready,
    "ticket_opened": _ticket_opened,
    "offer_made": _offer_made,
    "offer_accepted": _offer_accepted,
    "agent_message": _agent_message,
    "returned_to_ai": _returned_to_ai,
}


# --- the step


def step_in_dicts(before: _Dict | None, event: _Dict) -> _Dict:
    """Return the step: before, event, after, effects, verdicts."""
    at = event["at"]
    effects: list[_Dict] = []
    if before is None:
        after = _started(event, at)
        _settle_timers(after, at, effects)
        return {"before": None, "event": event, "after": after, "effects": tuple(effects), "verdicts": ()}
    at = max(at, before["at"])
    verdicts: list[_Verdict] = []
    c = {**before}
    _BY_TYPE[event["type"]](before, c, event, at, effects, verdicts)
    state = c["state"]
    c["owner"] = owner = _OWNERS.get(state) or f"agent:{c['agent']}"
    c["version"] += 1
    if state != before["state"]:
        c["entered"] = at
    if owner != before["owner"]:
        c["epoch"] += 1
        if c["offers"]:
            _unknown("an offer that still rings", state)
    c["at"] = at
    _settle_timers(c, at, effects)
    return {"before": before, "event": event, "after": c, "effects": tuple(effects), "verdicts": tuple(verdicts)}


def _unknown(what: str, state: str) -> NoReturn:
    raise LookupError(f"{what} in {state} is not written in dictionaries: the measured session does not have it")


def _started(event: _Dict, at: datetime) -> _Dict:
    return {
        "id": event["conversation"],
        "channel": event["channel"],
        "customer": event["customer"],
        "policy": POLICY.fingerprint,
        "at": at,
        "state": "bot_active",
        "version": 1,
        "epoch": 0,
        "owner": "ai",
        "agent": None,
        "previous": event.get("previous"),
        "linked": (),
        "timers": (),
        "generations": {},
        "messages": (),
        "asked": (),
        "heard": (),
        "choices": (),
        "entities": {},
        "reading": None,
        "boundary": at,
        "boundary_kind": "start",
        "turns": 0,
        "misses": 0,
        "sentiments": (),
        "settled": 0,
        "entered": at,
        "active_at": at,
        "ai_reply_since": None,
        "awaiting_resume": False,
        "contract": None,
        "handoff": None,
        "handoffs": 0,
        "place": None,
        "waiting": None,
        "held": None,
        "tickets": (),
        "offers": (),
        "offers_used": (),
        "left_at": None,
        "ending": None,
    }


def _settle_timers(c: _Dict, at: datetime, effects: list[_Dict]) -> None:
    owed: list[tuple[str, datetime, datetime, int]] = []
    state = c["state"]
    if state == "bot_active" or state == "resumed_bot":
        owed.append(("bot_idle", c["active_at"], c["active_at"] + _SPANS["bot_idle"], 0))
        since = c["ai_reply_since"]
        if since is not None:
            owed.append(("ai_reply", since, since + _SPANS["ai_reply"], 0))
    elif state == "escalation_pending":
        owed.append(("context", c["entered"], c["entered"] + _SPANS["context"], 0))
    elif state == "queued":
        owed.append(("queue", c["entered"], c["entered"] + _SPANS["queue"], 0))
        waiting = c["waiting"]
        if waiting["seen"] is not None:
            basis = waiting["told_at"] or c["entered"]
            owed.append(("eta_update", basis, basis + _SPANS["eta_update"], 0))
    elif state == "agent_active":
        held = c["held"]
        name = "agent_silent" if held["to_answer"] == "agent" else "customer_idle"
        owed.append((name, held["turn_since"], held["turn_since"] + _AGENT_SPANS[name], 0))
    if state != "closed":
        for number, _, since, deadline in c["offers"]:
            owed.append(("offer", since, deadline, number))
    running, kept, started = c["timers"], [], []
    for name, basis, when, key in owed:
        for timer in running:
            if timer[3] == basis and timer[0] == name and timer[4] == key:
                kept.append(timer)
                break
        else:
            if name == "offer":
                generation = key
            else:
                generation = c["generations"].get(name, 0) + 1
                c["generations"] = {**c["generations"], name: generation}
            when = when if when > at else at
            started.append((name, generation, when, basis, key))
            effects.append({"type": "start_timer", "timer": name, "generation": generation, "due": when})
    if len(kept) != len(running):
        replaced = [timer[0] for timer in started if timer[0] != "offer"]
        for timer in running:
            if timer not in kept and timer[0] not in replaced:
                effects.append({"type": "cancel_timer", "timer": timer[0], "generation": timer[1]})
    c["timers"] = (*kept, *started)


# --- comparing with ours


def event_in_dict(event: Event) -> _Dict:
    """Return an event as a dictionary of its fields that differ from their defaults; times stay times."""
    shown: _Dict = attrs.asdict(event, filter=lambda field, value: value is not None and (field.name != "erased"))
    if event.type == "ai_turn":
        shown["failed_action"] = _given(event.failed_action)  # type: ignore[attr-defined]
    return {"type": event.type, **shown}


def _given(value: Any) -> _Dict | None:
    """Return an attrs value as a dictionary without fields that are None."""
    return None if value is None else attrs.asdict(value, filter=lambda _, one: one is not None)


def decided_in_dicts(events: tuple[_Dict, ...]) -> list[_Dict]:
    """Return the steps of a session."""
    steps = []
    before = None
    for event in events:
        done = step_in_dicts(before, event)
        before = done["after"]
        steps.append(done)
    return steps


def _verdict_data(verdict: _Verdict) -> _Dict:
    name, holds, value, threshold, margin, leaves = verdict
    data: _Dict = {"name": name, "holds": holds}
    for key, given in (("value", value), ("threshold", threshold), ("margin", margin)):
        if given is not None:
            data[key] = given
    if leaves:
        data["leaves"] = [_verdict_data(leaf) for leaf in leaves]
    return data


def canonical_text(step: Mapping[str, Any]) -> str:
    """Return what `canonical_step` returns for the same step of ours."""
    after = step["after"]
    effects = []
    for effect in step["effects"]:
        hidden = ("in_reply_to",) if isinstance(effect.get("in_reply_to"), int) else ()
        effects.append({key: value for key, value in effect.items() if value is not None and key not in hidden})
    return canonical(
        {
            "at": after["at"],
            "effects": effects,
            "epoch": after["epoch"],
            "owner": after["owner"],
            "state": after["state"],
            "type": step["event"]["type"],
            "verdicts": [_verdict_data(verdict) for verdict in step["verdicts"]],
            "version": after["version"],
        }
    )


def same_snapshot(after: Mapping[str, Any], ours: Conversation) -> bool:
    """Whether a conversation in a dictionary says the same as our snapshot: everything that is written in one way in both."""
    plain = [
        name
        for name in after
        if name not in ("customer", "timers", "messages", "asked", "reading", "contract", "handoff", "waiting", "held")
        and name not in ("tickets", "offers", "generations")
    ]
    lists = {"timers": 5, "messages": 3, "asked": 5, "tickets": 4, "offers": 4}
    if after["generations"] != {one.name: one.last for one in ours.generations}:
        return False
    return all(after[name] == getattr(ours, name) for name in plain) and all(
        after[name] == tuple([attrs.astuple(one, recurse=False)[:width] for one in getattr(ours, name)])
        for name, width in lists.items()
    )
