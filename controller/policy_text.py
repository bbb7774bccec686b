"""A policy as TOML text with every default written out, below tables in comments that say what it does.

`handoff policy show` prints it, and an export writes it beside a recording. What is written is the same policy again.
What may not go in here: reading policies (`shelf`), the command line.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from rich.cells import cell_len

from handoff_kit.machines import Policy
from handoff_kit.machines.conditions import COMBINATORS
from handoff_kit.machines.overview import QueueRow, TriggerRow, effective_data, queue_rows, trigger_rows
from handoff_kit.machines.policy import DEFAULT_TEXTS, QueueStep, Trigger
from handoff_kit.machines.values import Json
from handoff_kit.machines.wording import span

__all__ = ["effective_text"]

#: Columns of a line, chosen by us: what a terminal and a review side by side can show.
_WIDTH = 116
#: Columns of one cell of a table, chosen so that the widest table fits about the same.
_CELLS = {
    "queue": 24,
    "trigger": 30,
    "holds when": 40,
    "to queue": 14,
    "tier": 14,
    "skills": 14,
    "reason": 22,
    "what happens to who waits": 66,
}


def effective_text(policy: Policy) -> str:
    """Return the policy as TOML with every default written out, below what it does in tables of comments."""
    return "\n".join([*_comments(_head(policy)), "", *_tables(policy)]).rstrip("\n") + "\n"


def _comments(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        # A name or phrase may hold a line break, which would end the comment.
        yield f"# {_escaped(line)}".rstrip()


def _head(policy: Policy) -> list[str]:
    triggers, queues = trigger_rows(policy, most=2), queue_rows(policy)
    lines = [f"Policy {policy.name}, fingerprint {policy.fingerprint}.", ""]
    if triggers:
        lines += ["Where it leads. The first trigger that holds says where to; the highest priority of those that hold counts."]
        lines += _table(
            ["", "trigger", "holds when", "to queue", "tier", "skills", "prio", "reason"], map(_trigger_cells, triggers)
        )
        if any(row.explicit for row in triggers):
            lines += ["* is a person's own wish: it is judged first, and no cool-down holds it back."]
    else:
        lines += ["It has no trigger: only who asks for a handoff gets one."]
    lines += ["", "What happens to who waits."]
    lines += _table(["queue", "tier", "routed by", "hours", "what happens to who waits"], map(_queue_cells, queues))
    lines += [
        "",
        "Below is the whole policy. `# default` marks what need not be written; what begins with # follows from the rest.",
    ]
    return lines


def _trigger_cells(row: TriggerRow) -> list[list[str]]:
    name = [row.name, "(also where unknown)"] if row.when_missing == "holds" else [row.name]
    cells = [[f"{row.place}{'*' if row.explicit else ''}"], name, [row.words], [row.queue], [row.tier]]
    return [*cells, list(row.skills), [str(row.priority)], list(row.reasons)]


def _queue_cells(row: QueueRow) -> list[list[str]]:
    name = row.name if row.listed else f"{row.name} (not listed)"
    happens = ["the AI goes on answering"] if row.keep_helping else []
    happens += [f"{step.when}: {step.what}" + (f" ({step.only})" if step.only else "") for step in row.steps]
    other = ", ".join(f"{channel} {span(seconds)}" for channel, seconds in row.queue_s_by_channel.items())
    happens += [f"after {span(row.queue_s)}{f' ({other})' if other else ''}: {row.fallback}"]
    return [[name], [row.tier], [row.routed_by], [row.hours] if row.hours else [], happens]


def _table(heads: Sequence[str], rows: Iterable[list[list[str]]]) -> list[str]:
    """Return an aligned table; a cell is a list of parts, each of which begins a line and is wrapped."""
    wrapped = [[[head] for head in heads], *([_wrapped(*cell) for cell in zip(heads, row, strict=True)] for row in rows)]
    widths = [max(cell_len(line) for row in wrapped for line in row[column]) for column in range(len(heads))]
    lines = []
    for row in wrapped:
        for at in range(max(map(len, row))):
            parts = [cell[at] if at < len(cell) else "" for cell in row]
            padded = [part + " " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True)]
            lines.append("  ".join(["", *padded]).rstrip())
    return lines


def _wrapped(head: str, parts: list[str]) -> list[str]:
    told = [_escaped(part) for part in parts] or ["–"]
    return [line for part in told for line in textwrap.wrap(part, _CELLS.get(head, 16), subsequent_indent="  ")] or [""]


#: The tables in the order in which people read them: who goes where, what happens there, what is said, then the figures.
_ORDER = (
    *("policy", "trigger", "context", "tier", "queue", "destination", "texts", "timers", "resume", "limits", "callback", "offer"),
    *("copilot", "ai", "hours", "weights"),
)
#: Keys in another order than their class has, by class.
_KEYS: dict[type, tuple[str, ...]] = {
    Trigger: ("name", "reason", "explicit", "priority", "queue", "tier", "skills", "when_missing", "do", "when"),
    QueueStep: ("after_s", "when_wait_above_s", "when_none_available", "do", "tier", "skill", "by", "audience", "only"),
}
#: Which `do` of a queue's step a key belongs to; elsewhere its default would mislead.
_BELONGS = {"by": "raise_priority", "audience": "notify"}


def _tables(policy: Policy) -> Iterator[str]:
    data = effective_data(policy)
    for name in _ORDER:
        value = getattr(policy, name)
        if name == "texts":
            yield from _texts(value)
        elif name == "hours":
            for key, hours in value.items():
                yield from _section(f"[hours.{_key(key)}]", hours, data["hours"][key])
        elif name == "weights":
            if value:
                yield from ["[weights]", *(f"{_key(key)} = {_value(weight)}" for key, weight in value.items()), ""]
        elif isinstance(value, tuple):
            for one, given in zip(value, data[name], strict=True):
                yield from _listed_table(name, one, given, policy)
        else:
            yield from _section(f"[{name}]", value, data[name])
            if name == "timers":
                for channel, seconds in value.by_channel.items():
                    yield from _section(f"[timers.by_channel.{_key(channel)}]", seconds, data["timers"]["by_channel"][channel])


def _listed_table(name: str, value: Any, data: dict[str, Json], policy: Policy) -> Iterator[str]:
    follows = {}
    if name == "trigger":
        route = policy.route(queue=value.queue, tier=value.tier)
        follows = {"explicit": value.is_explicit, "queue": route.queue, "tier": route.tier}
    elif name == "queue":
        follows = {"tier": policy.route(queue=value.name).tier}
    yield from _section(f"[[{name}]]", value, data, follows)
    for step, given in zip(getattr(value, "step", ()), data.get("step", ()), strict=True):
        kept = {key: one for key, one in given.items() if _BELONGS.get(key, step.do) == step.do or one != _default(step, key)}
        yield from _section("[[queue.step]]", step, kept)


def _texts(texts: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for language in ("default", *(one for one in texts if one != "default")):
        given = texts.get(language, {})
        known = {name: name for name in DEFAULT_TEXTS} if language == "default" else given
        yield f"[texts.{_key(language)}]" if language in texts else f"#[texts.{_key(language)}]"
        for name in known:
            yield f"{name} = {_string(given[name])}" if name in given else f"#{name} = {_string(DEFAULT_TEXTS[name])}  # default"
        yield ""


def _section(head: str, value: Any, data: dict[str, Json], follows: Mapping[str, Json] | None = None) -> Iterator[str]:
    """Yield a table's lines and a blank one.

    Args:
        value: what the class made of it, which knows the defaults.
        data: what is written.
        follows: what keys that are not given come to; as comments, since written out they would be another policy.
    """
    yield head
    for key in _KEYS.get(type(value)) or [field.name for field in attrs.fields(type(value))]:
        if key in data and key not in ("step", "by_channel"):  # those are tables of their own
            yield from _entry(key, data[key], is_default=data[key] == _default(value, key))
        elif follows and key in follows:
            yield f"#{key} = {_value(follows[key])}  # default"
    yield ""


def _default(value: Any, key: str) -> Json:
    default = getattr(attrs.fields(type(value)), key).default
    return list(default) if isinstance(default, tuple) else default


def _entry(key: str, value: Json, *, is_default: bool) -> Iterator[str]:
    kind = next(iter(value)) if key == "when" else ""
    if kind in COMBINATORS:
        yield from [f"when.{kind} = [", *(f"  {_value(one, 2)}," for one in value[kind]), "]"]
    else:
        yield f"{key} = {_value(value, 0, len(key) + 3)}" + ("  # default" if is_default else "")


def _value(value: Json, indent: int = 0, taken: int = 0) -> str:
    """Return a value as TOML: on one line where it fits, else with its innermost lists over several.

    Args:
        indent: of the line on which it begins.
        taken: columns of that line that are taken beyond the indent.
    """
    plain = _plain(value)
    if isinstance(value, dict) and len(value) == 1 and indent + taken + len(plain) > _WIDTH:
        ((key, inner),) = value.items()
        return f"{{ {_key(key)} = {_value(inner, indent, taken + len(key) + 5)} }}"
    if not isinstance(value, list) or indent + taken + len(plain) <= _WIDTH:
        return plain
    pad = " " * indent
    parts = [_value(one, indent + 2) for one in value]
    return "\n".join(["[", *_filled(parts, f"{pad}  "), f"{pad}]"])


def _filled(parts: list[str], pad: str) -> Iterator[str]:
    """Yield lines of parts, as many a line as fit; one that takes several lines, or is an object, has its own."""
    line = ""
    for part in parts:
        alone = part.startswith("{")
        if line and (alone or len(pad) + len(line) + len(part) + 2 > _WIDTH):
            yield pad + line
            line = ""
        line = f"{line} {part}," if line else f"{part},"
        if alone:
            yield pad + line
            line = ""
    if line:
        yield pad + line


def _plain(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        spaced = bool(value) and isinstance(value[0], dict)
        inner = ", ".join(map(_plain, value))
        return f"[ {inner} ]" if spaced else f"[{inner}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_plain(one)}" for key, one in value.items()) + " }" if value else "{}"
    written = repr(value)
    # A float that is whole reads better without `.0`; a whole number loses the sign of -0.0.
    return written[:-2] if written.endswith(".0") and written != "-0.0" else written


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def _string(text: str) -> str:
    """Return a basic string of TOML."""
    return '"' + _escaped(re.sub(r'["\\]', lambda found: _ESCAPES[found[0]], text)) + '"'


def _escaped(text: str) -> str:
    """Return a text without the characters that neither a string nor a comment may hold."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: _ESCAPES.get(found[0], f"\\u{ord(found[0]):04X}"), text)
