"""Rules over times: a deadline that deserves the name, time for what should happen within it.

What may not go in here: times of a queue's steps (`queues`).
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ..policy import Policy
from ..wording import listed, span
from .findings import Finding

__all__ = ["channels_where", "lint_times", "seconds_of"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

#: The longest that each state may last before nobody would call it a deadline; chosen by us, by what people still wait for.
_LONGEST: Mapping[str, float] = MappingProxyType(
    {
        "context": 10 * _MINUTE,
        "queue": 7 * _DAY,
        "ai_reply": _HOUR,
        "bot_idle": 90 * _DAY,
        "agent_silent": 7 * _DAY,
        "customer_idle": 90 * _DAY,
        "customer_gone": _DAY,
        "parked": 90 * _DAY,
        "callback": 30 * _DAY,
        "wrap_up": 7 * _DAY,
    }
)
#: What each of these leaves no time for when it is zero.
_NEEDS_TIME: Mapping[str, str] = MappingProxyType(
    {"queue": "nobody can answer who waits in line", "ai_reply": "every message counts as not answered by the AI"}
)


def seconds_of(policy: Policy, timer: str, channel: str = "") -> float:
    """Return a timer's time on a channel; without one, on all channels that have no time of their own."""
    found: float = getattr(policy.durations(channel), timer).total_seconds()
    return found


def channels_where(policy: Policy, holds: list[bool]) -> str:
    """Return in words the channels that are meant, empty for all; `holds` says it for the default and then channel by channel."""
    if all(holds):
        return ""
    channels = list(policy.timers.by_channel)
    if holds[0]:
        others = [channel for channel, one in zip(channels, holds[1:], strict=True) if not one]
        return f"everywhere but on {listed(others, 'and')}"
    return f"on {listed([channel for channel, one in zip(channels, holds[1:], strict=True) if one], 'and')}"


def lint_times(policy: Policy) -> Iterator[Finding]:
    """Yield times that are too long, or too short for what they are for."""
    for place, channel in (("timers", ""), *((f"timers.by_channel.{name}", name) for name in policy.timers.by_channel)):
        given = policy.timers.by_channel[channel] if channel else policy.timers
        where = f" on {channel}" if channel else ""
        for timer, longest in _LONGEST.items():
            seconds = getattr(given, f"{timer}_s")
            key = f"{place}.{timer}_s"
            if seconds is not None and seconds > longest:
                sentence = f"{timer}_s is {span(seconds)}{where}; nobody would call that a deadline."
                yield Finding("no_deadline", key, sentence, f"give at most {span(longest)}")
            elif seconds == 0 and timer in _NEEDS_TIME:
                sentence = f"{timer}_s is 0 s{where}: {_NEEDS_TIME[timer]}."
                yield Finding("no_time", key, sentence, "give it a time")
        yield from _silence(policy, place, channel)
    yield from _offers(policy)
    yield from _cooldown(policy)


def _everywhere(policy: Policy, timer: str) -> list[float]:
    return [seconds_of(policy, timer, channel) for channel in ("", *policy.timers.by_channel)]


def _silence(policy: Policy, place: str, channel: str) -> Iterator[Finding]:
    """Yield where an idle conversation is closed before the AI's silence is noticed; at equal times it is noticed first."""
    given = policy.timers.by_channel[channel] if channel else policy.timers
    own = [timer for timer in ("ai_reply", "bot_idle") if getattr(given, f"{timer}_s") is not None]
    reply, idle = seconds_of(policy, "ai_reply", channel), seconds_of(policy, "bot_idle", channel)
    if own and reply > idle:
        where = f" on {channel}" if channel else ""
        sentence = f"The AI's silence counts after {span(reply)}, and an idle conversation is closed after {span(idle)}{where}"
        mend = f"give ai_reply_s at most {span(idle)}, or bot_idle_s at least {span(reply)}"
        yield Finding("no_time", f"{place}.{own[0]}_s", f"{sentence}, before anybody notices.", mend)


def _offers(policy: Policy) -> Iterator[Finding]:
    deadline = policy.offer.deadline_s
    spans = _everywhere(policy, "queue")
    short = [0 < seconds <= deadline for seconds in spans]  # zero has a finding of its own
    if any(short):
        where = channels_where(policy, short)
        longest = min(seconds for seconds, one in zip(spans, short, strict=True) if one)
        sentence = f"An offer rings for {span(deadline)} and the line lasts {span(longest)}{where and f' {where}'}"
        mend = f"give offer.deadline_s less than {span(longest)}, or timers.queue_s more than {span(deadline)}"
        yield Finding("no_time", "offer.deadline_s", f"{sentence}, so that no second agent is ever asked.", mend, "warning")


def _cooldown(policy: Policy) -> Iterator[Finding]:
    cooldown = policy.resume.cooldown_s
    spans = _everywhere(policy, "bot_idle")
    outlived = [cooldown > seconds for seconds in spans]
    if any(outlived):
        where = channels_where(policy, outlived)
        shortest = min(spans)
        sentence = f"Triggers are held back for {span(cooldown)}, and an idle conversation is closed after {span(shortest)}"
        mend = f"give resume.cooldown_s at most {span(shortest)}"
        yield Finding(
            "cooldown_outlives_bot", "resume.cooldown_s", f"{sentence}{where and f' {where}'}, before they count again.", mend
        )
