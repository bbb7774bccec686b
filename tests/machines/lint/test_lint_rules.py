"""The rules: a broken policy for each, found at its exact place, and beside it the near miss that is fine."""

import attrs
import pytest
from machines_build import policy

from handoff_kit.controller.shelf import BUNDLED_POLICIES, load_policy
from handoff_kit.machines.lint import RULES, Finding, lint
from handoff_kit.machines.lint import regions as regions_module
from handoff_kit.machines.lint.findings import in_order
from handoff_kit.machines.policy import Policy

HOURS = '[hours.always]\nmon_sun = ["00:00-24:00"]\n'


def queue(steps: str = "", name: str = "q", more: str = "") -> str:
    """A queue that is fine, with steps written as inline tables."""
    return f'[[queue]]\nname = "{name}"\nhours = "always"\n{more}\nstep = [ {steps} ]\n'


def when(*conditions: str, more: str = "") -> str:
    """Triggers t0, t1, .. of these conditions."""
    return "\n".join(f'[[trigger]]\nname = "t{index}"\nwhen = {{ {one} }}\n{more}' for index, one in enumerate(conditions))


def found(text: str) -> list[tuple[str, str, str]]:
    return [(one.severity, one.rule, one.place) for one in lint(policy(text))]


def error(rule: str, place: str) -> list[tuple[str, str, str]]:
    return [("error", rule, place)]


def warning(rule: str, place: str) -> list[tuple[str, str, str]]:
    return [("warning", rule, place)]


DEAD, SHADOWED, OVERLAPPING = "dead_trigger", "shadowed_trigger", "overlapping_triggers"
A_B = '[[tier]]\nname = "a"\n[[tier]]\nname = "b"\n'


def routed(*parts: tuple[str, str]) -> str:
    """Triggers that lead to a tier each."""
    return A_B + "\n".join(
        f'[[trigger]]\nname = "t{index}"\ntier = "{tier}"\nwhen = {{ {one} }}\n' for index, (tier, one) in enumerate(parts)
    )


