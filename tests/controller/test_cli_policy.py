"""`handoff policy`: a start that is right, a policy shown whole, and the schema."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_values import ODD, POLICY_DATA

from handoff_kit.controller import BUNDLED_POLICIES, load_policy
from handoff_kit.controller.cli.policy import command, effective_text
from handoff_kit.machines import Policy, parse_policy
from handoff_kit.machines.conditions import COMBINATORS, LEAVES
from handoff_kit.machines.destinations import Destination
from handoff_kit.machines.policy import DEFAULT_TEXTS, Queue, QueueStep, Trigger
from handoff_kit.machines.policy_codec import policy_from_data
from handoff_kit.machines.policy_schema import POLICY_SCHEMA
from handoff_kit.machines.policy_words import KEY_WORDS


def run(*args: str) -> str:
    """What a sub-command prints on standard output."""
    result = CliRunner().invoke(command, args, standalone_mode=False)
    assert result.exception is None, result.exception
    return result.stdout


def handoff(*args: str, code: int) -> str:
    """What the whole command tells on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "handoff_kit.controller", "policy", *args], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, "")
    return done.stderr


# --- init

START = run("init")
#: With every key that is commented out.
WHOLE = re.sub(r"^#(?=[a-z\[])", "", START, flags=re.MULTILINE)


def test_the_start_is_a_policy_of_three_triggers() -> None:
    start = parse_policy(START)

    assert [trigger.name for trigger in start.trigger] == ["asks_for_a_person", "ai_asks_for_a_person", "does_not_understand"]
    assert START.startswith("#:schema policy.schema.json\n")
    assert START.index("misses_at_least") < START.index("\n#[[trigger]]")


def test_the_start_says_where_to_see_more() -> None:
    for words in ("policy schema > policy.schema.json", "policy show", "lint", "review", "diagram --policy", "--policy FILE"):
        assert f"handoff {words}" in START or words in START


@pytest.mark.parametrize("table", [one.name for one in attrs.fields(Policy)])
def test_each_default_that_the_start_shows_is_the_default(table: str) -> None:
    whole, plain = parse_policy(WHOLE), Policy()
    found, default = getattr(whole, table), getattr(plain, table)
    if table == "texts":
        assert found == {"default": dict(DEFAULT_TEXTS)}
    elif table == "policy":
        assert attrs.evolve(found, name="unnamed") == default
    elif table == "timers":
        assert attrs.evolve(found, by_channel={}) == default
    elif not isinstance(default, tuple | dict):
        assert found == default


@pytest.mark.parametrize("cls", [Trigger, Queue, QueueStep])
def test_each_default_of_a_listed_table_is_shown(cls: type) -> None:
    whole = tomllib.loads(WHOLE)
    examples = {Trigger: whole["trigger"][-1:], Queue: whole["queue"], QueueStep: whole["queue"][0]["step"]}[cls]
    for field in attrs.fields(cls):
        if isinstance(field.default, bool | int | str) or (field.default == () and field.name != "step"):
            shown = [one[field.name] for one in examples if field.name in one]
            assert shown, field.name
            assert all(value == (list(field.default) if field.default == () else field.default) for value in shown), field.name


def test_each_default_of_a_plain_table_is_shown() -> None:
    whole = tomllib.loads(WHOLE)
    for field in attrs.fields(Policy):
        value = getattr(Policy(), field.name)
        if attrs.has(type(value)):
            assert set(whole[field.name]) == {one.name for one in attrs.fields(type(value))}, field.name


def test_every_table_key_condition_and_text_is_mentioned() -> None:
    keys = {key for words in KEY_WORDS.values() for key in words} | {field.name for field in attrs.fields(Destination)}
    for word in (*keys, *LEAVES, *COMBINATORS, *DEFAULT_TEXTS):
        assert re.search(rf"\b{word}\b", START), word
    for field in attrs.fields(Policy):
        assert re.search(rf"^#?\[+{field.name}\b", START, re.MULTILINE), field.name


def test_the_start_has_no_long_lines() -> None:
    assert max(map(len, START.splitlines())) <= 130


def test_init_writes_a_file_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert "See what it does: handoff policy show" in handoff("init", "-o", str(path), code=0)
    assert path.read_text(encoding="utf-8") == START

    path.write_text("mine")
    told = handoff("init", "-o", str(path), code=2)
    assert told == f"handoff: {path}: exists; give another file, or --force to write over it\n"
    assert path.read_text() == "mine"

    handoff("init", "-o", str(path), "--force", code=0)
    assert path.read_text(encoding="utf-8") == START


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_init_tells_where_it_cannot_write(tmp_path: Path, force: list[str]) -> None:
    assert "its folder does not exist; make it first" in handoff("init", "-o", str(tmp_path / "no" / "x"), *force, code=2)
    assert len(handoff("init", "-o", str(tmp_path), *force, code=2).splitlines()) == 1


# --- show


@pytest.mark.parametrize("name", BUNDLED_POLICIES)
def test_what_is_shown_is_the_same_policy(name: str) -> None:
    policy = load_policy(name)
    text = run("show", name)

    assert parse_policy(text) == policy
    assert parse_policy(text).fingerprint == policy.fingerprint
    assert effective_text(parse_policy(text)) == text
    assert max(map(len, text.splitlines())) <= 160


