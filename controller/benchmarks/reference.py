"""The reference of replay: msgspec decodes straight into the event classes, dispatch by hand decides, the digest is the same.

It does what has to be done and nothing else: no check of the lines' order, no counts, no timers that fall due, no verification.
msgspec is optional; without it there is nothing to compare replay with. What may not go in here: use of msgspec by the library.
"""

import gc
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handoff_kit.machines import EVENTS, Conversation, step
from handoff_kit.machines.codec import canonical_step

from ..sessions.tally import MODULUS
from .by_hand import BY_HAND
from .session import POLICY

__all__ = ["Decode", "decoder", "replay_by_hand"]

#: From a line to its event.
Decode = Callable[[bytes], Any]

_TYPE = b'"type":"'


def decoder() -> Decode | None:
    """Return a function that decodes a line of a recording that we wrote; None without msgspec."""
    try:
        import msgspec
    except ImportError:
        return None
    by_type = {name.encode(): msgspec.json.Decoder(cls).decode for name, cls in EVENTS.items()}

    def decode(line: bytes) -> Any:
        start = line.index(_TYPE) + len(_TYPE)
        return by_type[line[start : line.index(b'"', start)]](line)

    return decode


def replay_by_hand(path: Path, decode: Decode) -> int:
    """Replay a recording without steps, and return the digest of all its conversations."""
    running: dict[str, tuple[Conversation, Any]] = {}
    collected = gc.isenabled()
    gc.disable()
    try:
        with path.open("rb") as file:
            for line in file:
                event = decode(line)
                name = event.conversation
                known = running.get(name)
                before, digest = known if known is not None else (None, hashlib.sha256(name.encode()))
                done = step(POLICY, before, event, engine=BY_HAND)
                digest.update(canonical_step(done).encode())
                running[name] = (done.after, digest)
    finally:
        if collected:
            gc.enable()
    return sum(int.from_bytes(digest.digest()) for _, digest in running.values()) % MODULUS
