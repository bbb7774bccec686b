"""Stories about customers who come back, words on their way to the person, and the AI that goes on by itself."""

import asyncio

import attrs
import naive
import naive_hosts
import pytest
from story_host import World, history, refusals, rest

from handoff_kit.controller.controller import Controller
from handoff_kit.controller.testing import (
    ScriptedBot,
    accepts,
    agent_says,
    asks_for_a_person,
    finishes,
    offered,
    returns_to_ai,
    says,
    started,
    turn,
    wraps_up,
)
from handoff_kit.machines import (
    Actor,
    Conversation,
    CopilotEngaged,
    Event,
    FailedAction,
    RelayToDesk,
    ResumeBot,
    SendToCustomer,
    State,
)

# --- a closed conversation goes on in a new one

A_DAY: list[Event] = [started(), agent_says(text="Done, I hope?"), finishes(resolved=True), wraps_up()]
NEXT_MORNING = says(text="it is broken again", id="m-9")


async def closed_at_five(world: World, controller: Controller) -> Conversation:
    """C-1 as the agent left it; it is nine o'clock on the next day now."""
    world.clock.advance(5 * 3600)
    for event in A_DAY:
        await controller.handle(event)
    await rest(controller)
    world.clock.advance(16 * 3600)
    return await controller.conversation("c-1")


def test_coming_back_starts_with_the_ai() -> None:
    """S11: the old conversation was opened again, and waited for an agent who was not at work."""

    async def main() -> None:
        world = World(bot=ScriptedBot(["Let me see."]))
        async with world.open() as controller:
            before = await closed_at_five(world, controller)
            assert before.state is State.CLOSED
            lines = len(await history(controller, "c-1"))
            outcome = await controller.handle(NEXT_MORNING)
            again = await controller.handle(NEXT_MORNING)
            await rest(controller)

            assert await controller.conversation("c-1") == before
            assert len(await history(controller, "c-1")) == lines
            assert (outcome.state, outcome.epoch, outcome.owner, outcome.refused) == ("bot_active", 0, "ai", None)
            assert outcome.conversation != "c-1"
            new = await controller.conversation(outcome.conversation)
            assert (new.previous, new.customer, new.channel) == ("c-1", before.customer, before.channel)
            assert (again.duplicate, again.conversation, again.version) == (True, outcome.conversation, outcome.version)
            assert len(world.bot.asks) == 1
            assert world.channel.texts(outcome.conversation) == ["Let me see."]

            await controller.handle(asks_for_a_person(outcome.conversation))
            await rest(controller)
            (ticket,) = world.desk.tickets.values()
            assert (ticket.conversation, ticket.payload.links["previous"]) == (outcome.conversation, "c-1")

    asyncio.run(main())


def test_two_messages_at_once_open_one_conversation() -> None:
    """S11: the customer wrote two lines, and each of them opened a conversation."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await closed_at_five(world, controller)
            lines = [says(text="good morning"), says(text="it is broken again", id="m-9"), says(text="hello?", id="m-10")]
            outcomes = await asyncio.gather(*map(controller.handle, lines))

            (name,) = {one.conversation for one in outcomes}
            new = await controller.conversation(name)
            assert [message.text for message in new.messages] == ["good morning", "it is broken again", "hello?"]

    asyncio.run(main())


def test_who_comes_back_after_the_second_end_is_led_on_once_more() -> None:
    """S11: the customer's app goes on writing to the id that it knows."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await closed_at_five(world, controller)
            second = (await controller.handle(NEXT_MORNING)).conversation
            await controller.handle(turn(second, reply="Bye.", wants_close=True))
            third = (await controller.handle(says(text="and now?", id="m-20"))).conversation

            assert (await controller.conversation(third)).previous == second
            assert (await controller.handle(NEXT_MORNING)).conversation == second, "a repetition keeps its first answer"

    asyncio.run(main())


def test_a_message_at_the_moment_of_the_end_is_not_lost() -> None:
    """S11: the idle timer was overdue when the customer wrote; the message itself closed the conversation, and was refused."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await controller.handle(started())
            await controller.handle(turn(epoch=0))
            world.clock.advance(16 * 3600)
            outcome = await controller.handle(NEXT_MORNING)

            assert (await controller.conversation("c-1")).state is State.CLOSED
            assert (outcome.refused, outcome.state) == (None, "bot_active")
            new = await controller.conversation(outcome.conversation)
            assert (new.previous, [message.text for message in new.messages]) == ("c-1", ["it is broken again"])

    asyncio.run(main())


def test_two_columns_give_the_customer_to_nobody() -> None:
    """S11, the other half: the status is open again, the assignee went home, and the AI is not asked."""

    async def main() -> naive_hosts.TwoColumns:
        flow = naive_hosts.TwoColumns()
        for event in [*A_DAY, NEXT_MORNING]:
            await flow.handle(event)
        return flow

    flow = asyncio.run(main())
    assert (flow.status, flow.assignee, flow.bot_calls) == ("open", "a1", 0)


# --- words on their way to the person

TALK: list[Event] = [
    says(text="one", id="m-1"),
    agent_says(text="I am reading.", epoch=2),
    says(text="two", id="m-2"),
    says(text="three", id="m-3"),
    agent_says(text="It is the cable.", epoch=2),
]
TO_THE_PERSON: list[Event] = [started(), asks_for_a_person(), offered(), accepts()]


async def with_the_person(controller: Controller) -> None:
    for event in TO_THE_PERSON:
        await controller.handle(event)
        await rest(controller)


def relayed(world: World) -> list[str]:
    return [effect.text for effect in world.desk.performed(RelayToDesk)]


def said_by(world: World, speaker: str) -> list[str]:
    return [sent.text.text for sent in world.channel.sent if sent.text.speaker == speaker]


@pytest.mark.parametrize("failures", [0, 1, 4])
def test_the_customers_words_reach_the_person(failures: int) -> None:
    """S12: the bot was paused and swallowed what the customer said; here the desk also fails, and order is kept."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await with_the_person(controller)
            world.desk.fails(failures)
            world.desk.fails(after=True)
            for event in TALK:
                await controller.handle(event)
                await rest(controller)
            for _ in range(8):
                world.clock.advance(15)
                await rest(controller)

            assert relayed(world) == ["one", "two", "three"]
            assert said_by(world, "agent") == ["I am reading.", "It is the cable."]
            assert world.bot.calls == [], "neither asked, nor told"

    asyncio.run(main())


