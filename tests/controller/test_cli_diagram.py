"""`handoff diagram` as its user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from handoff_kit.controller.cli.main import root
from handoff_kit.controller.svg import _programs

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "controller/recordings/vip.jsonl"
FOLDER = ROOT / "diagrams"
HANDOFF = [sys.executable, "-m", "handoff_kit.controller"]


def handoff(*args: str) -> Result:
    return CliRunner().invoke(root, ["diagram", *args], standalone_mode=False)


def needs_graphviz() -> None:
    if next(_programs(), None) is None:
        pytest.skip("needs Graphviz: pip install 'handoff-kit[diagrams]', or `dot` on the PATH")


def test_mermaid_of_the_conversation_is_what_it_prints_by_itself() -> None:
    done = handoff()

    assert done.exit_code == 0
    assert "stateDiagram-v2" in done.stdout
    assert done.stdout.endswith("\n")


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("a.mmd", "---\ntitle"), ("a.dot", "digraph"), ("a.svg", "<svg"), ("a.md", "# A"), ("a.json", "{"), ("a.txt", "---\ntitle")],
)
def test_the_files_name_says_the_format(tmp_path: Path, name: str, beginning: str) -> None:
    if name.endswith("svg"):
        needs_graphviz()
    done = handoff("-o", str(tmp_path / name), "--machine", "conversation")

    assert done.exit_code == 0
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(beginning)
    assert done.stdout == ""


def test_a_format_that_is_given_wins_over_the_name(tmp_path: Path) -> None:
    handoff("-o", str(tmp_path / "a.md"), "--format", "xstate")

    assert json.loads((tmp_path / "a.md").read_text(encoding="utf-8"))["id"] == "conversation"


def test_a_sessions_path_is_highlighted_under_its_own_policy() -> None:
    done = handoff("--session", "vip", "--conversation", "gold-and-nobody-there")

    assert "#35;1 ai_turn#58;<br/>  valued_and_losing_patience" in done.stdout
    assert "policy vip" in done.stdout
    offers = handoff("--session", "vip", "--conversation", "gold-losing-patience", "--machine", "offer")
    assert "pending --> accepted : #35;1 offer 1 to " in offers.stdout


def test_a_recording_of_one_conversation_needs_no_id(tmp_path: Path) -> None:
    one = tmp_path / "one.jsonl"
    lines = [line for line in RECORDING.read_text(encoding="utf-8").splitlines() if '"gold-losing-patience"' in line]
    one.write_text("\n".join(lines) + "\n", encoding="utf-8")

    assert "#35;1" in handoff("--session", str(one)).stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--session", "vip"), "vip holds 5 conversations: name one with --conversation"),
        (("--session", "vip", "--conversation", "nope"), "there is no conversation 'nope'"),
        (("--conversation", "x"), "--conversation needs a recording"),
        (("--session", "-"), "name the conversation with --conversation"),
        (("--session", "vip", "--conversation", "gold-and-nobody-there", "--machine", "presence"), "holds no presence"),
        (("--all",), "give a folder with -o"),
        (("--policy", "nope"), "there is no such file or bundled policy"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line(args: tuple[str, ...], message: str) -> None:
    done = subprocess.run([*HANDOFF, "diagram", *args], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_themes_differ() -> None:
    assert handoff("--theme", "dark").stdout != handoff().stdout


def test_the_folder_of_pictures_is_up_to_date(tmp_path: Path) -> None:
    """When this fails: `handoff diagram --all -o diagrams`, look at the pictures, and commit them."""
    needs_graphviz()
    done = handoff("--all", "-o", str(tmp_path))

    assert done.exit_code == 0, done.output
    fresh = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir() if path.name != "README.md"}
    assert len(fresh) == 15
    assert kept.keys() == fresh.keys()
    stale = [name for name, text in fresh.items() if kept[name] != text]
    assert stale == []
