"""Where conversations live: one module a store, and what they share."""

from handoff_kit.machines import HandoffUsageError

from ..ports import Store

__all__ = ["store_of"]


def store_of(url: str) -> Store:
    """Return the store of a URL: `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`, or the path of a SQLite file.

    Raises:
        HandoffUsageError: for any other scheme.
    """
    from .memory import MemoryStore
    from .sqlite import SqliteStore

    if url in ("memory://", "memory:", ":memory:"):
        return MemoryStore()
    scheme, separator, rest = url.partition("://")
    if not separator:
        return SqliteStore(url)
    if scheme == "sqlite":
        path, _, options = rest.removeprefix("/").partition("?")
        if options not in ("", "durability=full", "durability=last_events_may_be_lost"):
            raise HandoffUsageError(f"{url}: there is no option {options!r}: known is durability=last_events_may_be_lost")
        return SqliteStore(path, durable=not options.endswith("may_be_lost"))
    raise HandoffUsageError(f"{url}: there is no store of scheme {scheme!r}: known are sqlite:///file.db and memory://")
