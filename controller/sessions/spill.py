"""What a replay keeps on disk: lines of conversations for which there is no room, and output in sorted runs.

Every line of output has a key that sorts as the input does, so that runs of several passes and workers merge into one file
that is the same whatever the split. What may not go in here: what is decided about a line (`replaying`).
"""

import heapq
import json
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from handoff_kit.machines.canonical import canonical
from handoff_kit.machines.codec import FORMAT

from .reader import Line, Source

__all__ = ["AFTER_ALL", "Aside", "Runs", "merge_runs", "position_of"]

_PARTS = 32


def position_of(source: int, line: int, sub: int = 0) -> str:
    """Return a key that sorts as the input does."""
    return f"{source:06d}{line:012d}{sub:08d}"


AFTER_ALL = "~"  # sorts after every position: timers that fire after a conversation's last event


class Aside:
    """Lines of conversations for which there was no room, split by conversation into parts on disk."""

    def __init__(self, folder: Path, stack: ExitStack, depth: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.depth = depth
        self._files: list[IO[bytes]] = [stack.enter_context((folder / str(part)).open("wb")) for part in range(_PARTS)]

    def put(self, name: str, line: Line) -> None:
        """Put one line aside."""
        part = zlib.crc32(f"{self.depth}/{name}".encode("utf-8", "surrogatepass")) % _PARTS
        self._files[part].write(b"%d %d " % (line.source.index, line.number) + line.raw + b"\n")

    def parts(self) -> Iterator[Path]:
        """Yield the parts that hold lines."""
        for part in range(_PARTS):
            path = self.folder / str(part)
            if path.stat().st_size:
                yield path

    def lines(self, part: Path, sources: list[Source]) -> Iterator[Line]:
        """Yield the lines of one part, in the order of the input."""
        with part.open("rb") as file:
            for raw in file:
                source, number, rest = raw.rstrip(b"\n").split(b" ", 2)
                yield Line(sources[int(source)], int(number), rest)
        part.unlink()


class Runs:
    """Output of one pass: a sorted run of lines for each kind that is wanted."""

    def __init__(self, folder: Path, name: str, kinds: tuple[str, ...], stack: ExitStack) -> None:
        self._files: dict[str, IO[str]] = {
            kind: stack.enter_context((folder / f"{kind}-{name}.run").open("w", encoding="utf-8", errors="surrogatepass"))
            for kind in kinds
        }

    def wants(self, kind: str) -> bool:
        """Whether lines of that kind are written."""
        return kind in self._files

    def write(self, kind: str, position: str, data: dict[str, Any]) -> None:
        """Write a line; positions of one kind must not go back."""
        self._files[kind].write(f"{position}\t{_line_of(data)}\n")


def _line_of(data: dict[str, Any]) -> str:
    """Return one line of JSON with the common fields first, as people read them."""
    first = [name for name in ("conversation", "seq", "at", "type") if name in data]
    rest = [name for name in data if name not in first and name != "step"]
    last = ["step"] if "step" in data else []
    return _ENCODER.encode({name: data[name] for name in (*first, *rest, *last)})


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def merge_runs(folder: Path, record: Path | None, sessions_out: Path | None) -> None:
    """Merge the runs of all passes and workers into the files that were asked for."""
    if record is not None:
        heading = canonical({"type": "recording", "format": FORMAT})
        _merge(sorted(folder.glob("record-*.run")) + sorted(folder.glob("later-*.run")), record, heading)
    if sessions_out is not None:
        _merge(sorted(folder.glob("sessions-*.run")), sessions_out, None)


def _merge(runs: list[Path], target: Path, heading: str | None) -> None:
    with ExitStack() as stack:
        out = stack.enter_context(target.open("w", encoding="utf-8", errors="surrogatepass"))
        if heading is not None:
            out.write(heading + "\n")
        files = [stack.enter_context(run.open(encoding="utf-8", errors="surrogatepass")) for run in runs]
        for line in heapq.merge(*files):
            out.write(line.split("\t", 1)[1])
