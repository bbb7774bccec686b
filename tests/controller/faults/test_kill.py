"""Kill -9 at any moment: what was acknowledged stays, nothing is half done, and what is owed is delivered.

`HANDOFF_KILLS` and `HANDOFF_KILL_SECONDS` bound it: it stops at whichever comes first.
"""

import asyncio
import os
import random
import select
import shutil
import signal
import time
import traceback
from collections import Counter
from pathlib import Path

import attrs
import pytest
from fault_tools import append_line, as_if_killed, lines_of
from kill_world import Life, judge, live, read_notes, settle_all

KILLS = int(os.environ.get("HANDOFF_KILLS", "600"))
SECONDS = float(os.environ.get("HANDOFF_KILL_SECONDS", "60"))
SEED = int(os.environ.get("HANDOFF_KILL_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
SIDE_BY_SIDE = 2
LIVES = 12  # of one file


@pytest.mark.slow
def test_killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_is_half_done(tmp_path: Path) -> None:
    watchers = []
    for number in range(SIDE_BY_SIDE):
        folder = tmp_path / str(number)
        folder.mkdir()
        pid = os.fork()
        if pid == 0:
            _watch(folder, SEED + number, KILLS // SIDE_BY_SIDE)
        watchers.append((pid, folder))
    failed = []
    counts: Counter[str] = Counter()
    for pid, folder in watchers:
        _, status = os.waitpid(pid, 0)
        for kind, told in lines_of(folder / "report"):
            if kind == "failed":
                failed.append(told)
            else:
                counts.update(told)
        assert status == 0 or failed, f"a watcher ended with {status}"
    print(f"\nseed {SEED}: {dict(counts)}")  # noqa: T201 - what a run was worth
    assert not failed, f"seed {SEED}\n" + "\n".join(failed)
    assert counts["kills"] > 0
    assert counts["acknowledged"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("naive", "found"), [("write_behind", "is forgotten"), ("inline_effects", "sent and not committed")])
def test_the_judge_finds_naive_ways_out(tmp_path: Path, naive: str, found: str) -> None:
    chance = random.Random(3)
    with pytest.raises(AssertionError, match=found):
        for number in range(40):
            folder = tmp_path / str(number)
            folder.mkdir()
            life = Life(folder, number, 1, 3, 30, fold_at=512, idle_s=9, pause_s=0, again=(), naive=naive)
            _live_and_die(life, "run", chance)
            asyncio.run(judge(folder, folder / "handoff.db", drained=False))


def _watch(folder: Path, seed: int, kills: int) -> None:
    """Start and kill processes until the time is over; never returns."""
    chance = random.Random(seed)
    end = time.monotonic() + SECONDS
    counts: Counter[str] = Counter()
    code = 0
    try:
        number = 0
        while counts["kills"] < kills and time.monotonic() < end:
            number += 1
            one = folder / str(number)
            one.mkdir()
            try:
                _one_file(one, chance, min(kills, counts["kills"] + LIVES), end, counts)
            except BaseException:
                append_line(folder / "report", "failed", f"{one}\n{traceback.format_exc()}")
                code = 1
                break
            shutil.rmtree(one)
        append_line(folder / "report", "counts", counts)
    except BaseException:
        traceback.print_exc()
        code = 2
    finally:
        os._exit(code)


def _one_file(folder: Path, chance: random.Random, kills: int, end: float, counts: Counter[str]) -> None:
    eager = chance.random() < 0.7
    life = Life(
        folder=folder,
        seed=0,
        number=0,
        conversations=chance.choice((1, 3, 6)),
        seconds=0,
        fold_at=chance.choice((4, 16)) if eager else 512,
        idle_s=0.005 if eager else 0.25,
        pause_s=chance.choice((0, 0.004, 0.03)),
        again=(),
    )
    number = 0
    while counts["kills"] < kills and time.monotonic() < end:
        number += 1
        mode = chance.choice(("start", "run", "run", "run", "close", "two", "two"))
        seconds = chance.random() * 0.1 if mode == "close" else 30
        again = read_notes(folder).unheard
        life = _with(life, seed=chance.randrange(1 << 30), number=number, seconds=seconds, again=again)
        killed = _two_live_and_die(life, chance) if mode == "two" else _live_and_die(life, mode, chance)
        notes = read_notes(folder)
        counts["kills"] += killed
        counts["killed of two"] += killed if mode == "two" else 0
        counts["ended by themselves"] += not killed
        counts["killed at start"] += killed and number not in notes.opened
        counts["killed at close"] += killed and number in notes.closing
        copy = as_if_killed(folder / "handoff.db")
        counts["judged"] += 1
        asyncio.run(judge(folder, copy, drained=False))
        shutil.rmtree(copy.parent)
        if chance.random() < 0.1:  # a life in which all goes well, in between
            asyncio.run(settle_all(_with(life, number=number)))
            number += 1
    asyncio.run(settle_all(_with(life, number=number + 1)))
    notes = asyncio.run(judge(folder, folder / "handoff.db", drained=True))
    counts["files"] += 1
    counts["acknowledged"] += len(notes.acknowledged)
    sent = [line[0] for line in lines_of(folder / "channel")]
    counts["texts"] += len(set(sent))
    counts["sent again"] += len(sent) - len(set(sent))
    counts["tickets"] += len(lines_of(folder / "desk"))


def _with(life: Life, **changes: object) -> Life:
    return attrs.evolve(life, **changes)


def _live_and_die(life: Life, mode: str, chance: random.Random) -> int:
    """Let a process live and kill it; return whether it was killed before it ended."""
    alive, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(alive)
        live(life)
    os.close(told)
    if mode == "start":
        time.sleep(chance.random() * 0.03)
    elif mode == "run":
        time.sleep(0.02 + chance.random() * 0.25)
    else:
        end = time.monotonic() + 5
        while life.number not in read_notes(life.folder).closing and time.monotonic() < end:
            if select.select([alive], [], [], 0.003)[0]:
                break  # it has ended
        time.sleep(chance.random() * 0.02)
    killed = _kill(pid)
    os.close(alive)
    return killed


def _two_live_and_die(life: Life, chance: random.Random) -> int:
    """Let two processes live on one file, and kill one after the other; return how many were killed before they ended."""
    pids = []
    for twin in range(2):
        pid = os.fork()
        if pid == 0:
            live(_with(life, twin=twin, seed=life.seed + twin, again=life.again if twin else ()))
        pids.append(pid)
        time.sleep(chance.random() * 0.02)
    chance.shuffle(pids)
    killed = 0
    for pid in pids:
        time.sleep(0.01 + chance.random() * 0.2)
        killed += _kill(pid)
    return killed


def _kill(pid: int) -> bool:
    """Kill a process; return whether it was still there."""
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)
