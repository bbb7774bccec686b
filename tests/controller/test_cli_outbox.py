"""What is owed to the world is listed without what people wrote, and dead letters are tried again or forgotten."""

import asyncio
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog

from handoff_kit.controller.cli.main import main
from handoff_kit.controller.controller import Controller
from handoff_kit.controller.errors import Rejected, Unavailable
from handoff_kit.controller.logs import LOGGER
from handoff_kit.machines import AiTurn, ConversationStarted, Customer, CustomerMessage


@attrs.frozen
class Done:
    stdout: str
    stderr: str


def handoff(*args: Any, code: int = 0) -> Done:
    """Run the command here, which is quicker than a process each time."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    level = LOGGER.level
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        patch.setattr(sys, "argv", ["handoff", "outbox", *map(str, args)])
        patch.setenv("COLUMNS", "80")
        main()
    LOGGER.setLevel(level)
    structlog.reset_defaults()
    assert left.value.code == code, err.getvalue()
    out.flush()
    return Done(out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


def listed(*args: Any) -> dict[str, dict[str, Any]]:
    data = json.loads(handoff(*args, "--json").stdout)
    return {one["key"]: one for one in data["deliveries"]}


async def talk(path: Path, send: Any, *names: str) -> None:
    """Let customers ask, and the AI answer; `send` is how its texts are sent."""
    async with Controller.open(str(path), channel=send) as controller:
        for name in names:
            await controller.handle(ConversationStarted(conversation=name, channel="web", customer=Customer(id="c")))
            await controller.handle(CustomerMessage(conversation=name, text="My secret question"))
            await controller.handle(
                AiTurn(conversation=name, intent="i", confidence=0.9, reply="My secret answer", epoch=0, in_reply_to=2)
            )
        await controller.drain()


async def declines(conversation: str, text: Any, key: str) -> None:
    if conversation.startswith("later"):
        raise Unavailable("the gateway is down", retry_after_s=3600)
    raise Rejected("no such [red]number")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three dead letters, and a text that waits for a gateway."""
    path = tmp_path / "handoff.db"
    asyncio.run(talk(path, declines, "a", "b", "c:1", "later"))
    return path


def test_the_list_says_what_is_owed_and_no_text(store: Path) -> None:
    out = handoff(store, "list").stdout
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}

    assert set(rows) == {"a:3:0", "b:3:0", "c:1:3:0", "later:3:0"}
    for word in ("channel", "send_to_customer (reply, from the ai)", "dead", "1", "never", "no such [red]number"):
        assert word in rows["a:3:0"]
    for word in ("pending", "the gateway is down", "Z"):
        assert word in rows["later:3:0"]
    assert "secret" not in out


def test_texts_are_shown_where_they_are_asked_for(store: Path) -> None:
    assert "My secret answer" in handoff(store, "list", "--texts").stdout
    assert "secret" not in handoff(store, "list", "--json").stdout
    effect = listed(store, "list", "--texts")["a:3:0"]["effect"]
    assert (effect["type"], effect["text"]) == ("send_to_customer", "My secret answer")


def test_one_json_object(store: Path) -> None:
    data = listed(store, "list")

    assert data["a:3:0"] == {
        "key": "a:3:0",
        "conversation": "a",
        "port": "channel",
        "what": "send_to_customer",
        "status": "dead",
        "attempts": 1,
        "next_attempt": None,
        "error": "no such [red]number",
    }
    assert data["later:3:0"]["next_attempt"].endswith("Z")


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (["--status", "dead"], {"a:3:0", "b:3:0", "c:1:3:0"}),
        (["--status", "pending"], {"later:3:0"}),
        (["--status", "sending"], set()),
        (["--port", "channel", "--conversation", "b"], {"b:3:0"}),
        (["--port", "desk"], set()),
    ],
)
def test_choosing(store: Path, options: list[str], keys: set[str]) -> None:
    assert set(listed(store, "list", *options)) == keys
    if not keys:
        assert handoff(store, "list", *options).stdout == "Nothing of that kind is owed.\n"


def test_more_than_the_limit_is_told(store: Path) -> None:
    done = handoff(store, "list", "--limit", 2)

    assert len(done.stdout.splitlines()) == 3
    assert "There are more than 2" in done.stderr
    assert json.loads(handoff(store, "list", "--limit", 2, "--json").stdout)["more"]
    assert not handoff(store, "list", "--limit", 4).stderr


def test_a_dead_letter_is_tried_again(store: Path) -> None:
    assert handoff(store, "retry", "a:3:0", "a:3:0").stdout == "1 dead letter will be tried again.\n"
    assert (listed(store, "list")["a:3:0"]["status"], listed(store, "list")["a:3:0"]["attempts"]) == ("pending", 0)

    sent = []

    async def send(conversation: str, text: Any, key: str) -> None:
        sent.append((conversation, text.text, key))

    asyncio.run(talk(store, send))
    assert sent == [("a", "My secret answer", "a:3:0")]
    assert set(listed(store, "list")) == {"b:3:0", "c:1:3:0", "later:3:0"}


def test_all_dead_letters_at_once(store: Path) -> None:
    assert handoff(store, "retry", "--all").stdout == "3 dead letters will be tried again.\n"
    assert handoff(store, "retry", "--all").stdout == "0 dead letters will be tried again.\n"
    assert {one["status"] for one in listed(store, "list").values()} == {"pending"}


def test_dead_letters_are_forgotten(store: Path) -> None:
    assert handoff(store, "drop", "c:1:3:0").stdout == "1 dead letter was dropped.\n"
    assert set(listed(store, "list")) == {"a:3:0", "b:3:0", "later:3:0"}
    assert handoff(store, "drop", "--all").stdout == "2 dead letters were dropped.\n"
    assert set(listed(store, "list")) == {"later:3:0"}


def test_nothing_is_owed(tmp_path: Path) -> None:
    async def send(conversation: str, text: Any, key: str) -> None:
        pass

    asyncio.run(talk(tmp_path / "s.db", send, "a"))
    assert handoff(tmp_path / "s.db", "list").stdout == "Nothing is owed.\n"
    assert json.loads(handoff(tmp_path / "s.db", "list", "--json").stdout) == {"deliveries": [], "more": False}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["none.db", "list"], "handoff: none.db: there is no such file"),
        (["memory://", "retry", "--all"], "handoff: memory://: a store in memory ends with its process"),
        (["STORE", "retry"], "handoff: outbox retry: give either keys or --all"),
        (["STORE", "drop", "a:3:0", "--all"], "handoff: outbox drop: give either keys or --all"),
        (["STORE", "drop", "a:3:0", "x:1:0"], "handoff: x:1:0: no delivery of that key is open"),
        (["STORE", "drop", "nothing"], "handoff: nothing: no delivery of that key is open"),
        (["STORE", "retry", "later:3:0"], "handoff: later:3:0: is no dead letter but pending"),
        (["STORE", "list", "--status", "lost"], "handoff: Invalid value for '--status'"),
        (["STORE", "mend"], "handoff: No such command 'mend'"),
    ],
)
def test_mistakes_are_told_in_one_line_and_change_nothing(store: Path, args: list[str], told: str) -> None:
    done = handoff(*[store if arg == "STORE" else arg for arg in args], code=2)

    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1
    assert not Path("none.db").exists()
    assert len(listed(store, "list", "--status", "dead")) == 3


def test_help() -> None:
    out = handoff("--help").stdout
    for word in ("list", "retry", "drop"):
        assert word in out
