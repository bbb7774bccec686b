"""Timers where no event comes: waits for the next one that is due, and has its conversation looked at again.

It only supplies time: what a timer does, and whether it is still owed, is decided in the commit.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from handoff_kit.machines import Conversation

from .logs import log_fact
from .ports import Clock, Store

__all__ = ["Wakeups"]

_AT_ONCE = 100  # conversations that are looked at side by side
_AFTER_ERROR_S = 1.0
_LOOK_AGAIN_S = 60.0  # other processes may owe timers that nobody here has heard of


class Wakeups:
    """The poller."""

    def __init__(self, store: Store, clock: Clock, wake: Callable[[str], Awaitable[bool]]) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._until = datetime.max.replace(tzinfo=UTC)
        self._waiter: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what is due is due for whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self, conversation: Conversation) -> None:
        """A conversation owes other timers than before."""
        for timer in conversation.timers:
            if timer.due < self._until:
                self._until = timer.due
                self._wake_up()
                return

    def _wake_up(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _run(self) -> None:
        while True:
            try:
                await self._round()
            except Exception as error:
                # The store may work again later, and the timers are still owed then.
                log_fact(logging.WARNING, "timers_wait", error=f"{type(error).__name__}: {error}")
                await self._wait_until(self._clock.now() + timedelta(seconds=_AFTER_ERROR_S))

    async def _round(self) -> None:
        now = self._clock.now()
        names = await self._store.due(now, _AT_ONCE)
        if names:
            done = await asyncio.gather(*(self._wake(name) for name in names), return_exceptions=True)
            for name, result in zip(names, done, strict=True):
                if isinstance(result, BaseException):
                    log_fact(logging.ERROR, "timer_failed", conversation_id=name, error=f"{type(result).__name__}: {result}")
            if not any(result is True for result in done):  # looking again at once would find the same
                await self._wait_until(now + timedelta(seconds=_AFTER_ERROR_S))
            return
        self._expect(now + timedelta(seconds=_LOOK_AGAIN_S))
        first = await self._store.next_due()
        if first is not None and first < self._until:
            self._until = first
        await self._wait()

    def _expect(self, until: datetime) -> None:
        """From here on, whoever owes a timer before that time wakes us."""
        self._until = until
        self._waiter = asyncio.get_running_loop().create_future()

    async def _wait_until(self, at: datetime) -> None:
        self._expect(at)
        await self._wait()

    async def _wait(self) -> None:
        """Wait until the time has come, or until something is due earlier."""
        assert self._waiter is not None
        if self._waiter.done():
            return
        sleeping = asyncio.ensure_future(self._clock.sleep_until(self._until))
        sleeping.add_done_callback(lambda _: self._wake_up())
        try:
            await self._waiter
        finally:
            sleeping.cancel()
            await asyncio.gather(sleeping, return_exceptions=True)
