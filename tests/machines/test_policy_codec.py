"""Policies as text: what is refused and in which words, what is left out, and the way back."""

import json
from typing import Any

import attrs
import pytest
from cattrs.errors import ClassValidationError
from machines_build import DEFAULT, policy

from handoff_kit.machines import BadInput, HandoffError, Policy, PolicyError, parse_policy
from handoff_kit.machines.policy import DEFAULT_TEXTS, TIMED
from handoff_kit.machines.policy_codec import _CONVERTER, fingerprint_of, policy_from_data, policy_to_data, told


def refused(text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, file="bank.toml")
    return caught.value


def when(condition: str) -> str:
    return f'[[trigger]]\nname = "t"\nwhen = {condition}'


#: (policy, place, what is wrong there, the mend)
BROKEN: list[tuple[str, str, str, str]] = [
    # syntax
    ("a = ", "bank.toml", "not TOML", "mend the syntax"),
    # unknown keys
    ("[timer]\nqueue_s = 1", "bank.toml: timer", "there is no key 'timer' here", "did you mean 'timers'?"),
    ("[timers]\nqueue_ss = 1", "bank.toml: timers.queue_ss", "there is no key 'queue_ss' here", "did you mean 'queue_s'?"),
    ("[ai]\nzzz = 1", "bank.toml: ai.zzz", "there is no key 'zzz' here", "known are require_epoch"),
    (
        "[[trigger]]\nname = 't'\nprio = 1\nwhen = { intent = 'x' }",
        "bank.toml: trigger[0].prio",
        "there is no key 'prio' here",
        "did you mean 'priority'?",
    ),
    (
        "[timers.by_channel.email]\nqueues = 1",
        "bank.toml: timers.by_channel.email.queues",
        "there is no key 'queues' here",
        "did you mean 'queue_s'?",
    ),
    ("[resume]\nby = 1\ncc = 2", "bank.toml: resume.by", "there is no key 'by' here", "known are"),
    # what is missing
    ("[[tier]]", "bank.toml: tier[0].name", "'name' is missing", "add it"),
    ("[[trigger]]\nname = 't'", "bank.toml: trigger[0].when", "'when' is missing", "add it"),
    ("[[queue]]\nname='q'\nslo = { within_s = 1 }", "bank.toml: queue[0].slo.share", "'share' is missing", "add it"),
    # types
    ("policy = 1", "bank.toml: policy", "found 1", "allowed is a table"),
    ("[policy]\nname = 5", "bank.toml: policy.name", "found 5", "allowed is a string"),
    ("[context]\nmessages = 1.5", "bank.toml: context.messages", "found 1.5", "allowed is a whole number"),
    ("[context]\nmessages = true", "bank.toml: context.messages", "found true", "allowed is a whole number"),
    ("[timers]\nqueue_s = 'long'", "bank.toml: timers.queue_s", 'found "long"', "allowed is a number"),
    ("[timers]\nqueue_s = true", "bank.toml: timers.queue_s", "found true", "allowed is a number"),
    ("[ai]\nrequire_epoch = 1", "bank.toml: ai.require_epoch", "found 1", "allowed is true or false"),
    ("[context]\nentities = 'x'", "bank.toml: context.entities", 'found "x"', "allowed is a list"),
    ("[context]\nentities = ['x', 5]", "bank.toml: context.entities[1]", "found 5", "allowed is a string"),
    ("texts = 1", "bank.toml: texts", "found 1", "allowed is a table"),
    ("[texts.de]\nhold = 5", "bank.toml: texts.de.hold", "found 5", "allowed is a string"),
    ("[weights]\nvoice = 'heavy'", "bank.toml: weights.voice", 'found "heavy"', "allowed is a number"),
    ("[hours]\noffice = 5", "bank.toml: hours.office", "found 5", "allowed is a table"),
    ("trigger = 5", "bank.toml: trigger", "found 5", "allowed is a list"),
    ("[policy]\nversion = 2026-11-01", "bank.toml: policy.version", "found datetime.date(2026, 11, 1)", "allowed is a string"),
    # words
    (
        "[[queue]]\nname = 'q'\nfallback = 'hang_up'",
        "bank.toml: queue[0].fallback",
        'found "hang_up"',
        "allowed is one of callback, ticket",
    ),
    ("[copilot]\nengage = 'always'", "bank.toml: copilot.engage", 'found "always"', "allowed is one of manual, on_accept"),
    (
        "[[trigger]]\nname='t'\ndo = 'notify'\nwhen = { intent = 'x' }",
        "bank.toml: trigger[0].do",
        'do = "notify" is not yet supported',
        "leave `do` out",
    ),
    (
        "[[trigger]]\nname='t'\ndo = 'ask_approval'\nwhen = { intent = 'x' }",
        "bank.toml: trigger[0].do",
        'do = "ask_approval" is not yet supported',
        "leave `do` out",
    ),
    (
        "[[trigger]]\nname='t'\ndo = 'dance'\nwhen = { intent = 'x' }",
        "bank.toml: trigger[0].do",
        'found "dance"',
        "allowed is one of handoff",
    ),
    # ranges
    ("[policy]\nschema = 2", "bank.toml: policy", "schema must be from 1 to 1, not 2", ""),
    (
        "[timers]\nqueue_s = -1",
        "bank.toml: timers",
        "queue_s must be at least 0 and finite (a hundred years at most), not -1",
        "",
    ),
    (
        "[timers]\nqueue_s = inf",
        "bank.toml: timers",
        "queue_s must be at least 0 and finite (a hundred years at most), not inf",
        "",
    ),
    (
        "[timers]\nqueue_s = nan",
        "bank.toml: timers",
        "queue_s must be at least 0 and finite (a hundred years at most), not nan",
        "",
    ),
    ("[timers]\ncallback_s = 0.5", "bank.toml: timers", "callback_s must be at least 1", ""),
    ("[offer]\ndeadline_s = 0", "bank.toml: offer", "deadline_s must be at least 1", ""),
    ("[context]\ntrend_turns = 2", "bank.toml: context", "trend_turns must be at least 3", ""),
    ("[resume]\nsettle_turns = 0", "bank.toml: resume", "settle_turns must be at least 1", ""),
    (
        "[[trigger]]\nname='t'\npriority = 10\nwhen = { intent = 'x' }",
        "bank.toml: trigger[0]",
        "priority must be from 0 to 9, not 10",
        "",
    ),
    ("[[queue]]\nname='q'\nslo = { within_s = 1, share = 2 }", "bank.toml: queue[0].slo", "share must be from 0 to 1", ""),
    ("[[tier]]\nname = ''", "bank.toml: tier[0]", "name", ""),
    # queue steps
    (
        "[[queue]]\nname='q'\n[[queue.step]]\ndo='callback'",
        "bank.toml: queue[0].step[0]",
        "needs exactly one of after_s",
        "",
    ),
    (
        "[[queue]]\nname='q'\n[[queue.step]]\ndo='callback'\nafter_s=1\nwhen_none_available=true",
        "bank.toml: queue[0].step[0]",
        "needs exactly one of after_s",
        "",
    ),
    (
        "[[queue]]\nname='q'\n[[queue.step]]\ndo='callback'\nwhen_none_available=false",
        "bank.toml: queue[0].step[0]",
        "needs exactly one of after_s",
        "",
    ),
    (
        "[[queue]]\nname='q'\n[[queue.step]]\ndo='widen'\nafter_s=1",
        "bank.toml: queue[0].step[0]",
        'do = "widen" needs a tier',
        "",
    ),
    (
        "[[queue]]\nname='q'\n[[queue.step]]\ndo='sing'\nafter_s=1",
        "bank.toml: queue[0].step[0].do",
        'found "sing"',
        "allowed is one of widen",
    ),
    # duplicates
    (DEFAULT + DEFAULT, "bank.toml", "trigger name 'ai_asks' is given twice", ""),
    ("[[tier]]\nname='a'\n[[tier]]\nname='a'", "bank.toml", "tier name 'a' is given twice", ""),
    ("[[queue]]\nname='a'\n[[queue]]\nname='a'", "bank.toml", "queue name 'a' is given twice", ""),
    ("[[destination]]\nname='a'\n[[destination]]\nname='a'", "bank.toml", "destination name 'a' is given twice", ""),
    # texts
    ("[texts.de]\nhallo = 'x'", "bank.toml", "texts.de has no text 'hallo'", ""),
    # conditions
    (when("5"), "bank.toml: trigger[0].when", "found 5", "allowed is a condition"),
    (when("{}"), "bank.toml: trigger[0].when", "found {}", "exactly one key"),
    (when("{ intent = 'x', wants_handoff = true }"), "bank.toml: trigger[0].when", "found {", "exactly one key"),
    (
        when("{ confidence_bellow = 0.8 }"),
        "bank.toml: trigger[0].when.confidence_bellow",
        "there is no condition 'confidence_bellow'",
        "did you mean 'confidence_below'?",
    ),
    (when("{ zzz = 1 }"), "bank.toml: trigger[0].when.zzz", "there is no condition 'zzz'", "known are all, any, none, intent"),
    (when("{ all = [] }"), "bank.toml: trigger[0].when.all", "found []", "a list of conditions that is not empty"),
    (when("{ any = { intent = 'x' } }"), "bank.toml: trigger[0].when.any", "found {", "a list of conditions"),
    (
        when("{ all = [{ intent = 'x' }, { none = [{ confidence_below = 2 }] }] }"),
        "bank.toml: trigger[0].when.all[1].none[0].confidence_below",
        "found 2",
        "allowed is from 0 to 1",
    ),
    (when("{ intent = '' }"), "bank.toml: trigger[0].when.intent", 'found ""', "allowed is a string that is not empty"),
    (when("{ intent = 5 }"), "bank.toml: trigger[0].when.intent", "found 5", "allowed is a string"),
    (when("{ intent_in = [] }"), "bank.toml: trigger[0].when.intent_in", "found []", "a list of strings that is not empty"),
    (when("{ intent_in = 'x' }"), "bank.toml: trigger[0].when.intent_in", 'found "x"', "a list of strings"),
    (when("{ intent_in = ['x', ' '] }"), "bank.toml: trigger[0].when.intent_in", "found [", "a list of strings"),
    (when("{ customer_says = [] }"), "bank.toml: trigger[0].when.customer_says", "found []", "a list of strings"),
    (
        when("{ confidence_below = 'low' }"),
        "bank.toml: trigger[0].when.confidence_below",
        'found "low"',
        "a number (from 0 to 1)",
    ),
    (when("{ confidence_below = true }"), "bank.toml: trigger[0].when.confidence_below", "found true", "a number"),
    (when("{ sentiment_below = -1.5 }"), "bank.toml: trigger[0].when.sentiment_below", "found -1.5", "from -1 to 1"),
    (when("{ sentiment_trend_below = 3 }"), "bank.toml: trigger[0].when.sentiment_trend_below", "found 3", "from -2 to 2"),
    (when("{ misses_at_least = 0 }"), "bank.toml: trigger[0].when.misses_at_least", "found 0", "a whole number, at least 1"),
    (when("{ misses_at_least = true }"), "bank.toml: trigger[0].when.misses_at_least", "found true", "a whole number"),
    (when("{ turns_at_least = 1.5 }"), "bank.toml: trigger[0].when.turns_at_least", "found 1.5", "a whole number"),
    (when("{ elapsed_at_least_s = -1 }"), "bank.toml: trigger[0].when.elapsed_at_least_s", "found -1", "at least 0"),
    (when("{ wants_handoff = 'yes' }"), "bank.toml: trigger[0].when.wants_handoff", 'found "yes"', "true or false"),
    (
        when("{ lifetime_value_at_least = '5' }"),
        "bank.toml: trigger[0].when.lifetime_value_at_least",
        'found "5"',
        "a finite number",
    ),
    (
        when("{ frustration_before_service = 30 }"),
        "bank.toml: trigger[0].when.frustration_before_service",
        "found 30",
        "{ margin_s = seconds }",
    ),
    (
        when("{ frustration_before_service = { margin = 30 } }"),
        "bank.toml: trigger[0].when.frustration_before_service",
        "found {",
        "{ margin_s = seconds }",
    ),
    (
        when("{ entity = 5 }"),
        "bank.toml: trigger[0].when.entity",
        "found 5",
        "{ name = .., and one of at_least, below, equals, in",
    ),
    (when("{ entity = { name = 'x' } }"), "bank.toml: trigger[0].when.entity", "found {", "and one of at_least"),
    (when("{ entity = { at_least = 1 } }"), "bank.toml: trigger[0].when.entity", "found {", "and one of at_least"),
    (when("{ entity = { name = 'x', above = 1 } }"), "bank.toml: trigger[0].when.entity", "found {", "and one of at_least"),
    (when("{ entity = { name = 'x', below = 'y' } }"), "bank.toml: trigger[0].when.entity", "found {", "below = a number"),
    (
        when("{ attribute = { name = 'x', at_least = 1, below = 2 } }"),
        "bank.toml: trigger[0].when.attribute",
        "found {",
        "one of at_least",
    ),
    (
        when("{ attribute = { name = 'x', in = [] } }"),
        "bank.toml: trigger[0].when.attribute",
        "found {",
        "in = a list that is not empty",
    ),
    (when("{ attribute = { name = 'x', in = [[]] } }"), "bank.toml: trigger[0].when.attribute", "found {", "a string, a number"),
    (when("{ attribute = { name = 'x', present = 1 } }"), "bank.toml: trigger[0].when.attribute", "found {", "true or false"),
    (
        "[[trigger]]\nname='a'\nwhen={ intent='x' }\n[[trigger]]\nname='b'\nwhen={ intent='' }",
        "bank.toml: trigger[1].when.intent",
        'found ""',
        "allowed is",
    ),
]


