"""The payload: what the person who takes over receives, what stays back, and by which rule."""

from typing import Any

import pytest
from machines_build import Talk, at, effects_of, policy

from handoff_kit.machines import (
    Action,
    AgentAssigned,
    AgentLost,
    AgentMessage,
    Attachment,
    ContextReady,
    ConversationStarted,
    Customer,
    CustomerMessage,
    CustomerUpdated,
    FailedAction,
    HandoffRequested,
    NotifyAgents,
    OfferAccepted,
    OfferConversation,
    OfferMade,
    OpenTicket,
    Payload,
    PolicyError,
    PrepopulateConsole,
    RelayToDesk,
    SendToCustomer,
    State,
    Target,
    TicketOpened,
    TransferRequested,
    UpdateTicket,
    Withheld,
    parse_policy,
    step,
)
from handoff_kit.machines.codec import canonical_step
from handoff_kit.machines.destinations import PAYLOAD_FIELDS, Destination
from handoff_kit.machines.payload import destination_of, may_leave, summary_for

CUSTOMER = Customer(id="cu-7", tier="gold", locale="de", lifetime_value=120.5, attributes={"branch": "north"})
FAILED = FailedAction(name="export_pdf", parameters={"page": 3}, error_code="ERR_PERM_004", message="not permitted")
LOOKED_UP = Action(name="look_up", parameters={"id": "T-1"}, status="ok", result={"fee": 25})
PICTURE = Attachment(id="f-1", kind="image", name="bill.png", media_type="image/png", size=12, url="https://files/f-1")


def destination(text: str, extra: str = "") -> str:
    """A policy with one destination, `default`, unless the text names another."""
    name = "" if "name =" in text else 'name = "default"\n'
    return f"{extra}\n[[destination]]\n{name}{text}\n"


def told(text: str = "", **fields: Any) -> Talk:
    """A conversation in which the AI has learnt something of everything, before a person is asked for."""
    talk = Talk(policy(text), customer=CUSTOMER)
    talk.do(CustomerMessage, 1, text="Why was I charged a $25 fee?", attachments=(PICTURE,))
    talk.turn(
        2,
        reply="Let me look.",
        intent="fee_dispute",
        confidence=0.9,
        sentiment=-0.25,
        entities={"transaction_id": "tx-1", "card": {"last": "4711", "kind": {"name": "debit"}}},
        attributes={"channel_hint": "mail"},
        actions=(LOOKED_UP,),
        failed_action=FAILED,
        **fields,
    )
    return talk


def payload_of(talk: Talk, target: Target | None = None, **context: Any) -> Payload:
    """The payload with which the ticket is asked for."""
    talk.do(HandoffRequested, 10, by="ai", reason="low_confidence", target=target)
    return opened(talk.do(ContextReady, 11, **context))


def opened(one: Any) -> Payload:
    (ticket,) = effects_of(one, OpenTicket)
    return ticket.payload


# --- what is in it


def test_everything_that_is_known_travels_where_no_rule_keeps_it() -> None:
    talk = told()
    target = Target(queue="cards", tier="tier2", skills=("fees",), agent="a9")
    found = payload_of(talk, target, facts={"plan": "basic"}, summary="A fee is in dispute.")

    assert (found.version, found.conversation, found.handoff, found.queue, found.tier) == (1, "c-1", 1, "cards", "tier2")
    assert found.channel == "web"
    assert found.customer == {
        "id": "cu-7",
        "tier": "gold",
        "locale": "de",
        "lifetime_value": 120.5,
        "attributes": {"branch": "north"},
    }
    assert found.summary == "A fee is in dispute."
    assert (found.intent, found.confidence, found.sentiment, found.sentiments) == ("fee_dispute", 0.9, -0.25, (-0.25,))
    assert found.entities == {"transaction_id": "tx-1", "card": {"last": "4711", "kind": {"name": "debit"}}}
    assert found.attributes == {"channel_hint": "mail"}
    assert found.actions == ({"name": "look_up", "parameters": {"id": "T-1"}, "status": "ok", "result": {"fee": 25}},)
    assert found.failed_action == {
        "name": "export_pdf",
        "parameters": {"page": 3},
        "error_code": "ERR_PERM_004",
        "message": "not permitted",
    }
    assert found.facts == {"plan": "basic"}
    assert (found.auto_escalated_due_to, found.priority, found.skills, found.wish) == (("low_confidence",), 5, ("fees",), "a9")
    assert found.links == {}


