"""The suite of `Store`. A subclass gives `make`; a store that outlives its process gives `reopen` too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...ports import Store
from .log import LogTests
from .outbox import OutboxTests
from .running import on_loop
from .script import POLICIES
from .streams import StreamTests

__all__ = ["StoreContract"]


class StoreContract(StreamTests, OutboxTests, LogTests):
    """What every store promises.

    `make` returns a store that is empty and not open yet. `reopen(store)` is called with a store that was closed, and returns one
    on the same data, not open yet either; by default the same object.
    """

    @asynccontextmanager
    async def given(self) -> AsyncIterator[Store]:
        """Make a store, open it with the policies of these tests, and close it after the test."""
        store = await self._made()
        await store.open()
        try:
            for policy in POLICIES:
                await store.put_policy(policy)
            yield store
        finally:
            await store.close()

    @on_loop
    async def test_it_has_what_a_store_has(self, store: Store) -> None:
        """All methods of the port are there."""
        assert isinstance(store, Store)

    @on_loop
    async def test_it_may_be_closed_twice(self, store: Store) -> None:
        """Whoever cleans up must not fail."""
        await store.close()
        await store.close()