@pytest.mark.parametrize(("text", "place", "what", "mend"), BROKEN)
def test_an_error_names_place_finding_and_mend(text: str, place: str, what: str, mend: str) -> None:
    error = refused(text)
    assert error.place == place
    assert what in error.what
    assert mend in error.mend
    assert str(error) == f"{error.place}: {error.what}; {error.mend}"


@pytest.mark.parametrize("number", ["inf", "nan", "-inf"])
def test_a_threshold_is_finite(number: str) -> None:
    with pytest.raises(PolicyError, match="lifetime_value_at_least"):
        parse_policy(when(f"{{ lifetime_value_at_least = {number} }}"))


@pytest.mark.parametrize("number", ["-1", "inf", "nan"])
def test_a_weight_is_finite_and_at_least_0(number: str) -> None:
    with pytest.raises(PolicyError, match="weights"):
        parse_policy(f"[weights]\nvoice = {number}")


@pytest.mark.parametrize("table", ["timers", "timers.by_channel.email"])
def test_a_time_that_no_clock_can_hold_is_refused(table: str) -> None:
    with pytest.raises(PolicyError, match="queue_s"):
        parse_policy(f"[{table}]\nqueue_s = 1e300")


def test_a_long_finding_is_cut() -> None:
    assert refused(f"[context]\nmessages = '{'x' * 200}'").what.endswith("...")


