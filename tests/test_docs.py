"""What the README and the pages in docs show is what happens."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from handoff_kit.machines import parse_policy
from handoff_kit.machines.codec import event_from_data
from handoff_kit.machines.conditions import COMBINATORS, LEAVES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))


def blocks(language: str, text: str = README) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found
    return found


def test_the_python_examples_run(tmp_path: Path) -> None:
    for block in blocks("python"):
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False, cwd=tmp_path)

        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", PAGES, ids=lambda document: document.stem)
def test_the_python_examples_of_a_document_run(document: Path, tmp_path: Path) -> None:
    """A block with a test class is run as a test file, any other as a program."""
    for number, block in enumerate(blocks("python", document.read_text(encoding="utf-8"))):
        if "\nclass Test" in block:
            file = tmp_path / f"test_block_{number}.py"
            file.write_text(block, encoding="utf-8")
            command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(file)]
        else:
            command = ["-c", block]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, cwd=tmp_path)

        assert done.returncode == 0, block + done.stdout + done.stderr


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
