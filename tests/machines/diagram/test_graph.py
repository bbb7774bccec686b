"""The neutral graph: every move is drawn once, a session's path has its own arrows, a policy leaves out what it never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines_build import Talk

from handoff_kit.machines import AgentFinished, OfferAccepted, OfferMade, ReturnedToAi, TransferRequested, parse_policy
from handoff_kit.machines.diagram import MACHINES, Move, conversation_moves, graph_of, offer_moves
from handoff_kit.machines.diagram.graph import Graph
from handoff_kit.machines.diagram.labels import ruled_out
from handoff_kit.machines.events import OfferDeclined

CONVERSATION = MACHINES["conversation"]


def drawn(graph: Graph) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Every row that the arrows stand for."""
    return sorted((row.source, arrow.target, row.event, row.when) for arrow in graph.arrows for row in arrow.rows)


@pytest.mark.parametrize("regions", [True, False])
@pytest.mark.parametrize("name", MACHINES)
def test_every_move_is_drawn_exactly_once(name: str, regions: bool) -> None:
    machine = MACHINES[name]
    moves = [
        (row.source, str(row.to), row.event, row.when)
        for row in machine.rows
        if row.to is not None and row.refuses is None and (row.to != row.source or row.do)
    ]

    assert drawn(graph_of(machine, regions=regions)) == sorted(moves)


def test_what_leaves_many_states_alike_is_drawn_once() -> None:
    graph = graph_of(CONVERSATION)

    assert {bundle.words for bundle in graph.bundles} == {
        "any state of the AI or the system",
        "any of bot_active, escalation_pending, queued, resumed_bot",
        "any open state",
    }
    taken_over = [arrow for arrow in graph.arrows if arrow.source == "any_1"]
    assert [(arrow.target, {row.event for row in arrow.rows}) for arrow in taken_over] == [
        ("agent_active", {"agent_assigned", "agent_message"})
    ]
    assert any(arrow.source == "agents" and arrow.target == "resumed_bot" and arrow.happy for arrow in graph.arrows)


def test_an_arrow_from_a_frame_stands_for_every_state_in_it() -> None:
    for arrow in graph_of(CONVERSATION).arrows:
        region = next((region for region in CONVERSATION.regions if region.name == arrow.source), None)
        if region is not None:
            assert arrow.target not in region.states
            for row in arrow.rows:
                alike = {one.source for one in arrow.rows if (one.event, one.when) == (row.event, row.when)}
                assert alike == set(region.states)


def test_the_happy_path_is_whole_and_goes_one_way() -> None:
    graph = graph_of(CONVERSATION, regions=False)
    happy = [(arrow.source, arrow.target) for arrow in graph.arrows if arrow.happy]

    assert set(happy) == set(zip(CONVERSATION.happy, CONVERSATION.happy[1:], strict=False))


def test_a_policy_leaves_out_what_it_never_does() -> None:
    plain = parse_policy('[[queue]]\nname = "q"')
    out = ruled_out(CONVERSATION.rows, plain)

    assert {guard for row in out for guard in row.when} >= {
        "copilot_engages_on_accept",
        "step_offloads",
        "step_calls_back",
        "step_opens_a_ticket",
        "fallback_is_an_open_ticket",
        "a_trigger_holds",
    }
    graph = graph_of(CONVERSATION, leave_out=out)
    assert not [arrow for arrow in graph.arrows if (arrow.source, arrow.target) == ("queued", "copilot")]


def test_a_policy_that_does_everything_leaves_nothing_out() -> None:
    busy = parse_policy(
        """
[copilot]
engage = "on_accept"
[[trigger]]
name = "asks"
when = { wants_handoff = true }
[[queue]]
name = "q"
fallback = "ticket"
step = [{ after_s = 1, do = "callback" }, { after_s = 2, do = "ticket" }, { after_s = 3, do = "offload_to_ai" }]
"""
    )

    assert ruled_out(CONVERSATION.rows, busy) == frozenset()


def test_a_pair_that_a_session_went_is_drawn_though_the_policy_rules_it_out() -> None:
    out = ruled_out(CONVERSATION.rows, parse_policy(""))
    graph = graph_of(CONVERSATION, leave_out=out, moves=[Move(1, "queued", "copilot", "offer_accepted")])
    arrow = next(arrow for arrow in graph.arrows if arrow.moves)

    assert (arrow.source, arrow.target) == ("queued", "copilot")
    assert [node.name for node in graph.nodes if node.visited] == ["queued", "copilot"]


@given(st.lists(st.sampled_from([row for row in CONVERSATION.rows if row.to is not None and row.refuses is None]), max_size=8))
def test_whatever_path_is_highlighted_nothing_is_lost(rows: list) -> None:
    moves = [Move(number, row.source, str(row.to)) for number, row in enumerate(rows, 1)]
    graph = graph_of(CONVERSATION, moves=moves)

    assert drawn(graph) == drawn(graph_of(CONVERSATION))
    shown = [(move.source, move.target, move.number) for arrow in graph.arrows for move in arrow.moves]
    assert sorted(shown) == sorted((move.source, move.target, move.number) for move in moves)
    assert all(arrow.source == move.source for arrow in graph.arrows for move in arrow.moves)


def test_moves_of_a_conversation_say_what_led_to_them() -> None:
    talk = Talk()
    talk.turn(5, confidence=0.3, reply="maybe")
    talk.accept(10)
    talk.do(ReturnedToAi, 20, agent="a1")

    assert [(move.number, move.source, move.target, move.words) for move in conversation_moves(talk.steps)] == [
        (1, "bot_active", "escalation_pending", "ai_turn: unsure"),
        (2, "escalation_pending", "queued", "context_ready"),
        (3, "queued", "agent_active", "offer_accepted"),
        (4, "agent_active", "resumed_bot", "returned_to_ai"),
    ]


def test_another_owner_in_the_same_state_is_a_move() -> None:
    talk = Talk()
    talk.accept(5)
    talk.do(TransferRequested, 6, agent="a1")
    talk.do(OfferMade, 7, agent="b1", offer=2)
    talk.do(OfferAccepted, 8, agent="b1", offer=2)

    assert conversation_moves(talk.steps)[-1] == Move(4, "agent_active", "agent_active", "offer_accepted")


def test_a_refused_event_is_no_move() -> None:
    talk = Talk()
    talk.do(AgentFinished, 5, agent="a1")

    assert talk.steps[-1].refused is not None
    assert conversation_moves(talk.steps) == offer_moves(talk.steps) == ()


def test_moves_of_offers_say_how_each_ended() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(OfferMade, 6, agent="a1", offer=1)
    talk.do(OfferDeclined, 7, agent="a1", offer=1)
    talk.do(OfferMade, 8, agent="a2", offer=2)
    talk.wait(60)
    talk.do(OfferMade, 61, agent="a1", offer=3)
    talk.do(OfferMade, 62, agent="a1", offer=4)  # rings at the same agent: the one before is taken back
    talk.do(OfferAccepted, 63, agent="a1", offer=4)

    assert [(move.target, move.words) for move in offer_moves(talk.steps)] == [
        ("declined", "offer 1 to a1"),
        ("expired", "offer 2 to a2"),
        ("rescinded", "offer 3 to a1"),
        ("accepted", "offer 4 to a1"),
    ]
