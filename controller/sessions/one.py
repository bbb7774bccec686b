"""One conversation out of a recording, replayed: what `explain` tells and a picture highlights."""

import json

import attrs

from handoff_kit.machines import HandoffUsageError, Policy, PresenceChanged, RecordingError, Replay, Replayed, Step
from handoff_kit.machines.codec import RecordedStep

from ..shelf import PolicyShelf
from .reader import decode, read_lines, sources_of

__all__ = ["Session", "conversations_in", "session_in"]


@attrs.frozen
class Session:
    """A conversation as it was replayed.

    Args:
        policy: the last that decided.
        done: the seq of the line that led to it, and what was replayed; a fired timer has the line's seq before which it fired.
        unknown_policy: the fingerprint that the recording names, where no policy of that fingerprint was found.
    """

    conversation: str
    policy: Policy
    done: tuple[tuple[int, Replayed], ...]
    unknown_policy: str | None = None

    @property
    def steps(self) -> list[Step]:
        """The steps, refused ones too."""
        return [replayed.step for _, replayed in self.done]


def conversations_in(file: str) -> dict[str, int]:
    """Return the conversations of a recording, and how many lines each has; raises `RecordingError` for a bad line."""
    found: dict[str, int] = {}
    for line in read_lines(sources_of((file,))):
        event, _ = decode(line)
        if not isinstance(event, PresenceChanged):
            found[event.conversation] = found.get(event.conversation, 0) + 1
    return found


def session_in(file: str, conversation: str, policy: Policy | None = None) -> Session:
    """Return one conversation of a recording, replayed.

    Args:
        file: a file, `-` or a bundled name.
        policy: None: the recorded one if it is known, else general.

    Raises:
        HandoffUsageError: there is no such conversation.
        RecordingError: a line of it is bad.
    """
    sources = sources_of((file,))
    shelf = PolicyShelf([source.path.parent for source in sources if source.path is not None])
    spelled = json.dumps(conversation, ensure_ascii=False).encode("utf-8", "surrogatepass")
    lines = []
    for line in read_lines(sources):
        if b"\\" not in line.raw and spelled not in line.raw:
            continue  # a cheap look first: only lines that hold the id, or may hold it in an escaped spelling, are decoded
        event, recorded = decode(line)
        if not isinstance(event, PresenceChanged) and event.conversation == conversation:
            lines.append((event, recorded, line))
    if not lines:
        raise HandoffUsageError(f"{file}: there is no conversation {conversation!r}; list its ids with `handoff explain {file}`")
    first, recorded, line = lines[0]
    if first.type != "conversation_started":
        raise RecordingError(line.place, f"begins with {first.type}", "its first line must be conversation_started")
    replay = Replay(policy or _recorded_policy(shelf, recorded))
    done: list[tuple[int, Replayed]] = []
    for event, step, _ in lines:
        if policy is None and step is not None:
            replay.policy = _recorded_policy(shelf, step)
        done += [(event.seq or 0, replayed) for replayed in replay.feed(event, step)]
    unknown = policy is None and recorded is not None and shelf.find(recorded.policy) is None
    return Session(conversation, replay.policy, tuple(done), recorded.policy if unknown and recorded is not None else None)


def _recorded_policy(shelf: PolicyShelf, recorded: RecordedStep | None) -> Policy:
    return (shelf.find(recorded.policy) if recorded is not None else None) or shelf.default
