"""The clocks of a handoff: what starts, stops and never resets them."""

import pytest
from machines_build import DEFAULT, Talk, at, policy

from handoff_kit.machines import (
    AgentFinished,
    AgentLost,
    AgentMessage,
    AgentParked,
    AgentUnparked,
    AgentWrapped,
    AiTurn,
    Clocks,
    Closed,
    CustomerMessage,
    HandoffWithdrawn,
    Offloaded,
    Reclaimed,
    ReturnedToAi,
    TransferRequested,
    clocks,
)

LONG = """
[timers]
queue_s = 9000
agent_silent_s = 9000
customer_idle_s = 9000
bot_idle_s = 9000
ai_reply_s = 9000
wrap_up_s = 9000
"""


def talk() -> Talk:
    return Talk(policy(DEFAULT + LONG))


def read(one: Talk, seconds: float) -> Clocks:
    return clocks(one.now, at(seconds))


def answered() -> Talk:
    """Escalated at 10 s, accepted at 40 s, answered at 60 s."""
    one = talk()
    one.queue(10)
    one.accept(40)
    one.do(AgentMessage, 60, agent="a1", text="hello")
    return one


def test_no_clock_runs_before_a_handoff() -> None:
    assert read(talk(), 100) == Clocks()


def test_no_clock_is_left_after_a_withdrawal() -> None:
    one = talk()
    one.queue(10)
    one.do(HandoffWithdrawn, 20)
    assert read(one, 30) == Clocks()


def test_the_customer_waits_from_the_escalation() -> None:
    one = talk()
    one.escalate(10)
    assert read(one, 25) == Clocks(customer_wait_s=15, time_to_accept_s=15)


def test_acceptance_stops_one_clock_and_words_the_other() -> None:
    one = talk()
    one.queue(10)
    one.accept(40)
    assert (read(one, 50).customer_wait_s, read(one, 50).time_to_accept_s) == (40, 30)
    one.do(AgentMessage, 60, agent="a1", text="hello")
    assert (read(one, 999).customer_wait_s, read(one, 999).time_to_accept_s) == (50, 30)


@pytest.mark.parametrize("fields", [{"audience": "internal"}, {"automatic": True}])
def test_a_note_or_an_automatic_text_ends_no_wait(fields: dict[str, object]) -> None:
    one = talk()
    one.queue(10)
    one.accept(40)
    assert one.do(AgentMessage, 60, agent="a1", text="x", **fields).refused is None
    assert read(one, 100).customer_wait_s == 90


def test_the_wait_runs_through_an_offload_and_the_ais_words() -> None:
    one = talk()
    one.turn(10, confidence=0.1)
    one.queue(11)
    one.do(Offloaded, 20)
    one.do(AiTurn, 25, epoch=one.epoch, confidence=0.95, reply="Let me try.")
    assert read(one, 30).customer_wait_s == 20
    one.do(Reclaimed, 40)
    assert read(one, 50).customer_wait_s == 40


def test_the_wait_runs_through_a_requeue() -> None:
    one = talk()
    one.queue(10)
    one.accept(40)
    one.do(AgentLost, 50, agent="a1")
    one.accept(70, "a2")
    one.do(AgentMessage, 80, agent="a2", text="hello")
    assert (read(one, 99).customer_wait_s, read(one, 99).time_to_accept_s) == (70, 30)


def test_handling_adds_up_over_agents() -> None:
    one = talk()
    one.queue(10)
    one.accept(40)
    one.do(AgentLost, 50, agent="a1")
    one.accept(70, "a2")
    assert read(one, 75).handle_s == 15


def test_handling_goes_on_through_a_transfer() -> None:
    one = answered()
    one.do(TransferRequested, 70, agent="a1")
    one.accept(90, "a2")
    assert read(one, 100).handle_s == 60


def test_a_pause_counts_as_held_and_as_handled() -> None:
    one = answered()
    one.do(AgentParked, 70, agent="a1")
    assert (read(one, 80).hold_s, read(one, 80).handle_s) == (10, 40)
    one.do(AgentUnparked, 85, agent="a1")
    assert (read(one, 100).hold_s, read(one, 100).handle_s) == (15, 60)


def test_pauses_add_up() -> None:
    one = answered()
    for start in (70, 90):
        one.do(AgentParked, start, agent="a1")
        one.do(AgentUnparked, start + 5, agent="a1")
    assert read(one, 200).hold_s == 10


def test_a_customers_message_ends_a_pause() -> None:
    one = answered()
    one.do(AgentParked, 70, agent="a1")
    one.do(CustomerMessage, 80, text="here")
    assert read(one, 100).hold_s == 10


def test_a_pause_ends_with_the_conversation() -> None:
    one = answered()
    one.do(AgentParked, 70, agent="a1")
    one.do(AgentFinished, 90, agent="a1")
    assert (read(one, 200).hold_s, read(one, 200).handle_s) == (20, 50)


def test_wrap_up_runs_from_the_end_until_now() -> None:
    one = answered()
    assert read(one, 80).wrap_up_s is None
    one.do(AgentFinished, 100, agent="a1")
    assert (read(one, 130).wrap_up_s, read(one, 130).handle_s) == (30, 60)


def test_wrap_up_ends_with_the_paperwork() -> None:
    one = answered()
    one.do(AgentFinished, 100, agent="a1")
    one.do(AgentWrapped, 120, agent="a1")
    assert read(one, 999).wrap_up_s == 20


def test_a_customer_who_writes_during_wrap_up_stops_that_clock() -> None:
    one = answered()
    one.do(AgentFinished, 100, agent="a1")
    one.do(CustomerMessage, 110, text="one more thing")
    assert read(one, 150).wrap_up_s is None
    assert read(one, 150).handle_s == 100


def test_a_wait_that_was_never_answered_ends_with_the_conversation() -> None:
    one = talk()
    one.queue(10)
    one.do(Closed, 50, reason="spam")
    assert read(one, 999) == Clocks(customer_wait_s=40, time_to_accept_s=40)


def test_clocks_of_a_handoff_go_on_with_the_ai_until_it_settles() -> None:
    one = answered()
    one.do(ReturnedToAi, 80, agent="a1")
    assert read(one, 500) == Clocks(customer_wait_s=50, time_to_accept_s=30, handle_s=40, hold_s=0)
    one.turn(510, confidence=0.9)
    one.turn(520, confidence=0.9)
    assert read(one, 530) == Clocks()


def test_a_later_handoff_has_clocks_of_its_own() -> None:
    one = answered()
    one.do(ReturnedToAi, 80, agent="a1")
    one.escalate(200)
    assert read(one, 230) == Clocks(customer_wait_s=30, time_to_accept_s=30)


def test_who_barges_in_ends_the_wait_at_once() -> None:
    one = talk()
    one.do(AgentMessage, 30, agent="a1", text="I saw this")
    assert read(one, 40) == Clocks(customer_wait_s=0, time_to_accept_s=0, handle_s=10, hold_s=0)
