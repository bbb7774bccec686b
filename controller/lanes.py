"""Per-conversation order: one at a time for each name, many names at once."""

import asyncio
from types import TracebackType

__all__ = ["Lanes"]


class Lanes:
    """Locks by name, first come, first served; a name that nobody uses takes no memory."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    def lane(self, name: str) -> "_Lane":
        """Return what `async with` waits for, and holds."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(self._lanes, name)
        lane.users += 1
        return lane

    @property
    def names(self) -> int:
        """How many names are in use."""
        return len(self._lanes)


class _Lane:
    __slots__ = ("_lanes", "_lock", "_name", "users")

    def __init__(self, lanes: "dict[str, _Lane]", name: str) -> None:
        self._lanes = lanes
        self._name = name
        self._lock = asyncio.Lock()
        self.users = 0

    async def __aenter__(self) -> None:
        try:
            await self._lock.acquire()
        except BaseException:
            self._left()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()
        self._left()

    def _left(self) -> None:
        self.users -= 1
        if not self.users:
            del self._lanes[self._name]