def test_the_messages_have_their_speaker_and_time_and_files_by_reference() -> None:
    found = payload_of(told())

    assert found.messages == (
        {
            "speaker": "customer",
            "text": "Why was I charged a $25 fee?",
            "at": "2026-03-02T12:00:01Z",
            "attachments": [
                {
                    "id": "f-1",
                    "kind": "image",
                    "name": "bill.png",
                    "media_type": "image/png",
                    "size": 12,
                    "url": "https://files/f-1",
                }
            ],
        },
        {"speaker": "ai", "text": "Let me look.", "at": "2026-03-02T12:00:02Z"},
    )


@pytest.mark.parametrize("most", [0, 1, 5])
def test_the_last_messages_travel_as_many_as_the_policy_says(most: int) -> None:
    talk = Talk(policy(f"[context]\nmessages = {most}"))
    for number in range(1, 9):
        talk.do(CustomerMessage, number, text=f"line {number}")
    found = payload_of(talk)

    assert [one["text"] for one in found.messages] == [f"line {number}" for number in range(9 - most, 9)]
    assert ("messages" in found.manifest.sent) is (most > 0)


def test_what_an_agent_said_travels_to_the_next() -> None:
    talk = Talk(policy(""))
    talk.accept(1)
    talk.do(AgentMessage, 20, agent="a1", text="I look into it.")
    lost = talk.do(AgentLost, 30, agent="a1")

    (update,) = effects_of(lost, UpdateTicket)
    assert update.what == "queued"
    assert update.payload is not None
    assert [(one["speaker"], one["text"]) for one in update.payload.messages] == [("agent:a1", "I look into it.")]


def test_the_mood_travels_as_it_went() -> None:
    talk = Talk(policy(""))
    for number, mood in enumerate((0.5, None, -0.1, -0.2, -0.7), start=1):
        talk.turn(number, sentiment=mood)
    found = payload_of(talk)

    assert found.sentiments == (None, -0.1, -0.2, -0.7)
    assert found.sentiment == -0.7


def test_what_the_ai_did_over_several_turns_travels_the_last_sixteen() -> None:
    talk = Talk(policy(""))
    for number in range(20):
        talk.turn(number + 1, actions=(Action(name=f"tool-{number}"),))
    talk.turn(30)
    talk.do(HandoffRequested, 31, by="ai")
    found = opened(talk.do(ContextReady, 32))

    assert found.actions == tuple({"name": f"tool-{number}"} for number in range(4, 20))


def test_an_action_that_is_no_longer_failed_is_not_told() -> None:
    talk = told()
    talk.turn(3, reply="Done.")

    assert payload_of(talk).failed_action == {}


def test_the_links_name_where_it_comes_from_and_what_belongs_to_it() -> None:
    talk = Talk(policy(""))
    first = ConversationStarted(conversation="c-2", at=at(0), channel="web", customer=CUSTOMER, previous="c-1")
    talk.now = step(talk.policy, None, first).after
    talk.conversation = "c-2"
    talk.do(CustomerUpdated, 1, linked=("c-0", "mail-4"))
    found = payload_of(talk)

    assert found.links == {"previous": "c-1", "linked": ["c-0", "mail-4"]}
    assert "links" in found.manifest.sent


def test_only_one_of_the_links_may_be_known() -> None:
    talk = Talk(policy(""))
    talk.do(CustomerUpdated, 1, linked=("c-0",))

    assert payload_of(talk).links == {"linked": ["c-0"]}


def test_nothing_known_of_the_ai_is_nothing_said() -> None:
    found = payload_of(Talk(policy("")))

    assert (found.intent, found.confidence, found.sentiment, found.sentiments, found.actions) == (None, None, None, (), ())
    assert (found.summary, found.messages, found.entities) == (None, (), {})
    assert found.manifest.sent == ("channel", "customer", "auto_escalated_due_to", "priority")


def test_a_value_of_nought_is_known() -> None:
    talk = Talk(policy(""), customer=Customer(id="x", lifetime_value=0.0))
    talk.turn(1, confidence=0.0, sentiment=0.0)
    found = payload_of(talk)

    assert (found.confidence, found.sentiment, found.customer["lifetime_value"]) == (0.0, 0.0, 0.0)
    assert {"confidence", "sentiment"} <= set(found.manifest.sent)


