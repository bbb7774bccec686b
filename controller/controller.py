"""The controller: loads, decides with `machines`, commits, and lets the dispatcher deliver.

One event's way: redact, take the conversation's lane, answer a repetition, load, look up what `needs` says, step the timers that
are due and then the event, commit all of it in one transaction, answer. Nothing is acknowledged before it is durable, nothing is
sent before it is committed. What may not go in here: rules of conversations (`machines`), SQL (`stores`), sending (`dispatcher`).
"""

import asyncio
import concurrent.futures
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import attrs

from handoff_kit.machines import (
    AiTurn,
    Conversation,
    ConversationStarted,
    CustomerMessage,
    Event,
    HandoffUsageError,
    Policy,
    PolicyChanged,
    PresenceChanged,
    State,
    Step,
    TimerFired,
    due,
    needs,
    step,
)
from handoff_kit.machines.effects import SendToCustomer
from handoff_kit.machines.events import stamped

from .channels import as_channel
from .clock import SystemClock
from .dispatcher import Dispatcher
from .errors import ClockAhead, ControllerClosed, UnknownConversation, UnknownPolicy, VersionConflict
from .lanes import Lanes
from .logs import log_fact, log_step
from .outcome import Outcome
from .ports import Bot, Channel, Clock, Desk, Notifier, Predictor, Redactor, Store, Summarizer
from .records import Accepted, Commit, Declined, Delivery, Remembered, Settled, deliveries_of, owed_of
from .shelf import load_policy
from .stores import store_of
from .stores.owners import leave, new_owner
from .summarizers import RulesSummarizer
from .wakeups import Wakeups

__all__ = ["Controller"]

#: How often a commit is decided anew after somebody else wrote first. Each time one of the rivals got through, so that many tries
#: are needed only where as many processes write to one conversation at the same moment.
_TRIES = 1000
#: How many conversations are kept decoded; one takes a few KB.
_CACHED = 10_000

Send = Callable[[str, SendToCustomer, str], Awaitable[None]]


