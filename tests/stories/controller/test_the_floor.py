"""Stories about who may write to the customer, with deliveries and other tasks in between."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import naive_hosts as naive
import pytest
from machines_build import at
from story_host import CONNECTING, Gate, World, at_random, fired, history, refusals, rest

from handoff_kit.controller.channels import InlineChannel
from handoff_kit.controller.controller import Controller
from handoff_kit.controller.outcome import Outcome
from handoff_kit.controller.records import Commit, Delivery
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.testing import MemoryChannel, agent_says, says, started, turn
from handoff_kit.machines import AgentMessage, AiTurn, Conversation, Event, SendToCustomer, State, TimerFired

TAKEOVER = "I take over from here."


# --- a reply from before the takeover


def test_a_reply_composed_before_the_takeover_is_not_sent() -> None:
    """S01: the agent had written, and two seconds later the bot answered beside them."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await controller.handle(started())
            world.clock.advance(2)
            taken = await controller.handle(agent_says(text=TAKEOVER, epoch=0))
            world.clock.advance(2)
            late = await controller.handle(turn(reply="an old answer", epoch=0))
            await rest(controller)

            assert (taken.state, taken.epoch, taken.owner) == ("agent_active", 1, "agent:a1")
            assert late.refused is not None
            assert (late.refused.name, late.reply, late.effects) == ("stale_epoch", "withheld", ())
            assert await refusals(controller) == [("ai_turn", "stale_epoch")]
            assert world.channel.texts() == [TAKEOVER]

    asyncio.run(main())


def test_a_reply_that_waits_in_the_outbox_is_held_back() -> None:
    """S01: the reply was already on its way out when the agent took over; it came after the agent's words."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await controller.handle(started())
            world.channel.hangs()
            await controller.handle(turn(reply="on the wire", epoch=0))
            while not world.channel.calls:
                await asyncio.sleep(0)
            await controller.handle(turn(reply="in the outbox", epoch=0))
            await controller.handle(agent_says(text=TAKEOVER))
            world.channel.release()
            await rest(controller)

            assert world.channel.texts() == ["on the wire", TAKEOVER]
            (failed,) = [line for line in await history(controller) if line["type"] == "delivery_failed"]
            assert (failed["effect"], failed["error"], failed.get("attempts", 0)) == ("c-1:3:0", "stale_epoch", 0)
            assert await controller.deliveries("c-1") == []

    asyncio.run(main())


def test_a_reply_that_is_to_be_tried_again_is_held_back_too() -> None:
    """S01: the network failed once, the agent took over, and the second attempt brought the bot's words."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await controller.handle(started())
            world.channel.fails()
            await controller.handle(turn(reply="not yet through", epoch=0))
            await rest(controller)
            await controller.handle(agent_says(text=TAKEOVER))
            world.clock.advance(60)
            await rest(controller)

            assert world.channel.texts() == [TAKEOVER]
            assert "delivery_failed" in [line["type"] for line in await history(controller)]

    asyncio.run(main())


@pytest.mark.parametrize("channel", [None, InlineChannel()], ids=["host", "inline"])
def test_a_host_that_sends_by_itself_is_not_given_the_old_reply(channel: InlineChannel | None) -> None:
    """S01: the same where no channel of ours sends: what is owed is looked at again before it is handed out."""

    async def main() -> None:
        world = World()
        async with world.open(channel=channel) as controller:
            await controller.handle(started())
            answered = await controller.handle(turn(reply="an answer", epoch=0))
            assert [owed.key for owed in answered.owed] == ["c-1:2:0"]
            taken = await asyncio.wait_for(controller.handle(agent_says(text=TAKEOVER)), 5)
            owed = await controller.drain()

            assert [one.effect.text for one in owed if isinstance(one.effect, SendToCustomer)] == [TAKEOVER]
            assert [one.key for one in taken.owed] == [one.key for one in owed]
            failed = [line for line in await history(controller) if line["type"] == "delivery_failed"]
            assert [(line["effect"], line["error"]) for line in failed] == [("c-1:2:0", "stale_epoch")]
            await controller.delivered(*(one.key for one in owed))
            assert await controller.drain() == []

    asyncio.run(main())


