"""A peer: one human-in-the-loop turn made durable by langgraph, with its checkpoints in SQLite.

The smallest graph that does it: a node waits for what a person says (`interrupt`), notes it in a small state, and waits again. It
is optional; without it there is nothing to compare with. What may not go in here: use of langgraph by the library.
"""

import importlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

__all__ = ["graph_turns", "peer_versions"]

_NAMES = ("langgraph", "langgraph-checkpoint-sqlite")


class _State(TypedDict):
    turns: int
    said: str


def peer_versions() -> dict[str, str] | None:
    """Return the versions of what is compared; None where it is not installed."""
    from importlib import metadata

    try:
        importlib.import_module("langgraph.checkpoint.sqlite")
        return {name: metadata.version(name) for name in _NAMES}
    except (ImportError, metadata.PackageNotFoundError):
        return None


@contextmanager
def graph_turns(path: Path) -> Iterator[Any]:
    """Give a function that makes so many turns durable, one after the other, each in the same thread of the graph.

    Its checkpoints are written before a turn returns (`durability="sync"`), with the disk told to keep them.
    """
    graphs: Any = importlib.import_module("langgraph.graph")
    types: Any = importlib.import_module("langgraph.types")
    saving: Any = importlib.import_module("langgraph.checkpoint.sqlite")

    def wait(state: _State) -> _State:
        said = types.interrupt("what does the person say?")
        return {"turns": state["turns"] + 1, "said": said}

    builder = graphs.StateGraph(_State)
    builder.add_node("wait", wait)
    builder.add_edge(graphs.START, "wait")
    builder.add_edge("wait", "wait")
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        saver = saving.SqliteSaver(connection)
        saver.setup()
        connection.execute("PRAGMA synchronous = FULL")
        graph = builder.compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "c-1"}}
        graph.invoke({"turns": 0, "said": ""}, config, durability="sync")
        done = 0

        def turns(times: int) -> None:
            nonlocal done
            for _ in range(times):
                state = graph.invoke(types.Command(resume="Yes. Please raise it."), config, durability="sync")
                done += 1
                assert state["turns"] == done, "the graph did not go on"

        yield turns
    finally:
        connection.close()
