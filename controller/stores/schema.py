"""The tables of the SQLite store, as numbered migrations.

A migration is applied once, under the write lock of the file, and never changed afterwards: a later version adds the next number.
"""

import sqlite3

from ..errors import StoreCorrupt, StoreTooNew

__all__ = ["MIGRATIONS", "check_is_ours", "migrate"]

#: `hand`, in the file's header: tells our files from those of other applications.
_APPLICATION = 0x68616E64

#: The log is the truth: one row a commit. The other tables are its index, brought up to date in batches; `meta.folded` says up to
#: which row of the log.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE log (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE streams (
        name TEXT PRIMARY KEY, version INTEGER NOT NULL, record INTEGER NOT NULL, person_epoch INTEGER NOT NULL,
        due TEXT, closed_at TEXT, snapshot TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX streams_due ON streams (due) WHERE due IS NOT NULL;
    CREATE TABLE history (stream TEXT NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (stream, record)) WITHOUT ROWID;
    CREATE TABLE remembered (
        stream TEXT NOT NULL, id TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (stream, id)
    ) WITHOUT ROWID;
    CREATE TABLE outbox (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE successors (closed TEXT PRIMARY KEY, goes_on TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE policies (fingerprint TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE declined (
        record INTEGER NOT NULL, number INTEGER NOT NULL, stream TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (record, number)
    ) WITHOUT ROWID;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('folded', 0);
    """,
)


def check_is_ours(connection: sqlite3.Connection, path: str) -> None:
    """Raise `StoreCorrupt` where the file is a database of another application; nothing is written."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if tables and application != _APPLICATION:
        raise StoreCorrupt(f"{path}: is a database of another application; give another file")


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the file to this version's tables.

    Raises:
        StoreTooNew: a newer version of the library wrote it.
        sqlite3.Error: it cannot be written, or is no database.
    """
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # somebody else may have been first
        if version > len(MIGRATIONS):
            raise StoreTooNew(
                f"{path}: its schema is {version}, and this version of handoff-kit knows {len(MIGRATIONS)}: "
                "use the version that wrote it"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            for statement in script.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number:d}")
        connection.execute(f"PRAGMA application_id = {_APPLICATION:d}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
