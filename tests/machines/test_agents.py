"""An agent's own stream: presence, and the work that takes capacity."""

from typing import Any

import attrs
import pytest
from machines_build import DEFAULT, START, Talk, at, policy

from handoff_kit.machines import (
    Agent,
    AgentAssigned,
    AgentFinished,
    AgentLost,
    AgentMessage,
    AgentParked,
    AgentStep,
    AgentUnparked,
    CustomerMessage,
    Event,
    HandoffUsageError,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferMade,
    OfferRescinded,
    Presence,
    PresenceChanged,
    ReturnedToAi,
    Step,
    TimerFired,
    TransferRequested,
    step_agent,
)
from handoff_kit.machines.agents import PRESENCE, PRESENCE_ROWS, Work, _AgentSlate

OFFLINE, AVAILABLE, AWAY, SILENT = Presence.OFFLINE, Presence.AVAILABLE, Presence.AWAY, Presence.NOT_RESPONDING
PLAIN = policy()


def agent(presence: Presence = AVAILABLE, **fields: Any) -> Agent:
    return Agent("a1", START, presence=presence, **fields)


class Desk:
    """A conversation and the stream of agent a1 beside it."""

    def __init__(self, text: str = DEFAULT, channel: str = "web", **fields: Any) -> None:
        self.talk = Talk(policy(text), channel=channel)
        self.agent = agent(**fields)
        self.steps: list[AgentStep] = []

    def do(self, cls: type[Event], seconds: float, **fields: Any) -> AgentStep:
        """Step the conversation, then the agent, as one commit would."""
        self.talk.do(cls, seconds, **fields)
        return self.follow()

    def follow(self, step: Step | None = None) -> AgentStep:
        """Let the agent's stream follow the conversation's last step, or a given one."""
        one = step or self.talk.steps[-1]
        assert one.refused is None
        done = step_agent(self.talk.policy, self.agent, one.event, conversation=one.after)
        self.steps.append(done)
        self.agent = done.after
        return done

    def offered(self) -> "Desk":
        self.talk.queue(1)
        self.do(OfferMade, 2, agent="a1", offer=1)
        return self

    def holding(self) -> "Desk":
        self.offered().do(OfferAccepted, 3, agent="a1", offer=1)
        return self


# --- the presence machine: every word from every presence

TABLE: dict[str, dict[Presence, Presence]] = {
    "presence_offline": dict.fromkeys(Presence, OFFLINE),
    "presence_available": dict.fromkeys(Presence, AVAILABLE),
    "presence_away": dict.fromkeys(Presence, AWAY),
    "presence_not_responding": {one: one for one in Presence},
    "presence_kept": {one: one for one in Presence},
    "missed": {OFFLINE: OFFLINE, AVAILABLE: SILENT, AWAY: SILENT, SILENT: SILENT},
    "lost": dict.fromkeys(Presence, OFFLINE),
    "acted": {OFFLINE: OFFLINE, AVAILABLE: AVAILABLE, AWAY: AWAY, SILENT: AVAILABLE},
    "touched": {one: one for one in Presence},
}


def test_the_table_is_complete() -> None:
    assert {row.event for row in PRESENCE_ROWS} == set(TABLE)
    assert {(row.event, row.source) for row in PRESENCE_ROWS} == {(word, one) for word in TABLE for one in Presence}


@pytest.mark.parametrize("presence", Presence)
@pytest.mark.parametrize("word", TABLE)
def test_a_word_leads_to_a_presence(word: str, presence: Presence) -> None:
    slate = _AgentSlate(agent(presence))
    PRESENCE.fire(word, slate)
    assert slate.state == TABLE[word][presence]
    assert (slate.refused is not None) is (word == "presence_not_responding")


# --- presence_changed


def changed(before: Agent | None, **fields: Any) -> AgentStep:
    return step_agent(PLAIN, before, PresenceChanged(agent="a1", at=at(1), **fields))


def test_a_new_agent_is_offline_with_room_for_one() -> None:
    after = changed(None).after
    assert (after.presence, after.capacity, after.load, after.version) == (OFFLINE, 1.0, 0.0, 1)


@pytest.mark.parametrize("before", Presence)
@pytest.mark.parametrize("word", [OFFLINE, AVAILABLE, AWAY])
def test_an_agent_may_set_any_presence_but_one(before: Presence, word: Presence) -> None:
    done = changed(agent(before), presence=word)
    assert done.refused is None
    assert done.after.presence is word


@pytest.mark.parametrize("before", Presence)
def test_only_the_system_says_that_nobody_responds(before: Presence) -> None:
    done = changed(agent(before), presence=SILENT)
    assert done.refused is not None
    assert (done.refused.name, done.refused.facts) == ("not_allowed_here", {"presence": str(before)})
    assert done.after is done.before