@settings(max_examples=80)
@given(POLICY_DATA)
def test_what_is_shown_of_any_policy_is_the_same_policy(data: dict[str, Any]) -> None:
    policy = policy_from_data(data)
    text = effective_text(policy)

    assert parse_policy(text).fingerprint == policy.fingerprint
    assert effective_text(parse_policy(text)) == text


@settings(max_examples=150)
@given(st.text(st.characters(codec="utf-8")) | st.lists(ODD).map("".join))
def test_any_text_is_shown_as_itself(text: str) -> None:
    data = {
        "policy": {"name": text},
        "trigger": [{"name": f"x{text}", "when": {"customer_says": [f"x{text}", text * 30 + "y"]}, "skills": [text]}],
        "texts": {text: {"hold": text}},
        "weights": {text: 2},
        "timers": {"by_channel": {text: {"queue_s": 5}}},
        "hours": {text: {"mon": [text]}},
    }
    policy = policy_from_data(data)

    assert parse_policy(effective_text(policy)) == policy


def test_every_default_is_filled_in_and_marked() -> None:
    text = run("show", "banking")

    assert "\nqueue_s = 600  # default\n" in text
    assert "\npriority = 6\n" in text
    assert "\npriority = 5  # default\n" in text
    assert "\nskills = []  # default\n" in text
    assert (
        '\n#position = "You are number {position} in line. The wait is about {eta}."  # default\n'
        not in run("show", "general")[:99]
    )
    assert re.search(r'^#rating = ".*"  # default$', text, re.MULTILINE)
    data = tomllib.loads(text)
    for name in ("resume", "limits", "offer", "callback", "copilot", "ai", "context"):
        assert set(data[name]) == {field.name for field in attrs.fields(type(getattr(Policy(), name)))}, name


def test_what_follows_from_other_keys_is_said_and_not_set() -> None:
    text = run("show", "banking")

    assert "#explicit = true  # default" in text
    assert '#queue = "tier1"  # default' in text
    assert "explicit" not in tomllib.loads(text)["trigger"][1]


def test_conditions_are_laid_out_as_people_write_them() -> None:
    text = run("show", "banking")
    for line in (
        "when.all = [",
        '  { intent = "fee_dispute" },',
        "  { any = [ { confidence_below = 0.8 }, { sentiment_below = -0.3 } ] },",
        "when = { wants_handoff = true }",
    ):
        assert line in text.splitlines()
    assert "\n  { customer_says = [\n    " in run("show", "general")


def test_its_head_says_where_each_trigger_leads() -> None:
    head = [line.split() for line in run("show", "vip").partition("\n\n")[0].splitlines()]
    first = next(line for line in head if "1*" in line)
    second = next(line for line in head if line[1:2] == ["2"])

    assert first[2] == "asks_for_a_person"
    assert first[-5:] == ["tier1", "tier1", "–", "6", "explicit_request"]
    assert second[2] == "valued_and_losing_patience"


def test_its_head_says_what_happens_to_who_waits() -> None:
    head = run("show", "vip").partition("\n\n")[0]

    assert "when the whole wait exceeds 5 min: the AI tries" in head
    assert head.index("after 7 min: agents of tier2 may take it too") < head.index("after 15 min: callback")


def test_its_head_says_what_the_file_leaves_to_others(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    queue = '[[queue]]\nname = "q"\nkeep_helping = true\nhours = "office"\n'
    path.write_text(f'[timers.by_channel.email]\nqueue_s = 86400\n{queue}[[tier]]\nname = "t"\n')
    head = run("show", str(path)).partition("\n\n")[0]

    assert "It has no trigger: only who asks for a handoff gets one." in head
    assert "the AI goes on answering" in head
    assert "after 10 min (email 1 d): callback" in head
    assert "t (not listed)" in head


def test_json_holds_the_policy_and_its_routing() -> None:
    data = json.loads(run("show", "triage", "--json"))
    policy = load_policy("triage")

    assert (data["name"], data["fingerprint"]) == ("triage", policy.fingerprint)
    assert policy_from_data(data["policy"]) == policy
    assert data["policy"]["resume"]["cooldown_s"] == 120
    first = data["routing"]["triggers"][0]
    assert (first["place"], first["name"], first["explicit"], first["queue"]) == (1, "grave_symptom", True, "nurse")
    assert [row["name"] for row in data["routing"]["queues"]] == ["nurse", "scheduler"]
    assert data["routing"]["queues"][0]["steps"][0]["what"] == "supervisor is told"


def test_a_policy_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    assert "nowhere: there is no such file or bundled policy" in handoff("show", "nowhere", code=2)
    path = tmp_path / "p.toml"
    path.write_text("[timer]\n")
    assert "there is no key 'timer' here; did you mean 'timers'?" in handoff("show", str(path), code=2)


# --- schema


def test_the_schema_is_that_of_the_policy_unless_the_payloads_is_asked_for() -> None:
    assert json.loads(run("schema")) == POLICY_SCHEMA
    assert json.loads(run("schema", "--payload"))["title"] == "handoff-kit payload"


@pytest.mark.parametrize("name", ["init", "show", "schema"])
def test_help_says_what_each_does(name: str) -> None:
    assert isinstance(command, click.Group)
    assert run(name, "--help").count(".") >= 1
    assert command.commands[name].help