#: The story speaks of ten thousand interleavings; so many of them are drawn here, each through the whole controller.
SEEDS, TALKS = 10, 50


class Watched(MemoryStore):
    """Sees which of the AI's texts are claimed, which is the point of no return, after a person's takeover was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[str] = set()
        self.held = 0
        self.too_late: list[str] = []

    async def commit(self, commit: Commit) -> None:
        await super().commit(commit)
        after = [one.step.after for one in commit.steps]
        self.taken |= {one.id for one in after if isinstance(one, Conversation) and one.owner == "agent:a1"}

    async def claim(self, *args: Any, **given: Any) -> list[Delivery]:
        claimed = await super().claim(*args, **given)
        for one in claimed:
            if one.conversation in self.taken and isinstance(one.effect, SendToCustomer) and one.effect.speaker == "ai":
                if one.held:
                    self.held += 1
                else:
                    self.too_late.append(one.key)
        return claimed


class SlowChannel(MemoryChannel):
    """Takes some rounds of the loop for each text."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    async def send(self, conversation: str, text: SendToCustomer, key: str) -> None:
        for _ in range(self._random.randrange(8)):
            await asyncio.sleep(0)
        await super().send(conversation, text, key)


def twenty_turns_and_a_takeover(conversation: str) -> list[Event]:
    turns: list[Event] = [turn(conversation, f"AI {number}", id=f"t-{number}", epoch=0) for number in range(20)]
    return [*turns, agent_says(conversation, TAKEOVER, epoch=0)]


async def conversations_at_once(handle: Callable[[Event], Awaitable[Outcome]], names: list[str], random: Random) -> Counter[str]:
    """Play the script in all of them at once; return what became of the AI's turns."""
    scripts = [twenty_turns_and_a_takeover(name) for name in names]
    for script in scripts:
        random.shuffle(script)
    answers = await asyncio.gather(*[at_random(handle, script, random) for script in scripts])
    return Counter(
        one.refused.name if one.refused is not None else one.reply
        for script, outcomes in zip(scripts, answers, strict=True)
        for event, one in zip(script, outcomes, strict=True)
        if isinstance(event, AiTurn)
    )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_however_they_interleave_no_ai_text_goes_out_after_the_takeover(seed: int) -> None:
    """S01: 500 interleavings of 20 turns of the AI with one takeover, of the story's 10,000."""

    async def main() -> None:
        random = Random(seed)
        store, channel, world = Watched(), SlowChannel(random), World()
        names = [f"c-{number}" for number in range(TALKS)]
        async with world.open(store, channel=channel) as controller:
            for name in names:
                await controller.handle(started(name))
            became = await conversations_at_once(controller.handle, names, random)
            await rest(controller)
            failed = [line for line in await history(controller) if line["type"] == "delivery_failed"]

        assert store.too_late == []
        assert set(became) == {"accepted", "stale_epoch"}
        assert became.total() == 20 * TALKS
        for name in names:
            texts = channel.texts(name)
            assert texts[-1] == TAKEOVER, "what was in the middle of being sent came first"
        sent_by_ai = sum(one.text.speaker == "ai" for one in channel.sent)
        assert sent_by_ai + len(failed) == became["accepted"], "each accepted reply was either sent or held back"
        assert {(line["error"], line.get("attempts", 0)) for line in failed} == {("stale_epoch", 0)}
        assert len(failed) == store.held > 0

    asyncio.run(main())


@pytest.mark.parametrize("host", [naive.CheckThenPost, naive.CachedStatus])
def test_a_status_that_was_read_before_lets_the_bot_talk_over_a_person(host: type[naive.NaiveHost]) -> None:
    """S01, the other half: looked and then posted, or posted on what was read when the job began."""

    async def main() -> int:
        over_the_person = 0
        for seed in range(SEEDS * TALKS):
            flow, random = host(), Random(seed)
            script = twenty_turns_and_a_takeover("c-1")
            random.shuffle(script)
            await at_random(flow.handle, script, random)
            over_the_person += sum(speaker == "ai" for speaker, _ in flow.after(TAKEOVER))
        return over_the_person

    assert asyncio.run(main()) > 0


