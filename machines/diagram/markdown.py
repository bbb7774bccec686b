"""A machine as tables in Markdown: every arrow with its guards, what follows and its effects; every state with its timers.

It says all that the table says, also what only changes data; a picture shows moves alone.
"""

from collections.abc import Iterable

from ..actions import EFFECTS_OF
from ..engine import Row
from ..policy import Policy
from .graph import Machine, Move
from .labels import callback_in_words, event_in_words, guard_explained, guard_in_words, triggers_in_words

__all__ = ["effects_in_words", "markdown_of", "rows_alike", "timers_of"]


def markdown_of(machine: Machine, policy: Policy | None = None, moves: Iterable[Move] = ()) -> str:
    """Return the tables as Markdown text; with a policy, its numbers stand in them, with moves, a session's path first."""
    lines = [f"# {machine.title}", ""]
    if policy is not None:
        lines += [f"Policy {policy.name}{f' {policy.policy.version}' if policy.policy.version else ''}.", ""]
    path = list(moves)
    if path:
        lines += ["## The session's path", ""]
        lines += [f"{move.number}. `{move.source}` → `{move.target}`: {_escaped(move.words)}" for move in path] + [""]
    lines += ["## States", "", "| state | who acts | meaning | timers that may run |", "|---|---|---|---|"]
    who = {"ai": "the AI", "system": "the system", "human": "a person", "nobody": "nobody"}
    for state in machine.states:
        timers = ", ".join(event_in_words(timer, policy).removeprefix("timer ") for timer in timers_of(machine, state))
        lines.append(_line(f"`{state}`", who[machine.kinds[state]], machine.words[state], timers or "none"))
    taken = [row for row in machine.rows if row.refuses is None]
    lines += ["", "## Moves", "", "Of the rows of one event and state, the first whose guards hold is taken.", ""]
    lines += _table([row for row in taken if row.to is not None], policy, to=True)
    stays = [row for row in taken if row.to is None]
    if stays:
        lines += ["", "## What changes data and moves nothing", "", *_table(stays, policy, to=False)]
    guards = list(dict.fromkeys(guard for row in taken for guard in row.when))
    if guards:
        lines += ["", "## Guards", "", "| guard | states that |", "|---|---|"]
        for guard in guards:
            with_numbers = guard_in_words(guard, policy)
            told = f" Here: {with_numbers}." if with_numbers != guard_in_words(guard) else ""
            lines.append(_line(f"`{guard}`", guard_explained(guard) + told))
    if policy is not None and "a_trigger_holds" in guards:
        lines += ["", "## Triggers, in the order in which they decide", ""]
        lines += [f"{number}. {_escaped(words)}" for number, words in enumerate(triggers_in_words(policy), 1)] or ["None."]
    refusals = sorted({row.refuses for row in machine.rows if row.refuses is not None})
    if refusals:
        names = ", ".join(f"`{name}`" for name in refusals)
        lines += [
            "",
            f"Every other pair of event and state is refused ({names}), and nothing changes.",
        ]
    return "\n".join(lines) + "\n"


def rows_alike(rows: Iterable[Row]) -> list[tuple[list[str], Row]]:
    """Return neighbouring rows that differ in their source alone as one, with all their sources.

    Only neighbours: of the rows of one event and state the first that holds is taken, so that their order tells.
    """
    alike: list[tuple[list[str], Row]] = []
    for row in rows:
        last = alike[-1][1] if alike else None
        if last is not None and (row.event, row.to, row.when, row.do) == (last.event, last.to, last.when, last.do):
            alike[-1][0].append(str(row.source))
        else:
            alike.append(([str(row.source)], row))
    return alike


def timers_of(machine: Machine, state: str) -> list[str]:
    """Return the words of the timers that may be owed in a state: those that it does not refuse."""
    found = (row.event for row in machine.rows if row.source == state and row.event.startswith("timer_") and row.refuses is None)
    return list(dict.fromkeys(found))


def effects_in_words(row: Row) -> str:
    """Return the names of the effects that a row may return, in the order of its callbacks."""
    return ", ".join(dict.fromkeys(effect.__name__ for callback in row.do for effect in EFFECTS_OF.get(callback, ())))


def _table(rows: list[Row], policy: Policy | None, *, to: bool) -> list[str]:
    lines = [
        f"| from | on | when |{' to |' if to else ''} what follows | effects |",
        f"|---|---|---|{'---|' if to else ''}---|---|",
    ]
    for sources, row in rows_alike(rows):
        lines.append(
            _line(
                ", ".join(f"`{source}`" for source in sources),
                f"`{row.event}`" + _times(row.event, policy),
                " and ".join(f"`{guard}`" for guard in row.when) or "always",
                *([f"`{row.to}`"] if to else []),
                " ".join(callback_in_words(callback) for callback in row.do) or "nothing",
                effects_in_words(row) or "none",
            )
        )
    return lines


def _times(event: str, policy: Policy | None) -> str:
    words = event_in_words(event, policy)
    return f" {words[words.index('(') :]}" if "(" in words else ""


def _line(*cells: str) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