def test_a_first_line_that_is_refused_leaves_a_blank_agent() -> None:
    done = changed(None, presence=SILENT)
    assert done.before is None
    assert done.after.version == 0


def test_what_a_line_says_is_kept_and_the_rest_stays() -> None:
    first = changed(agent(), capacity=3, tiers=("t1",), skills={"cards": 4}, languages=("de",)).after
    assert (first.capacity, first.tiers, first.skills, first.languages) == (3, ("t1",), {"cards": 4}, ("de",))
    second = changed(first, presence=AWAY).after
    assert (second.capacity, second.tiers, second.skills, second.languages) == (3, ("t1",), {"cards": 4}, ("de",))


def test_a_capacity_of_nothing_is_kept() -> None:
    assert changed(agent(), capacity=0).after.capacity == 0


def test_capacity_is_independent_of_presence() -> None:
    assert changed(agent(AWAY), capacity=5).after.presence is AWAY


def test_an_accepted_line_takes_a_version_and_its_time() -> None:
    after = changed(agent(version=7)).after
    assert (after.version, after.at) == (8, at(1))


def test_a_late_line_turns_no_clock_back() -> None:
    late = attrs.evolve(agent(), at=at(50))
    assert changed(late).after.at == at(50)


@pytest.mark.parametrize(("event", "before"), [(PresenceChanged(agent="a1"), None), (CustomerMessage(text="x", at=at(1)), None)])
def test_a_line_without_time_or_agent_is_misuse(event: Event, before: Agent | None) -> None:
    with pytest.raises(HandoffUsageError, match="needs `at` and an agent"):
        step_agent(PLAIN, before, event)


def test_whose_stream_it_is_can_be_said() -> None:
    done = step_agent(PLAIN, None, CustomerMessage(text="x", at=at(1)), agent="a9")
    assert done.after.id == "a9"


def test_a_stream_that_exists_knows_whose_it_is() -> None:
    other = AgentMessage(conversation="c-1", agent="a2", text="x", at=at(1))
    assert step_agent(PLAIN, agent(SILENT), other).after.presence is SILENT


# --- missed offers, silence, lost connections


@pytest.mark.parametrize("presence", [AVAILABLE, AWAY])
def test_an_expired_offer_says_that_the_agent_does_not_respond(presence: Presence) -> None:
    desk = Desk(presence=presence).offered()
    desk.do(OfferExpired, 10, agent="a1", offer=1)
    assert (desk.agent.presence, desk.agent.work) == (SILENT, ())


def test_the_timer_of_an_offer_says_so_too() -> None:
    desk = Desk().offered()
    for one in desk.talk.wait(22):
        desk.follow(one)
    assert (desk.agent.presence, desk.agent.work) == (SILENT, ())


def test_the_timer_of_somebody_elses_offer_says_nothing() -> None:
    desk = Desk("[offer]\nparallel = 2")
    desk.talk.queue(1)
    desk.talk.do(OfferMade, 2, agent="a2", offer=1)
    desk.do(OfferMade, 9, agent="a1", offer=2)
    (expiry,) = desk.talk.wait(22)
    assert desk.follow(expiry).after.presence is AVAILABLE
    assert desk.agent.work == (Work("c-1", 1.0, reserved=True),)


def test_an_expiry_that_names_another_agent_says_nothing() -> None:
    expiry = OfferExpired(conversation="c-1", at=at(1), agent="a2", offer=1)
    assert step_agent(PLAIN, agent(), expiry).after.presence is AVAILABLE


@pytest.mark.parametrize("cls", [OfferDeclined, OfferRescinded])
def test_a_declined_or_rescinded_offer_is_no_silence(cls: type[Event]) -> None:
    desk = Desk().offered()
    desk.do(cls, 10, agent="a1", offer=1)
    assert (desk.agent.presence, desk.agent.work) == (AVAILABLE, ())


def test_an_agent_who_does_not_write_does_not_respond() -> None:
    desk = Desk().holding()
    for one in desk.talk.wait(303):
        desk.follow(one)
    assert (desk.agent.presence, desk.agent.work) == (SILENT, ())


def test_the_silence_of_the_owner_is_not_that_of_who_is_offered_a_transfer() -> None:
    desk = Desk()
    desk.talk.accept(1, "a2")
    desk.talk.do(CustomerMessage, 2, text="hello?")
    desk.talk.do(TransferRequested, 290, agent="a2")
    desk.do(OfferMade, 295, agent="a1", offer=7)
    assert desk.agent.work == (Work("c-1", 1.0, reserved=True),)
    silence = next(one for one in desk.talk.wait(302) if isinstance(one.event, TimerFired) and one.event.timer == "agent_silent")
    assert desk.follow(silence).after.presence is AVAILABLE


