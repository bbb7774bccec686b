"""What must hold after every event of every walk, whatever happens."""

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from machines_build import at
from walks import POLICIES, events, started

from handoff_kit.machines import AiTurn, Conversation, CustomerMessage, Event, SendToCustomer, Step, advance, replay, step
from handoff_kit.machines.codec import canonical_step, conversation_from_data, conversation_to_data
from handoff_kit.machines.states import AGENT_STATES, AI_STATES, State, owner_of

AI_KINDS = ("ai_turn", "customer_message")
WAITING_KINDS = ("context_ready", "offer_made", "offer_accepted", "customer_message", "timer_fired", "deferred", "ai_turn")
AGENT_KINDS = (
    "agent_message",
    "customer_message",
    "returned_to_ai",
    "transfer_requested",
    "offer_made",
    "offer_accepted",
    "copilot_engaged",
    "draft_proposed",
    "draft_resolved",
    "agent_parked",
    "agent_finished",
    "ai_turn",
)


class Walk(RuleBasedStateMachine):
    """One conversation, and everything that may happen to it."""

    conversation: Conversation

    @initialize(policy=st.sampled_from(POLICIES))
    def start(self, policy: object) -> None:
        self.policy = policy
        self.log: list[Event] = []
        self.accepted: list[Step] = []
        self.take(step(self.policy, None, started()))

    def take(self, done: Step) -> None:
        self.check(done)
        if done.refused is None:
            self.log.append(done.event)
            self.accepted.append(done)
        self.conversation = done.after

    def happen(self, event: Event) -> list[Step]:
        out = []
        for done in advance(self.policy, self.conversation, event):
            self.take(done)
            out.append(done)
        return out

    @rule(data=st.data())
    def anything(self, data: st.DataObject) -> None:
        self.happen(data.draw(events(self.conversation)))

    @rule(data=st.data())
    @precondition(lambda self: self.conversation.state in AI_STATES)
    def with_the_ai(self, data: st.DataObject) -> None:
        self.happen(data.draw(events(self.conversation, AI_KINDS)))

    @rule(data=st.data())
    @precondition(lambda self: self.conversation.owner == "system")
    def in_line(self, data: st.DataObject) -> None:
        self.happen(data.draw(events(self.conversation, WAITING_KINDS)))

    @rule(data=st.data())
    @precondition(lambda self: self.conversation.state in AGENT_STATES)
    def with_an_agent(self, data: st.DataObject) -> None:
        self.happen(data.draw(events(self.conversation, AGENT_KINDS)))

    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        self.happen(data.draw(events(self.conversation, ("timer_fired",))))

    @rule()
    @precondition(lambda self: self.conversation.state in AI_STATES and len(self.policy.trigger) > 0)
    def the_customer_asks_for_a_human(self) -> None:
        """A person's own wish escalates from the AI's states, cool-down or not."""
        before = self.conversation
        done = self.happen(CustomerMessage(conversation=before.id, at=before.at, text="  a HUMAN, now"))
        if done[-1].before.state in AI_STATES:
            assert done[-1].after.state in (State.ESCALATION_PENDING, State.QUEUED)
            assert "explicit_request" in done[-1].after.handoff.reasons
            assert done[-1].after.handoff.explicit

    def check(self, done: Step) -> None:
        """What must hold of every step."""
        before, after = done.before, done.after
        if done.refused is not None:
            assert after is before
            assert done.effects == ()
            return
        assert after.owner == owner_of(after.state, after.agent)
        if before is None:
            return
        assert after.version == before.version + 1
        assert after.epoch == before.epoch + (after.owner != before.owner)
        assert after.at >= before.at
        for effect in done.effects:
            if isinstance(effect, SendToCustomer):
                assert effect.epoch == after.epoch
                assert effect.text
                if effect.speaker == "ai":
                    # The AI writes as owner or, by leave, while the system owns; never while an agent holds the floor.
                    assert before.state not in AGENT_STATES
                    assert isinstance(done.event, AiTurn)
        if before.state in AGENT_STATES and isinstance(done.event, AiTurn):
            raise AssertionError("an AI turn was accepted while an agent held the floor")
        if before.handoff is not None and after.handoff is not None and before.handoff.number == after.handoff.number:
            assert after.handoff.since == before.handoff.since
            assert before.handoff.answered_at in (None, after.handoff.answered_at)
            assert before.handoff.accepted_at in (None, after.handoff.accepted_at)

    @invariant()
    def every_state_but_closed_owes_a_timer(self) -> None:
        if self.conversation.state is State.CLOSED:
            assert self.conversation.timers == ()
        else:
            assert self.conversation.timers
            assert all(timer.due >= timer.basis or timer.due >= self.conversation.at for timer in self.conversation.timers)
        keys = [(timer.name, timer.generation) for timer in self.conversation.timers]
        assert len(keys) == len(set(keys))

    @invariant()
    def offers_ring_only_where_the_conversation_stands_in_a_queue(self) -> None:
        if self.conversation.offers:
            assert self.conversation.queue is not None
        assert {offer.number for offer in self.conversation.offers} <= set(self.conversation.offers_used)

    @invariant()
    def parts_fit_the_state(self) -> None:
        now = self.conversation
        assert (now.held is not None) == (now.state in AGENT_STATES)
        assert (now.waiting is not None) == (now.owner == "system")
        if now.owner == "system" or now.state in AGENT_STATES:
            assert now.handoff is not None
        if now.place is not None:
            assert now.state is State.RESUMED_BOT

    def teardown(self) -> None:
        if not hasattr(self, "conversation"):
            return
        # Replaying the log gives the live snapshot, byte for byte, and so does a snapshot that was stored meanwhile.
        state = None
        texts = []
        for event in self.log:
            done = step(self.policy, state, event)
            assert done.refused is None
            texts.append(canonical_step(done))
            if done.after.version % 3 == 0:
                state = conversation_from_data(json.loads(json.dumps(conversation_to_data(done.after))))
            else:
                state = done.after
        assert state == self.conversation
        assert texts == [canonical_step(one) for one in self.accepted]


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_replay_of_events_without_their_timers_fires_the_same_timers() -> None:
    """`replay` yields what `advance` yielded live."""
    first = started()
    talk = [
        first,
        CustomerMessage(conversation="w-1", at=at(5), text="hello"),
        CustomerMessage(conversation="w-1", at=at(100), text="a human"),
        CustomerMessage(conversation="w-1", at=at(300), text="still there?"),
    ]
    policy = POLICIES[0]
    live: list[Step] = []
    now = None
    for event in talk:
        for done in advance(policy, now, event):
            live.append(done)
            now = done.after

    assert live == list(replay(policy, talk))
    assert [one.event.trigger for one in live if one.before is not None] == [
        "customer_message",
        "timer_ai_reply",
        "customer_message",
        "timer_context",
        "timer_queue_step",
        "timer_queue_step",
        "timer_queue_step",
        "customer_message",
    ]