# --- where it goes again


def test_what_is_gathered_later_goes_after_the_ticket() -> None:
    talk = told()
    payload_of(talk)
    talk.do(TicketOpened, 12, desk="d", ticket="T-1")
    later = talk.do(ContextReady, 13, facts={"plan": "basic"}, summary="Known by now.")

    (update,) = effects_of(later, UpdateTicket)
    assert (update.what, update.ticket) == ("context_ready", "T-1")
    assert update.payload is not None
    assert (update.payload.facts, update.payload.summary) == ({"plan": "basic"}, "Known by now.")


def test_a_second_request_goes_after_the_ticket_with_its_reason_and_summary() -> None:
    talk = told()
    payload_of(talk)
    again = talk.do(HandoffRequested, 14, by="customer", summary="Wants it today.")

    (update,) = effects_of(again, UpdateTicket)
    assert update.payload is not None
    assert update.payload.auto_escalated_due_to == ("low_confidence", "explicit_request")
    assert update.payload.summary == "Wants it today."


def test_the_console_is_filled_with_account_and_failed_action() -> None:
    talk = told()
    accepted = talk.accept(10)

    assert effects_of(accepted, PrepopulateConsole) == [
        PrepopulateConsole(
            "a1",
            opened_customer(talk),
            {"name": "export_pdf", "parameters": {"page": 3}, "error_code": "ERR_PERM_004", "message": "not permitted"},
            {"transaction_id": "tx-1", "card": {"last": "4711", "kind": {"name": "debit"}}},
        )
    ]


def opened_customer(talk: Talk) -> Any:
    (ticket,) = effects_of(talk.steps, OpenTicket)
    return ticket.payload.customer


def test_the_console_gets_no_more_than_may_leave() -> None:
    talk = told(destination('fields = ["customer.tier", "failed_action.parameters", "entities.transaction_id"]'))
    accepted = talk.accept(10)

    assert effects_of(accepted, PrepopulateConsole) == [
        PrepopulateConsole("a1", {"tier": "gold"}, {"parameters": {"page": 3}}, {"transaction_id": "tx-1"})
    ]


def test_who_takes_it_from_the_ai_gets_what_may_leave_by_default() -> None:
    talk = told(destination('fields = ["customer.id"]'))
    taken = talk.do(AgentAssigned, 5, agent="a1", by="supervisor")

    assert effects_of(taken, PrepopulateConsole) == [PrepopulateConsole("a1", {"id": "cu-7"})]


# --- which rule


RULES = """
[[destination]]
name = "cards"
fields = ["intent"]
[[destination]]
name = "tier2"
fields = ["channel"]
[[destination]]
name = "default"
fields = ["priority"]
"""


@pytest.mark.parametrize(
    ("target", "name", "sent"),
    [
        (Target(queue="cards", tier="tier2"), "cards", ("intent",)),
        (Target(queue="loans", tier="tier2"), "tier2", ("channel",)),
        (Target(queue="loans", tier="tier1"), "default", ("priority",)),
    ],
)
def test_the_rule_is_the_queues_else_the_tiers_else_the_default(target: Target, name: str, sent: tuple[str, ...]) -> None:
    manifest = payload_of(told(RULES), target).manifest

    assert (manifest.destination, manifest.sent) == (name, sent)


def test_without_a_rule_everything_leaves_and_the_manifest_names_the_queue() -> None:
    rule = '[[destination]]\nname = "cards"\nfields = []\n'
    manifest = payload_of(told(rule), Target(queue="loans")).manifest

    assert destination_of(policy(rule), "loans", "loans") is None
    assert (manifest.destination, manifest.purpose, manifest.withheld, manifest.trimmed) == ("loans", "", (), ())
    assert {"messages", "entities", "summary"} <= set(manifest.sent)


def test_a_rule_without_fields_lets_nothing_leave() -> None:
    found = payload_of(told(destination("fields = []")))

    assert found == Payload(conversation="c-1", handoff=1, queue="default", tier="default", manifest=found.manifest)
    assert found.manifest.sent == ()


# --- the manifest


