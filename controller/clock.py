"""The system's clock."""

import asyncio
from datetime import UTC, datetime

__all__ = ["SystemClock"]

_LONGEST_S = 3600.0  # a wait is cut into pieces, so that a clock that was set meanwhile is noticed


class SystemClock:
    """Wall time."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)

    async def sleep_until(self, at: datetime) -> None:
        """Return once it is `at`."""
        while (left := (at - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(left, _LONGEST_S))