class Controller:
    """Use it with `async with Controller.open(..) as controller`."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        *,
        channel: Channel,
        desk: Desk | None,
        bot: Bot | None,
        summarizer: Summarizer | None,
        notifier: Notifier | None,
        predictor: Predictor | None,
        redactor: Redactor | None,
        clock: Clock,
        clock_skew_s: float,
        dedupe_days: float,
    ) -> None:
        self.store = store
        self.policy = policy
        self.channel = channel
        self.clock = clock
        self.bot = bot
        self._predictor = predictor
        self._redactor = redactor
        self._skew = timedelta(seconds=clock_skew_s)
        self._dedupe = timedelta(days=dedupe_days)
        self._name = new_owner()
        self._policies = {policy.fingerprint: policy}
        self._cache: OrderedDict[str, Conversation] = OrderedDict()
        self._lanes = Lanes()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dispatcher = Dispatcher(
            self,
            name=self._name,
            channel=channel,
            desk=desk,
            bot=bot,
            notifier=notifier,
            summarizer=summarizer or RulesSummarizer(),
        )
        self._wakeups = Wakeups(store, clock, self._wake)

    # --- opening and closing

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        store: str | Store = "memory://",
        *,
        policy: str | Policy = "general",
        channel: Channel | Send | None = None,
        desk: Desk | None = None,
        bot: Bot | None = None,
        summarizer: Summarizer | None = None,
        notifier: Notifier | None = None,
        predictor: Predictor | None = None,
        redactor: Redactor | None = None,
        clock: Clock | None = None,
        clock_skew_s: float = 5,
        dedupe_days: float = 30,
    ) -> AsyncIterator["Controller"]:
        """Open a controller, and close it at the end.

        Args:
            store: a URL (`sqlite:///handoff.db`, `memory://`), the path of a SQLite file, or a store.
            policy: a TOML file, a bundled name, or a policy: for conversations that begin from now on. A conversation keeps the
                policy that it started under.
            channel: where customers read: a channel, or an async function `(conversation, text, key)`. Without one the host sends
                what `Outcome.owed` holds.
            desk: where people work. Without one, what is for a desk is only in `Outcome.effects`.
            bot: the AI, which the controller then asks itself. Without one the host hands in `AiTurn` events.
            summarizer: gathers the context for the person. Without one the payload composes a summary by rule.
            notifier: makes a noise at agents. Without one, the notice is logged.
            predictor: predicts frustration where a trigger asks for it.
            redactor: takes out what must not be stored, before anything is decided.
            clock: the time. The default is the system's.
            clock_skew_s: how far ahead of our clock an event's `at` may lie, in seconds.
            dedupe_days: for how many days after its end the ids of a conversation's events are remembered.

        Raises:
            StoreError: the store cannot be used.
            PolicyError: the policy cannot be used.
        """
        controller = cls(
            store_of(store) if isinstance(store, str) else store,
            load_policy(policy) if isinstance(policy, str) else policy,
            channel=as_channel(channel),
            desk=desk,
            bot=bot,
            summarizer=summarizer,
            notifier=notifier,
            predictor=predictor,
            redactor=redactor,
            clock=clock or SystemClock(),
            clock_skew_s=clock_skew_s,
            dedupe_days=dedupe_days,
        )
        try:
            await controller.start()
            yield controller
        finally:
            await controller.close()

    async def start(self) -> None:
        """Open the store, and begin to deliver and to fire timers; `open` does it."""
        self._loop = asyncio.get_running_loop()
        await self.store.open()
        await self.store.put_policy(self.policy)
        await self.store.forget_ids(self.clock.now() - self._dedupe)
        self._dispatcher.start()
        self._wakeups.start()

    async def close(self) -> None:
        """Take no more events, finish those that were submitted, and come to rest.

        Deliveries that are under way get a moment to finish; those that do not are tried again by whoever opens the store next.
        """
        self._closing = True
        await self._wakeups.stop()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._dispatcher.stop()
        leave(self._name)
        await self.store.close()

    # --- events

    async def handle(self, event: Event) -> Outcome:
        """Handle one event.

        Events of one conversation are handled in the order in which they are submitted; different conversations go on side by
        side. A submitted event is not undone by cancellation: the same `id` then gives its outcome.

        Args:
            event: `at` is given by the controller where it is absent. `seq` is always the controller's: the version after the
                event, so that what is exported has no gaps; an AI's turn may name a message by it, or better by its `id`.

        Raises:
            UnknownConversation: it was never started here.
            ClockAhead: its `at` lies too far ahead of our clock.
            VersionConflict: others wrote to the same conversation first, each time.
            StoreError: nothing of it was written; handle it again once the store works.
            ControllerClosed: the controller is closed.
        """
        if self._closing:
            raise ControllerClosed
        return cast(Outcome, await asyncio.shield(self._task(self._answered(event))))

    async def take(self, event: Event) -> Outcome:
        """Handle an event of our own, also while the controller closes."""
        return cast(Outcome, await asyncio.shield(self._task(self._submitted(self._redacted(event)))))

    def submit(self, event: Event) -> "concurrent.futures.Future[Outcome]":
        """Handle an event from another thread; return a future of that thread's world."""
        if self._loop is None:
            raise HandoffUsageError("the controller is not open: use `async with Controller.open(..)`")
        if self._closing:
            raise ControllerClosed
        return asyncio.run_coroutine_threadsafe(self.handle(event), self._loop)

    def _task(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _redacted(self, event: Event) -> Event:
        return event if self._redactor is None else self._redactor.redact(event)

    async def _submitted(self, event: Event) -> Outcome:
        if isinstance(event, PresenceChanged):
            raise HandoffUsageError("presence_changed belongs to an agent's own stream, which the controller does not keep yet")
        if event.conversation.startswith("agent/"):
            raise HandoffUsageError(f"{event.conversation!r}: no conversation may have an id that begins with 'agent/'")
        async with self._lanes.lane(event.conversation):
            outcome, onward = await self._in_lane(event)
        return outcome if onward is None else await self._submitted(attrs.evolve(event, conversation=onward, seq=None))

    async def _answered(self, event: Event) -> Outcome:
        """Handle a host's event; the answer carries the texts that travel in it."""
        outcome = await self._submitted(self._redacted(event))
        if self.channel.kind == "inline":
            outcome = attrs.evolve(outcome, owed=tuple(await self._owed_texts(outcome.conversation)))
        return outcome

    async def _in_lane(self, event: Event) -> tuple[Outcome, str | None]:
        conflict: VersionConflict | None = None
        for _ in range(_TRIES):
            if event.id is not None:
                first = await self.store.recall(event.conversation, event.id)
                if first is not None:
                    return Outcome.again(first), None
            try:
                return await self._decide(event)
            except VersionConflict as error:
                conflict = error
                self._cache.pop(event.conversation, None)
        assert conflict is not None
        raise conflict

    async def _decide(self, event: Event) -> tuple[Outcome, str | None]:
        before = await self._load(event.conversation)
        if before is None and not isinstance(event, ConversationStarted):
            raise UnknownConversation(event.conversation, event.type)
        now = self.clock.now()
        if event.at is not None and event.at - now > self._skew:
            raise ClockAhead(event.at, now, self._skew.total_seconds())
        at = now if event.at is None else min(event.at, now)  # nothing is due before its time by our clock
        steps = [] if before is None else await self._fired(before, max(at, before.at))
        if steps:
            before = steps[-1].after
        if before is not None and before.state is State.CLOSED and isinstance(event, CustomerMessage):
            await self._commit(steps, None, None)
            return _unchanged(before), await self._successor(before, event)
        if isinstance(event, TimerFired):
            fired = next((one for one in steps if _is_of(one, event)), None)
            if fired is not None:  # it was due, and acted just now
                committed = await self._commit(steps, None, _remembered(event, fired, now) if event.id is not None else None)
                return self._outcome(committed, fired), None
        policy = self._policies[self.policy.fingerprint] if before is None else await self._policy(before.policy)
        if isinstance(event, PolicyChanged):
            await self._policy(event.fingerprint)  # an unknown one is an error now, not at the next event
        version = before.version if before is not None else 0
        event = stamped(event, at, version + 1)
        event = await self._looked_up(policy, before, event)
        decided = step(policy, before, event)
        remembered = _remembered(event, decided, now) if event.id is not None else None
        return self._outcome(await self._commit(steps, decided, remembered), decided), None

    async def _fired(self, before: Conversation, at: datetime) -> list[Step]:
        """Return the steps of all timers that are due before an event, in their order."""
        steps: list[Step] = []
        while (timer := due(before, at)) is not None:
            policy = await self._policy(before.policy)
            fired = step(policy, before, await self._looked_up(policy, before, stamped(timer, timer.at, before.version + 1)))
            if fired.refused is not None:
                break
            steps.append(fired)
            before = fired.after
        return steps

    async def _commit(self, fired: list[Step], decided: Step | None, remembered: Remembered | None) -> tuple[Accepted, ...]:
        """Write the steps that were accepted, and return them as they were written."""
        steps = [*fired, *([decided] if decided is not None and decided.refused is None else [])]
        declined = []
        if decided is not None and decided.refused is not None:
            at = decided.event.at
            assert at is not None
            declined.append(Declined(decided.event, at, decided.after.version, decided.refused))
        if not steps and not declined:
            return ()
        accepted = tuple([self._accepted(one) for one in steps])
        commit = Commit(
            steps=accepted,
            declined=tuple(declined),
            remembered=(remembered,) if remembered is not None else (),
            alone=len(self._tasks) == 1,
        )
        await self.store.commit(commit)
        for one in steps if decided is None or decided.refused is None else (*steps, decided):
            log_step(one)
        if steps:
            self._keep(steps[-1].after)
            self._dispatcher.committed(steps)
            self._wakeups.wake(steps[-1].after)
        return accepted

    def _accepted(self, one: Step) -> Accepted:
        return Accepted(one, (one.before or one.after).policy, owed_of(one, self._dispatcher.ports))

    def _outcome(self, committed: tuple[Accepted, ...], decided: Step) -> Outcome:
        after = decided.after
        effects = decided.effects
        if len(committed) != 1:
            effects = tuple([effect for one in committed for effect in one.step.effects])
        owed: tuple[Delivery, ...] = ()
        if self.channel.kind != "push":
            owed = tuple([delivery for one in committed for delivery in deliveries_of(one) if delivery.port == "channel"])
        return Outcome(
            conversation=after.id,
            state=after.state.value,
            version=after.version,
            epoch=after.epoch,
            owner=after.owner,
            step=decided,
            effects=effects,
            verdicts=decided.verdicts,
            reply=decided.reply,
            refused=decided.refused,
            owed=owed,
        )

    # --- a closed conversation goes on in a new one

    async def _successor(self, closed: Conversation, event: CustomerMessage) -> str:
        known = await self.store.successor(closed.id)
        if known is not None:
            return known
        name = f"{closed.id}~{event.id if event.id is not None else closed.version}"
        policy = self.policy
        at = max(self.clock.now(), closed.at)
        started = ConversationStarted(
            conversation=name, seq=1, at=at, channel=closed.channel, customer=closed.customer, previous=closed.id
        )
        first = step(policy, None, started)
        await self.store.commit(Commit(steps=(self._accepted(first),), continues=(closed.id, name)))
        log_step(first)
        self._keep(first.after)
        self._wakeups.wake(first.after)
        return name

    # --- timers

    async def _wake(self, conversation: str) -> bool:
        """Fire what is due in a conversation without an event, and return whether anything was; the poller calls it."""
        if self._closing:
            return False
        async with self._lanes.lane(conversation):
            for _ in range(_TRIES):
                self._cache.pop(conversation, None)  # the store says that it is due: others may have written
                before = await self._load(conversation)
                if before is None:
                    return False
                steps = await self._fired(before, self.clock.now())
                with contextlib.suppress(VersionConflict):
                    await self._commit(steps, None, None)
                    return bool(steps)
        return False

    # --- what is looked up

    async def _load(self, conversation: str) -> Conversation | None:
        known = self._cache.get(conversation)
        if known is not None:
            return known
        loaded = await self.store.load(conversation)
        if loaded is not None:
            self._keep(loaded)
        return loaded

    def _keep(self, conversation: Conversation) -> None:
        self._cache[conversation.id] = conversation
        self._cache.move_to_end(conversation.id)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)

    async def _policy(self, fingerprint: str) -> Policy:
        policy = self._policies.get(fingerprint)
        if policy is None:
            policy = await self.store.policy(fingerprint)
            if policy is None:
                raise UnknownPolicy(fingerprint)
            self._policies[fingerprint] = policy
        return policy

    async def _looked_up(self, policy: Policy, before: Conversation | None, event: Event) -> Event:
        """Return the event with what must be known before it is decided."""
        if self._predictor is None or not isinstance(event, AiTurn) or before is None:
            return event
        if not needs(policy, before, event).prediction:
            return event
        try:
            prediction = await self._predictor.predict(before, event)
        except Exception as error:  # a model that fails is a prediction that is not known
            log_fact(logging.WARNING, "prediction_failed", conversation_id=event.conversation, error=type(error).__name__)
            return event
        return attrs.evolve(event, prediction=prediction)

    # --- deliveries

    async def drain(self) -> list[Delivery]:
        """Deliver what is owed by now, and return what a host without a channel still owes, in order.

        Deliveries that failed and wait for a later attempt are left to wait.
        """
        await self._dispatcher.drain()
        if self.channel.kind == "push":
            return []
        found = await self.store.deliveries(port="channel", limit=1_000_000)
        names = dict.fromkeys(one.conversation for one in found if one.status != "dead")
        return [one for name in sorted(names) for one in await self._owed_texts(name)]

    async def _owed_texts(self, conversation: str) -> list[Delivery]:
        """Return the texts that the host owes a customer, in order; what a person's takeover made stale is held back."""
        now = self.clock.now()
        claimed = await self.store.claim("channel", now, limit=1_000_000, by=self._name, until=now, conversation=conversation)
        for one in claimed:
            if one.held:
                await self._dispatcher.hold_back(one)
        return [one for one in claimed if not one.held]

    async def delivered(self, *keys: str) -> None:
        """Say that the host has sent texts of `Outcome.owed`; a key that is not open is passed over."""
        await self.store.settle([Settled(key=key, result="done") for key in keys])

    async def deliveries(self, conversation: str) -> list[Delivery]:
        """Return what is open for a conversation, dead letters too."""
        return await self.store.deliveries(conversation=conversation)

    async def conversation(self, conversation: str) -> Conversation:
        """Return a conversation as it is.

        Raises:
            UnknownConversation: there is none.
        """
        found = await self.store.load(conversation)
        if found is None:
            raise UnknownConversation(conversation, "a look-up")
        return found

    async def sent(self, key: str) -> bool:
        """Return whether a key is that of a text of ours to the customer: a channel that echoes texts gives it back."""
        return await self.store.port_of(key) == "channel"


def _is_of(fired: Step, event: TimerFired) -> bool:
    timer = fired.event
    return isinstance(timer, TimerFired) and (timer.timer, timer.generation) == (event.timer, event.generation)


def _unchanged(before: Conversation) -> Outcome:
    return Outcome(
        conversation=before.id, state=str(before.state), version=before.version, epoch=before.epoch, owner=before.owner
    )


def _remembered(event: Event, decided: Step, now: datetime) -> Remembered:
    after = decided.after
    assert event.id is not None
    return Remembered(
        stream=event.conversation,
        id=event.id,
        conversation=after.id,
        state=str(after.state),
        version=after.version,
        epoch=after.epoch,
        owner=after.owner,
        reply=decided.reply,
        verdicts=decided.verdicts,
        refused=decided.refused,
        at=now,
    )
