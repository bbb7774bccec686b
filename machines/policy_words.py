"""One sentence for every key of a policy: what it means, in which unit, and what follows where it is left out.

Editors show them through the JSON Schema. Keyed by the classes that structure the file, so that a test finds a key without words
and words without a key. What may not go in here: bounds and defaults, which the classes themselves know.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .destinations import Destination
from .policy import (
    AiRules,
    CallbackRules,
    ContextRules,
    CopilotRules,
    Head,
    HoursRules,
    Limits,
    OfferRules,
    Policy,
    Queue,
    QueueStep,
    ResumeRules,
    Slo,
    StepFilter,
    Tier,
    TimerOverrides,
    TimerRules,
    Trigger,
)

__all__ = ["COMPARISON_WORDS", "CONDITION_WORDS", "EXAMPLES", "KEY_WORDS", "TEXT_WORDS"]

_TIMERS = {
    "context_s": "Seconds for gathering the context; then the customer stands in line without it.",
    "queue_s": "Seconds that somebody waits in line before the queue's `fallback` is promised.",
    "ai_reply_s": "Seconds for the AI's answer to a message; a later one counts as a miss.",
    "bot_idle_s": "Seconds without anything happening before a conversation that the AI holds is closed.",
    "agent_silent_s": "Seconds for an agent's answer to the customer; then the customer is back in line.",
    "customer_idle_s": "Seconds for the customer's answer to an agent; then the conversation takes no capacity until it comes.",
    "customer_gone_s": "Seconds for a customer who left to come back before the conversation ends.",
    "parked_s": "Seconds that a conversation may be parked, where the agent gives no time.",
    "callback_s": "Seconds until a promised callback is tried, where no time was promised.",
    "eta_update_s": "Seconds between two looks at the place in line; the customer is told when it has changed.",
    "wrap_up_s": "Seconds for an agent's paperwork before the conversation is closed.",
}

_DAY = 'opening hours on {}, as ["HH:MM-HH:MM", ..]; an empty list is closed.'


def _day(name: str) -> str:
    words = _DAY.format(name)
    return words[0].upper() + words[1:]


#: What each key means, by the class of its table.
KEY_WORDS: Mapping[type[Any], Mapping[str, str]] = MappingProxyType(
    {
        Policy: {
            "policy": "What the policy is called.",
            "trigger": "When the AI hands over, and to whom; explicit triggers are judged first, then the file's order.",
            "context": "What travels to the person.",
            "resume": "How the AI takes up again after a person.",
            "ai": "What is asked of the AI's turns.",
            "timers": "Seconds that each state may last.",
            "texts": "What the system says, by locale (`de-AT`), else language (`de`), else `default`; an empty one is not sent.",
            "tier": "Tiers of agents; a tier without a queue has one of its own name.",
            "queue": "Lines in which customers wait; a queue that is not listed has the defaults.",
            "offer": "How a waiting conversation is offered to agents.",
            "limits": "How often something may happen within one handoff.",
            "callback": "How promised callbacks are tried.",
            "hours": "Opening hours by name; a queue names the ones it keeps.",
            "copilot": "Whether the AI drafts for an agent.",
            "destination": "What may leave, to whom, for what; without a rule for a destination everything may.",
            "weights": "How much of an agent's capacity one conversation takes, by channel; a channel that is not named takes 1.",
        },
        Head: {
            "schema": "The version of this format.",
            "name": "What the policy is called in lists and reports.",
            "version": "The policy's version, in whatever way you count.",
        },
        Trigger: {
            "name": "What the trigger is called in verdicts and explanations; each name once.",
            "when": "The condition; an object with exactly one key.",
            "reason": "What the person is told as the reason; without one, conditions that held give theirs, else the name.",
            "tier": "The tier of agents to whom it goes.",
            "queue": "The queue in which it waits; without one, the tier's first, else the file's first.",
            "skills": "What an agent must be able to do to be offered it.",
            "priority": "Of who waits, 0 (lowest) to 9; the highest among the triggers that hold counts.",
            "explicit": "Whether it is a person's own wish, which passes every cool-down and is never offloaded; "
            "without it, true for the reason explicit_request.",
            "when_missing": "What counts where the AI's turn does not say enough to judge the condition.",
            "do": "What happens; there is only the handoff.",
        },
        ContextRules: {
            "messages": "How many of the last messages travel to the person.",
            "entities": "Entities that the person needs; what is not known of them is noted as missing.",
            "trend_turns": "Over how many of the last AI turns the sentiment's trend is taken.",
        },
        ResumeRules: {
            "cooldown_s": "Seconds after a return for which only a person's own wish hands over again.",
            "settle_turns": "AI turns in a row without a miss or failure after which the AI counts as settled.",
        },
        AiRules: {
            "require_epoch": "Whether an AI turn that does not state its epoch is refused.",
        },
        TimerRules: {
            **_TIMERS,
            "by_channel": "Seconds that differ on one channel, by its name.",
        },
        TimerOverrides: _TIMERS,
        Tier: {
            "name": "What the tier is called; each name once.",
        },
        Slo: {
            "within_s": "Seconds within which a person should have answered.",
            "share": "Of the customers in this queue, from 0 to 1.",
        },
        StepFilter: {
            "priority_at_most": "Only who has this priority, 0 to 9, or a lower one.",
            "intent_in": "Only whose last intent is one of these.",
        },
        QueueStep: {
            "do": "What happens to who still waits then; each step acts once a handoff.",
            "after_s": "Seconds from the entry of the queue.",
            "when_wait_above_s": "Seconds from the first escalation, whatever happened since.",
            "when_none_available": "True: as soon as nobody is available.",
            "only": "Whom the step concerns; without it, everybody.",
            "tier": "With `widen`: the tier whose agents may take it too.",
            "skill": "With `drop_skill`: the one that is no longer asked; without it, all of them.",
            "by": "With `raise_priority`: by how much.",
            "audience": "With `notify`: who is told: `supervisor`, `queue:<name>` or `agent:<id>`.",
        },
        Queue: {
            "name": "What the queue is called; each name once.",
            "tier": "The tier of agents who take from it; without one, that of the queue's own name.",
            "routed_by": "Who rings the agents: the kit with its offers, or the desk.",
            "hours": "The name of its opening hours, in `[hours.<name>]`.",
            "keep_helping": "Whether the AI goes on answering while the customer waits.",
            "fallback": "What the customer is promised when `timers.queue_s` is over.",
            "slo": "How soon how many should be answered.",
            "step": "What happens to who waits longer, each step once a handoff.",
        },
        OfferRules: {
            "deadline_s": "Seconds for which an offer rings at an agent.",
            "parallel": "At how many agents one conversation rings at once.",
            "decline_memory_s": "Seconds for which an agent who declined is not offered it again.",
            "sticky_s": "Seconds for which a customer goes back to the agent who helped before, if that one is free.",
            "lost_after_s": "Seconds without a sign of an agent's console after which the agent counts as lost.",
        },
        Limits: {
            "transfers": "Transfers from agent to agent; a further one is refused.",
            "offloads": "Times that the AI tries while the customer keeps the place in line.",
        },
        CallbackRules: {
            "attempts": "Times that a callback is tried before it becomes a ticket.",
        },
        HoursRules: {
            "zone": "The time zone of the hours, by its IANA name.",
            **{
                day: _day(name)
                for day, name in {
                    "mon": "Mondays",
                    "tue": "Tuesdays",
                    "wed": "Wednesdays",
                    "thu": "Thursdays",
                    "fri": "Fridays",
                    "sat": "Saturdays",
                    "sun": "Sundays",
                    "mon_fri": "Mondays to Fridays",
                    "mon_sun": "all days",
                }.items()
            },
            "holidays": "The region whose public holidays are closed, as your calendar names it.",
        },
        CopilotRules: {
            "engage": "When the AI begins to draft: when an agent asks for it, or from the moment an agent accepts.",
        },
        Destination: {
            "name": "A queue, a tier, `default`, or `customer` (for {summary} in texts).",
            "purpose": "What the data are needed for; noted in the payload's manifest.",
            "fields": "What may leave: fields of the payload, or parts of one with a dot; all else is withheld and noted.",
            "messages_at_most": "How many of the last messages the destination can take.",
            "text_at_most": "How many characters of one text the destination can take.",
        },
    }
)

#: What each kind of condition means.
CONDITION_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "all": "Every one of these holds.",
        "any": "At least one of these holds.",
        "none": "None of these holds.",
        "intent": "The turn's intent is this one.",
        "intent_in": "The turn's intent is one of these.",
        "confidence_below": "The AI's confidence in the intent, 0 to 1, is below this.",
        "sentiment_below": "The turn's sentiment, -1 (bad) to 1 (good), is below this.",
        "sentiment_trend_below": "The sentiment's change a turn, over the last `context.trend_turns` AI turns, is below this.",
        "misses_at_least": "So many AI turns in a row did not understand.",
        "failed_action": "The turn carries an action that failed (false: carries none).",
        "error_code_in": "The turn carries an action that failed with one of these error codes.",
        "wants_handoff": "The AI itself asks for a person (false: does not ask).",
        "customer_says": "The customer's words hold one of these phrases, as whole words, in upper or lower case.",
        "choice_in": "The customer pressed one of these buttons.",
        "reply_says": "The AI's proposed reply holds one of these phrases, as whole words, in upper or lower case.",
        "entity": "An entity seen so far: its name and one comparison.",
        "attribute": "An attribute of the turn, else of the customer: its name and one comparison.",
        "customer_tier_in": "The customer's tier is one of these.",
        "lifetime_value_at_least": "The customer's lifetime value, in your own currency, is at least this.",
        "customer_identified": "The customer's attribute `identified` is true (false: is not).",
        "channel_in": "The conversation's channel is one of these.",
        "locale_in": "The customer's locale is exactly one of these.",
        "turns_at_least": "The AI has taken so many turns in this stretch.",
        "elapsed_at_least_s": "The AI has held the conversation for so many seconds.",
        "frustration_within_s": "The predicted time to the customer's frustration is below so many seconds.",
        "frustration_before_service": "The predicted time to frustration is below the queue's wait and a margin.",
        "queue_wait_at_least_s": "The estimated wait in the target queue is at least so many seconds.",
        "queue_open": "The target queue is open (false: closed).",
        "agents_available_at_least": "So many agents of the target queue are available.",
    }
)

#: What the keys mean that stand within a condition's value.
COMPARISON_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "name": "What is compared.",
        "at_least": "It is this number or more.",
        "below": "It is less than this number.",
        "equals": "It is this.",
        "in": "It is one of these.",
        "present": "It is known (false: it is not).",
        "margin_s": "Seconds that are added to the queue's wait; negative ones are taken off.",
    }
)

#: When each text is said.
TEXT_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "connecting": "Said at the start of a handoff; {summary} is what the customer may know of what the person sees.",
        "hold": "Said once when the customer writes while waiting.",
        "position": "Said when the place in line has changed; {position} is a number, {eta} a time in words.",
        "offloaded": "Said when the AI tries while the place in line is kept.",
        "resumed": "Said when the AI has the conversation back.",
        "callback": "Said when a callback or a ticket is promised.",
        "closed_hours": "Said instead of `callback` while the queue is closed.",
        "rating": "Said when the agent has finished.",
        "fallback": "Said when the AI has no answer and nothing hands over.",
    }
)

#: What a value may look like, where its type does not show it; keyed like `KEY_WORDS`.
EXAMPLES: Mapping[type[Any], Mapping[str, Any]] = MappingProxyType(
    {
        Head: {"version": "2026-11-1"},
        Trigger: {"when": {"customer_says": ["human", "real person"]}, "reason": "explicit_request", "skills": ["fees"]},
        ContextRules: {"entities": ["transaction_id"]},
        Queue: {"slo": {"within_s": 40, "share": 0.8}, "hours": "office"},
        QueueStep: {"only": {"priority_at_most": 3, "intent_in": ["order_status"]}, "tier": "tier2"},
        HoursRules: {
            "zone": "Europe/Berlin",
            "mon_fri": ["09:00-12:00", "13:00-18:00"],
            "mon_sun": ["00:00-24:00"],
            "holidays": "DE-BE",
        },
        Destination: {"fields": ["customer.id", "messages", "entities.transaction_id"], "purpose": "dispute handling"},
    }
)