def test_everything_that_is_wrong_can_be_told() -> None:
    data = {"timer": 1, "resum": 1, "context": {"messages": "x", "entities": 5}}
    with pytest.raises(ClassValidationError) as caught:
        _CONVERTER.structure(data, Policy)
    assert sorted(path for path, _, _ in told(caught.value, "")) == ["context.entities", "context.messages", "resum", "timer"]


def test_a_policy_error_is_bad_input() -> None:
    assert issubclass(PolicyError, BadInput)
    assert issubclass(BadInput, HandoffError)


# --- defaults


def test_nothing_at_all_is_a_policy() -> None:
    assert parse_policy("") == Policy()


def test_the_times_of_a_policy_without_any() -> None:
    spans = Policy().durations("web")
    assert {name: getattr(spans, name).total_seconds() for name in TIMED} == {
        "context": 10,
        "queue": 600,
        "ai_reply": 60,
        "bot_idle": 1800,
        "agent_silent": 300,
        "customer_idle": 600,
        "customer_gone": 60,
        "parked": 86400,
        "callback": 3600,
        "eta_update": 60,
        "wrap_up": 120,
    }


def test_the_other_numbers_of_a_policy_without_any() -> None:
    p = Policy()
    assert (p.context.messages, p.context.trend_turns) == (5, 4)
    assert (p.resume.cooldown_s, p.resume.settle_turns) == (120, 2)
    assert (p.offer.deadline_s, p.offer.parallel, p.offer.decline_memory_s) == (20, 1, 120)
    assert (p.offer.sticky_s, p.offer.lost_after_s) == (86400, 60)
    assert (p.limits.transfers, p.limits.offloads, p.callback.attempts) == (5, 1, 3)
    assert (p.copilot.engage, p.ai.require_epoch) == ("manual", False)
    assert p.name == "unnamed"


