"""The command as its users meet it: output, exit codes, one line for each mistake."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest


def handoff(*args: str, stdin: str | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "handoff_kit.controller", *args],
        capture_output=True,
        text=True,
        input=stdin,
        check=False,
        env={"PATH": "", "COLUMNS": "120", "PYTHONIOENCODING": "utf-8", "TERM": "dumb"},
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("args", [[], ["replay"], ["explain"], ["bench"], ["bench", "core"]])
def test_help_says_what_each_command_does(args: list[str]) -> None:
    assert "Usage: handoff" in handoff(*args, "--help").stdout


def test_replay_prints_a_summary_that_people_can_read() -> None:
    out = handoff("replay", "general", "banking").stdout

    assert "14 sessions" in out
    assert "Handed over: 11 sessions (79%)" in out
    assert "explicit_request" in out
    assert "bot_active → escalation_pending" in out
    assert "steps verified" in out
    assert "Digest " in out


def test_json_is_one_object_and_nothing_else() -> None:
    data = json.loads(handoff("replay", "general", "--json").stdout)

    assert set(data) >= {
        "sessions",
        "events",
        "refused",
        "transitions",
        "escalated",
        "reasons",
        "final_states",
        "verified",
        "mismatches",
        "changed",
        "erased",
        "late",
        "overrun",
        "digest",
        "events_per_second",
    }
    assert len(data["digest"]) == 64
    assert data["transitions"]["bot_active->escalation_pending"] == 6


def test_replay_reads_standard_input(tmp_path: Path) -> None:
    handoff("replay", "general", "--record", str(tmp_path / "r.jsonl"))
    text = (tmp_path / "r.jsonl").read_text()
    for workers in ("1", "2"):
        data = json.loads(handoff("replay", "-", "--json", "--workers", workers, stdin=text).stdout)

        assert data["verified"] == data["events"] > 50


def test_a_difference_from_the_record_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    handoff("replay", "general", "--record", str(path))
    path.write_text(path.read_text().replace('"state":"queued"', '"state":"closed"', 1))
    done = handoff("replay", str(path), code=1)

    assert "1 steps differ from their record" in done.stdout
    assert 'state "closed" is now "queued"' in done.stdout


def test_another_policy_alone_is_no_finding() -> None:
    assert "steps changed under this policy" in handoff("replay", "general", "--policy", "banking").stdout


def test_a_policy_of_ones_own_is_written_beside_the_record(tmp_path: Path) -> None:
    policy = tmp_path / "elsewhere" / "mine.toml"
    policy.parent.mkdir()
    policy.write_text('[[trigger]]\nname = "t"\nwhen = { wants_handoff = true }\n')
    out = tmp_path / "out" / "r.jsonl"
    out.parent.mkdir()
    done = handoff("replay", "general", "--policy", str(policy), "--record", str(out))

    (written,) = out.parent.glob("r.*.toml")
    assert str(written) in done.stderr.replace("\n", "")
    assert written.read_text() == policy.read_text()
    assert json.loads(handoff("replay", str(out), "--json").stdout)["changed"] == 0

    again = tmp_path / "again" / "s.jsonl"
    again.parent.mkdir()
    handoff("replay", str(out), "--record", str(again))
    data = json.loads(handoff("replay", str(again), "--json").stdout)
    assert (data["changed"], data["verified"]) == (0, data["events"])

    (clash,) = again.parent.glob("s.*.toml")
    clash.write_text("[other]\n")
    assert "is another policy" in handoff("replay", str(out), "--record", str(again), code=2).stderr


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["replay", "nowhere.jsonl"], "handoff: nowhere.jsonl: there is no such file; give a file"),
        (["replay", "general", "--policy", "nowhere"], "handoff: nowhere: there is no such file or bundled policy; bundled are"),
        (["replay", "general", "--until", "soon"], "handoff: --until soon: is neither a time"),
        (["replay", "general", "--record", "/no/such/folder/x"], "handoff: /no/such/folder/x: its folder does not exist"),
        (["replay", "general", "--workers", "0"], "handoff: Invalid value for '--workers'"),
        (["replay"], "handoff: Missing argument 'FILE..'"),
        (["explode"], "handoff: No such command 'explode'"),
        (["explain", "general", "--conversation", "nobody"], "handoff: general: there is no conversation 'nobody'"),
        (["explain", "general", "--conversation", "silent-agent", "--seq", "99"], "has no line 99"),
    ],
)
def test_a_mistake_is_told_in_one_line(args: list[str], told: str) -> None:
    done = handoff(*args, code=2)

    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_the_input_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    handoff("replay", "general", "--record", str(path))
    before = path.read_text()
    done = handoff("replay", str(path), "--record", str(path), code=2)

    assert "is one of the inputs" in done.stderr
    assert path.read_text() == before


def test_a_policy_with_a_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('[[trigger]]\nname = "t"\nwhen = { confidense_below = 0.8 }\n')
    done = handoff("replay", "general", "--policy", str(path), code=2)

    assert f"{path}: trigger[0].when.confidense_below: there is no condition 'confidense_below'; did you mean" in done.stderr


def test_bad_lines_are_skipped_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    handoff("replay", "general", "--record", str(path))
    path.write_text(path.read_text() + "nonsense\n")

    assert "not a line of JSON" in handoff("replay", str(path), code=2).stderr
    done = handoff("replay", str(path), "--skip-bad-lines")
    assert "skipped" in done.stderr
    assert "1 lines skipped" in done.stdout


def test_verbose_logs_each_step_without_what_people_wrote() -> None:
    done = handoff("-v", "replay", "banking")

    assert "event='handoff_moved'" in done.stderr
    assert "moved_from='bot_active'" in done.stderr
    assert "fee on my statement" not in done.stderr


# --- explain


def test_explain_tells_the_decision_with_its_numbers() -> None:
    out = handoff("explain", "banking", "--conversation", "fee-dispute-unsure").stdout

    assert "bot_active → escalation_pending" in out
    assert "Trigger fee_dispute_unsure holds: the intent is fee_dispute; confidence 0.42 is below 0.8 (by 0.38)." in out
    assert "The AI's reply was withheld." in out
    assert "Handed over at #5: low_confidence. It ended closed (resolved_by_agent)." in out


def test_explain_says_what_came_closest_where_nothing_held() -> None:
    out = handoff("explain", "banking", "--conversation", "fee-question-sure").stdout

    assert "Never handed over. Trigger fee_dispute_unsure came closest: confidence 0.93 is not below 0.8 (by 0.13)" in out


def test_explain_of_one_line_lists_every_trigger() -> None:
    out = handoff("explain", "banking", "--conversation", "fee-dispute-unsure", "--seq", "5").stdout

    assert "does_not_understand does not hold: misses in a row 0 is under 2 (by 2)." in out
    assert "#7" not in out


def test_explain_without_a_conversation_lists_the_ids() -> None:
    assert "fee-dispute-unsure  (" in handoff("explain", "banking").stdout
    assert json.loads(handoff("explain", "banking", "--json").stdout)["conversations"]["bank-closed"] > 5


def test_explain_in_json_holds_verdicts() -> None:
    data = json.loads(handoff("explain", "banking", "--conversation", "fee-dispute-unsure", "--json").stdout)
    step = next(step for step in data["steps"] if step["seq"] == 5)

    assert step["state"] == "escalation_pending"
    fee = next(verdict for verdict in step["verdicts"] if verdict["name"] == "fee_dispute_unsure")
    assert (fee["holds"], fee["value"], fee["threshold"]) == (True, 0.42, 0.8)
    assert fee["margin"] == pytest.approx(0.38)


def test_words_from_a_recording_are_printed_as_they_are(tmp_path: Path) -> None:
    """Nothing that somebody wrote is taken for markup."""
    path = tmp_path / "a.jsonl"
    first = '{"conversation":"a/b [red]","seq":1,"at":"2026-03-02T12:00:00Z","type":"conversation_started","channel":"w",'
    first += '"customer":{"id":"u"}}'
    asked = (
        '{"conversation":"a\\/b [red]","seq":2,"at":"2026-03-02T12:00:01Z","type":"handoff_requested","reason":"[/b] :smile:"}'
    )
    path.write_text(f"{first}\n{asked}\n" + '{"type":"[/x]"}\n')
    done = handoff("replay", str(path), "--skip-bad-lines")

    assert "[/b] :smile:" in done.stdout
    assert "[/x]" in done.stderr
    path.write_text(f"{first}\n{asked}\n")
    assert "[/b] :smile:" in handoff("explain", str(path), "--conversation", "a/b [red]").stdout


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    out = str(tmp_path / "x")

    assert "two files" in handoff("replay", "general", "--record", out, "--sessions-out", out, code=2).stderr


def test_explain_warns_where_the_recorded_policy_is_not_to_be_found(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    handoff("replay", "general", "--record", str(path))
    path.write_text(re.sub(r'"policy":"[0-9a-f]{32}"', '"policy":"' + "0" * 32 + '"', path.read_text()))

    assert "neither bundled nor beside" in handoff("explain", str(path), "--conversation", "silent-agent").stderr


def test_the_schema_of_the_payload_is_printed() -> None:
    assert json.loads(handoff("policy", "schema", "--payload").stdout)["title"] == "handoff-kit payload"
