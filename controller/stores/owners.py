"""Who claims deliveries, and whether they are still there.

An owner's name begins with its process id. A process knows its own owners; of another process on this machine only that it lives.
"""

import os
import secrets

__all__ = ["is_gone", "leave", "new_owner"]

_HERE: set[str] = set()


def new_owner() -> str:
    """Return a name that nobody has, and keep it as one that is here."""
    name = f"{os.getpid()}-{secrets.token_hex(4)}"
    _HERE.add(name)
    return name


def leave(name: str) -> None:
    """The owner of a name is gone."""
    _HERE.discard(name)


def is_gone(name: str) -> bool:
    """Return whether the owner of a name is gone."""
    pid = name.partition("-")[0]
    if not pid.isdigit():
        return False  # not one of ours: its claims run out by themselves
    if int(pid) == os.getpid():
        return name not in _HERE
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