def test_a_queue_that_is_not_listed_has_the_defaults() -> None:
    found = Policy().queue_named("odd")
    assert (found.name, found.routed_by, found.keep_helping, found.fallback, found.step) == ("odd", "kit", False, "callback", ())


def test_a_queue_that_is_listed_is_found() -> None:
    assert policy("[[queue]]\nname='q'\nkeep_helping=true").queue_named("q").keep_helping


# --- times by channel


def test_a_channel_overrides_the_times_that_it_names() -> None:
    spans = policy("[timers]\nqueue_s = 30\nwrap_up_s = 7\n[timers.by_channel.email]\nqueue_s = 86400").durations("email")
    assert (spans.queue.total_seconds(), spans.wrap_up.total_seconds()) == (86400, 7)


def test_other_channels_keep_the_common_times() -> None:
    assert policy("[timers]\nqueue_s = 30\n[timers.by_channel.email]\nqueue_s = 5").durations("web").queue.total_seconds() == 30


def test_a_channel_may_set_a_time_to_nothing() -> None:
    assert policy("[timers.by_channel.email]\ncontext_s = 0").durations("email").context.total_seconds() == 0


# --- texts

TEXTS = """
[texts.default]
hold = "default"
rating = ""
[texts.de]
hold = "de"
[texts.de-AT]
hold = "de-AT"
"""


