"""Lines of recorded sessions, from files, gzipped files, standard input and the recordings that come with the library.

A line is decoded where it is needed; what may not go in here: what a line means for a conversation (`replaying`).
"""

import codecs
import contextlib
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import IO, Any, NoReturn

import attrs

from handoff_kit.machines import Event, PresenceChanged, RecordingError, Verdict
from handoff_kit.machines.codec import FORMAT, RecordedStep, event_from_data

__all__ = ["BUNDLED_RECORDINGS", "Line", "Source", "conversation_of", "decode", "read_lines", "share_of", "sources_of"]

#: Recordings that come with the library.
BUNDLED_RECORDINGS = ("general", "banking", "copilot", "vip", "triage")

_GZIP = b"\x1f\x8b"
_PREFIX = b'{"conversation":"'
_STEP_FIELDS: dict[str, type] = {
    "state": str,
    "version": int,
    "epoch": int,
    "effects": str,
    "verdicts": list,
    "policy": str,
    "machine": str,
}
assert set(_STEP_FIELDS) == {field.name for field in attrs.fields(RecordedStep)}
_VERDICT_FIELDS = {field.name for field in attrs.fields(Verdict) if field.init}


@attrs.frozen
class Source:
    """One input, and its place among the inputs.

    Args:
        name: what people call it: a path, a bundled name, `-`.
        path: where its bytes are; None for standard input.
    """

    index: int
    name: str
    path: Path | None

    @property
    def size(self) -> int:
        """Bytes on disk; 0 where that is not known."""
        return self.path.stat().st_size if self.path is not None and self.is_file else 0

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """Open it as bytes; standard input is not closed."""
        if self.path is None:
            yield sys.stdin.buffer
        else:
            with self.path.open("rb") as file:
                yield file

    @property
    def is_file(self) -> bool:
        """Whether it can be read more than once; a pipe cannot."""
        return self.path is not None and self.path.is_file()


@attrs.frozen
class Line:
    """One line of an input that holds an event.

    Args:
        number: counts from 1.
        raw: its bytes, without the line's end.
    """

    source: Source
    number: int
    raw: bytes

    @property
    def place(self) -> str:
        """What to call it in errors."""
        return f"{self.source.name}:{self.number}"


def sources_of(names: tuple[str, ...]) -> list[Source]:
    """Return the inputs that the names stand for: a file, the name of a bundled recording, or `-`.

    Raises:
        RecordingError: there is no such file.
    """
    sources = []
    for index, name in enumerate(names):
        if name == "-":
            sources.append(Source(index, name, None))
        elif Path(name).is_dir():
            raise RecordingError(name, "is a directory", "give the files in it")
        elif Path(name).exists():
            sources.append(Source(index, name, Path(name)))
        elif name in BUNDLED_RECORDINGS:
            sources.append(Source(index, name, _bundled(name)))
        else:
            raise RecordingError(
                name, "there is no such file", f"give a file, - for standard input, or one of {', '.join(BUNDLED_RECORDINGS)}"
            )
    return sources


def _bundled(name: str) -> Path:
    return Path(str(resources.files("handoff_kit.controller") / "recordings" / f"{name}.jsonl"))


def read_lines(sources: list[Source], progress: Callable[[int], None] | None = None) -> Iterator[Line]:
    """Yield the lines of all inputs in order; empty ones and the heading are passed over.

    Args:
        progress: called with the bytes of all inputs read so far, every few thousand lines.

    Raises:
        RecordingError: an input cannot be read, is cut off, or has a format that is newer than this library.
    """
    before = 0
    for source in sources:
        try:
            with _opened(source) as (stream, tell):
                for number, raw in enumerate(stream, 1):
                    if progress is not None and not number % 4096:
                        progress(before + tell())
                    raw = raw.removeprefix(codecs.BOM_UTF8).strip() if number == 1 else raw.strip()
                    if not raw or (number == 1 and _is_heading(raw, source)):
                        continue
                    yield Line(source, number, raw)
        except (OSError, EOFError, zlib.error) as error:
            raise RecordingError(source.name, f"cannot be read ({error})", "check the file, or make it again") from None
        before += source.size
        if progress is not None:
            progress(before)


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """Open an input as bytes, gunzipped where it is gzipped; also say how many of its bytes on disk were read."""
    with source.opened() as file:
        zipped = file.peek(2)[:2] == _GZIP
        stream: Any = io.BufferedReader(gzip.GzipFile(fileobj=file), 1 << 16) if zipped else file
        yield stream, (file.tell if source.is_file else lambda: 0)


