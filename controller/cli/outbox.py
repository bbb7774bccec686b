"""`handoff outbox`: what a store owes to the world, and what to do about dead letters.

What may not go in here: delivering (the dispatcher of a controller that is open), SQL.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from handoff_kit.machines.canonical import canonical, rfc3339
from handoff_kit.machines.effects import Effect, SendToCustomer

from ..clock import SystemClock
from ..ports import Store
from ..records import PORTS, Delivery, DeliveryStatus
from .export import opened
from .main import fail

__all__ = ["command"]

_PORTS = sorted({port for port in PORTS.values() if port is not None})
_AT_ONCE = 10_000  # dead letters that are revived or dropped in one transaction
_COLOURS = {"dead": "red", "sending": "yellow", "pending": ""}


@click.group("outbox", short_help="List what is owed to the world, and try or drop dead letters.")
@click.argument("store", metavar="STORE")
@click.pass_context
def command(ctx: click.Context, store: str) -> None:
    """List what a store owes to the world, and try or drop dead letters.

    STORE is a SQLite file, or its URL. It may be in use meanwhile.

    A dead letter is a delivery that will not be tried again: the other side declined it, or it failed too often.
    """
    ctx.obj = store


@command.command("list", short_help="List open deliveries and dead letters.")
@click.option("--status", type=click.Choice(get_args(DeliveryStatus)), help="Only those that wait, are under way, or are dead.")
@click.option("--port", type=click.Choice(_PORTS), help="Only those of one port.")
@click.option("--conversation", metavar="ID", help="Only those of one conversation.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, metavar="N", help="At most so many.")
@click.option("--texts", is_flag=True, help="Show also what is to be said, with the texts that people wrote.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_obj
def list_(
    store: str,
    status: Literal["pending", "sending", "dead"] | None,
    port: str | None,
    conversation: str | None,
    limit: int,
    texts: bool,
    as_json: bool,
) -> int:
    """List open deliveries and dead letters, the oldest first. Without --texts nothing is shown that a person wrote."""

    async def listed() -> list[Delivery]:
        async with opened(store) as known:
            return await known.deliveries(port=port, conversation=conversation, status=status, limit=limit + 1)

    found = asyncio.run(listed())
    more, found = len(found) > limit, found[:limit]
    if as_json:
        click.echo(
            json.dumps({"deliveries": [_data(one, texts=texts) for one in found], "more": more}, indent=2, ensure_ascii=False)
        )
        return 0
    if not found:
        chosen = any((status, port, conversation))
        click.echo("Nothing of that kind is owed." if chosen else "Nothing is owed.")
        return 0
    _print(found, texts=texts)
    if more:
        click.echo(f"There are more than {limit:,}: give --limit, or choose with --status, --port and --conversation.", err=True)
    return 0


@command.command("retry", short_help="Let dead letters be tried again.")
@click.argument("keys", nargs=-1, metavar="KEY..")
@click.option("--all", "every", is_flag=True, help="All dead letters.")
@click.pass_obj
def retry(store: str, keys: tuple[str, ...], every: bool) -> int:
    """Let dead letters be tried again, from now, as if they had never failed. A controller that is open does so at once."""
    done = asyncio.run(_each_dead(store, keys, every, "retry"))
    click.echo(f"{done:,} {_letters(done)} will be tried again.")
    return 0


@command.command("drop", short_help="Forget dead letters.")
@click.argument("keys", nargs=-1, metavar="KEY..")
@click.option("--all", "every", is_flag=True, help="All dead letters.")
@click.pass_obj
def drop(store: str, keys: tuple[str, ...], every: bool) -> int:
    """Forget dead letters: they are never sent."""
    done = asyncio.run(_each_dead(store, keys, every, "drop"))
    click.echo(f"{done:,} {_letters(done)} {'was' if done == 1 else 'were'} dropped.")
    return 0


def _letters(count: int) -> str:
    return "dead letter" if count == 1 else "dead letters"


async def _each_dead(name: str, keys: tuple[str, ...], every: bool, what: Literal["retry", "drop"]) -> int:
    """Revive or drop dead letters; return how many. Where a key is wrong nothing is done."""
    if every == bool(keys):
        fail(f"outbox {what}: give either keys or --all; `handoff outbox {name} list --status dead` shows the keys")
    async with opened(name) as store:
        if keys:
            await _check(store, name, keys)
            return len(await _do(store, list(dict.fromkeys(keys)), what))
        done = 0
        while dead := await store.deliveries(status="dead", limit=_AT_ONCE):
            changed = await _do(store, [one.key for one in dead], what)
            done += len(changed)
            if not changed:  # pragma: no cover - somebody else was quicker with all of them
                break
        return done


async def _check(store: Store, name: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        conversation = key.rsplit(":", 2)[0]
        found = await store.deliveries(conversation=conversation, limit=sys.maxsize)
        status = next((one.status for one in found if one.key == key), None)
        if status is None:
            fail(f"{key}: no delivery of that key is open; `handoff outbox {name} list --status dead` shows the keys")
        if status != "dead":
            fail(f"{key}: is no dead letter but {status}; the controller sees to it")


async def _do(store: Store, keys: list[str], what: Literal["retry", "drop"]) -> list[str]:
    return await (store.drop(keys) if what == "drop" else store.revive(keys, SystemClock().now()))


# --- showing


def _what(effect: Effect) -> str:
    """Say what is to be done, without anything that a person wrote."""
    if isinstance(effect, SendToCustomer):
        return f"{effect.type} ({effect.kind}, from the {effect.speaker})"
    return effect.type


def _data(one: Delivery, *, texts: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "key": one.key,
        "conversation": one.conversation,
        "port": one.port,
        "what": one.effect.type,
        "status": one.status,
        "attempts": one.attempts,
        "next_attempt": None if one.status == "dead" else rfc3339(one.claimed_until or one.next_at),
        "error": one.error,
    }
    if texts:
        data["effect"] = json.loads(canonical(one.effect))
    return data


def _print(found: list[Delivery], *, texts: bool) -> None:
    # Keys are there to be copied: in a pipe nothing is cut to the width of a terminal that is not there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("Key", "Conversation", "Port", "What", "Status"):
        table.add_column(name, overflow="fold")
    table.add_column("Attempts", justify="right")
    table.add_column("Next attempt", overflow="fold")
    table.add_column("Error", overflow="fold")
    for one in found:
        what = Text(_what(one.effect))
        if texts:
            what.append(f"\n{canonical(one.effect)}", "dim")
        cells = [one.key, one.conversation, one.port]
        table.add_row(
            *map(Text, cells),
            what,
            Text(one.status, _COLOURS[one.status]),
            str(one.attempts),
            _when(one),
            Text(one.error or ""),
        )
    console.print(table)


def _when(one: Delivery) -> str:
    if one.status == "dead":
        return "never"
    at = one.claimed_until if one.status == "sending" and one.claimed_until is not None else one.next_at
    now = datetime.now(UTC)
    told = at.strftime("%Y-%m-%d %H:%M:%SZ")
    if one.status == "sending":
        return f"under way until {told}"
    return "now" if at <= now else told