@pytest.mark.parametrize(
    ("locale", "text"),
    [("de-AT", "de-AT"), ("de-CH", "de"), ("de", "de"), ("fr-FR", "default"), (None, "default"), ("", "default")],
)
def test_a_text_is_chosen_by_locale_then_language_then_default(locale: str | None, text: str) -> None:
    assert policy(TEXTS).text("hold", locale) == text


def test_a_text_that_the_policy_lacks_is_the_librarys() -> None:
    assert policy(TEXTS).text("fallback", "de") == DEFAULT_TEXTS["fallback"]


def test_a_text_may_be_set_to_nothing() -> None:
    assert policy(TEXTS).text("rating", "de") == ""


# --- queue steps


@pytest.mark.parametrize(
    ("only", "priority", "intent", "meant"),
    [
        ("", 9, None, True),
        ("only = { priority_at_most = 3 }", 3, None, True),
        ("only = { priority_at_most = 3 }", 4, None, False),
        ("only = { intent_in = ['a'] }", 9, "a", True),
        ("only = { intent_in = ['a'] }", 9, "b", False),
        ("only = { intent_in = ['a'] }", 9, None, False),
        ("only = { priority_at_most = 3, intent_in = ['a'] }", 3, "b", False),
        ("only = { priority_at_most = 3, intent_in = ['a'] }", 3, "a", True),
    ],
)
def test_a_step_concerns_the_items_that_it_names(only: str, priority: int, intent: str | None, meant: bool) -> None:
    step = policy(f"[[queue]]\nname='q'\n[[queue.step]]\ndo='callback'\nafter_s=1\n{only}").queue[0].step[0]
    assert step.concerns(priority, intent) is meant


# --- the way back and the fingerprint

WHOLE = """
[policy]
schema = 1
name = "banking"
version = "2026-11-1"
[[trigger]]
name = "fee_dispute_unsure"
reason = "low_confidence"
priority = 6
tier = "tier1"
skills = ["cards"]
explicit = false
when_missing = "holds"
when.all = [
  { intent = "fee_dispute" },
  { intent_in = ["a", "b"] },
  { any = [ { confidence_below = 0.8 }, { sentiment_below = -0.3 }, { sentiment_trend_below = -0.2 } ] },
  { none = [ { misses_at_least = 2 }, { failed_action = false }, { error_code_in = ["E"] }, { wants_handoff = true } ] },
  { customer_says = ["human"] }, { choice_in = ["b"] }, { reply_says = ["colleague"] },
  { entity = { name = "n", at_least = 1 } }, { entity = { name = "n", below = 1 } },
  { entity = { name = "n", equals = "x" } }, { entity = { name = "n", in = ["x", 1, true] } },
  { attribute = { name = "n", present = true } },
  { customer_tier_in = ["gold"] }, { lifetime_value_at_least = 5000 }, { customer_identified = true },
  { channel_in = ["web"] }, { locale_in = ["de"] }, { turns_at_least = 12 }, { elapsed_at_least_s = 600 },
  { frustration_within_s = 120 }, { frustration_before_service = { margin_s = 30 } },
  { queue_wait_at_least_s = 300 }, { queue_open = true }, { agents_available_at_least = 1 },
]
[[trigger]]
name = "direct"
queue = "tier1"
when = { wants_handoff = true }
[context]
messages = 7
entities = ["transaction_id"]
trend_turns = 5
[resume]
cooldown_s = 60
settle_turns = 3
[ai]
require_epoch = true
[timers]
queue_s = 300
[timers.by_channel.email]
queue_s = 86400
agent_silent_s = 1
[texts.default]
hold = "Wait"
[texts.de]
hold = "Warten"
[[tier]]
name = "tier1"
[[queue]]
name = "tier1"
tier = "tier1"
routed_by = "desk"
hours = "office"
keep_helping = true
fallback = "ticket"
slo = { within_s = 40, share = 0.9 }
[[queue.step]]
when_wait_above_s = 300
do = "offload_to_ai"
only = { priority_at_most = 3, intent_in = ["order_status"] }
[[queue.step]]
after_s = 10
do = "widen"
tier = "tier2"
[[queue.step]]
when_none_available = true
do = "notify"
audience = "agent:a1"
[offer]
deadline_s = 25
parallel = 2
[limits]
transfers = 4
offloads = 2
[callback]
attempts = 2
[hours.office]
zone = "Europe/Berlin"
mon_fri = ["09:00-18:00"]
holidays = "DE-BE"
[copilot]
engage = "on_accept"
[[destination]]
name = "nurse"
purpose = "treatment"
fields = ["customer.id", "messages"]
[weights]
voice = 3
"""


