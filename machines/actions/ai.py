"""The AI's side: customers' messages to it, its turns, the silence where a turn should be, the way back to it."""

from ..contracts import ResumeContract
from ..conversation import Asked, Reading
from ..effects import AskBot, EndBotSession, ResumeBot
from ..events import AiTurn, CustomerMessage
from ..evolve import evolve
from ..slate import Slate
from ..values import EMPTY

__all__ = [
    "answer_message",
    "ask_bot",
    "await_ai",
    "fall_back",
    "hear",
    "miss_a_turn",
    "read_turn",
    "say_reply",
    "settle",
]

_ASKED = 16  # how many customer messages an answer may name; fixed by the format of the snapshot
_HEARD = 16  # how many messages without an answer are searched for phrases
_ACTIONS = 16  # how many of the AI's last actions travel to a person


def hear(slate: Slate) -> None:
    """Take a customer's message down."""
    event: CustomerMessage = slate.event
    c = slate.c
    c.asked = (*c.asked, Asked(event.seq, event.id, slate.before.epoch, slate.at))[-_ASKED:]
    c.left_at = None
    slate.remember("customer", event.text, event.attachments)


def await_ai(slate: Slate) -> None:
    """The AI owes an answer; what the customer said counts until its next turn."""
    event: CustomerMessage = slate.event
    c = slate.c
    c.heard = (*c.heard, event.text)[-_HEARD:]
    if event.choice is not None:
        c.choices = (*c.choices, event.choice)[-_HEARD:]
    c.active_at = slate.at
    if c.ai_reply_since is None:
        c.ai_reply_since = slate.at


def ask_bot(slate: Slate) -> None:
    """Ask the AI for its turn on this message."""
    event: CustomerMessage = slate.event
    slate.add(AskBot(slate.epoch, event.id if event.id is not None else event.seq))


def answered(slate: Slate, in_reply_to: int | str | None) -> Asked | None:
    """Return the customer's message that an answer names, if it is one of the last."""
    if in_reply_to is None:
        return None
    return next((a for a in slate.before.asked if in_reply_to in (a.seq, a.id)), None)


def read_turn(slate: Slate) -> None:
    """Take the AI's reading down: counts, entities, the failed action."""
    event: AiTurn = slate.event
    c = slate.c
    if event.entities:
        c.entities = {**c.entities, **event.entities}
    known = c.reading.actions if c.reading is not None else ()
    c.reading = Reading(
        event.intent,
        event.confidence,
        event.sentiment,
        event.summary,
        event.failed_action,
        (*known, *event.actions)[-_ACTIONS:] if event.actions else known,
        event.attributes or EMPTY,
    )
    c.turns += 1
    c.misses = c.misses + 1 if event.missed else 0
    c.settled = 0 if event.missed or event.failed_action is not None else c.settled + 1
    c.sentiments = (*c.sentiments, event.sentiment)[-slate.policy.context.trend_turns :]
    c.heard = c.choices = ()
    c.active_at = slate.at
    c.awaiting_resume = False


def answer_message(slate: Slate) -> None:
    """The turn answers the message that it names, or all that are open."""
    event: AiTurn = slate.event
    c = slate.c
    named = answered(slate, event.in_reply_to)
    c.asked = tuple(
        [evolve(one, answered=True) if not one.answered and (named is None or one is named) else one for one in c.asked]
    )
    waiting = (one.at for one in c.asked if not one.answered and not one.waited and one.epoch == c.epoch)
    c.ai_reply_since = next(waiting, None)


def say_reply(slate: Slate) -> None:
    """Send what the AI proposes; a missed turn without a reply gets the policy's fallback text."""
    event: AiTurn = slate.event
    if event.reply or event.attachments:
        slate.send("ai", event.reply or "", attachments=event.attachments)
        slate.remember("ai", event.reply or "", event.attachments)
    elif event.missed:
        fall_back(slate)


def fall_back(slate: Slate) -> None:
    """Say that the AI has no answer."""
    slate.say("fallback")


def miss_a_turn(slate: Slate) -> None:
    """The AI did not answer in time: a miss, though no turn; it is counted once, until the next message."""
    c = slate.c
    c.misses += 1
    c.settled = 0
    c.ai_reply_since = None
    c.asked = tuple([one if one.answered else evolve(one, waited=True) for one in c.asked])


def start_stretch(slate: Slate, contract: ResumeContract | None = None) -> None:
    """Begin a stretch of the AI: talk before it no longer counts."""
    c = slate.c
    c.boundary = slate.at
    c.turns = c.misses = c.settled = 0
    c.sentiments = ()
    c.heard = c.choices = ()
    c.active_at = slate.at
    c.ai_reply_since = None
    c.contract = contract
    c.waiting = None


def resume_ai(slate: Slate, contract: ResumeContract) -> None:
    """Give the AI the floor with a contract; its turn is awaited without a new message."""
    start_stretch(slate, contract)
    slate.c.ai_reply_since = slate.at
    slate.c.awaiting_resume = True
    slate.add(ResumeBot(slate.epoch, contract))


def settle(slate: Slate) -> None:
    """The handoff is over: the AI holds the conversation as if it had never been given away."""
    slate.c.contract = None


def end_bot_session(slate: Slate) -> None:
    """End the AI platform's session."""
    slate.add(EndBotSession(slate.c.ending or "other"))
