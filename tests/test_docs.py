"""What the README shows is what happens."""

import json
import re
import subprocess
import sys
from pathlib import Path

from handoff_kit.machines import parse_policy
from handoff_kit.machines.codec import event_from_data
from handoff_kit.machines.conditions import COMBINATORS, LEAVES

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found


def test_the_python_examples_run() -> None:
    for block in blocks("python"):
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr


def test_the_policies_are_policies() -> None:
    for block in blocks("toml"):
        assert parse_policy(block).trigger


def test_the_recorded_lines_are_lines() -> None:
    for block in blocks("json"):
        for line in block.splitlines():
            event_from_data(json.loads(line))


def test_the_explanation_is_what_the_command_prints() -> None:
    (block,) = blocks("console")
    command, *lines = block.splitlines()
    done = subprocess.run(
        [sys.executable, "-m", "handoff_kit.controller", *command.removeprefix("$ handoff ").split()],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in lines:
        assert line == "…" or line in done.stdout.splitlines()


def test_every_condition_is_in_the_table() -> None:
    for word in (*LEAVES, *COMBINATORS):
        assert re.search(rf"`{word}\b|\b{word}\b", README), word
