"""The SQLite store keeps what every store promises, and what it kept is there for the next process."""

from pathlib import Path

import pytest

from handoff_kit.controller.ports import Store
from handoff_kit.controller.testing.contracts import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "handoff.db"

    def make(self) -> Store:
        from handoff_kit.controller.stores.sqlite import SqliteStore

        return SqliteStore(self.path)

    def reopen(self, store: Store) -> Store:
        return self.make()
