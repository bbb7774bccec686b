"""Replaying many sessions: one pass over the input in bounded memory, in one process or several.

Lines of one conversation always meet in one worker. Each worker reads the whole input and decodes its share. At most `LIVE`
conversations are held at once; the lines of further ones are put aside on disk, split by conversation, and replayed afterwards.
So memory stays flat however long the input is, and neither the split nor the number of workers changes a single count.
"""

import gc
import hashlib
import multiprocessing
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, get_args

import attrs

from handoff_kit.machines import (
    AiTurn,
    CustomerMessage,
    DraftProposed,
    Event,
    Policy,
    PresenceChanged,
    RecordingError,
    Replay,
    Replayed,
    State,
    Step,
)
from handoff_kit.machines.canonical import canonical
from handoff_kit.machines.codec import RecordedStep, canonical_step, event_to_data, recorded_step
from handoff_kit.machines.events import CloseReason
from handoff_kit.machines.policy_codec import policy_from_data, policy_to_data
from handoff_kit.machines.values import LAST_YEAR

from ..logs import log_step
from ..shelf import PolicyShelf
from .reader import Line, Source, conversation_of, decode, read_lines, share_of
from .spill import AFTER_ALL, Aside, Runs, merge_runs, position_of
from .tally import MODULUS, Tally

__all__ = ["Job", "Until", "Watch", "parse_until", "replay_sessions"]

#: How many conversations a worker holds at once. One that is under way takes about 4 KB.
LIVE = 20_000
_KNOWN_REASONS = frozenset(get_args(CloseReason))

Progress = Callable[[int], None]


@attrs.frozen
class Until:
    """Up to when timers fire after a conversation's last event: a time, or a span after that event."""

    at: datetime | None = None
    span: timedelta | None = None

    def after(self, last: datetime) -> datetime:
        """Return the time for a conversation whose last event was at `last`."""
        if self.span is not None:
            return min(last, _LAST - self.span) + self.span
        assert self.at is not None
        return self.at


