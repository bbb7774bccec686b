"""The memory store keeps what every store promises."""

from handoff_kit.controller.ports import Store
from handoff_kit.controller.testing.contracts import StoreContract


class TestMemoryStore(StoreContract):
    def make(self) -> Store:
        from handoff_kit.controller.stores.memory import MemoryStore

        return MemoryStore()