# --- one closing line


def closing_script(in_reply_to: str | None) -> dict[str, Event]:
    """The model calls its tool, and then says something more; the channel gives our line back under the key that we sent."""
    return {
        "m1": turn(reply="I'll connect you", wants_handoff=True, epoch=0, id="m1", in_reply_to=in_reply_to),
        "m2": turn(reply="Anything else?", epoch=0, id="m2", in_reply_to=in_reply_to),
        "echo": agent_says(text="", agent="channel", delivered=True),
    }


class Webhook:
    """What a host makes of a channel's webhook: what comes back under a key of ours is our own text."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.echoes = 0

    async def handle(self, event: Event) -> Outcome | None:
        if isinstance(event, AgentMessage) and event.id is not None and await self.controller.sent(event.id):
            self.echoes += 1
            return None
        return await self.controller.handle(event)


def echo_of(channel: MemoryChannel) -> AgentMessage:
    """The channel's own report of the connecting line, or of our last text where that is not out yet."""
    lines = [sent for sent in channel.sent if sent.text.kind == "connecting"] or channel.sent
    return AgentMessage(conversation="c-1", agent="channel", text=lines[-1].text.text, id=lines[-1].key, delivered=True)


ORDERS = [("m1", "m2", "echo"), ("m1", "echo", "m2"), ("m2", "m1", "echo")]


@pytest.mark.parametrize("in_reply_to", [None, "q-1"])
@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_a_handoff_has_one_closing_line(order: tuple[str, ...], in_reply_to: str | None) -> None:
    """S04: the customer read the tool's words, the model's last words and our line; and our line's echo took the floor."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            webhook = Webhook(controller)
            await controller.handle(started())
            await controller.handle(says(text="I need help", id="q-1"))
            answers: dict[str, Outcome | None] = {}
            for name in order:
                world.clock.advance(3)
                event = echo_of(world.channel) if name == "echo" else closing_script(in_reply_to)[name]
                answers[name] = await webhook.handle(event)
                await rest(controller)

            first, second = answers["m1"], answers["m2"]
            assert first is not None
            assert second is not None
            assert (first.refused, first.state, first.reply) == (None, "escalation_pending", "withheld")
            before = order.index("m2") < order.index("m1")
            assert second.reply == ("accepted" if before else "withheld")
            assert (second.refused.name if second.refused is not None else None) == (None if before else "stale_epoch")
            kinds = [sent.text.kind for sent in world.channel.sent]
            assert kinds == (["reply", "connecting"] if before else ["connecting"])
            assert "I'll connect you" not in world.channel.texts()

            assert webhook.echoes == 1
            now = await controller.conversation("c-1")
            assert (now.state, now.owner, now.epoch) == (State.QUEUED, "system", 1)
            assert "agent_message" not in [line["type"] for line in await history(controller)]

    asyncio.run(main())


def test_an_echo_is_known_though_the_text_was_sent_twice() -> None:
    """S04: the answer to our first attempt was lost; both copies carry one key, and neither is a person."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            webhook = Webhook(controller)
            await controller.handle(started())
            await controller.handle(closing_script(None)["m1"])
            world.channel.fails(after=True)
            await rest(controller)
            world.clock.advance(1)
            await rest(controller)
            assert len(world.channel.calls) == 2
            for _ in range(2):
                assert await webhook.handle(echo_of(world.channel)) is None
            assert set(world.channel.calls) == {world.channel.sent[0].key}
            assert (await controller.conversation("c-1")).owner == "system"

    asyncio.run(main())


