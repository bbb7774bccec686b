"""Nobody writes a summary: the payload composes one."""

from handoff_kit.controller.ports import Summarizer
from handoff_kit.controller.summarizers import RulesSummarizer
from handoff_kit.controller.testing import Talk, asks_for_a_person, context_ready, says
from handoff_kit.controller.testing.contracts import run
from handoff_kit.machines import OpenTicket, PrepareContext


def test_the_rules_add_nothing_and_the_payload_has_a_summary() -> None:
    summarizer, talk = RulesSummarizer(), Talk()
    (wanted,) = talk.effects(PrepareContext, talk.take(says(text="my card is lost"), asks_for_a_person()))
    summary, facts = run(summarizer.summarize(talk.now, wanted, "c-1:3:0"))
    (ticket,) = talk.effects(OpenTicket, talk.take(context_ready(summary=summary, facts=facts)))

    assert isinstance(summarizer, Summarizer)
    assert (summary, facts) == (None, {})
    assert ticket.payload.summary == "Last message: “my card is lost”"
