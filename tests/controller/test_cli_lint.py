"""`handoff lint` as its users meet it: findings with place and mend, exit codes, JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from handoff_kit.machines.lint import RULES, lint
from handoff_kit.machines.policy_codec import parse_policy

BROKEN = """
[policy]
name = "broken"

[[trigger]]
name = "unsure"
when = { confidence_below = 0 }

[[trigger]]
name = "lost"
tier = "teir1"
when = { misses_at_least = 2 }

[timers]
wrap_up_s = 864000

[[queue]]
name = "tier1"
"""


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


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.toml"
    path.write_text(BROKEN)
    return str(path)


def test_findings_are_told_in_the_order_of_the_file_with_place_and_mend(broken: str) -> None:
    assert handoff("lint", broken, code=1).stdout == (
        "error    trigger[0].when.confidence_below (unsure)  dead_trigger\n"
        "  unsure can never hold: “confidence below 0” cannot be: confidence lies from 0 to 1.\n"
        "  Mend: correct the number, or take the condition out.\n"
        "\n"
        "error    trigger[1].tier (lost)  undefined_name\n"
        "  lost names the tier teir1, which nothing defines.\n"
        "  Mend: did you mean 'tier1'?\n"
        "\n"
        "error    timers.wrap_up_s  no_deadline\n"
        "  wrap_up_s is 10 d; nobody would call that a deadline.\n"
        "  Mend: give at most 7 d.\n"
        "\n"
        "warning  queue[0] (tier1)  no_hours\n"
        "  tier1 names no opening hours and counts as always open, so that people are promised at night.\n"
        '  Mend: name its hours; [hours.always] with mon_sun = ["00:00-24:00"] says that it never closes.\n'
        "\n"
        "3 errors, 1 warning\n"
    )


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('[[queue]]\nname = "q"\n[[queue]]\nname = "r"\n')
    assert handoff("lint", str(path)).stdout.endswith("\n0 errors, 2 warnings\n")


def test_a_policy_in_which_all_is_well_is_told_so() -> None:
    assert handoff("lint", "general").stdout == f"general: nothing to mend ({len(RULES)} rules)\n"


def test_json_is_one_object_and_nothing_else(broken: str) -> None:
    data = json.loads(handoff("lint", broken, "--json", code=1).stdout)
    policy = parse_policy(BROKEN)

    assert {**data, "findings": None} == {
        "policy": "broken",
        "fingerprint": policy.fingerprint,
        "errors": 3,
        "warnings": 1,
        "findings": None,
    }
    assert [tuple(one.values()) for one in data["findings"]] == [
        (one.rule, one.place, one.sentence, one.mend, one.severity) for one in lint(policy)
    ]
    assert list(data["findings"][0]) == ["rule", "place", "sentence", "mend", "severity"]

    fine = json.loads(handoff("lint", "general", "--json").stdout)
    assert (fine["errors"], fine["warnings"], fine["findings"]) == (0, 0, [])


def test_help_lists_the_rules() -> None:
    told = handoff("lint", "--help").stdout
    for name in RULES:
        assert name in told


def test_there_is_no_colour_where_nobody_sees_it(broken: str) -> None:
    assert "\x1b" not in handoff("lint", broken, code=1).stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[trigger]]\nname = "t"\nwhen = { confidence_bellow = 1 }', "did you mean 'confidence_below'?"),
        ("[[trigger", "not TOML"),
        (None, "there is no such file or bundled policy"),
    ],
)
def test_a_policy_that_cannot_be_read_is_told_in_one_line(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "p.toml"
    if text is not None:
        path.write_text(text)
    done = handoff("lint", str(path), code=2)

    assert done.stdout == ""
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_policy_must_be_named() -> None:
    assert "Missing argument 'POLICY'" in handoff("lint", code=2).stderr