def test_the_manifest_says_what_was_sent_and_what_was_kept_by_which_rule() -> None:
    rule = 'purpose = "billing"\nfields = ["intent", "customer.tier", "entities.card.last", "auto_escalated_due_to"]'
    found = payload_of(told(destination(rule)))
    manifest = found.manifest

    assert (manifest.destination, manifest.purpose) == ("default", "billing")
    assert manifest.sent == ("customer.tier", "entities.card.last", "auto_escalated_due_to", "intent")
    assert {one.rule for one in manifest.withheld} == {"not among the fields of default (billing)"}
    assert sorted(one.field for one in manifest.withheld) == [
        "actions",
        "attributes.channel_hint",
        "channel",
        "confidence",
        "customer.attributes.branch",
        "customer.id",
        "customer.lifetime_value",
        "customer.locale",
        "entities.card.kind.name",
        "entities.transaction_id",
        "failed_action.error_code",
        "failed_action.message",
        "failed_action.name",
        "failed_action.parameters.page",
        "messages",
        "priority",
        "sentiment",
        "sentiments",
        "summary",
    ]
    assert found.entities == {"card": {"last": "4711"}}


def test_a_rule_without_a_purpose_is_named_by_its_destination() -> None:
    manifest = payload_of(told(destination('name = "cards"\nfields = []')), Target(queue="cards")).manifest

    assert {one.rule for one in manifest.withheld} == {"not among the fields of cards"}


def test_entities_that_should_travel_and_are_not_known_are_named() -> None:
    wanted = '[context]\nentities = ["transaction_id", "iban"]'

    assert payload_of(told(wanted)).manifest.missing == ("iban",)
    assert payload_of(told(destination('fields = ["entities"]', wanted))).manifest.missing == ("iban",)
    assert payload_of(told(destination('fields = ["entities.iban"]', wanted))).manifest.missing == ("iban",)
    assert payload_of(told(destination('fields = ["entities.transaction_id"]', wanted))).manifest.missing == ()


def test_a_map_of_which_nothing_may_leave_is_absent() -> None:
    found = payload_of(told(destination('fields = ["entities.iban", "customer.attributes.south"]')))

    assert (found.entities, found.customer) == ({}, {})


def test_an_empty_map_inside_is_kept_back_like_a_value() -> None:
    talk = Talk(policy(destination("fields = []")))
    talk.turn(1, entities={"cart": {}})

    assert Withheld("entities.cart", "not among the fields of default") in payload_of(talk).manifest.withheld


# --- limits


def test_the_messages_are_cut_to_the_destinations_number() -> None:
    talk = Talk(policy(destination('fields = ["messages"]\nmessages_at_most = 2')))
    for number in range(1, 5):
        talk.do(CustomerMessage, number, text=f"line {number}")
    found = payload_of(talk)

    assert [one["text"] for one in found.messages] == ["line 3", "line 4"]
    assert found.manifest.trimmed == ("messages: the last 2 of 4",)


def test_no_message_at_all_may_be_the_limit() -> None:
    found = payload_of(told(destination('fields = ["messages"]\nmessages_at_most = 0')))

    assert found.messages == ()
    assert found.manifest.trimmed == ("messages: the last 0 of 2",)


def test_a_limit_that_is_not_reached_trims_nothing() -> None:
    found = payload_of(told(destination('fields = ["messages"]\nmessages_at_most = 2\ntext_at_most = 28')))

    assert len(found.messages) == 2
    assert found.manifest.trimmed == ()


def test_long_texts_are_cut() -> None:
    talk = Talk(policy(destination('fields = ["messages", "summary"]\ntext_at_most = 5')))
    talk.do(CustomerMessage, 1, text="12345")
    talk.do(CustomerMessage, 2, text="123456")
    found = payload_of(talk, summary="abcdefgh")

    assert [one["text"] for one in found.messages] == ["12345", "1234…"]
    assert found.manifest.trimmed == ("messages.text: 1 cut to 5 characters",)
    assert found.summary == "abcd…"


def test_both_limits_count_what_is_left() -> None:
    talk = Talk(policy(destination('fields = ["messages"]\nmessages_at_most = 1\ntext_at_most = 1')))
    talk.do(CustomerMessage, 1, text="long")
    talk.do(CustomerMessage, 2, text="longer")
    found = payload_of(talk)

    assert [one["text"] for one in found.messages] == ["…"]
    assert found.manifest.trimmed == ("messages: the last 1 of 2", "messages.text: 1 cut to 1 characters")