BROKEN: list[tuple[str, list[tuple[str, str, str]]]] = [
    # --- dead_trigger
    (when("confidence_below = 0"), error(DEAD, "trigger[0].when.confidence_below")),
    (when("sentiment_below = -1"), error(DEAD, "trigger[0].when.sentiment_below")),
    (when("sentiment_trend_below = -1"), error(DEAD, "trigger[0].when.sentiment_trend_below")),
    (when("frustration_within_s = 0"), error(DEAD, "trigger[0].when.frustration_within_s")),
    (when("none = [{ elapsed_at_least_s = 0 }]"), error(DEAD, "trigger[0].when.none[0].elapsed_at_least_s")),
    (when("none = [{ queue_wait_at_least_s = 0 }]"), error(DEAD, "trigger[0].when.none[0].queue_wait_at_least_s")),
    (
        when('all = [{ intent = "a" }, { any = [{ confidence_below = 0 }, { sentiment_below = -1 }] }]'),
        error(DEAD, "trigger[0].when"),
    ),
    (when('all = [{ intent = "a" }, { confidence_below = 0 }]'), error(DEAD, "trigger[0].when.all[1].confidence_below")),
    (when('all = [{ intent = "a" }, { intent_in = ["b"] }]'), error(DEAD, "trigger[0].when")),
    (when("all = [{ confidence_below = 0.5 }, { none = [{ confidence_below = 0.8 }] }]"), error(DEAD, "trigger[0].when")),
    (when('all = [{ failed_action = false }, { error_code_in = ["E"] }]'), error(DEAD, "trigger[0].when")),
    (
        when('all = [{ customer_says = ["real person"] }, { none = [{ customer_says = ["person"] }] }]'),
        error(DEAD, "trigger[0].when"),
    ),
    (
        when('all = [{ entity = { name = "n", at_least = 5 } }, { entity = { name = "n", below = 5 } }]'),
        error(DEAD, "trigger[0].when"),
    ),
    (when("confidence_below = 0.5", 'all = [{ intent = "a" }, { intent = "b" }]'), error(DEAD, "trigger[1].when")),
    # --- shadowed_trigger
    (routed(("a", "confidence_below = 0.8"), ("b", "confidence_below = 0.8")), error(SHADOWED, "trigger[1].when")),
    (routed(("a", "misses_at_least = 2"), ("b", "misses_at_least = 3")), error(SHADOWED, "trigger[1].when")),
    (routed(("a", "misses_at_least = 2"), ("a", "misses_at_least = 3")), warning(SHADOWED, "trigger[1].when")),
    (
        routed(("a", "confidence_below = 0.5"), ("b", "none = [{ confidence_below = 0.5 }]"), ("b", "confidence_below = 0.9")),
        error(SHADOWED, "trigger[2].when"),
    ),
    # explicit ones stand first, whatever the file says
    (
        routed(("a", 'all = [{ customer_says = ["person"] }, { intent = "x" }]'), ("b", 'customer_says = ["person"]')),
        error(SHADOWED, "trigger[0].when"),
    ),
    # --- overlapping_triggers
    (
        routed(
            ("a", "all = [{ confidence_below = 0.5 }, { sentiment_below = 0.5 }]"),
            ("b", "any = [{ confidence_below = 0.3 }, { sentiment_below = 0 }]"),
        ),
        warning(OVERLAPPING, "trigger[1].when"),
    ),
    (routed(("a", 'intent_in = ["x", "y"]'), ("b", 'intent_in = ["y", "z"]')), warning(OVERLAPPING, "trigger[1].when")),
    (
        routed(("a", 'customer_says = ["agent", "bill"]'), ("b", 'customer_says = ["bill", "human"]')),
        warning(OVERLAPPING, "trigger[1].when"),
    ),
    # --- undefined_name, unused_hours
    (when("wants_handoff = true", more='tier = "tier1"'), error("undefined_name", "trigger[0].tier")),
    (when("wants_handoff = true", more='queue = "tier1"'), error("undefined_name", "trigger[0].queue")),
    (HOURS + queue(more='tier = "tier1"'), error("undefined_name", "queue[0].tier")),
    (
        HOURS + '[[tier]]\nname = "t"\n' + queue(more='tier = "t"') + when("wants_handoff = true", more='queue = "t"'),
        error("undefined_name", "trigger[0].queue"),
    ),
    (HOURS + queue().replace("always", "nights") + queue(name="r"), error("undefined_name", "queue[0].hours")),
    (HOURS + queue('{ after_s = 5, do = "widen", tier = "far" }'), error("undefined_name", "queue[0].step[0].tier")),
    ('[[destination]]\nname = "nurse"\nfields = ["summary"]', error("undefined_name", "destination[0].name")),
    (HOURS, warning("unused_hours", "hours.always")),
    # --- times
    ("[timers]\ncontext_s = 601", error("no_deadline", "timers.context_s")),
    ("[timers]\nai_reply_s = 3601\nbot_idle_s = 3601", error("no_deadline", "timers.ai_reply_s")),
    ("[timers]\nagent_silent_s = 604801", error("no_deadline", "timers.agent_silent_s")),
    ("[timers]\nwrap_up_s = 604801", error("no_deadline", "timers.wrap_up_s")),
    ("[timers]\ncustomer_gone_s = 86401", error("no_deadline", "timers.customer_gone_s")),
    ("[timers]\ncallback_s = 2592001", error("no_deadline", "timers.callback_s")),
    ("[timers]\nparked_s = 7776001", error("no_deadline", "timers.parked_s")),
    ("[timers]\nbot_idle_s = 7776001", error("no_deadline", "timers.bot_idle_s")),
    ("[timers]\ncustomer_idle_s = 7776001", error("no_deadline", "timers.customer_idle_s")),
    ("[timers.by_channel.email]\nqueue_s = 604801", error("no_deadline", "timers.by_channel.email.queue_s")),
    ("[timers]\nqueue_s = 604801", [*error("no_deadline", "timers.queue_s"), *error("no_drain", "timers.queue_s")]),
    ("[timers]\nqueue_s = 0", error("no_time", "timers.queue_s")),
    ("[timers]\nai_reply_s = 0", error("no_time", "timers.ai_reply_s")),
    ("[timers.by_channel.email]\nai_reply_s = 0", error("no_time", "timers.by_channel.email.ai_reply_s")),
    ("[timers]\nai_reply_s = 1801", error("no_time", "timers.ai_reply_s")),
    ("[timers.by_channel.voice]\nai_reply_s = 1801", error("no_time", "timers.by_channel.voice.ai_reply_s")),
    (
        "[resume]\ncooldown_s = 9\n[timers.by_channel.voice]\nbot_idle_s = 59",
        error("no_time", "timers.by_channel.voice.bot_idle_s"),
    ),
    ("[offer]\ndeadline_s = 600", warning("no_time", "offer.deadline_s")),
    ("[timers.by_channel.web]\nqueue_s = 20", warning("no_time", "offer.deadline_s")),
    ("[timers]\nqueue_s = 20\n[timers.by_channel.web]\nqueue_s = 21", warning("no_time", "offer.deadline_s")),
    ("[resume]\ncooldown_s = 1801", error("cooldown_outlives_bot", "resume.cooldown_s")),
    ("[timers.by_channel.voice]\nbot_idle_s = 119", error("cooldown_outlives_bot", "resume.cooldown_s")),
    # --- texts
    ('[texts.default]\ncallback = ""', warning("silent_fallback", "texts.default.callback")),
    ('[texts.default]\nfallback = " "', warning("silent_fallback", "texts.default.fallback")),
    (
        '[texts.de]\nclosed_hours = ""',
        [*warning("silent_fallback", "texts.de.closed_hours"), *warning("missing_text", "texts.de")],
    ),
    ('[texts.default]\nhold = "You are number {position}."', error("unknown_placeholder", "texts.default.hold")),
    ('[texts.default]\nposition = "The wait is {wait}."', error("unknown_placeholder", "texts.default.position")),
    ('[texts.default]\nposition = "The wait is { eta }."', error("unknown_placeholder", "texts.default.position")),
    ('[texts.default]\nconnecting = "They see {sumary}, {sumary}"', error("unknown_placeholder", "texts.default.connecting")),
    # --- queues
    ('[[queue]]\nname = "q"', warning("no_hours", "queue[0]")),
    (HOURS + "[timers]\nqueue_s = 86401\n" + queue(), error("no_drain", "queue[0]")),
    (
        HOURS + "[timers]\nqueue_s = 86401\n" + queue('{ after_s = 60, do = "ticket", only = { priority_at_most = 5 } }'),
        error("no_drain", "queue[0]"),
    ),
    (HOURS + "[timers]\nqueue_s = 90000\n" + queue('{ after_s = 86401, do = "callback" }'), error("no_drain", "queue[0]")),
    ('[timers]\nqueue_s = 86401\n[[tier]]\nname = "t"', error("no_drain", "tier[0]")),
    # --- step_never_runs
    (HOURS + queue('{ after_s = 600, do = "notify" }'), error("step_never_runs", "queue[0].step[0].after_s")),
    (
        HOURS + "[timers.by_channel.web]\nqueue_s = 60\n" + queue('{ after_s = 60, do = "notify" }'),
        warning("step_never_runs", "queue[0].step[0].after_s"),
    ),
    (
        HOURS + queue('{ when_wait_above_s = 610, do = "notify" }'),
        warning("step_never_runs", "queue[0].step[0].when_wait_above_s"),
    ),
    (
        HOURS + "[timers.by_channel.web]\ncontext_s = 1\nqueue_s = 60\n" + queue('{ when_wait_above_s = 61, do = "notify" }'),
        warning("step_never_runs", "queue[0].step[0].when_wait_above_s"),
    ),
    (
        HOURS + queue('{ after_s = 60, do = "ticket" }, { after_s = 60, do = "notify" }'),
        error("step_never_runs", "queue[0].step[1].after_s"),
    ),
    (
        HOURS + queue('{ after_s = 61, do = "notify" }, { after_s = 60, do = "ticket", only = { priority_at_most = 9 } }'),
        error("step_never_runs", "queue[0].step[0].after_s"),
    ),
    (
        HOURS + queue('{ when_wait_above_s = 60, do = "ticket" }, { after_s = 60, do = "notify" }'),
        error("step_never_runs", "queue[0].step[1].after_s"),
    ),
    (
        HOURS + queue('{ when_wait_above_s = 60, do = "ticket" }, { when_wait_above_s = 61, do = "notify" }'),
        error("step_never_runs", "queue[0].step[1].when_wait_above_s"),
    ),
    (
        HOURS + queue('{ when_none_available = true, do = "ticket" }, { when_none_available = true, do = "notify" }'),
        error("step_never_runs", "queue[0].step[1].when_none_available"),
    ),
    (
        HOURS + queue('{ after_s = 60, do = "callback" }, { after_s = 90, do = "notify" }'),
        warning("step_never_runs", "queue[0].step[1].after_s"),
    ),
    (
        HOURS + "[callback]\nattempts = 0\n" + queue('{ after_s = 60, do = "callback" }, { after_s = 90, do = "notify" }'),
        error("step_never_runs", "queue[0].step[1].after_s"),
    ),
    (
        HOURS + "[limits]\noffloads = 0\n" + queue('{ after_s = 60, do = "offload_to_ai" }'),
        warning("step_never_runs", "queue[0].step[0].do"),
    ),
    (
        HOURS + queue('{ after_s = 60, do = "offload_to_ai" }') + when('customer_says = ["person"]'),
        warning("step_never_runs", "queue[0].step[0].do"),
    ),
    (
        HOURS
        + queue('{ after_s = 60, do = "notify", only = { priority_at_most = 4 } }')
        + when("wants_handoff = true", more="priority = 6"),
        warning("step_never_runs", "queue[0].step[0].only.priority_at_most"),
    ),
    (
        HOURS
        + queue('{ after_s = 60, do = "drop_skill", skill = "fee" }')
        + when("wants_handoff = true", more='skills = ["fees"]'),
        warning("step_never_runs", "queue[0].step[0].skill"),
    ),
    (
        HOURS + queue('{ after_s = 60, do = "drop_skill", skill = "fees" }') + when("wants_handoff = true"),
        warning("step_never_runs", "queue[0].step[0].skill"),
    ),
    (HOURS + queue('{ after_s = 60, do = "drop_skill" }'), warning("step_never_runs", "queue[0].step[0].do")),
    # --- overflow_cycle, dead_end
    (HOURS + queue('{ after_s = 60, do = "widen", tier = "q" }'), error("overflow_cycle", "queue[0].step[0].tier")),
    (
        HOURS
        + queue('{ after_s = 5, do = "notify" }, { after_s = 60, do = "widen", tier = "b" }', name="a")
        + queue('{ after_s = 60, do = "widen", tier = "a" }', name="b"),
        error("overflow_cycle", "queue[0].step[1].tier -> queue[1].step[0].tier"),
    ),
    (
        HOURS
        + queue('{ after_s = 60, do = "widen", tier = "b" }', name="a")
        + queue('{ after_s = 60, do = "widen", tier = "c" }', name="b")
        + queue('{ after_s = 60, do = "widen", tier = "a" }', name="c"),
        error("overflow_cycle", "queue[0].step[0].tier -> queue[1].step[0].tier -> queue[2].step[0].tier"),
    ),
    # two circles through one queue, and one that does not touch it
    (
        HOURS
        + queue('{ after_s = 60, do = "widen", tier = "b" }, { after_s = 90, do = "widen", tier = "c" }', name="a")
        + queue('{ after_s = 60, do = "widen", tier = "a" }, { after_s = 90, do = "widen", tier = "c" }', name="b")
        + queue('{ after_s = 60, do = "widen", tier = "a" }, { after_s = 90, do = "widen", tier = "b" }', name="c"),
        [
            *error("overflow_cycle", "queue[0].step[0].tier -> queue[1].step[0].tier"),
            *error("overflow_cycle", "queue[0].step[1].tier -> queue[2].step[0].tier"),
            *error("overflow_cycle", "queue[1].step[1].tier -> queue[2].step[1].tier"),
        ],
    ),
    (
        HOURS
        + queue('{ after_s = 60, do = "widen", tier = "b" }, { after_s = 90, do = "widen", tier = "b" }', name="a")
        + queue(name="b"),
        error("dead_end", "queue[0].step[1].tier"),
    ),
    # --- what people are told
    (
        '[[destination]]\nname = "default"\nfields = ["summary"]\n' + when("failed_action = true"),
        error("destination_misses_failed_action", "destination[0].fields"),
    ),
    (
        '[[tier]]\nname = "t"\n[[destination]]\nname = "t"\nfields = ["failed_action.name", "failed_action.parameters"]\n'
        + when('any = [{ error_code_in = ["E"] }, { misses_at_least = 2 }]', more='tier = "t"'),
        error("destination_misses_failed_action", "destination[0].fields"),
    ),
    (
        '[[destination]]\nname = "default"\nfields = ["failed_action.message"]\n'
        + when("failed_action = true", "all = [{ failed_action = true }, { sentiment_below = 0 }]").replace(
            '[[trigger]]\nname = "t0"', '[[trigger]]\nname = "t0"\npriority = 1'
        ),
        [
            *warning("shadowed_trigger", "trigger[1].when"),
            *error("destination_misses_failed_action", "destination[0].fields"),
        ],
    ),
    (
        when("any = [{ confidence_below = 0.5 }, { sentiment_below = 0 }]", more='reason = "low_confidence"'),
        warning("one_reason_for_several", "trigger[0].reason"),
    ),
    (
        when(
            'all = [{ intent = "a" }, { any = [{ all = [{ misses_at_least = 2 }, { channel_in = ["x"] }] }, '
            "{ wants_handoff = true }] }]",
            more='reason = "r"',
        ),
        warning("one_reason_for_several", "trigger[0].reason"),
    ),
    (
        when("confidence_below = 0.5", "misses_at_least = 2", more='reason = "low_confidence"'),
        warning("one_reason_for_several", "trigger[1].reason"),
    ),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_what_is_broken_is_found_at_its_place(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert found(text) == expected


def test_every_rule_has_a_broken_policy_and_every_finding_a_rule() -> None:
    findings = [one for text, _ in BROKEN for one in lint(policy(text))]
    assert {one.rule for one in findings} == set(RULES)
    for one in findings:
        assert one.sentence.endswith(".")
        assert one.mend
        assert not one.mend.endswith(".")
        assert "  " not in one.sentence + one.mend


FINE = [
    "",
    # --- triggers: just within what may be
    when("confidence_below = 0.001"),
    when("sentiment_below = -0.999"),
    when("sentiment_trend_below = -0.999"),
    when("none = [{ turns_at_least = 1 }]"),
    when("none = [{ queue_wait_at_least_s = 1 }]"),
    when("none = [{ queue_wait_at_least_s = 0 }]", more='when_missing = "holds"'),
    when('any = [{ intent = "a" }, { intent = "b" }]'),
    when('all = [{ intent_in = ["a", "b"] }, { intent_in = ["b", "c"] }]'),
    when("all = [{ confidence_below = 0.8 }, { none = [{ confidence_below = 0.5 }] }]"),
    when('all = [{ failed_action = true }, { none = [{ error_code_in = ["E"] }] }]'),
    when('all = [{ customer_says = ["person"] }, { none = [{ customer_says = ["real person"] }] }]'),
    when('all = [{ customer_says = ["person"] }, { customer_says = ["bill"] }]'),
    when('all = [{ entity = { name = "n", at_least = 5 } }, { entity = { name = "m", below = 5 } }]'),
    # narrow first, wide later
    routed(("a", 'all = [{ intent = "x" }, { confidence_below = 0.5 }]'), ("b", "confidence_below = 0.8")),
    routed(("a", "misses_at_least = 3"), ("b", "misses_at_least = 2")),
    # disjoint, or of the same destination, or of other facts
    routed(("a", "confidence_below = 0.5"), ("b", "none = [{ confidence_below = 0.5 }]")),
    routed(("a", 'intent_in = ["x", "y"]'), ("a", 'intent_in = ["y", "z"]')),
    routed(("a", "confidence_below = 0.5"), ("b", "sentiment_below = 0")),
    routed(("a", 'intent = "x"'), ("b", 'intent = "y"')),
    # both may be said, but not in one phrase
    routed(("a", 'customer_says = ["bill"]'), ("b", 'customer_says = ["parcel"]')),
    # on a customer's message the earlier one is unknown
    routed(("a", "any = [{ confidence_below = 1 }, { none = [{ confidence_below = 1 }] }]"), ("b", "elapsed_at_least_s = 60")),
    # --- names
    HOURS + queue() + when("wants_handoff = true", more='tier = "q"\nqueue = "q"'),
    '[[tier]]\nname = "t"\n' + when("wants_handoff = true", more='tier = "t"\nqueue = "t"'),
    '[[tier]]\nname = "t"\n[[destination]]\nname = "t"\n[[destination]]\nname = "default"\n[[destination]]\nname = "customer"',
    # --- times: exactly at
    "[timers]\ncontext_s = 600\nai_reply_s = 3600\ncustomer_gone_s = 86400\nbot_idle_s = 7776000\nqueue_s = 86400\n",
    "[timers.by_channel.email]\nqueue_s = 604800",
    "[offer]\ndeadline_s = 599",
    "[resume]\ncooldown_s = 1800",
    "[timers]\nai_reply_s = 1800\n[timers.by_channel.voice]\nqueue_s = 60",
    "[timers]\nai_reply_s = 90\nbot_idle_s = 240\n[timers.by_channel.voice]\nai_reply_s = 240",
    "[timers.by_channel.voice]\nbot_idle_s = 120",
    # --- texts
    '[texts.default]\nhold = ""\nrating = ""',
    '[texts.default]\nconnecting = "{summary}"\nposition = "{position} {eta}"\nhold = "braces {"',
    # --- queues
    HOURS + "[timers]\nqueue_s = 86401\n" + queue('{ after_s = 86400, do = "callback" }'),
    HOURS + "[timers]\nqueue_s = 86401\n" + queue('{ when_wait_above_s = 86400, do = "ticket" }'),
    "[timers]\nqueue_s = 86401\n" + HOURS + '[[tier]]\nname = "q"\n' + queue('{ after_s = 1, do = "ticket" }'),
    HOURS + queue('{ after_s = 599, do = "notify" }, { when_wait_above_s = 609, do = "notify" }'),
    HOURS + "[timers.by_channel.web]\nqueue_s = 61\n" + queue('{ after_s = 60, do = "notify" }'),
    HOURS + queue('{ after_s = 60, do = "ticket", only = { priority_at_most = 5 } }, { after_s = 60, do = "notify" }'),
    HOURS + queue('{ after_s = 60, do = "ticket", only = { intent_in = ["x"] } }, { after_s = 60, do = "notify" }'),
    HOURS + queue('{ after_s = 60, do = "notify" }, { after_s = 60, do = "ticket" }'),
    HOURS + queue('{ after_s = 60, do = "ticket" }, { when_wait_above_s = 90, do = "notify" }'),
    HOURS + queue('{ when_wait_above_s = 60, do = "ticket" }, { when_none_available = true, do = "notify" }'),
    HOURS + queue('{ when_none_available = true, do = "ticket" }, { after_s = 60, do = "notify" }'),
    HOURS + queue('{ after_s = 60, do = "offload_to_ai" }'),
    HOURS + queue('{ after_s = 60, do = "offload_to_ai" }') + when('customer_says = ["person"]', "wants_handoff = true"),
    HOURS + queue('{ after_s = 60, do = "notify", only = { priority_at_most = 5 } }'),
    HOURS
    + queue('{ after_s = 60, do = "notify", only = { priority_at_most = 2 } }')
    + when("wants_handoff = true", more="priority = 2"),
    HOURS
    + queue('{ after_s = 60, do = "drop_skill", skill = "fees" }, { after_s = 90, do = "drop_skill" }')
    + when("wants_handoff = true", more='skills = ["fees"]'),
    HOURS + queue('{ after_s = 60, do = "widen", tier = "b" }', name="a") + queue(name="b"),
    # up the tiers, from two sides
    HOURS
    + queue('{ after_s = 60, do = "widen", tier = "c" }', name="a")
    + queue('{ after_s = 60, do = "widen", tier = "c" }', name="b")
    + queue(name="c"),
    # for some first, for all later
    HOURS
    + queue(
        '{ after_s = 60, do = "widen", tier = "b", only = { intent_in = ["x"] } }, { after_s = 90, do = "widen", tier = "b" }',
        name="a",
    )
    + queue(name="b"),
    # --- what people are told
    '[[destination]]\nname = "default"\nfields = ["failed_action"]\n' + when("failed_action = true"),
    '[[destination]]\nname = "customer"\nfields = ["summary"]\n' + when("failed_action = true"),
    '[[destination]]\nname = "default"\nfields = ["summary"]\n' + when("failed_action = false", 'intent = "a"'),
    '[[destination]]\nname = "default"\nfields = ["summary"]\n' + when('none = [{ error_code_in = ["E"] }]'),
    '[[destination]]\nname = "default"\nfields = ["failed_action.name", "failed_action.parameters", "failed_action.error_code"]\n'
    + when('error_code_in = ["E"]'),
    when("any = [{ confidence_below = 0.5 }, { sentiment_below = 0 }]"),
    when("all = [{ confidence_below = 0.5 }, { sentiment_below = 0 }]", more='reason = "r"'),
    when('any = [{ customer_says = ["person"] }, { choice_in = ["person"] }]', more='reason = "explicit_request"'),
    when('any = [{ confidence_below = 0.5 }, { intent = "a" }, { none = [{ wants_handoff = false }] }]', more='reason = "r"'),
    when("none = [{ any = [{ confidence_below = 0.5 }, { sentiment_below = 0 }] }]", more='reason = "r"'),
    when("misses_at_least = 3", 'all = [{ misses_at_least = 2 }, { intent = "x" }]', more='reason = "r"'),
]


@pytest.mark.parametrize("text", FINE)
def test_what_is_fine_is_not_found(text: str) -> None:
    assert lint(policy(text)) == ()


DE = {name: f'{name} = "x"\n' for name in ("connecting", "hold", "position", "offloaded", "resumed", "callback", "rating")}


def test_a_language_that_lacks_texts_names_them_all_and_looks_through_its_base() -> None:
    german = "[texts.de]\n" + "".join(DE.values())
    (finding,) = lint(policy(german + '[texts.de-AT]\nclosed_hours = "x"\nfallback = "x"'))
    assert (finding.place, finding.sentence) == (
        "texts.de",
        "de lacks closed_hours and fallback: the customer reads the default's there.",
    )
    assert lint(policy(german + 'closed_hours = "x"\nfallback = "x"\n[texts.de_AT]\nhold = "x"')) == ()
    (one,) = lint(policy(german + 'fallback = "x"'))
    assert one.mend == "write it in [texts.de]"


@pytest.mark.parametrize(
    ("text", "sentence", "mend"),
    [
        (
            when("confidence_below = 0"),
            "t0 can never hold: “confidence below 0” cannot be: confidence lies from 0 to 1.",
            "correct the number, or take the condition out",
        ),
        (
            when("none = [{ elapsed_at_least_s = 0 }]"),
            "t0 can never hold: “at least 0 s with the AI” always holds: no time is below 0 s.",
            "correct the number, or take the condition out",
        ),
        (
            when("all = [{ confidence_below = 0.5 }, { none = [{ confidence_below = 0.8 }] }]"),
            "t0 can never hold: “confidence below 0.5” and “not confidence below 0.8” exclude each other.",
            "use `any` where one of them should do, or correct one of them",
        ),
        (
            routed(("a", "misses_at_least = 2"), ("b", "misses_at_least = 3")),
            "t1 is never the first to hold: whenever it does, t0 holds too and leads to queue a, so that queue b is never used.",
            "move it before t0, or narrow t0",
        ),
        (
            routed(("a", "misses_at_least = 2"), ("a", "misses_at_least = 3")),
            "t1 is never the first to hold: whenever it does, t0 holds too and leads to the same place, "
            "so that only its priority and reason count.",
            "leave it out, unless they are what it is for",
        ),
        (
            routed(("a", 'intent_in = ["x", "y"]'), ("b", 'intent_in = ["y", "z"]')),
            "t1 and t0 both hold at intent y; t0 wins there with queue a, since it stands first in the file, "
            "and queue b is not used.",
            "put first what should win there, or narrow one of them so that they do not meet",
        ),
        (
            HOURS + queue(name="tier1") + when("wants_handoff = true", more='queue = "teir1"'),
            "t0 names the queue teir1, which nothing defines.",
            "did you mean 'tier1'?",
        ),
        (
            HOURS + queue(name="tier1") + when("wants_handoff = true", more='queue = "nurse"'),
            "t0 names the queue nurse, which nothing defines.",
            "define it, or name one of tier1",
        ),
        (
            when("wants_handoff = true", more='queue = "nurse"'),
            "t0 names the queue nurse, which nothing defines.",
            "define it, or take it out",
        ),
        (
            '[texts.default]\nposition = "{ett}"',
            "position does not know {ett}: the customer reads it as it stands.",
            "did you mean 'eta'?",
        ),
        (
            '[texts.default]\nposition = "{xyz}"',
            "position does not know {xyz}: the customer reads it as it stands.",
            "known are position, eta",
        ),
        (
            "[timers.by_channel.email]\nwrap_up_s = 864000",
            "wrap_up_s is 10 d on email; nobody would call that a deadline.",
            "give at most 7 d",
        ),
        (
            "[timers]\nqueue_s = 20\n[timers.by_channel.web]\nqueue_s = 21",
            "An offer rings for 20 s and the line lasts 20 s everywhere but on web, so that no second agent is ever asked.",
            "give offer.deadline_s less than 20 s, or timers.queue_s more than 20 s",
        ),
        (
            HOURS + "[timers.by_channel.web]\nqueue_s = 60\n" + queue('{ after_s = 60, do = "notify" }'),
            "q: the step “supervisor is told” after 1 min never runs on web: the line is over after 1 min.",
            "give after_s less than 1 min, or timers.queue_s more",
        ),
    ],
)
def test_a_finding_says_what_is_wrong_and_how_to_mend_it(text: str, sentence: str, mend: str) -> None:
    (finding,) = lint(policy(text))
    assert (finding.sentence, finding.mend) == (sentence, mend)


def test_several_triggers_that_shadow_one_are_named_together() -> None:
    parts = [
        ("a", "sentiment_below = 0.5"),
        ("a", "confidence_below = 0.5"),
        ("a", "none = [{ confidence_below = 0.5 }]"),
        ("b", "confidence_below = 0.9"),
    ]
    (finding,) = lint(policy(routed(*parts)))
    assert "one of the earlier triggers t1 and t2 holds too" in finding.sentence
    assert finding.mend == "move it before t1 and t2, or narrow t1 or t2"


def test_a_trigger_shadowed_by_an_explicit_one_cannot_be_moved_before_it() -> None:
    text = A_B + (
        '[[trigger]]\nname = "a"\ntier = "a"\nskills = ["s"]\nwhen = { confidence_below = 0.5 }\n'
        '[[trigger]]\nname = "b"\ntier = "b"\nexplicit = true\nwhen = { confidence_below = 0.8 }\n'
    )
    (finding,) = lint(policy(text))
    assert "so that queue a with s is never used" in finding.sentence
    assert finding.mend == "set explicit = true if a person wishes it, or narrow b"
    (finding,) = lint(policy(text.replace("confidence_below = 0.5", "none = [{ confidence_below = 0.5 }]")))
    assert finding.rule == "overlapping_triggers"
    assert "b wins there with queue b, since it is explicit" in finding.sentence


def test_a_tier_is_told_where_it_is_not_the_queues_name() -> None:
    text = (
        HOURS
        + '[[tier]]\nname = "t"\n'
        + queue(more='tier = "t"')
        + queue(name="r")
        + '[[trigger]]\nname = "a"\nqueue = "r"\nwhen = { misses_at_least = 2 }\n'
        + '[[trigger]]\nname = "b"\nqueue = "q"\nwhen = { misses_at_least = 2 }\n'
    )
    (finding,) = lint(policy(text))
    assert "so that queue q (tier t) is never used" in finding.sentence


def test_a_search_that_is_given_up_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from handoff_kit.machines.lint import triggers

    texts = [
        routed(("a", 'intent_in = ["x", "y"]'), ("b", 'intent_in = ["y", "z"]')),
        routed(("a", "misses_at_least = 2"), ("b", "misses_at_least = 3")),
        when("confidence_below = 0"),
    ]
    assert all(map(found, texts))
    monkeypatch.setattr(triggers, "satisfiable", lambda *_, **__: regions_module.UNDECIDED)
    assert not any(map(found, texts))


def test_a_difference_that_is_not_decided_is_no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    from handoff_kit.machines.lint import triggers

    real = triggers.satisfiable

    def tired(wanted: list[object], unwanted: tuple[object, ...] = (), **options: object) -> object:
        return regions_module.UNDECIDED if unwanted else real(wanted, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(triggers, "satisfiable", tired)
    assert found(routed(("a", 'intent_in = ["x", "y"]'), ("b", 'intent_in = ["y", "z"]'))) == []


def test_findings_stand_in_the_order_of_the_file() -> None:
    places = ["trigger[0].when", "trigger[2].when", "trigger[10].when", "timers.queue_s", "texts.de", "queue[0]"]
    places += ["queue[0].step[0].do", "queue[0].step[1].do", "queue[1]", "hours.x", "destination[0].fields"]
    findings = [Finding("r", place, "s", "m") for place in places]
    assert [one.place for one in in_order(reversed(findings))] == places


@pytest.mark.parametrize("name", BUNDLED_POLICIES)
def test_bundled_policies_have_nothing_to_mend(name: str) -> None:
    assert lint(load_policy(name)) == ()


def test_a_policy_of_many_triggers_is_linted() -> None:
    base = policy(
        when(*(f'all = [{{ intent = "i{n}" }}, {{ confidence_below = 0.{n + 10} }}]' for n in range(30)), more='tier = "a"')
    )
    triggers = tuple(attrs.evolve(one, tier="ab"[n % 2]) for n, one in enumerate(base.trigger))
    assert {one.rule for one in lint(Policy(trigger=triggers))} == {"undefined_name"}