@pytest.mark.parametrize("text", ["", DEFAULT, WHOLE, TEXTS])
def test_a_policy_survives_the_way_through_data(text: str) -> None:
    first = policy(text)
    data = json.loads(json.dumps(policy_to_data(first)))
    again = policy_from_data(data)
    assert again == first
    assert again.fingerprint == first.fingerprint


def test_data_leave_out_what_is_the_default() -> None:
    assert policy_to_data(Policy()) == {}
    assert policy_to_data(policy("[timers]\nqueue_s = 600\ncontext_s = 5")) == {"timers": {"context_s": 5}}


SAME = [
    ("", "[policy]\nschema = 1"),
    ("", "[timers]\nqueue_s = 600"),
    ("", "[timers]\nqueue_s = 600.0"),
    ("", "[resume]\ncooldown_s = 120"),
    ("", "[context]\nentities = []"),
    ("[timers]\nqueue_s = 5", "[timers]\nqueue_s = 5.0"),
    (when("{ intent = 'x' }"), when("{ intent = 'x' }") + "\npriority = 5\ndo = 'handoff'\nwhen_missing = 'fails'"),
    (when("{ lifetime_value_at_least = 5 }"), when("{ lifetime_value_at_least = 5.0 }")),
    (when("{ customer_says = ['Human', 'human'] }"), when("{ customer_says = ['human'] }")),
    ("[[queue]]\nname='q'", "[[queue]]\nname='q'\nrouted_by='kit'\nfallback='callback'\nkeep_helping=false"),
    ("# a comment", ""),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_a_fingerprint_ignores_what_is_the_default_anyway(left: str, right: str) -> None:
    assert policy(left).fingerprint == policy(right).fingerprint


DIFFERENT = [
    ("", "[timers]\nqueue_s = 601"),
    ("", "[policy]\nname = 'x'"),
    ("", "[texts.de]\nhold = 'x'"),
    (when("{ intent = 'x' }"), when("{ intent = 'y' }")),
    (when("{ intent = 'x' }"), when("{ intent_in = ['x'] }")),
    (when("{ all = [{ intent = 'x' }] }"), when("{ any = [{ intent = 'x' }] }")),
    (when("{ intent_in = ['x', 'y'] }"), when("{ intent_in = ['y', 'x'] }")),
    (when("{ entity = { name = 'n', at_least = 1 } }"), when("{ attribute = { name = 'n', at_least = 1 } }")),
    (when("{ entity = { name = 'n', equals = 1 } }"), when("{ entity = { name = 'n', equals = true } }")),
    (when("{ entity = { name = 'n', equals = 1 } }"), when("{ entity = { name = 'n', equals = '1' } }")),
    ("[timers.by_channel.email]\nqueue_s = 1", "[timers]\nqueue_s = 1"),
    ("[weights]\nvoice = 2", "[weights]\nvoice = 3"),
]


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_a_fingerprint_tells_policies_apart_that_decide_otherwise(left: str, right: str) -> None:
    assert policy(left).fingerprint != policy(right).fingerprint


def test_a_fingerprint_is_the_same_tomorrow() -> None:
    assert fingerprint_of(Policy()) == "44136fa355b3678a1146ad16f7e8649e"


def test_a_policy_can_be_made_without_text() -> None:
    assert attrs.evolve(policy(DEFAULT), trigger=()).fingerprint == Policy().fingerprint


def _data(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_data_of_a_condition_are_what_was_written() -> None:
    data = _data(policy_to_data(policy(when("{ entity = { name = 'n', in = ['x', 1] } }"))))
    assert data["trigger"][0]["when"] == {"entity": {"name": "n", "in": ["x", 1.0]}}
