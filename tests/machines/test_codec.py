"""Events, verdicts and snapshots through JSON and back; what is refused at the edge, and in which words."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machines_build import DEFAULT, START, Talk, at, policy
from machines_values import values_of

from handoff_kit.machines import (
    EVENTS,
    RESERVED_EVENTS,
    Agent,
    AgentFinished,
    AgentMessage,
    AgentParked,
    AiTurn,
    Closed,
    ConsultStarted,
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
    Presence,
    PresenceChanged,
    QueueFacts,
    Reclaimed,
    RecordingError,
    ReturnedToAi,
    SnapshotError,
    State,
    Target,
    TicketOpened,
    TimerFired,
    TransferRequested,
    Verdict,
    due,
    step,
    step_agent,
)
from handoff_kit.machines.agents import Work
from handoff_kit.machines.codec import (
    SNAPSHOT_SCHEMA,
    agent_from_data,
    agent_to_data,
    canonical_step,
    conversation_from_data,
    conversation_to_data,
    event_from_data,
    event_to_data,
    recorded_step,
    verdict_from_data,
    verdict_to_data,
)
from handoff_kit.machines.conversation import _sealed_by_copy, drafted
from handoff_kit.machines.offers import OfferState
from handoff_kit.machines.table import MACHINE_FINGERPRINT

ALL_EVENTS: dict[str, type[Event]] = {**EVENTS, "presence_changed": PresenceChanged}
FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def through_json(data: Any) -> Any:
    return json.loads(json.dumps(data, ensure_ascii=False))


def line(type_: str = "ai_turn", **fields: Any) -> dict[str, Any]:
    return {"type": type_, "conversation": "c-1", "at": "2026-03-02T12:00:00Z", **fields}


def refused(data: dict[str, Any]) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        event_from_data(data, place="a.jsonl:7")
    return caught.value


# --- events


@pytest.mark.parametrize("name", sorted(ALL_EVENTS))
@FEW
@given(data=st.data())
def test_an_event_survives_the_way_through_json(name: str, data: st.DataObject) -> None:
    event = data.draw(values_of(ALL_EVENTS[name]))
    assert event_from_data(through_json(event_to_data(event))) == event


@pytest.mark.parametrize("cls", [AiTurn, Closed, PresenceChanged])
def test_an_event_says_its_conversation_and_type_first(cls: type[Event]) -> None:
    fields = {"agent": "a1"} if cls is PresenceChanged else {}
    data = event_to_data(cls(conversation="c-1", at=START, **fields))
    assert list(data.items())[:2] == [("conversation", "c-1"), ("type", cls.type)]


def test_what_is_the_default_is_left_out() -> None:
    event = AiTurn(conversation="c-1", at=START, missed=False, confidence=None)
    assert event_to_data(event) == {"conversation": "c-1", "type": "ai_turn", "at": "2026-03-02T12:00:00Z"}


def test_a_word_of_python_has_its_plain_name_on_the_wire() -> None:
    event = ConsultStarted(conversation="c-1", at=START, agent="a1", with_="a2")
    assert event_to_data(event)["with"] == "a2"
    assert event_from_data(line("consult_started", agent="a1", **{"with": "a2"})) == event


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-03-02T12:00:01Z", 1),
        ("2026-03-02T12:00:01.250Z", 1.25),
        ("2026-03-02T14:00:01+02:00", 1),
        ("2026-03-02T04:30:01-07:30", 1),
        ("2026-03-02 12:00:01Z", 1),
        ("2026-03-02t12:00:01Z", 1),
        ("2026-03-02T12:00:01+00:00", 1),
    ],
)
def test_a_time_of_any_zone_is_taken_as_utc(written: str, seconds: float) -> None:
    event = event_from_data(line("ai_turn", at=written))
    assert event.at == at(seconds)
    assert event.at is not None
    assert event.at.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-02T12:00:00",
        "2026-03-02T12:00:00.500",
        "2026-03-02",
        "20260302T120000Z",
        "2026-03-02T25:00:00Z",
        "2026-03-02T12:00:00 Europe/Berlin",
        "yesterday",
        "",
        1772452800,
        True,
        [],
    ],
)
def test_what_is_no_time_with_a_zone_is_refused(written: Any) -> None:
    error = refused(line(at=written))
    assert error.place == "a.jsonl:7"
    assert error.what.startswith("at: must be an RFC 3339 time in UTC such as")


def test_a_time_beyond_the_calendar_is_refused() -> None:
    assert refused(line(at="0001-01-01T00:00:00+14:00")).place == "a.jsonl:7"


def test_a_naive_time_is_refused_where_an_event_is_made() -> None:
    with pytest.raises(ValueError, match="has no zone: give an aware datetime"):
        AiTurn(conversation="c-1", at=datetime(2026, 3, 2, 12))  # noqa: DTZ001 - that is the point


def test_another_zone_is_converted_where_an_event_is_made() -> None:
    zone = timezone(timedelta(hours=2))
    event = AiTurn(conversation="c-1", at=datetime(2026, 3, 2, 14, tzinfo=zone))
    assert event.at == START
    assert event.at is not None
    assert event.at.tzinfo is UTC


#: (line, what is wrong, the mend)
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"conversation": "c-1"}, "the field 'type' is missing", "known types are conversation_started"),
    (line("ai_tern"), 'there is no type "ai_tern"', "did you mean 'ai_turn'?"),
    (line("zzz"), 'there is no type "zzz"', "known are conversation_started"),
    ({"type": 5}, "there is no type 5", "known are"),
    ({"type": []}, "there is no type []", "known are"),
    ({"type": {}}, "there is no type {}", "known are"),
    (line(confidense=1), "confidense: there is no key 'confidense' here", "did you mean 'confidence'?"),
    (line(zzz=1), "zzz: there is no key 'zzz' here", "known are conversation, seq, at"),
    (line("customer_message"), "text: the key 'text' is missing", "add it"),
    (line("customer_message", text=5), "text: must be a string, not 5", "correct the value"),
    (line("customer_message", text="x", id=5), "id: must be a string, not 5", ""),
    (line("customer_message", text="x", attachments=5), "attachments: must be a list, not 5", ""),
    (line("customer_message", text="x", attachments=[{}, {"sise": 1}]), "attachments[1].sise: there is no key 'sise'", "'size'"),
    (
        line("customer_message", text="x", attachments=[{"size": "big"}]),
        'attachments[0].size: must be a whole number, not "big"',
        "",
    ),
    (line("customer_message", text="x", attachments=[7]), "attachments[0]: must be an object, not 7", ""),
    (line(confidence="0.5"), 'confidence: must be a number, not "0.5"', ""),
    (line(confidence=True), "confidence: must be a number, not true", ""),
    (line(confidence=1.5), "confidence must be from 0 to 1, not 1.5", ""),
    (line(confidence=10**400), "confidence: ", ""),
    (line(confidence=float("nan")), "confidence must be from 0 to 1, not nan", ""),
    (line(sentiment=float("-inf")), "sentiment must be from -1 to 1, not -inf", ""),
    (line(entities={"a": [{"b": float("inf")}]}), "entities must not hold NaN or an infinity", ""),
    (line(attributes={"a": float("nan")}), "attributes.a must be finite, not nan", ""),
    (line(attributes={"a": []}), "attributes.a must be flat, not an object or a list", ""),
    (line(attributes=[]), "attributes: must be an object, not []", ""),
    (line(missed=1), "missed: must be true or false, not 1", ""),
    (line(epoch=1.0), "epoch: must be a whole number, not 1.0", ""),
    (line(epoch=-1), "epoch must be at least 0 and finite, not -1", ""),
    (line(seq=0), "seq must be at least 1 and finite, not 0", ""),
    (line(in_reply_to=1.5), "in_reply_to: must be a seq (whole number) or an id (string), not 1.5", ""),
    (line(in_reply_to=True), "in_reply_to: must be a seq (whole number) or an id (string), not true", ""),
    (line(actions=[{"name": "x", "parms": 1}]), "actions[0].parms: there is no key 'parms' here", "did you mean 'parameters'?"),
    (line(failed_action={}), "failed_action.name: the key 'name' is missing", "add it"),
    (line(failed_action={"name": ""}), "name must be a string that is not empty", ""),
    (line(observed=5), "observed: must be an object, not 5", ""),
    (line(observed={"queues": []}), "observed.queues: must be an object, not []", ""),
    (line(observed={"queues": {"q": {"eta": 1}}}), "observed.queues.q.eta: there is no key 'eta' here", "did you mean 'eta_s'?"),
    (line(erased=[5]), "erased: must be a list of strings, not [5]", ""),
    (line("agent_assigned", agent="a1", by="boss"), 'by: must be one of desk, agent, supervisor, router, not "boss"', ""),
    (line("agent_assigned", agent="a1", by=[]), "by: must be one of desk, agent, supervisor, router, not []", ""),
    (line("agent_assigned", agent=""), "agent must be a string that is not empty", ""),
    (line("offer_made", agent="a1", offer=0), "offer must be at least 1", ""),
    (line("feedback", csat=6), "csat must be from 1 to 5, not 6", ""),
    (
        line("presence_changed", agent="a1", presence="asleep"),
        "presence: must be one of offline, available, away, not_responding",
        "",
    ),
    (line("presence_changed", agent="a1", presence=[]), "presence: must be one of offline, available, away", ""),
    (line("presence_changed", agent="a1", skills={"x": "y"}), 'skills.x: must be a whole number, not "y"', ""),
    (line("conversation_started", channel="web", customer={"id": ""}), "id must be a string that is not empty", ""),
    (
        line("conversation_started", channel="web", customer={"id": "x", "teir": "y"}),
        "customer.teir: there is no key 'teir'",
        "'tier'",
    ),
]


@pytest.mark.parametrize(("data", "what", "mend"), BROKEN)
def test_an_error_names_place_field_and_mend(data: dict[str, Any], what: str, mend: str) -> None:
    error = refused(data)
    assert error.place == "a.jsonl:7"
    assert what in error.what
    assert mend in error.mend


def test_an_actor_of_no_known_kind_is_refused_in_words() -> None:
    error = refused(line(actor={"kind": "alien"}))
    assert "alien" in error.what
    assert "supervisor" in error.what
    assert "Attribute(" not in str(error)


def test_an_unknown_key_is_compared_with_the_names_on_the_wire() -> None:
    error = refused(line("consult_started", agent="a1", with_="a2"))
    assert "did you mean 'with'?" in error.mend


def test_one_name_is_a_list_of_one() -> None:
    assert event_from_data(line(erased="reply")).erased == ("reply",)


def test_a_long_finding_is_cut() -> None:
    assert refused(line(confidence="x" * 200)).what.endswith("...")


@pytest.mark.parametrize("name", RESERVED_EVENTS)
def test_a_reserved_event_is_told_so(name: str) -> None:
    error = refused(line(name))
    assert error.what == f"type '{name}' is not yet supported"
    assert error.mend == "leave the line out"


def test_the_data_of_an_event_are_left_as_they_were() -> None:
    data = line()
    event_from_data(data)
    assert data == line()


# --- verdicts


@FEW
@given(values_of(Verdict))
def test_a_verdict_survives_the_way_through_json(verdict: Verdict) -> None:
    assert verdict_from_data(through_json(verdict_to_data(verdict))) == verdict


def test_an_unknown_verdict_is_null() -> None:
    assert verdict_to_data(Verdict("x", None)) == {"name": "x", "holds": None}


# --- snapshots in every state


def _observed(**facts: Any) -> Observed:
    return Observed(queues={"default": QueueFacts(**facts)})


def bot_active() -> Talk:
    talk = Talk()
    talk.do(CustomerMessage, 1, text="hi", id="m1", choice="b")
    talk.turn(2, intent="x", confidence=0.9, sentiment=0.5, entities={"n": [1, {"a": None}]}, in_reply_to="m1", reply="yes")
    talk.turn(3, sentiment=None, missed=True)
    talk.do(CustomerMessage, 4, text="hello?", seq=9)
    return talk


def escalation_pending() -> Talk:
    talk = bot_active()
    failed = FailedAction(name="export", parameters={"id": 7}, error_code="E1", message="no")
    talk.turn(5, wants_handoff=True, failed_action=failed, summary="wants an export")
    return talk


def queued() -> Talk:
    talk = escalation_pending()
    talk.do(HandoffRequested, 6, by="supervisor", target=Target(queue="q", skills=("s",)))
    talk.queue(7)
    talk.do(TicketOpened, 8, desk="d", ticket="t-1", observed=_observed(position=3, eta_s=200.5, open=True))
    talk.do(OfferMade, 9, agent="a1", offer=1, ranking=[{"agent": "a1"}])
    return talk


def agent_active() -> Talk:
    talk = queued()
    talk.do(OfferAccepted, 10, agent="a1", offer=1)
    talk.do(AgentMessage, 11, agent="a1", text="hi, I am Ada")
    talk.do(TransferRequested, 12, agent="a1", target=Target(tier="t2", agent="a3"), note="please")
    talk.do(OfferMade, 13, agent="a2", offer=2)
    talk.do(AgentParked, 14, agent="a1", waiting_for="third_party", until=at(9999))
    talk.do(ConsultStarted, 15, agent="a1", with_="a4")
    return talk


def copilot() -> Talk:
    talk = queued()
    talk.do(OfferAccepted, 10, agent="a1", offer=1)
    talk.do(CopilotEngaged, 11, agent="a1")
    talk.do(CustomerMessage, 12, text="so?", id="m9")
    talk.do(DraftProposed, 13, draft=1, text="Yes.", in_reply_to="m9")
    talk.do(DraftProposed, 14, draft="d-2", text="No.")
    return talk


def resumed_bot() -> Talk:
    talk = agent_active()
    talk.do(ReturnedToAi, 20, agent="a1", instruction="re-run", facts={"granted": True}, agreed="this", promises=["that"])
    return talk


def resumed_bot_with_a_place() -> Talk:
    talk = queued()
    talk.do(Offloaded, 20)
    return talk


def callback_pending() -> Talk:
    talk = queued()
    talk.do(
        Deferred, 20, kind="callback", reason="none_available", due=at(5000), observed=_observed(open=False, opens_at=at(9000))
    )
    return talk


def wrap_up() -> Talk:
    talk = agent_active()
    talk.do(AgentFinished, 20, agent="a1", disposition="done", tags=["x"])
    talk.do(CustomerLeft, 21)
    return talk


def closed() -> Talk:
    talk = escalation_pending()
    talk.queue(7)
    talk.do(Closed, 20, reason="spam")
    return talk


PLACES: list[tuple[Callable[[], Talk], State]] = [
    (bot_active, State.BOT_ACTIVE),
    (escalation_pending, State.ESCALATION_PENDING),
    (queued, State.QUEUED),
    (agent_active, State.AGENT_ACTIVE),
    (copilot, State.COPILOT),
    (resumed_bot, State.RESUMED_BOT),
    (resumed_bot_with_a_place, State.RESUMED_BOT),
    (callback_pending, State.CALLBACK_PENDING),
    (wrap_up, State.WRAP_UP),
    (closed, State.CLOSED),
]

NEXT: dict[str, tuple[type[Event], dict[str, Any]]] = {
    "customer_message": (CustomerMessage, {"text": "a human, please", "id": "m99", "observed": _observed(position=2, eta_s=90)}),
    "ai_turn": (AiTurn, {"reply": "r", "confidence": 0.5, "missed": True}),
    "agent_message": (AgentMessage, {"agent": "a1", "text": "hello"}),
    "foreign_message": (AgentMessage, {"agent": "a7", "text": "hello"}),
    "offer_accepted": (OfferAccepted, {"agent": "a2", "offer": 2}),
    "first_offer_accepted": (OfferAccepted, {"agent": "a1", "offer": 1}),
    "draft_resolved": (DraftResolved, {"agent": "a1", "draft": "d-2", "resolution": "accepted"}),
    "returned_to_ai": (ReturnedToAi, {"agent": "a1"}),
    "reclaimed": (Reclaimed, {}),
    "handoff_requested": (HandoffRequested, {"by": "customer"}),
    "ticket_opened": (TicketOpened, {"desk": "d", "ticket": "t-9"}),
    "feedback": (Feedback, {"csat": 5}),
    "closed": (Closed, {"reason": "duplicate"}),
}


def restored(conversation: Conversation, times: int = 3) -> Conversation:
    for _ in range(times):
        conversation = conversation_from_data(through_json(conversation_to_data(conversation)))
    return conversation


def test_every_state_has_a_snapshot_here() -> None:
    assert {state for _, state in PLACES} == set(State)


@pytest.mark.parametrize(("build", "state"), PLACES)
def test_a_snapshot_is_the_same_after_three_ways_through_json(build: Callable[[], Talk], state: State) -> None:
    talk = build()
    assert talk.state is state
    assert all(step.refused is None for step in talk.steps)
    again = restored(talk.now)
    assert again == talk.now
    assert again.state is state


@pytest.mark.parametrize(("build", "state"), PLACES)
@pytest.mark.parametrize("name", sorted(NEXT))
def test_a_restored_snapshot_gives_the_same_next_step(build: Callable[[], Talk], state: State, name: str) -> None:
    talk = build()
    cls, fields = NEXT[name]
    event = cls(conversation="c-1", at=at(30), **fields)
    kept, back = step(talk.policy, talk.now, event), step(talk.policy, restored(talk.now), event)
    assert canonical_step(back) == canonical_step(kept)
    assert (back.after, back.effects, back.verdicts, back.refused) == (kept.after, kept.effects, kept.verdicts, kept.refused)


@pytest.mark.parametrize(("build", "state"), [place for place in PLACES if place[1] is not State.CLOSED])
def test_a_restored_snapshot_owes_the_same_timers(build: Callable[[], Talk], state: State) -> None:
    talk = build()
    back = restored(talk.now)
    timer = due(talk.now, at(10**6))
    assert timer == due(back, at(10**6))
    assert isinstance(timer, TimerFired)
    assert canonical_step(step(talk.policy, back, timer)) == canonical_step(step(talk.policy, talk.now, timer))


@pytest.mark.parametrize(("build", "state"), PLACES)
def test_a_snapshot_sealed_by_copy_is_the_one_sealed_in_place(build: Callable[[], Talk], state: State) -> None:
    now = build().now
    assert _sealed_by_copy(drafted(now)) == now


def test_an_offer_of_a_restored_snapshot_is_still_pending() -> None:
    assert restored(queued().now).offers[0].state is OfferState.PENDING


def test_a_snapshot_names_its_schema_and_machine() -> None:
    data = conversation_to_data(Talk().now)
    assert (data["schema"], data["machine"]) == (SNAPSHOT_SCHEMA, MACHINE_FINGERPRINT)


def snapshot_refused(**changes: Any) -> SnapshotError:
    data = {**through_json(conversation_to_data(queued().now)), **changes}
    with pytest.raises(SnapshotError) as caught:
        conversation_from_data({key: value for key, value in data.items() if value != "absent"}, place="row 5")
    assert caught.value.place == "row 5"
    return caught.value


@pytest.mark.parametrize("schema", [2, 0, None, "1", "absent"])
def test_a_snapshot_of_another_schema_is_refused(schema: Any) -> None:
    error = snapshot_refused(schema=schema)
    assert "snapshot schema" in error.what
    assert "version of handoff-kit" in error.mend


@pytest.mark.parametrize("machine", ["0" * 32, None, "absent"])
def test_a_snapshot_of_another_machine_is_refused(machine: Any) -> None:
    error = snapshot_refused(machine=machine)
    assert MACHINE_FINGERPRINT in error.what
    assert "replay its log" in error.mend


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"state": "asleep"}, "state: must be one of bot_active, escalation_pending"),
        ({"state": 5}, "state: must be one of bot_active"),
        ({"version": "1"}, 'version: must be a whole number, not "1"'),
        ({"moode": 1}, "moode: there is no key 'moode' here"),
        ({"policy": "absent"}, "policy: the key 'policy' is missing"),
        ({"boundary_kind": "x"}, 'boundary_kind: must be one of start, return, withdrawal, offload, not "x"'),
        ({"sentiments": [0.5, "x"]}, 'sentiments[1]: must be a number, not "x"'),
        ({"generations": [{"name": "queue", "last": "x"}]}, 'generations[0].last: must be a whole number, not "x"'),
        ({"offers": [{"number": 1}]}, "offers[0].agent: the key 'agent' is missing"),
        ({"at": "2026"}, "at: must be an RFC 3339 time"),
        ({"entities": []}, "entities: must be an object"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused(changes: dict[str, Any], what: str) -> None:
    assert what in snapshot_refused(**changes).what


# --- agents


def test_an_agent_survives_the_way_through_json() -> None:
    agent = Agent(
        "a1",
        START,
        version=3,
        presence=Presence.AWAY,
        lost=True,
        capacity=2.5,
        tiers=("t1",),
        skills={"cards": 3},
        languages=("de",),
        work=(Work("c-1", 1.0, reserved=True),),
    )
    again = agent_from_data(through_json(agent_to_data(agent)))
    assert again == agent
    assert again.presence is Presence.AWAY


def test_a_restored_agent_takes_the_same_next_step() -> None:
    agent = Agent("a1", START, presence=Presence.NOT_RESPONDING)
    event = AgentMessage(conversation="c-1", at=at(1), agent="a1", text="x")
    back = agent_from_data(through_json(agent_to_data(agent)))
    assert step_agent(policy(), back, event).after == step_agent(policy(), agent, event).after


# --- canonical and recorded steps


def test_a_canonical_step_leaves_out_seq_and_fingerprints() -> None:
    def told(seq: int, text: str) -> str:
        talk = Talk(policy(text))
        talk.do(CustomerMessage, 1, text="hi", seq=seq)
        return canonical_step(talk.steps[-1])

    assert told(2, DEFAULT) == told(77, DEFAULT + "[policy]\nname = 'another'")
    assert '"seq"' not in told(2, DEFAULT)


def test_a_canonical_step_keeps_a_reference_by_id() -> None:
    talk = Talk()
    talk.do(CustomerMessage, 1, text="hi", id="m1", seq=2)
    assert '"in_reply_to":"m1"' in canonical_step(talk.steps[-1])


def test_a_canonical_step_is_json_with_what_was_decided() -> None:
    talk = Talk()
    told = json.loads(canonical_step(talk.turn(1, wants_handoff=True)))
    assert sorted(told) == ["at", "effects", "epoch", "owner", "state", "type", "verdicts", "version"]
    assert (told["state"], told["epoch"], told["owner"], told["version"]) == ("escalation_pending", 1, "system", 2)
    assert told["type"] == "ai_turn"


def test_a_canonical_step_calls_a_timer_by_its_own_word() -> None:
    talk = Talk()
    (idle,) = talk.wait(1800)
    assert json.loads(canonical_step(idle))["type"] == "timer_bot_idle"


def test_a_recording_keeps_the_result_of_a_step() -> None:
    talk = Talk()
    done = talk.turn(1, wants_handoff=True)
    kept = through_json(recorded_step(done, talk.policy.fingerprint))
    assert (kept["state"], kept["version"], kept["epoch"]) == ("escalation_pending", 2, 1)
    assert (kept["policy"], kept["machine"]) == (talk.policy.fingerprint, MACHINE_FINGERPRINT)
    assert tuple(map(verdict_from_data, kept["verdicts"])) == done.verdicts
    assert len(kept["effects"]) == 32


def test_a_recorded_digest_depends_on_the_effects() -> None:
    talk = Talk()
    quiet, loud = talk.turn(1), talk.turn(2, reply="hi")
    digests = {recorded_step(one, "p")["effects"] for one in (quiet, attrs.evolve(quiet, effects=()), loud)}
    assert len(digests) == 3