_LONGEST_S = 100 * 366 * 86400
_LAST = datetime(LAST_YEAR, 1, 1, tzinfo=UTC)
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_until(text: str) -> Until:
    """Return what `--until` means: RFC 3339, or a span such as `2h` or `1d12h30m`.

    Raises:
        ValueError: it is neither.
    """
    if len(text) > 40:
        raise ValueError("too long")
    parts = re.findall(r"(\d+)([dhms])", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
        if seconds > _LONGEST_S:
            raise ValueError("longer than a hundred years")
        return Until(span=timedelta(seconds=seconds))
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("the time has no zone")
    return Until(at=at)


@attrs.frozen(kw_only=True)
class Job:
    """What to replay, and what to write.

    Args:
        policy: the one that decides; None takes the recorded one where it is known, else the default.
        record: where the accepted events go with their steps.
        sessions_out: where a line for each conversation goes.
        skip_bad_lines: count and list lines that cannot be used, in place of stopping at the first.
    """

    sources: list[Source]
    policy: Policy | None = None
    record: Path | None = None
    sessions_out: Path | None = None
    workers: int = 1
    skip_bad_lines: bool = False
    until: Until | None = None
    live: int = LIVE


class Watch(Protocol):
    """Somebody who looks on while sessions are replayed; conversations interleave."""

    def step(self, conversation: str, step: Step) -> None:
        """Look at one step, also at a refused one."""

    def end(self, conversation: str) -> None:
        """The record of a conversation is over."""


def replay_sessions(job: Job, progress: Progress | None = None, watch: Watch | None = None) -> tuple[Tally, float]:
    """Replay all sessions of the job; return the counts and the seconds that it took.

    Args:
        progress: called with the bytes of input read so far.
        watch: looks on; it lives in this process, so that the job must have one worker.

    Raises:
        RecordingError: a line cannot be used, and bad lines are not skipped.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="handoff-replay-") as folder:
        job = _with_spooled_stdin(job, Path(folder))
        if job.workers == 1:
            tally = _Worker(job, 0, Path(folder), watch).run(progress)
        else:
            assert watch is None
            tally = _in_parallel(job, Path(folder), progress)
        merge_runs(Path(folder), job.record, job.sessions_out)
    return tally, time.perf_counter() - started


def _with_spooled_stdin(job: Job, folder: Path) -> Job:
    """Put standard input and pipes into files where several workers must read them."""
    if job.workers == 1:
        return job
    sources = []
    for source in job.sources:
        if not source.is_file:
            path = folder / f"input-{source.index}"
            with path.open("wb") as file, source.opened() as stream:
                shutil.copyfileobj(stream, file)
            source = attrs.evolve(source, path=path)
        sources.append(source)
    return attrs.evolve(job, sources=sources)


def _in_parallel(job: Job, folder: Path, progress: Progress | None) -> Tally:
    context = multiprocessing.get_context("spawn")
    done = context.Array("q", job.workers)
    plain = attrs.evolve(job, policy=None)
    policy = policy_to_data(job.policy) if job.policy is not None else None
    tally = Tally()
    with ProcessPoolExecutor(job.workers, mp_context=context, initializer=_share, initargs=(done,)) as pool:
        futures = [pool.submit(_work, plain, policy, worker, str(folder)) for worker in range(job.workers)]
        waiting = set(futures)
        while waiting:
            _, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
            if progress is not None:
                progress(min(done[:]))
        errors = [error for future in futures if (error := future.exception()) is not None]
        bad = sorted((e for e in errors if isinstance(e, _BadLine)), key=lambda error: error.args[0])
        if bad:
            raise RecordingError(*bad[0].args[1])
        if errors:
            raise errors[0]
        for future in futures:
            tally.add(future.result())
    return tally


class _BadLine(Exception):
    """A line that stops a worker: (position, (place, what, mend))."""


_done: Any = None


def _share(done: Any) -> None:
    global _done
    _done = done


def _work(job: Job, policy: Any, worker: int, folder: str) -> Tally:
    if policy is not None:
        job = attrs.evolve(job, policy=policy_from_data(policy))

    def progress(position: int) -> None:
        _done[worker] = position

    return _Worker(job, worker, Path(folder)).run(progress)


# --- one worker


class _Session:
    """One conversation under way."""

    __slots__ = (
        "bad",
        "digest",
        "escalated_at",
        "expected",
        "first",
        "ids",
        "last_at",
        "last_seq",
        "reasons",
        "refused",
        "renumbered",
        "replay",
        "written",
    )

    def __init__(self, policy: Policy, name: str, first: str) -> None:
        self.replay = Replay(policy)
        self.digest = hashlib.sha256(name.encode("utf-8", "surrogatepass"))
        self.first = first
        self.expected = 1
        self.ids: set[str] = set()
        self.bad = False
        self.written = 0
        self.renumbered: dict[int, int] = {}
        self.refused = 0
        self.escalated_at: int | None = None
        self.reasons: tuple[str, ...] = ()
        self.last_at: datetime | None = None
        self.last_seq = 0

    def recorded(self, step: Step) -> dict[str, Any]:
        """Return an accepted event with its step as a recording keeps it, renumbered."""
        self.written += 1
        event: Event = step.event
        if isinstance(event, CustomerMessage) and event.seq is not None:
            self.renumbered[event.seq] = self.written
        if isinstance(event, AiTurn | DraftProposed) and isinstance(event.in_reply_to, int):
            event = attrs.evolve(event, in_reply_to=self.renumbered.get(event.in_reply_to))
        data = event_to_data(event)
        data["seq"] = self.written
        data["step"] = recorded_step(step, self.replay.policy.fingerprint)
        return data


class _Worker:
    def __init__(self, job: Job, index: int, folder: Path, watch: Watch | None = None) -> None:
        self.job = job
        self.watch = watch
        self.index = index
        self.folder = folder
        self.tally = Tally()
        folders = [source.path.parent for source in job.sources if source.path is not None]
        self.shelf = PolicyShelf(folders)
        self.runs = 0
        self._skipped: dict[str | None, str] = {}

    def run(self, progress: Progress | None) -> Tally:
        lines: Iterable[Line] = read_lines(self.job.sources, progress)
        if self.job.workers > 1:
            lines = self._share(lines)
        frozen = gc.isenabled()
        gc.disable()
        try:
            self._pass(lines, 0)
        finally:
            if frozen:
                gc.enable()
        return self.tally

    def _share(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Yield this worker's lines; every worker takes note of lines that say not even which conversation they are about."""
        for line in lines:
            conversation = conversation_of(line)
            if conversation is None:
                self._skip_from(None, line)
            if share_of(conversation, self.job.workers) == self.index:
                yield line

    def _skip_from(self, conversation: str | None, line: Line) -> None:
        """A gap in seq is allowed from here on, in that conversation or, where nobody knows which, in all."""
        self._skipped.setdefault(conversation, position_of(line.source.index, line.number))

    def _may_gap(self, conversation: str, line: Line) -> bool:
        position = position_of(line.source.index, line.number)
        return any(self._skipped.get(which, position) < position for which in (conversation, None))

    def _pass(self, lines: Iterable[Line], depth: int) -> None:
        """Replay as many conversations as fit at once; then, part by part, those that were put aside."""
        sessions: dict[str, _Session] = {}
        aside: Aside | None = None
        agents: dict[str, int] = {}
        with ExitStack() as stack:
            out = self._runs(stack)
            for line in lines:
                try:
                    event, recorded = decode(line)
                    name = event.conversation
                    if isinstance(event, PresenceChanged):
                        self._agent_line(event, agents, line)
                        continue
                    session = sessions.get(name)
                    if session is None:
                        if len(sessions) >= self.job.live:
                            aside = aside or Aside(self.folder / f"aside-{self.index}-{depth}-{self.runs}", stack, depth)
                            aside.put(name, line)
                            continue
                        self._check_first(event, line)
                        session = _Session(self._policy_for(recorded), name, position_of(line.source.index, line.number))
                    self._check(session, event, line)
                    sessions[name] = session
                except RecordingError as error:
                    self._bad_line(error, line)
                    continue
                self._feed(session, event, recorded, line, out)
            for name, session in sessions.items():
                self._finish(name, session, out)
        sessions.clear()
        if aside is not None:
            for part in aside.parts():
                self._pass(aside.lines(part, self.job.sources), depth + 1)

    def _runs(self, stack: ExitStack) -> Runs:
        kinds = [*(("record", "later") if self.job.record else ()), *(("sessions",) if self.job.sessions_out else ())]
        self.runs += 1
        return Runs(self.folder, f"{self.index}-{self.runs}", tuple(kinds), stack)

    # --- lines

    def _bad_line(self, error: RecordingError, line: Line) -> None:
        position = position_of(line.source.index, line.number)
        if not self.job.skip_bad_lines:
            if self.job.workers == 1:
                raise error
            raise _BadLine(position, (error.place, error.what, error.mend)) from None
        self.tally.skipped_count += 1
        self.tally.keep(self.tally.skipped, position, str(error))
        self._skip_from(conversation_of(line), line)

    def _agent_line(self, event: PresenceChanged, agents: dict[str, int], line: Line) -> None:
        """An agent's own stream is checked and counted; a replay of conversations reads nothing off it."""
        expected = agents.get(event.agent, 0) + 1
        if event.seq != expected and not self._may_gap(event.agent, line):
            raise _wrong_seq(line, event.seq, expected)
        agents[event.agent] = event.seq or expected
        self.tally.events += 1

    def _check_first(self, event: Event, line: Line) -> None:
        if event.type != "conversation_started":
            raise RecordingError(
                line.place,
                f"conversation {event.conversation!r} begins with {event.type}",
                "its first line must be conversation_started",
            )

    def _check(self, session: _Session, event: Event, line: Line) -> None:
        if event.seq != session.expected:
            gap = event.seq is not None and event.seq > session.expected and self._may_gap(event.conversation, line)
            if not gap:
                raise _wrong_seq(line, event.seq, session.expected)
        if event.id is not None:
            if event.id in session.ids:
                raise RecordingError(line.place, f"the id {event.id!r} was used before", "an id is unique in its conversation")
            session.ids.add(event.id)
        session.expected = (event.seq or 0) + 1

    def _policy_for(self, recorded: RecordedStep | None) -> Policy:
        if self.job.policy is not None:
            return self.job.policy
        if recorded is None:
            return self.shelf.default
        found = self.shelf.find(recorded.policy)
        if found is None:
            self.tally.unknown_policies.add(recorded.policy)
        return found or self.shelf.default

    # --- steps

    def _feed(self, session: _Session, event: Event, recorded: RecordedStep | None, line: Line, out: Runs) -> None:
        tally = self.tally
        tally.events += 1
        replay = session.replay
        if recorded is not None and recorded.policy != replay.policy.fingerprint and self.job.policy is None:
            replay.policy = self._policy_for(recorded)
        done = replay.feed(event, recorded)
        for sub, replayed in enumerate(done):
            self._count(session, replayed, line, out, position_of(line.source.index, line.number, sub), event)
        if event.at is not None and (session.last_at is None or event.at > session.last_at):
            session.last_at = event.at
        session.last_seq = event.seq or 0

    def _count(
        self, session: _Session, replayed: Replayed, line: Line | None, out: Runs, position: str, event: Event | None
    ) -> None:
        tally, step = self.tally, replayed.step
        log_step(step)
        if self.watch is not None:
            self.watch.step(step.after.id, step)
        tally.late += step.late
        tally.erased += replayed.erased
        if replayed.result == "verified":
            tally.verified += 1
        elif replayed.result != "stepped":
            if replayed.result == "mismatch":
                tally.mismatches += 1
            else:
                tally.changed += 1
            if line is not None:
                told = ", ".join(f"{d.field} {_short(d.recorded)} is now {_short(d.now)}" for d in replayed.differences)
                tally.keep(tally.differences, position, f"{line.place}: {replayed.result}: {told}")
        if step.refused is not None:
            tally.refused[step.refused.name] += 1
            session.refused += 1
            return
        before, after = step.before, step.after
        if before is not None and before.state is not after.state:
            tally.transitions[f"{before.state}->{after.state}"] += 1
            if after.state is State.ESCALATION_PENDING and session.escalated_at is None:
                # A fired timer has no line of its own: it stands for the line before it.
                session.escalated_at = event.seq if step.event is event and event is not None else session.last_seq
                session.reasons = after.handoff.reasons if after.handoff is not None else ()
        session.digest.update(canonical_step(step).encode("utf-8", "surrogatepass"))
        if out.wants("record"):
            tally.used_policies.add(session.replay.policy.fingerprint)
            out.write("later" if position.startswith(AFTER_ALL) else "record", position, session.recorded(step))

    def _finish(self, name: str, session: _Session, out: Runs) -> None:
        tally, replay = self.tally, session.replay
        if self.job.until is not None and session.last_at is not None:
            for sub, replayed in enumerate(replay.run_until(self.job.until.after(session.last_at))):
                self._count(session, replayed, None, out, f"{AFTER_ALL}{session.first}{sub:08d}", None)
        if self.watch is not None:
            self.watch.end(name)
        tally.sessions += 1
        tally.overrun += replay.overrun
        conversation = replay.conversation
        assert conversation is not None
        tally.final_states[conversation.state] += 1
        if conversation.ending is not None and conversation.state is State.CLOSED:
            known = conversation.ending in _KNOWN_REASONS
            tally.close_reasons[conversation.ending if known else "other"] += 1
        if session.escalated_at is not None:
            tally.escalated += 1
            tally.reasons.update(session.reasons)
        tally.digest = (tally.digest + int.from_bytes(session.digest.digest())) % MODULUS
        if out.wants("sessions"):
            row = {
                "conversation": name,
                "escalated_at_seq": session.escalated_at,
                "reasons": list(session.reasons),
                "final_state": conversation.state,
                "refused": session.refused,
            }
            out.write("sessions", session.first, row)


def _wrong_seq(line: Line, seq: int | None, expected: int) -> RecordingError:
    return RecordingError(
        line.place, f"seq is {seq}, and {expected} was expected", "number the lines of a conversation 1, 2, 3 .."
    )


def _short(value: Any) -> str:
    text = canonical(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
