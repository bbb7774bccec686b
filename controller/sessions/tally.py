"""What a replay counts, in a form in which several workers' counts add up to one."""

from collections import Counter
from typing import Any

import attrs

__all__ = ["MODULUS", "Tally"]

#: Digests of conversations are added modulo this, so that neither order nor the number of workers matters.
MODULUS = 1 << 256
_KEPT = 20  # how many differences and skipped lines are kept in words; all are counted


@attrs.define
class Tally:
    """Counts over many conversations.

    Attributes:
        events: lines of input that hold an event.
        refused: events by the name of their refusal.
        transitions: moves by `from->to`; steps that stay are not counted.
        escalated: sessions in which a handoff began.
        reasons: of the first handoff of each session.
        verified: recorded steps that were the same again.
        overrun: timers that were passed over, since the record goes on after them.
        digest: the sum of the conversations' digests.
        differences: the first mismatches and changes in words, with the place in the input that orders them.
        skipped: lines that were skipped, likewise.
        unknown_policies: fingerprints that recordings name and that were not found.
        used_policies: fingerprints that steps were recorded under.
    """

    sessions: int = 0
    events: int = 0
    refused: Counter[str] = attrs.field(factory=Counter)
    transitions: Counter[str] = attrs.field(factory=Counter)
    escalated: int = 0
    reasons: Counter[str] = attrs.field(factory=Counter)
    final_states: Counter[str] = attrs.field(factory=Counter)
    close_reasons: Counter[str] = attrs.field(factory=Counter)
    verified: int = 0
    mismatches: int = 0
    changed: int = 0
    erased: int = 0
    late: int = 0
    overrun: int = 0
    skipped_count: int = 0
    digest: int = 0
    differences: list[tuple[str, str]] = attrs.field(factory=list)
    skipped: list[tuple[str, str]] = attrs.field(factory=list)
    unknown_policies: set[str] = attrs.field(factory=set)
    used_policies: set[str] = attrs.field(factory=set)

    def add(self, other: "Tally") -> None:
        """Add another worker's counts."""
        for field in attrs.fields(Tally):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, Counter | set):
                mine.update(theirs)
            elif isinstance(mine, list):
                setattr(self, field.name, sorted([*mine, *theirs])[:_KEPT])
            else:
                setattr(self, field.name, mine + theirs)
        self.digest %= MODULUS

    def keep(self, kept: list[tuple[str, str]], place: str, words: str) -> None:
        """Keep a difference or a skipped line in words, if there is room."""
        if len(kept) < _KEPT:
            kept.append((place, words))

    def to_data(self, seconds: float) -> dict[str, Any]:
        """Return the counts as JSON data; `seconds` is how long the replay took."""
        return {
            "sessions": self.sessions,
            "events": self.events,
            "refused": _sorted(self.refused),
            "transitions": _sorted(self.transitions),
            "escalated": self.escalated,
            "reasons": _sorted(self.reasons),
            "final_states": _sorted(self.final_states),
            "close_reasons": _sorted(self.close_reasons),
            "verified": self.verified,
            "mismatches": self.mismatches,
            "changed": self.changed,
            "erased": self.erased,
            "late": self.late,
            "overrun": self.overrun,
            "skipped": self.skipped_count,
            "skipped_lines": [words for _, words in self.skipped],
            "differences": [words for _, words in self.differences],
            "digest": f"{self.digest:064x}",
            "events_per_second": round(self.events / seconds) if seconds > 0 else 0,
        }


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