def test_other_timers_say_nothing_of_the_agent() -> None:
    desk = Desk().holding()
    desk.do(AgentMessage, 10, agent="a1", text="hello")
    (idle,) = desk.talk.wait(610)
    assert desk.follow(idle).after.presence is AVAILABLE


def test_a_timer_of_a_conversation_that_is_not_theirs_says_nothing() -> None:
    event = TimerFired(conversation="c-9", at=at(1), timer="agent_silent")
    assert step_agent(PLAIN, agent(), event).after.presence is AVAILABLE


def test_a_timer_without_its_conversation_is_taken_by_what_is_reserved() -> None:
    ringing = agent(work=(Work("c-1", 1.0, reserved=True),))
    event = TimerFired(conversation="c-1", at=at(1), timer="offer")
    assert step_agent(PLAIN, ringing, event).after.presence is SILENT
    held = agent(work=(Work("c-1", 1.0),))
    assert step_agent(PLAIN, held, event).after.presence is AVAILABLE


OWN_ACTS: list[Event] = [
    AgentMessage(conversation="c-1", at=at(1), agent="a1", text="x"),
    AgentMessage(conversation="c-1", at=at(1), agent="a1", text="x", audience="internal"),
    OfferDeclined(conversation="c-1", at=at(1), agent="a1", offer=1),
    OfferAccepted(conversation="c-1", at=at(1), agent="a1", offer=1),
    AgentParked(conversation="c-1", at=at(1), agent="a1"),
    AgentFinished(conversation="c-1", at=at(1), agent="a1"),
    AgentAssigned(conversation="c-1", at=at(1), agent="a1", by="agent"),
]
NO_ACTS: list[Event] = [
    AgentMessage(conversation="c-1", at=at(1), agent="a1", text="x", automatic=True),
    AgentMessage(conversation="c-1", at=at(1), agent="a2", text="x"),
    AgentAssigned(conversation="c-1", at=at(1), agent="a1", by="supervisor"),
    AgentAssigned(conversation="c-1", at=at(1), agent="a1", by="router"),
    AgentAssigned(conversation="c-1", at=at(1), agent="a1"),
    OfferMade(conversation="c-1", at=at(1), agent="a1", offer=1),
    OfferRescinded(conversation="c-1", at=at(1), agent="a1", offer=1),
    CustomerMessage(conversation="c-1", at=at(1), text="x"),
]


@pytest.mark.parametrize("event", OWN_ACTS, ids=lambda event: event.type)
def test_an_agents_own_act_shows_that_they_respond(event: Event) -> None:
    assert step_agent(PLAIN, agent(SILENT), event).after.presence is AVAILABLE


@pytest.mark.parametrize("event", NO_ACTS, ids=lambda event: event.type)
def test_what_others_do_shows_nothing(event: Event) -> None:
    assert step_agent(PLAIN, agent(SILENT), event).after.presence is SILENT


@pytest.mark.parametrize("presence", Presence)
def test_a_lost_agent_is_offline(presence: Presence) -> None:
    after = step_agent(PLAIN, agent(presence), AgentLost(conversation="c-1", at=at(1), agent="a1")).after
    assert (after.presence, after.lost) == (OFFLINE, True)


def test_the_loss_of_another_agent_is_not_theirs() -> None:
    after = step_agent(PLAIN, agent(), AgentLost(conversation="c-1", at=at(1), agent="a2")).after
    assert (after.presence, after.lost) == (AVAILABLE, False)


def lost() -> Agent:
    return step_agent(PLAIN, agent(), AgentLost(conversation="c-1", at=at(1), agent="a1")).after


@pytest.mark.parametrize("event", OWN_ACTS, ids=lambda event: event.type)
def test_a_lost_agent_is_back_with_their_next_act(event: Event) -> None:
    done = step_agent(PLAIN, lost(), event)
    assert (done.after.presence, done.after.lost) == (AVAILABLE, False)
    assert [(verdict.name, verdict.holds) for verdict in done.verdicts] == [("was_lost", True)]


@pytest.mark.parametrize("event", NO_ACTS, ids=lambda event: event.type)
def test_a_lost_agent_stays_lost_whatever_others_do(event: Event) -> None:
    after = step_agent(PLAIN, lost(), event).after
    assert (after.presence, after.lost) == (OFFLINE, True)


def test_a_lost_agent_whose_capacity_changes_is_still_back_with_their_next_act() -> None:
    told = changed(lost(), capacity=3).after
    assert step_agent(PLAIN, told, OWN_ACTS[0]).after.presence is AVAILABLE


def test_an_agent_who_signed_out_stays_out() -> None:
    out = changed(agent(), presence=OFFLINE).after
    assert step_agent(PLAIN, out, OWN_ACTS[0]).after.presence is OFFLINE


def test_a_lost_agent_who_signs_out_stays_out() -> None:
    out = changed(lost(), presence=OFFLINE).after
    assert step_agent(PLAIN, out, OWN_ACTS[0]).after.presence is OFFLINE