def test_a_composed_summary_is_cut_too() -> None:
    found = payload_of(told(destination('fields = ["summary", "intent"]\ntext_at_most = 12')))

    assert found.summary == "About: fee …"


# --- paths


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        (("entities",), False),
        (("entities", "card"), False),
        (("entities", "card", "last"), True),
        (("entities", "card", "last", "digit"), True),
        (("entities", "card", "kind"), False),
        (("entities", "card.last"), False),
        (("entities.card.last",), False),
        (("messages",), True),
        (("messages", "text"), True),
    ],
)
def test_a_path_lets_leave_what_lies_in_it(path: tuple[str, ...], leaves: bool) -> None:
    rule = Destination(name="d", fields=("entities.card.last", "messages"))

    assert may_leave(rule, *path) is leaves


def test_without_a_rule_every_path_may_leave() -> None:
    assert may_leave(None, "messages")


def test_a_name_with_a_dot_in_it_is_not_taken_for_a_field_inside_another() -> None:
    talk = Talk(policy(destination('fields = ["entities.card.number"]', '[context]\nentities = ["card.owner"]')))
    talk.turn(1, entities={"card.number": "4711", "card": {"number": "last four", "number.full": "0815"}})
    found = payload_of(talk)

    assert found.entities == {"card": {"number": "last four"}}
    kept = [one.field for one in found.manifest.withheld if one.field.startswith("entities")]
    assert kept == ["entities.card.number.full", "entities.card.number"]
    assert found.manifest.missing == ()


def test_a_name_with_a_dot_leaves_with_the_map_that_it_lies_in() -> None:
    talk = Talk(policy(destination('fields = ["entities"]')))
    talk.turn(1, entities={"card.number": "4711"})

    assert payload_of(talk).entities == {"card.number": "4711"}


@pytest.mark.parametrize("name", PAYLOAD_FIELDS)
def test_every_field_may_be_named(name: str) -> None:
    (rule,) = policy(destination(f'fields = ["{name}"]')).destination

    assert rule.fields == (name,)


