"""Conversations that the suites play: real steps of the machine, with something in every field that an adapter could lose."""

from handoff_kit.machines import (
    Action,
    Attachment,
    CopilotEngaged,
    Customer,
    CustomerUpdated,
    DraftProposed,
    DraftResolved,
    FailedAction,
    Policy,
    Target,
    parse_policy,
)

from ..builders import (
    Talk,
    accepts,
    agent_says,
    asks_for_a_person,
    closed,
    context_ready,
    declines,
    offered,
    returns_to_ai,
    says,
    small_policy,
    started,
    ticket_opened,
    turn,
)

__all__ = ["FILE", "ODD_TEXT", "POLICIES", "eventful", "rich_policy"]

#: What people and platforms write: quotes of every kind, line ends, an emoji, a zero.
ODD_TEXT = 'it\'s "5 > 3"; -- 100 % \\n\n\r\n\t“ä”  \U0001f600 \x00 \x7f {0} $1 ?'
FILE = Attachment(id="f-1", kind="image", name="Ä 1.png", media_type="image/png", size=0, url="https://files.example/1?a=b&c")


def rich_policy() -> Policy:
    """Return a policy in which the customer is handed over on request, and the AI may go on helping while the customer waits."""
    return parse_policy(
        """
        [context]
        entities = ["iban"]

        [[trigger]]
        name = "asks"
        reason = "explicit_request"
        when = { customer_says = ["human"] }

        [[trigger]]
        name = "fee"
        when.all = [{ intent = "fee" }, { any = [{ confidence_below = 0.8 }, { sentiment_below = -0.3 }] }]

        [[queue]]
        name = "default"
        keep_helping = true

        [[destination]]
        name = "default"
        purpose = "billing"
        fields = ["messages", "summary", "customer.tier", "entities.card", "failed_action", "actions", "facts", "sentiments"]
        """
    )


#: What these tests decide by. A store holds the policy before it holds a step that was decided by it.
POLICIES = (small_policy(), rich_policy())


def eventful(conversation: str = "c-1", policy: Policy | None = None) -> Talk:
    """Return a conversation that went everywhere: its steps hold every effect that is owed to a port."""
    customer = Customer(id="cu-7", tier="gold", locale="de", lifetime_value=1e-7, attributes={"branch": "north", "vip": True})
    talk = Talk(policy or rich_policy(), started(conversation, customer=customer, previous="c-0"))
    failed = FailedAction(name="export", parameters={"p": [1, 2.5, None, {"deep": ODD_TEXT}]}, error_code="E-7", message="no")
    done = Action(name="look_up", parameters={"a": [1]}, status="ok", result=[{"fee": 25.1}])
    talk.take(
        CustomerUpdated(linked=("c-8", "c-9")),
        says(text=ODD_TEXT, attachments=(FILE,), id="m-1"),
        turn(
            reply=ODD_TEXT,
            attachments=(FILE,),
            in_reply_to="m-1",
            intent="fee",
            confidence=0.8,
            sentiment=-0.3,
            entities={"card": {"last": "4711"}},
            attributes={"x": 1.0},
            actions=(done,),
            failed_action=failed,
        ),
        says(text="a human", id="m-2"),
        asks_for_a_person(target=Target(skills=("fees",), agent="a9")),
        context_ready(summary=ODD_TEXT, facts={"plan": ["basic", {"since": 2020}]}),
        ticket_opened(),
        says(text="are you there?", attachments=(FILE,)),
        offered(agent="a1", offer=1),
        declines(agent="a1", offer=1),
        offered(agent="a1", offer=2),
        offered(agent="a2", offer=3),
        accepts(agent="a2", offer=3),
        agent_says(agent="a2", text=ODD_TEXT, attachments=(FILE,)),
        CopilotEngaged(agent="a2"),
        says(text="and then?", id="m-3"),
        DraftProposed(draft="d-1", text="a draft", in_reply_to="m-3"),
        DraftResolved(agent="a2", draft="d-1", resolution="edited", text="an edited draft"),
        returns_to_ai(
            agent="a2", instruction="run it again", facts={"allowed": True}, agreed=("a refund",), promises=("by Monday",)
        ),
        turn(reply="done"),
        closed(),
        after_s=0.25,
    )
    return talk
