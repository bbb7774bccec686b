"""`handoff export`: a store's history as recorded sessions, which `handoff replay` verifies and `handoff explain` explains.

What may not go in here: SQL (`stores`), how a policy is written (`policy_text`).
"""

import asyncio
import gzip
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

import attrs
import click
from rich.console import Console
from rich.text import Text

from handoff_kit.machines import Policy, parse_policy
from handoff_kit.machines.codec import FORMAT
from handoff_kit.machines.states import State

from ..policy_text import effective_text
from ..ports import Store
from ..records import Line
from ..shelf import PolicyShelf
from ..stores import store_of
from .main import fail

__all__ = ["command", "opened"]

_TOLD_EVERY = 2_000  # lines after which a terminal is told how far it is


@click.command("export", short_help="Write a store's history as recorded sessions.")
@click.argument("store", metavar="STORE")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write to OUT (gzipped where it ends in .gz), not to standard output; policies are written beside it.",
)
@click.option("--conversation", metavar="ID", help="Only this conversation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object about what was written, and nothing else.")
def command(store: str, out: Path | None, conversation: str | None, as_json: bool) -> int:
    """Write the accepted events of a store, each with its recorded step, as JSON Lines.

    STORE is a SQLite file, or its URL. It may be in use meanwhile.

    `handoff replay OUT` decides all of it anew and verifies each step. The policies that are not bundled are written beside OUT,
    where a replay finds them. What customers and agents wrote is in it: treat it as the store itself.
    """
    if as_json and out is None:
        fail("--json: what is printed is what was written to a file; give the file with -o")
    if out is not None and not out.resolve().parent.is_dir():
        fail(f"{out}: its folder does not exist; make it first")
    console = Console(stderr=True)
    with _progress(console) as tell:
        told = asyncio.run(_export(store, out, conversation, tell))
    if out is None:
        _warn(told, console)
        return 0
    if as_json:
        click.echo(json.dumps(_data(told, out), indent=2, ensure_ascii=False))
        return 0
    console.print(Text(f"{told.events:,} events of {out} were written."), soft_wrap=True)
    for path in told.written:
        console.print(Text(f"The policy was written to {path}, where a replay of {out.name} finds it."), soft_wrap=True)
    return 0


@attrs.define
class _Told:
    """What was written.

    Args:
        policies: the fingerprints under which steps were decided.
        missing: the policies of them that are not bundled.
        written: the files into which policies were written.
    """

    events: int = 0
    started: int = 0
    policies: set[str] = attrs.field(factory=set)
    missing: list[Policy] = attrs.field(factory=list)
    written: list[Path] = attrs.field(factory=list)


def _data(told: _Told, out: Path) -> dict[str, Any]:
    return {
        "out": str(out),
        "conversations": told.started,
        "events": told.events,
        "policies": sorted(told.policies),
        "policy_files": list(map(str, told.written)),
    }