def test_giving_it_back_is_all_that_wakes_the_bot() -> None:
    """S12: somebody had to call the bot's own interface as well, and nobody did."""

    async def main() -> None:
        world = World(bot=ScriptedBot(["My turn again."], resumed=["I have read all that."]))
        async with world.open() as controller:
            await with_the_person(controller)
            await controller.handle(returns_to_ai(agreed=("a new cable",)))
            await rest(controller)
            await controller.handle(says(text="thanks", id="m-4"))
            await rest(controller)

            assert [len(world.bot.resumes), len(world.bot.asks)] == [1, 1]
            assert said_by(world, "ai") == ["I have read all that.", "My turn again."]

    asyncio.run(main())


def test_a_bot_that_pauses_itself_swallows_what_the_customer_says() -> None:
    """S12, the other half: words that go through the bot end in its tracker."""

    async def main() -> naive_hosts.BotsOwnPause:
        flow = naive_hosts.BotsOwnPause()
        for event in [*TO_THE_PERSON, *TALK, returns_to_ai(), says(text="thanks", id="m-4")]:
            await flow.handle(event)
        return flow

    flow = asyncio.run(main())
    assert flow.at_the_desk == []
    assert flow.tracker == ["one", "two", "three", "thanks"]
    assert flow.paused


# --- the AI goes on by itself

FAILED = FailedAction(name="export_pdf", parameters={"invoice": 7}, error_code="ERR_PERM_004")
GRANTED = returns_to_ai(instruction="Permission granted. Please re-run the export.", facts={"permission": "granted"})
COPILOT: list[Event] = [
    started(),
    says(text="export my invoice", id="m-1"),
    turn(reply="I cannot.", failed_action=FAILED, wants_handoff=True, epoch=0),
    offered(),
    accepts(),
    CopilotEngaged(conversation="c-1", agent="a1"),
]


@pytest.mark.parametrize("actor", [Actor(kind="agent", id="a1"), Actor(kind="api", id="crm")], ids=["console", "api"])
def test_the_ai_goes_on_without_waiting_for_the_customer(actor: Actor) -> None:
    """S13: permission was granted, and the customer had to write "hello?" before the bot tried again."""

    async def main() -> None:
        world = World(bot=ScriptedBot(resumed=["Here is your export."]))
        async with world.open() as controller:
            for event in COPILOT:
                outcome = await controller.handle(event)
                await rest(controller)
            assert (outcome.state, outcome.epoch) == ("copilot", 2)
            stranger = await controller.handle(returns_to_ai(agent="a2", actor=actor))
            assert stranger.refused is not None
            assert stranger.refused.name == "not_owner"
            back = await controller.handle(attrs.evolve(GRANTED, actor=actor))
            world.clock.advance(1)
            await rest(controller)

            assert (back.state, back.epoch) == ("resumed_bot", 3)
            (resumed,) = world.bot.resumes
            assert isinstance(resumed.effect, ResumeBot)
            contract = resumed.effect.contract
            assert (contract.failed_action, contract.facts) == (FAILED, {"permission": "granted"})
            assert (contract.instruction, contract.held_by) == (GRANTED.instruction, "a1")
            assert world.channel.sent[-1].text == SendToCustomer(speaker="ai", text="Here is your export.", epoch=3)
            turns = [line for line in await history(controller) if line["type"] == "ai_turn"]
            assert [line["epoch"] for line in turns] == [0, 3]
            assert await refusals(controller) == [("returned_to_ai", "not_owner")]

    asyncio.run(main())


def test_the_ai_goes_on_once_though_its_answer_was_lost() -> None:
    """S13: the bot worked, the answer did not arrive, and the second call ran the export again."""

    async def main() -> None:
        world = World(bot=ScriptedBot(resumed=["Here is your export.", "And once more."]))
        async with world.open() as controller:
            for event in COPILOT:
                await controller.handle(event)
                await rest(controller)
            world.bot.fails(after=True)
            await controller.handle(GRANTED)
            await rest(controller)
            world.clock.advance(1)
            await rest(controller)

            assert len(world.bot.resumes) == 1
            assert said_by(world, "ai") == ["Here is your export."]

    asyncio.run(main())


def test_a_bot_that_waits_for_a_word_is_not_called() -> None:
    """S13, the other half: it wakes when the customer writes again, and a2, who does not own it, may give it back."""
    flow = naive.WaitsForAWord()
    for event in [*COPILOT, returns_to_ai(agent="a2"), GRANTED]:
        flow.handle(event)
    assert (flow.returns, flow.bot_calls) == (2, 0)