def test_an_echo_is_known_after_a_restart(tmp_path: Path) -> None:
    """S04: the echo came when the process that had sent the text was gone; a person's own words have no key of ours."""

    async def main() -> None:
        world, path = World(), tmp_path / "handoff.db"
        async with world.open(path) as controller:
            await controller.handle(started())
            await controller.handle(closing_script(None)["m1"])
            await rest(controller)
        async with world.open(path) as controller:
            webhook = Webhook(controller)
            assert await webhook.handle(echo_of(world.channel)) is None
            for other in (*world.desk.tickets, *world.notifier.calls, "c-1:99:0", "c-2:2:0", "m1", "::", ""):
                assert not await controller.sent(other), other
            person = agent_says(agent="owner", text="It is me, Ana.", delivered=True, id="phone-1")
            taken = await webhook.handle(person)
            assert taken is not None
            assert (webhook.echoes, taken.owner) == (1, "agent:owner")

    asyncio.run(main())


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_words_that_are_posted_as_they_come_close_three_times(order: tuple[str, ...]) -> None:
    """S04, the other half: tool text and final text both posted, and an echo taken for a person."""

    async def main() -> naive.ToolAndFinalText:
        flow = naive.ToolAndFinalText(CONNECTING)
        for name in order:
            await flow.handle(closing_script(None)[name])
        return flow

    flow = asyncio.run(main())
    assert len(flow.sent) == 3
    assert flow.taken_over


# --- a stale job


def idle_job(generation: int = 1) -> TimerFired:
    return TimerFired(conversation="c-1", timer="bot_idle", generation=generation)


def test_a_stale_idle_job_does_nothing() -> None:
    """S08: the job that closes idle conversations had loaded this one before the agent took it."""

    async def main() -> None:
        world = World()
        gate = Gate(MemoryStore())
        async with world.open(gate) as controller:
            await controller.handle(started())
            (timer,) = (await controller.conversation("c-1")).timers
            assert (timer.name, timer.generation, timer.due) == ("bot_idle", 1, at(1800))

            world.clock.advance(1799.9)
            gate.shut()
            taking = asyncio.create_task(controller.handle(agent_says(text=TAKEOVER, epoch=0)))
            await gate.until_somebody_waits()
            world.clock.advance(0.1)
            job = asyncio.create_task(controller.handle(idle_job()))
            await asyncio.sleep(0)
            gate.let_through()
            taken, late = await taking, await job
            await rest(controller)

            assert taken.refused is None
            assert late.refused is not None
            assert late.refused.name == "stale_timer"
            now = await controller.conversation("c-1")
            assert (now.state, now.owner) == (State.AGENT_ACTIVE, "agent:a1")
            assert await fired(controller) == []

    asyncio.run(main())


def test_a_stale_idle_job_of_another_process_does_nothing() -> None:
    """S08: the job ran in a process of its own; it had decided to close, and its commit came second."""

    async def main() -> None:
        world, other = World(), World()
        other.clock.set(at(1800))
        store = MemoryStore()
        gate = Gate(store)
        async with world.open(store) as controller:
            await controller.handle(started())
            gate.shut()
            async with other.open(gate) as second:
                job = asyncio.create_task(second.handle(idle_job()))
                await gate.until_somebody_waits()
                world.clock.set(at(1799.9))
                await controller.handle(agent_says(text=TAKEOVER, epoch=0))
                gate.let_through()
                late = await job
                await rest(second)

                assert late.refused is not None
                assert late.refused.name == "stale_timer"
                now = await second.conversation("c-1")
                assert (now.state, now.owner) == (State.AGENT_ACTIVE, "agent:a1")
                assert await fired(second) == []

    asyncio.run(main())


def test_an_idle_job_that_trusts_what_it_read_closes_on_the_agent() -> None:
    """S08, the other half: it acts on the ownership of minutes ago."""

    async def main() -> naive.CachedStatus:
        flow = naive.CachedStatus()
        await asyncio.gather(flow.handle(idle_job()), flow.handle(agent_says(text=TAKEOVER, epoch=0)))
        return flow

    flow = asyncio.run(main())
    assert (flow.status, flow.closings) == ("human", 1)