@pytest.mark.parametrize(
    "name",
    [
        "customer.attributes.branch",
        "failed_action.parameters.page.number",
        "links.previous",
        "entities.anything.at.all",
        "attributes.x",
        "facts.x",
    ],
)
def test_every_place_in_a_map_may_be_named(name: str) -> None:
    assert parse_policy(destination(f'fields = ["{name}"]')).destination[0].paths == {tuple(name.split("."))}


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("mesages", "a payload has no field 'mesages'; did you mean 'messages'?"),
        ("customer.teir", "a payload has no field 'customer.teir'; did you mean 'tier'?"),
        ("failed_action.eror_code", "a payload has no field 'failed_action.eror_code'; did you mean 'error_code'?"),
        ("links.x", "a payload has no field 'links.x'; known are previous, linked"),
        ("zzz", "a payload has no field 'zzz'; known are channel, customer, summary"),
        ("messages.text", "'messages.text' lies in no map; name 'messages' as a whole"),
        ("intent.name", "'intent.name' lies in no map; name 'intent' as a whole"),
    ],
)
def test_a_misspelt_field_is_refused_with_file_key_path_and_a_guess(name: str, mend: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(destination(f'name = "cards"\nfields = ["intent", "{name}"]'), file="banking.toml")

    assert caught.value.place.startswith("banking.toml: destination[0]")
    assert mend in str(caught.value)
    assert "fields" in str(caught.value)


def test_a_misspelt_key_of_a_destination_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(destination("fields = []\nmesages_at_most = 1"), file="banking.toml")

    assert caught.value.place == "banking.toml: destination[0].mesages_at_most"
    assert caught.value.mend == "did you mean 'messages_at_most'?"


@pytest.mark.parametrize("limit", ["messages_at_most = -1", "text_at_most = 0"])
def test_a_limit_out_of_range_is_refused(limit: str) -> None:
    with pytest.raises(PolicyError, match=limit.partition(" ")[0]):
        policy(destination(limit))


def test_a_destination_is_given_once() -> None:
    with pytest.raises(PolicyError, match="destination name 'default' is given twice"):
        policy(destination("") + destination(""))


# --- the summary


def test_a_written_summary_leaves_where_messages_may() -> None:
    found = payload_of(told(destination('fields = ["summary", "messages"]'), summary="The AI's words."))

    assert found.summary == "The AI's words."
    assert "summary" in found.manifest.sent
    assert not [one for one in found.manifest.withheld if one.field.startswith("summary")]


def test_elsewhere_it_is_composed_of_what_may_leave() -> None:
    rule = 'fields = ["summary", "intent", "failed_action.name", "failed_action.error_code"]'
    found = payload_of(told(destination(rule), summary="The AI's words."))

    assert found.summary == "About: fee dispute. Failed: export_pdf (ERR_PERM_004)."
    assert "summary" in found.manifest.sent
    assert Withheld("summary as written", "free text leaves only where messages may; this one is composed by rule") in (
        found.manifest.withheld
    )


def test_a_composed_summary_leaves_out_what_may_not_leave() -> None:
    assert payload_of(told(destination('fields = ["summary", "failed_action.name"]'))).summary == "Failed: export_pdf."
    assert payload_of(told(destination('fields = ["summary", "failed_action.error_code"]'))).summary is None
    last = "Last message: “Why was I charged a $25 fee?”"
    assert payload_of(told(destination('fields = ["summary", "messages"]'))).summary == last


def test_a_composed_summary_of_nothing_is_absent() -> None:
    found = payload_of(told(destination('fields = ["summary"]')))

    assert found.summary is None
    assert "summary" not in found.manifest.sent


def test_a_summary_that_may_not_leave_is_kept_with_the_rule() -> None:
    found = payload_of(told(destination('purpose = "p"\nfields = ["messages"]'), summary="The AI's words."))

    assert found.summary is None
    assert Withheld("summary", "not among the fields of default (p)") in found.manifest.withheld


def test_the_desks_summary_goes_before_the_requests_and_that_before_the_ais() -> None:
    talk = told(summary="by the AI")
    talk.do(HandoffRequested, 3, by="ai", summary="by the request")
    assert opened(talk.do(ContextReady, 4)).summary == "by the request"
    talk = told(summary="by the AI")
    talk.do(HandoffRequested, 3, by="ai", summary="by the request")
    assert opened(talk.do(ContextReady, 4, summary="by the desk")).summary == "by the desk"
    assert payload_of(told(summary="by the AI")).summary == "by the AI"


CONNECTING = '[texts.default]\nconnecting = "They will see: {summary}"\n'


def connecting(talk: Talk, **context: Any) -> str:
    talk.do(HandoffRequested, 10, by="ai")
    queued = talk.do(ContextReady, 11, **context)
    (sent,) = [one for one in effects_of(queued, SendToCustomer) if one.kind == "connecting"]
    return sent.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ('["summary", "messages"]', "They will see: The AI's words."),
        ('["summary", "intent"]', "They will see: About: fee dispute."),
        ('["summary"]', "They will see: "),
        ('["messages"]', "They will see: "),
        ("[]", "They will see: "),
    ],
)
def test_the_customer_is_a_destination_too(fields: str, words: str) -> None:
    rule = destination(f'name = "customer"\nfields = {fields}', CONNECTING)

    assert connecting(told(rule, summary="The AI's words.")) == words


COMPOSED = "They will see: About: fee dispute. Failed: export_pdf (ERR_PERM_004)."


def test_without_a_rule_the_customer_never_reads_what_was_written_for_an_agents_eyes() -> None:
    assert connecting(told(CONNECTING, summary="The AI's words.")) == COMPOSED
    assert connecting(told(CONNECTING), summary="The desk's words.") == COMPOSED


def test_the_default_rule_is_the_desks_and_not_the_customers() -> None:
    assert connecting(told(destination("fields = []", CONNECTING), summary="The AI's words.")) == COMPOSED


def test_the_customers_rule_does_not_bind_the_desk() -> None:
    found = payload_of(told(destination('name = "customer"\nfields = []'), summary="The AI's words."))

    assert found.summary == "The AI's words."


def test_a_summary_for_the_customer_is_cut_to_their_limit() -> None:
    rule = destination('name = "customer"\nfields = ["summary", "messages"]\ntext_at_most = 8', CONNECTING)

    assert connecting(told(rule, summary="The AI's words.")) == "They will see: The AI'…"


def test_the_summary_for_the_customer_is_the_one_of_the_present_handoff() -> None:
    talk = told()
    talk.escalate(3)

    assert summary_for(talk.policy, talk.now).startswith("About: fee dispute. Failed: export_pdf (ERR_PERM_004).")


# --- what else of it leaves


