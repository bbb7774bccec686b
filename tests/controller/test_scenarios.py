"""The scenarios that come with the library: what the person received, what the AI got back, and how each story ended."""

import json
from typing import Any

import pytest

from handoff_kit.controller.sessions.reader import BUNDLED_RECORDINGS, decode, read_lines, sources_of
from handoff_kit.controller.shelf import load_policy
from handoff_kit.machines import OpenTicket, PrepopulateConsole, Replay, ResumeBot, SendToCustomer, Step
from handoff_kit.machines.canonical import canonical
from handoff_kit.machines.payload_codec import payload_from_data, payload_to_data

SCENARIOS = ("banking", "copilot", "vip", "triage")


def steps_of(name: str) -> dict[str, list[Step]]:
    policy = load_policy(name)
    replays: dict[str, Replay] = {}
    steps: dict[str, list[Step]] = {}
    for line in read_lines(sources_of((name,))):
        event, recorded = decode(line)
        replay = replays.setdefault(event.conversation, Replay(policy))
        steps.setdefault(event.conversation, []).extend(one.step for one in replay.feed(event, recorded))
    return steps


def effects(steps: list[Step], cls: type) -> list[Any]:
    return [effect for step in steps for effect in step.effects if isinstance(effect, cls)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_payloads_and_contracts_are_those_on_record(name: str, golden: Any) -> None:
    found = {}
    for conversation, steps in steps_of(name).items():
        found[conversation] = {
            "payloads": [payload_to_data(effect.payload) for effect in effects(steps, OpenTicket)],
            "contracts": [json.loads(canonical(effect.contract)) for effect in effects(steps, ResumeBot)],
        }

    golden(f"contracts_{name}", found)


@pytest.mark.parametrize("name", SCENARIOS)
def test_payloads_on_record_still_decode(name: str) -> None:
    """A payload that was once sent can be read for ever."""
    for steps in steps_of(name).values():
        for effect in effects(steps, OpenTicket):
            assert payload_to_data(payload_from_data(payload_to_data(effect.payload))) == payload_to_data(effect.payload)


@pytest.mark.parametrize("name", BUNDLED_RECORDINGS)
def test_scenarios_have_their_unhappy_ends_too(name: str) -> None:
    assert len(steps_of(name)) >= 4


def test_a_fee_dispute_reaches_the_fees_team_with_its_transaction() -> None:
    steps = steps_of("banking")["fee-dispute-unsure"]
    payload = effects(steps, OpenTicket)[0].payload

    assert payload.auto_escalated_due_to == ("low_confidence",)
    assert payload.entities == {"transaction_id": "TX-88213", "amount": 25}
    assert len(payload.messages) <= 5
    assert payload.messages[-1]["text"] == "Why was I charged a $25 fee?"


def test_the_console_is_filled_and_the_action_runs_again() -> None:
    steps = steps_of("copilot")["export-permission-granted"]
    console = effects(steps, PrepopulateConsole)[0]
    contract = effects(steps, ResumeBot)[0].contract
    payload = effects(steps, OpenTicket)[0].payload
    told = [effect.text for effect in effects(steps, SendToCustomer) if effect.kind == "connecting"]

    assert console.customer["tier"] == "pro"
    assert console.failed_action["parameters"] == {"document": "D-2291", "pages": 14}
    assert payload.failed_action["error_code"] == "ERR_PERM_004"
    assert payload.messages[0]["text"] == "I need the quarterly report as a PDF."
    assert told == [
        "Connecting you with a specialist who has the full context. They will see: "
        "About: export document. Failed: export_pdf (ERR_PERM_004)."
    ]
    assert contract.instruction == "Permission granted. Please re-run the export."
    assert contract.facts["permission"] == "granted"
    assert contract.failed_action.name == "export_pdf"
    assert steps[-1].after.ending == "resolved_by_ai"


def test_an_ai_that_does_not_take_the_floor_puts_the_customer_back_in_line() -> None:
    steps = steps_of("copilot")["export-resume-fails"]

    assert any("resume_failed" in step.after.handoff.reasons for step in steps if step.after.handoff is not None)
    assert steps[-1].after.ending == "resolved_by_agent"


def test_value_and_short_patience_go_to_tier_2_at_once_and_others_to_tier_1() -> None:
    stories = steps_of("vip")

    assert effects(stories["gold-losing-patience"], OpenTicket)[0].tier == "tier2"
    assert effects(stories["bronze-losing-patience"], OpenTicket)[0].tier == "tier1"


def test_a_simple_item_is_offloaded_after_five_minutes_keeps_its_place_and_is_reclaimed() -> None:
    steps = steps_of("vip")["order-status-offloaded-and-reclaimed"]
    states = [step.after.state for step in steps]
    offloaded = next(step for step in steps if step.after.state == "resumed_bot")
    first = next(step for step in steps if step.after.state == "escalation_pending")

    assert (offloaded.after.at - first.after.at).total_seconds() == 300
    assert offloaded.after.place.since == first.after.at
    assert states.index("queued", states.index("resumed_bot")) < states.index("agent_active")
    assert len(effects(steps, OpenTicket)) == 1


def test_nurse_and_scheduler_each_see_what_they_need_and_no_more() -> None:
    stories = steps_of("triage")
    nurse = canonical(effects(stories["grave-symptom"], OpenTicket)[0].payload)
    scheduler = effects(stories["wants-an-appointment"], OpenTicket)[0].payload

    assert "chest tightness" in nurse
    assert "0171 555 0199" not in nurse
    assert "I-771" not in nurse
    assert scheduler.entities == {"preferred_day": "Thursday", "phone": "0171 555 0144"}
    assert "blood thinners" not in canonical(scheduler)
    assert scheduler.summary == "About: appointment."
    assert {one.field for one in scheduler.manifest.withheld} >= {"messages", "entities.medication", "summary as written"}
