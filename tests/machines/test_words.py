"""The short words: waits, summaries, refusals, errors."""

import pytest
from machines_build import Talk, policy

from handoff_kit.machines import (
    REFUSALS,
    AgentMessage,
    BadInput,
    ContextReady,
    CustomerMessage,
    FailedAction,
    HandoffError,
    HandoffUsageError,
    PolicyError,
    RecordingError,
    Refusal,
    SnapshotError,
)
from handoff_kit.machines.payload import compile_payload
from handoff_kit.machines.texts import eta_in_words

# --- waits


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 minute"),
        (1, "1 minute"),
        (60, "1 minute"),
        (60.5, "2 minutes"),
        (61, "2 minutes"),
        (300, "5 minutes"),
        (59 * 60, "59 minutes"),
        (59 * 60 + 1, "1 hour"),
        (3600, "1 hour"),
        (3601, "1 hour 15 minutes"),
        (75 * 60, "1 hour 15 minutes"),
        (75 * 60 + 1, "1 hour 30 minutes"),
        (106 * 60, "2 hours"),
        (7200, "2 hours"),
        (7260, "2 hours 15 minutes"),
        (86400, "24 hours"),
    ],
)
def test_a_wait_is_rounded_up(seconds: float, words: str) -> None:
    assert eta_in_words(seconds) == words


# --- summaries

FAILED = FailedAction(name="export", error_code="E42")


def summary_of(talk: Talk) -> str:
    """The summary as the desk has it, once a person is asked for."""
    asked = talk.escalate(99).after if talk.now.handoff is None else talk.now
    assert asked.handoff is not None
    return compile_payload(talk.policy, asked, asked.handoff, "default", "default").summary or ""


def test_nothing_known_is_an_empty_summary() -> None:
    assert summary_of(Talk()) == ""


def test_a_summary_is_composed_of_intent_failure_and_last_line() -> None:
    talk = Talk(policy(""))
    talk.do(CustomerMessage, 1, text="I want my data")
    talk.turn(2, intent="export_data", failed_action=FAILED, reply="Sorry.")
    assert summary_of(talk) == "About: export data. Failed: export (E42). Last message: “I want my data”"


def test_a_summary_says_what_is_known() -> None:
    talk = Talk(policy(""))
    talk.turn(1, failed_action=FailedAction(name="export"))
    assert summary_of(talk) == "Failed: export."
    talk = Talk(policy(""))
    talk.turn(2, intent="refund")
    assert summary_of(talk) == "About: refund."


def test_a_long_last_line_is_cut() -> None:
    talk = Talk(policy(""))
    talk.do(CustomerMessage, 1, text="x" * 161)
    assert summary_of(talk) == f"Last message: “{'x' * 159}…”"
    talk = Talk(policy(""))
    talk.do(CustomerMessage, 2, text="y" * 160)
    assert summary_of(talk) == f"Last message: “{'y' * 160}”"


def test_an_empty_line_and_other_speakers_are_passed_over() -> None:
    talk = Talk(policy(""))
    talk.do(CustomerMessage, 1, text="first")
    talk.do(CustomerMessage, 2, text="")
    talk.turn(3, reply="from the AI")
    assert summary_of(talk) == "Last message: “first”"


def test_the_ais_own_summary_goes_before_a_composed_one() -> None:
    talk = Talk(policy(""))
    talk.turn(1, intent="refund", summary="wants money")
    assert summary_of(talk) == "wants money"


def test_the_desks_summary_goes_before_the_ais() -> None:
    talk = Talk(policy(""))
    talk.turn(1, summary="wants money")
    talk.escalate(2)
    talk.do(ContextReady, 3, summary="wants 5 EUR back")
    assert summary_of(talk) == "wants 5 EUR back"


def test_an_agents_words_are_no_customers_line() -> None:
    talk = Talk(policy(""))
    talk.do(AgentMessage, 1, agent="a1", text="hello")
    assert summary_of(talk) == ""


# --- refusals and errors


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_a_refusal_has_a_sentence(name: str) -> None:
    assert Refusal(name).sentence == REFUSALS[name]
    assert Refusal(name).sentence.endswith(".")


def test_the_list_of_refusals_is_closed() -> None:
    assert sorted(REFUSALS) == [
        "already_answered",
        "guard_error",
        "not_allowed_here",
        "not_offered",
        "not_owner",
        "over_capacity",
        "stale_epoch",
        "stale_offer",
        "stale_timer",
        "transfer_limit",
        "unfenced",
        "unknown_ticket",
    ]


@pytest.mark.parametrize("cls", [PolicyError, RecordingError, SnapshotError])
def test_bad_input_names_place_finding_and_mend(cls: type[BadInput]) -> None:
    error = cls("a.toml: x", "found 1", "allowed is 2")
    assert isinstance(error, BadInput)
    assert str(error) == "a.toml: x: found 1; allowed is 2"
    assert (error.place, error.what, error.mend) == ("a.toml: x", "found 1", "allowed is 2")


@pytest.mark.parametrize("cls", [HandoffUsageError, BadInput])
def test_every_error_is_one_of_ours(cls: type[Exception]) -> None:
    assert issubclass(cls, HandoffError)