def test_a_lost_agent_who_says_so_is_back() -> None:
    back = changed(lost(), presence=AWAY).after
    assert (back.presence, back.lost) == (AWAY, False)


# --- capacity


def test_an_offer_reserves_room_and_its_acceptance_takes_it() -> None:
    desk = Desk().offered()
    assert desk.agent.work == (Work("c-1", 1.0, reserved=True),)
    desk.do(OfferAccepted, 3, agent="a1", offer=1)
    assert desk.agent.work == (Work("c-1", 1.0),)
    assert desk.agent.load == 1.0


def test_a_conversation_weighs_what_its_channel_weighs() -> None:
    assert Desk("[weights]\nvoice = 3", channel="voice", capacity=3).holding().agent.load == 3
    assert Desk("[weights]\nvoice = 3", channel="web").holding().agent.load == 1


def test_weights_are_added_up_exactly() -> None:
    work = tuple(Work(f"c-{number}", 0.1) for number in range(10))
    assert agent(work=work).load == 1.0


def test_a_parked_conversation_weighs_nothing_and_then_again() -> None:
    desk = Desk().holding()
    desk.do(AgentParked, 5, agent="a1")
    assert desk.agent.work == (Work("c-1", 0.0),)
    desk.do(AgentUnparked, 6, agent="a1")
    assert desk.agent.load == 1.0


def test_a_conversation_whose_customer_is_idle_weighs_nothing() -> None:
    desk = Desk().holding()
    desk.do(AgentMessage, 5, agent="a1", text="hello")
    (idle,) = desk.talk.wait(605)
    assert desk.follow(idle).after.load == 0
    desk.do(CustomerMessage, 700, text="here")
    assert desk.agent.load == 1.0


@pytest.mark.parametrize("cls", [AgentFinished, ReturnedToAi, AgentLost])
def test_a_conversation_that_is_over_frees_its_room(cls: type[Event]) -> None:
    desk = Desk().holding()
    desk.do(cls, 5, agent="a1")
    assert desk.agent.work == ()


def test_other_conversations_stay_as_they_are() -> None:
    other = Work("c-9", 1.0)
    desk = Desk(capacity=2, work=(other,)).holding()
    assert desk.agent.work == (other, Work("c-1", 1.0))


def test_without_the_conversation_no_work_changes() -> None:
    held = agent(work=(Work("c-1", 1.0),))
    assert step_agent(PLAIN, held, OWN_ACTS[0]).after.work == (Work("c-1", 1.0),)


BUSY = Work("c-9", 1.0)


def test_an_offer_beyond_capacity_is_refused() -> None:
    desk = Desk(work=(BUSY,))
    desk.talk.queue(1)
    done = desk.do(OfferMade, 2, agent="a1", offer=1)
    assert done.refused is not None
    assert (done.refused.name, done.refused.facts) == ("over_capacity", {"agent": "a1", "load": 1.0, "capacity": 1.0})
    assert done.after.work == (BUSY,)
    assert done.after.version == 0


@pytest.mark.parametrize(("capacity", "refused"), [(2.0, False), (1.999, True)])
def test_capacity_may_be_filled_to_the_brim(capacity: float, refused: bool) -> None:
    desk = Desk(work=(BUSY,), capacity=capacity)
    desk.talk.queue(1)
    assert (desk.do(OfferMade, 2, agent="a1", offer=1).refused is not None) is refused


@pytest.mark.parametrize(
    ("by", "refused"), [("router", True), ("agent", True), (None, True), ("supervisor", False), ("desk", False)]
)
def test_only_a_supervisor_or_the_desk_may_overload(by: str | None, refused: bool) -> None:
    desk = Desk(work=(BUSY,))
    desk.talk.queue(1)
    done = desk.do(AgentAssigned, 2, agent="a1", by=by)
    assert (done.refused is not None) is refused
    assert done.after.load == (1.0 if refused else 2.0)


def test_an_offer_to_another_agent_is_no_matter_of_this_ones_room() -> None:
    desk = Desk(work=(BUSY,), capacity=0)
    desk.talk.queue(1)
    assert desk.do(OfferMade, 2, agent="a2", offer=1).refused is None


def test_what_takes_no_more_room_is_fine_even_beyond_capacity() -> None:
    desk = Desk(capacity=1).holding()
    desk.agent = attrs.evolve(desk.agent, capacity=0.5)
    assert desk.do(AgentAssigned, 5, agent="a1", by="agent").refused is None


def test_an_offer_is_accepted_though_capacity_shrank_meanwhile() -> None:
    desk = Desk().offered()
    desk.agent = attrs.evolve(desk.agent, capacity=0)
    assert desk.do(OfferAccepted, 3, agent="a1", offer=1).refused is None