def _warn(told: _Told, console: Console) -> None:
    for policy in told.missing:
        console.print(
            Text.assemble(
                (f"Policy {policy.fingerprint} ({policy.name}) is not bundled, and a replay needs it.", "yellow"),
                " Write to a file with -o, and it is put beside it.",
            ),
            soft_wrap=True,
        )


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[int], None]]:
    """Say on a terminal how many events were written; how many there are nobody has counted."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with console.status("Exporting") as status:
        yield lambda events: status.update(f"Exporting: {events:,} events")


# --- the store


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[Store]:
    """Open a store that is there already, and close it at the end; one that is not there is an error, and is not made."""
    try:
        store = store_of(name)
    except ValueError as error:
        fail(str(error))
    path = getattr(store, "path", None)
    if path is None:
        fail(f"{name}: a store in memory ends with its process; give a SQLite file")
    if not Path(path).is_file():
        fail(f"{path}: there is no such file; give the file that the controller was opened with")
    if not Path(path).stat().st_size:
        fail(f"{path}: is empty, so no store; give the file that the controller was opened with")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _export(name: str, out: Path | None, conversation: str | None, tell: Callable[[int], None]) -> _Told:
    async with opened(name) as store:
        if out is not None and out.exists() and out.samefile(getattr(store, "path", out)):
            fail(f"{out}: is the store itself; give another file to write to")
        told = _Told()
        if out is None:
            await _write(store, conversation, told, tell, sys.stdout.buffer)
            told.missing = await _not_bundled(store, told)
            return told
        with _replacing(out) as file:
            await _write(store, conversation, told, tell, file)
            told.missing = await _not_bundled(store, told)
            told.written = _keep_policies(told.missing, out)
        return told


async def _write(store: Store, conversation: str | None, told: _Told, tell: Callable[[int], None], file: IO[bytes]) -> None:
    """Write the heading and all lines; memory does not grow with them."""
    file.write(_text({"type": "recording", "format": FORMAT}))
    numbers = _Numbers()
    async for line in store.history(conversation):
        data = numbers.renumbered(line)
        file.write(_text(data))
        told.events += 1
        told.started += data["seq"] == 1
        told.policies.add(data["step"]["policy"])
        if not told.events % _TOLD_EVERY:
            tell(told.events)
    file.flush()
    if conversation is not None and not told.events:
        fail(f"conversation {conversation!r} is not in the store; without --conversation all are written")


class _Numbers:
    """What integers in `in_reply_to` mean in a recording.

    A line's `seq` is the version after it. A host may have numbered its events otherwise, and answers name the host's numbers; so
    what a customer's message was called is kept, only where it differs, and until the conversation is closed.
    """

    def __init__(self) -> None:
        self._seq_of: dict[str, dict[int, int]] = {}

    def renumbered(self, line: Line) -> dict[str, Any]:
        """Return a line's data as a recording has it."""
        data, name = dict(line.data), line.conversation
        seq = data["seq"]
        given = line.given
        if data["type"] == "customer_message" and given is not None and (given != seq or name in self._seq_of):
            self._seq_of.setdefault(name, {})[given] = seq
        named = data.get("in_reply_to")
        if isinstance(named, int):
            data["in_reply_to"] = self._seq_of.get(name, {}).get(named, named)
        if data["step"]["state"] == State.CLOSED:
            self._seq_of.pop(name, None)
        return {
            "conversation": name,
            "seq": seq,
            "at": data.pop("at"),
            "type": data.pop("type"),
            **{key: value for key, value in data.items() if key not in ("conversation", "seq", "step")},
            "step": data["step"],
        }


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _text(data: dict[str, Any]) -> bytes:
    return (_ENCODER.encode(data) + "\n").encode("utf-8", "surrogatepass")


# --- files


@contextmanager
def _replacing(out: Path) -> Iterator[IO[bytes]]:
    """Open what takes the file's place once all of it is written; what failed leaves nothing behind."""
    if out.exists() and not out.is_file():  # a pipe, or a device
        with out.open("wb") as file, _zipped(out, file) as stream:
            yield stream
        return
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file, _zipped(out, file) as stream:
            yield stream
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _zipped(out: Path, file: IO[bytes]) -> Iterator[IO[bytes]]:
    if out.suffix != ".gz":
        yield file
        return
    # No time and no name in it: the same history is the same file.
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as zipped:
        raw: Any = zipped
        with io.BufferedWriter(raw, 1 << 16) as stream:
            yield stream


async def _not_bundled(store: Store, told: _Told) -> list[Policy]:
    wanted = told.policies - PolicyShelf().bundled
    return [policy for policy in await store.policies() if policy.fingerprint in wanted]


def _keep_policies(policies: list[Policy], out: Path) -> list[Path]:
    """Put policies beside the recording; never write over another file, nor again what is there already."""
    there = PolicyShelf([out.parent])
    written = []
    for policy in policies:
        if there.find(policy.fingerprint) is not None:
            continue
        text = effective_text(policy)
        assert parse_policy(text).fingerprint == policy.fingerprint
        target = out.with_name(f"{out.name.split('.')[0]}.{policy.fingerprint[:8]}.toml")
        if target.exists():
            fail(f"{target}: exists and is another policy; move it away, then export again")
        target.write_text(text, encoding="utf-8")
        written.append(target)
    return written