def test_the_customers_words_reach_a_waiting_desk_only_where_messages_may() -> None:
    for fields, relayed in (('["messages"]', 1), ('["intent"]', 0)):
        talk = told(destination(f"fields = {fields}"))
        payload_of(talk)
        message = talk.do(CustomerMessage, 12, text="Are you there?")

        assert len(effects_of(message, RelayToDesk)) == relayed


def test_reasons_and_priority_ring_only_where_they_may_leave() -> None:
    for fields, reasons, facts in (
        ('["auto_escalated_due_to", "priority"]', ("ai_request",), {"reasons": ["ai_request"], "priority": 5}),
        ("[]", (), {"reasons": []}),
    ):
        talk = told(destination(f"fields = {fields}"))
        talk.do(HandoffRequested, 10, by="ai")
        queued = talk.do(ContextReady, 11)
        rung = talk.do(OfferMade, 12, agent="a1", offer=1)

        assert effects_of(queued, NotifyAgents) == [NotifyAgents("queue:default", "queued", {"context_missing": False, **facts})]
        assert [one.reasons for one in effects_of(rung, OfferConversation)] == [reasons]


TWO = """
[[destination]]
name = "cards"
fields = ["customer", "auto_escalated_due_to"]
[[destination]]
name = "loans"
fields = ["customer.id"]
"""


def test_after_a_transfer_the_rule_of_the_new_queue_holds() -> None:
    talk = told(TWO)
    talk.do(HandoffRequested, 10, by="ai", target=Target(queue="cards"))
    talk.accept(11)
    talk.do(TransferRequested, 12, agent="a1", target=Target(queue="loans"))
    talk.do(OfferMade, 13, agent="a2", offer=7)
    accepted = talk.do(OfferAccepted, 14, agent="a2", offer=7)

    assert accepted.after.state is State.AGENT_ACTIVE
    assert effects_of(accepted, PrepopulateConsole) == [PrepopulateConsole("a2", {"id": "cu-7"})]


def test_an_offer_of_a_transfer_rings_with_what_may_leave_to_where_it_goes() -> None:
    talk = told(TWO)
    talk.do(HandoffRequested, 10, by="ai", target=Target(queue="cards"))
    talk.accept(11)
    talk.do(TransferRequested, 12, agent="a1", target=Target(queue="loans"))
    rung = talk.do(OfferMade, 13, agent="a2", offer=7)

    assert [(one.queue, one.reasons) for one in effects_of(rung, OfferConversation)] == [("loans", ())]


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("", ["0123456789"]),
        ('[[destination]]\nname = "default"\nfields = ["messages"]\ntext_at_most = 5', ["0123…"]),
        ('[[destination]]\nname = "default"\nfields = ["messages"]', ["0123456789"]),
        ('[[destination]]\nname = "default"\nfields = ["intent"]', []),
    ],
)
def test_a_line_while_waiting_reaches_the_desk_as_far_as_it_may(rule: str, lines: list[str]) -> None:
    talk = Talk(policy(rule))
    talk.queue(1)

    assert [effect.text for effect in effects_of(talk.do(CustomerMessage, 2, text="0123456789"), RelayToDesk)] == lines


def test_the_order_of_a_maps_keys_changes_nothing() -> None:
    """A store need not keep it, and a replay out of the store must give the same bytes."""
    rules = parse_policy(
        """
[[destination]]
name = "default"
fields = ["messages", "entities.b", "entities.a", "facts.z", "facts.y", "failed_action.parameters.n"]
"""
    )
    texts = []
    for turned in (False, True):

        def turn(values: dict[str, Any], turned: bool = turned) -> dict[str, Any]:
            return dict(reversed(list(values.items()))) if turned else values

        talk = Talk(rules, customer=Customer(id="u", attributes=turn({"p": 1, "q": 2})))
        failed = FailedAction(name="pay", parameters=turn({"m": 1, "n": {"k": 1, "j": 2}}))
        talk.turn(1, entities=turn({"a": 1, "b": 2, "c": 3}), attributes=turn({"s": 1, "t": 2}), failed_action=failed)
        talk.escalate(2)
        talk.do(ContextReady, 3, facts=turn({"y": 1, "z": 2, "x": 3}))
        talk.accept(4)
        texts.append([canonical_step(one) for one in talk.steps])

    assert texts[0] == texts[1]