def _is_heading(raw: bytes, source: Source) -> bool:
    if b'"recording"' not in raw:
        return False
    try:
        data = json.loads(raw)
    except ValueError:
        return False
    if not isinstance(data, dict) or data.get("type") != "recording":
        return False
    if data.get("format") not in range(1, FORMAT + 1):
        raise RecordingError(
            f"{source.name}:1",
            f"the recording has format {data.get('format')!r}, and this version reads up to {FORMAT}",
            "use a newer version of handoff-kit",
        )
    return True


def conversation_of(line: Line) -> str | None:
    """Return the conversation that a line is about (or the agent), without reading more of it than that takes.

    None where the line cannot be read at all.
    """
    end = line.raw.find(b'"', len(_PREFIX)) if line.raw.startswith(_PREFIX) else -1
    if end > 0 and b"\\" not in line.raw[len(_PREFIX) : end]:
        return line.raw[len(_PREFIX) : end].decode("utf-8", "surrogateescape")
    try:
        data = json.loads(line.raw)
    except (ValueError, RecursionError):
        return None
    name = data.get("conversation", data.get("agent")) if isinstance(data, dict) else None
    return name if isinstance(name, str) else None


def share_of(conversation: str | None, shares: int) -> int:
    """Return which of so many shares a conversation belongs to; lines that cannot be read belong to the first."""
    return zlib.crc32(conversation.encode("utf-8", "surrogatepass")) % shares if conversation is not None else 0


def _not_finite(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_decode_json = json.JSONDecoder(parse_constant=_not_finite).decode


def decode(line: Line) -> tuple[Event, RecordedStep | None]:
    """Return the event of a line, and its recorded step if it has one.

    Raises:
        RecordingError: names file and line, what is wrong, and the mend.
    """
    try:
        data = _decode_json(line.raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecordingError(line.place, f"not a line of JSON in UTF-8: {error}", "mend or remove the line") from None
    if b"\\u" in line.raw and not _is_text(data):
        raise RecordingError(line.place, "holds half of a surrogate pair, which is no text", "mend or remove the line")
    if not isinstance(data, dict):
        raise RecordingError(line.place, "not an object", "write one JSON object a line")
    step = data.pop("step", None)
    event = event_from_data(data, place=line.place)
    stream = "agent" if isinstance(event, PresenceChanged) else "conversation"
    if event.at is None or event.seq is None or not getattr(event, stream):
        missing = next(name for name in (stream, "seq", "at") if not getattr(event, name))
        raise RecordingError(line.place, f"the field {missing!r} is missing or empty", "every line of a recording has it")
    return event, _step_of(step, line) if step is not None else None


def _fits(name: str, value: Any) -> bool:
    return isinstance(value, _STEP_FIELDS[name]) and (name != "verdicts" or _are_verdicts(value))


def _are_verdicts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_verdict, value))


def _is_verdict(data: Any) -> bool:
    if not isinstance(data, dict) or not {"name", "holds"} <= set(data) <= _VERDICT_FIELDS:
        return False
    return _are_verdicts(data.get("leaves", []))


def _is_text(data: Any) -> bool:
    """Whether everything in a line can be written as UTF-8 again."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _step_of(data: Any, line: Line) -> RecordedStep:
    if (
        not isinstance(data, dict)
        or set(data) != set(_STEP_FIELDS)
        or not all(_fits(name, value) for name, value in data.items())
    ):
        raise RecordingError(
            line.place, "step is not what a recording keeps of a step", f"it has {', '.join(sorted(_STEP_FIELDS))}"
        )
    return RecordedStep(**data)
