"""A clock that stands still until a test moves it."""

import asyncio
import bisect
from datetime import UTC, datetime, timedelta

__all__ = ["START", "ManualClock"]

#: When a manual clock starts where nothing else is said: a Monday, at noon.
START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class ManualClock:
    """Time for tests: nothing really sleeps, and time passes only by `advance` and `set`.

    Use it from the loop's own thread. Tasks that are woken run when the test next gives way (`await asyncio.sleep(0)`), in the
    order of the times for which they waited.

    Args:
        start: what the clock shows at first.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = _aware(start)
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        """Return the time."""
        return self._now

    @property
    def sleepers(self) -> tuple[datetime, ...]:
        """The times for which tasks wait, the earliest first."""
        return tuple(at for at, _, _ in self._waiting)

    async def sleep_until(self, at: datetime) -> None:
        """Return once somebody has moved the clock to `at`; at once where it stands there already."""
        at = _aware(at)
        if at <= self._now:
            return
        woken = asyncio.get_running_loop().create_future()
        self._count += 1
        entry = (at, self._count, woken)
        bisect.insort(self._waiting, entry)
        try:
            await woken
        finally:
            if entry in self._waiting:  # the task was cancelled while it slept
                self._waiting.remove(entry)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass; raises `ValueError` for a negative number."""
        self.set(self._now + timedelta(seconds=seconds))

    def set(self, at: datetime) -> None:
        """Let it be `at`; raises `ValueError` where that is earlier than now."""
        at = _aware(at)
        if at < self._now:
            raise ValueError(f"time does not go back: it is {self._now.isoformat()}, and {at.isoformat()} was asked for")
        self._now = at
        while self._waiting and self._waiting[0][0] <= at:
            _, _, woken = self._waiting.pop(0)
            if not woken.done():
                woken.set_result(None)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"time {at.isoformat()} has no zone: give an aware datetime in UTC")
    return at.astimezone(UTC)
