"""How the suites run: one loop a test, one adapter a test, and no test that waits for ever."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from ...errors import DeliveryError

__all__ = ["Contract", "on_loop", "raised", "run"]

A = TypeVar("A")
T = TypeVar("T")

#: Seconds after which a test fails; chosen by us, far beyond what any of them takes.
LIMIT_S = 60.0


def run(awaitable: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own, and no longer than `LIMIT_S`."""

    async def limited() -> T:
        async with asyncio.timeout(LIMIT_S):
            return await awaitable

    return asyncio.run(limited())


class Contract(Generic[A]):
    """What all suites share. A subclass says how to make the adapter; every test gets a fresh one."""

    def make(self) -> A | Awaitable[A]:
        """Return a fresh adapter; it may be an async method."""
        raise NotImplementedError(f"{type(self).__name__}.make must return a fresh adapter")

    @asynccontextmanager
    async def given(self) -> AsyncIterator[A]:
        """Make the adapter for one test, and bring it to rest afterwards."""
        yield await self._made()

    async def _made(self) -> A:
        adapter = self.make()
        return await adapter if inspect.isawaitable(adapter) else adapter


def on_loop(test: Callable[[Any, Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """Turn an async test of (suite, adapter) into a plain method, which any runner can call."""

    def plain(self: Any) -> None:
        async def body() -> None:
            async with self.given() as adapter:
                await test(self, adapter)

        run(body())

    # Not `functools.wraps`: pytest would look through it, and take `adapter` for a fixture.
    plain.__name__, plain.__qualname__ = test.__name__, test.__qualname__
    plain.__doc__, plain.__module__ = test.__doc__, test.__module__
    return plain


async def raised(awaitable: Awaitable[object]) -> DeliveryError:
    """Await what must fail, and return the error; anything else than a `DeliveryError` fails the test."""
    try:
        found = await awaitable
    except DeliveryError as error:
        return error
    raise AssertionError(f"it was to fail, and returned {found!r}")
