"""What the page says about a policy, as plain rows: made of the policy and the machine's table alone."""

import attrs

from handoff_kit.machines import Policy
from handoff_kit.machines.destinations import PAYLOAD_FIELDS
from handoff_kit.machines.diagram import MACHINES, Machine
from handoff_kit.machines.diagram.labels import callback_in_words, guard_in_words, ruled_out
from handoff_kit.machines.diagram.markdown import timers_of
from handoff_kit.machines.overview import QueueRow
from handoff_kit.machines.policy import DEFAULT_TEXTS, TIMED
from handoff_kit.machines.wording import span

__all__ = ["Moment", "SeenRow", "Text", "TimerRow", "language_columns", "seen_rows", "text_rows", "timeline", "timer_rows"]


@attrs.frozen
class Moment:
    """One thing that happens to who waits: when, what, and to whom alone (empty: to everybody)."""

    when: str
    what: str
    only: str = ""


def timeline(policy: Policy, queue: QueueRow) -> list[Moment]:
    """Return what happens to who waits in a queue, in order, until a promise takes the place of a person."""
    moments = [Moment("at once", "if it is closed, or nobody is available and no wait is known: a callback is promised")]
    # A lack of agents is seen as soon as somebody looks: it comes before every wait.
    for step in sorted(queue.steps, key=lambda step: step.seconds is not None):
        moments.append(Moment(step.when, step.what, step.only))
    waits = [span(queue.queue_s), *(f"{channel} {span(seconds)}" for channel, seconds in queue.queue_s_by_channel.items())]
    moments.append(Moment(f"after {'; '.join(waits)}", _promise(policy, queue.fallback)))
    return moments


def _promise(policy: Policy, fallback: str) -> str:
    said = policy.text("callback", None)
    told = f", and told: “{said}”" if said else ", and told nothing"
    if fallback == "ticket":
        return f"the customer is promised an answer by ticket{told}"
    attempts = policy.callback.attempts
    often = "once" if attempts == 1 else f"{attempts} times at most"
    later = f"back in line after {span(policy.timers.callback_s)}, {often}, then a ticket" if attempts else "at once a ticket"
    return f"the customer is promised a callback{told}; {later}"


# --- timers


@attrs.frozen
class TimerRow:
    """One timer of a state: how long, also where a channel differs, and what follows."""

    state: str
    timer: str
    time: str
    then: tuple[str, ...]


def timer_rows(policy: Policy, machine: Machine = MACHINES["conversation"]) -> list[TimerRow]:
    """Return the timers that may run in each state, and what follows when they fire under this policy."""
    out = ruled_out(machine.rows, policy)
    rows = []
    for state in machine.states:
        for timer in timers_of(machine, state):
            found = [row for row in machine.rows if (row.source, row.event) == (state, timer) and row not in out]
            then: list[str] = []
            for row in found:
                if row.refuses is not None:
                    continue
                guards = " and ".join(guard_in_words(guard, policy) for guard in row.when)
                what = f"→ {row.to}" if row.to is not None else callback_in_words(row.do[-1])
                then.append(f"if {guards}: {what}" if guards else f"else: {what}" if then else what)
            rows.append(TimerRow(state, timer.removeprefix("timer_"), _time(policy, timer.removeprefix("timer_")), tuple(then)))
    return rows


def _time(policy: Policy, timer: str) -> str:
    if timer == "offer":
        return span(policy.offer.deadline_s)
    if timer not in TIMED:
        return "as the queue's steps say"
    own = {channel: getattr(one, f"{timer}_s") for channel, one in sorted(policy.timers.by_channel.items())}
    return "; ".join(
        [
            span(getattr(policy.timers, f"{timer}_s")),
            *(f"{channel}: {span(seconds)}" for channel, seconds in own.items() if seconds is not None),
        ]
    )


# --- texts


@attrs.frozen
class Text:
    """A text in one language, and where it is from: `own`, `inherited` (another table), `built-in`, `silent`."""

    text: str
    origin: str


def language_columns(policy: Policy) -> list[str]:
    """Return the languages of the policy's texts, default first."""
    return ["default", *sorted(language for language in policy.texts if language != "default")]


def text_rows(policy: Policy) -> list[tuple[str, list[Text]]]:
    """Return each text with what is said in each language of `language_columns`."""
    return [(name, [_text(policy, name, language) for language in language_columns(policy)]) for name in DEFAULT_TEXTS]


def _text(policy: Policy, name: str, language: str) -> Text:
    text = policy.text(name, None if language == "default" else language)
    if not text:
        return Text("", "silent")
    if name in policy.texts.get(language, {}):
        return Text(text, "own")
    anywhere = any(name in texts and texts[name] == text for texts in policy.texts.values())
    return Text(text, "inherited" if anywhere else "built-in")


# --- destinations


@attrs.frozen
class SeenRow:
    """One field of the payload, and what of it each destination may see: `all`, `none`, or the parts."""

    field: str
    seen: tuple[str, ...]


def seen_rows(policy: Policy) -> list[SeenRow]:
    """Return for each field of the payload what each of the policy's destinations may see of it."""
    rows = []
    for field in PAYLOAD_FIELDS:
        seen = []
        for destination in policy.destination:
            parts = [".".join(path[1:]) for path in sorted(destination.paths) if path[0] == field]
            seen.append("none" if not parts else "all" if "" in parts else ", ".join(parts))
        rows.append(SeenRow(field, tuple(seen)))
    return rows
