"""Callbacks of the conversation's table: each changes the draft and returns effects by adding them to the slate.

They perform nothing. A callback's name is a word of the table; the modules group them by whose side they are about.
"""

from collections.abc import Callable
from typing import Any

from ..effects import (
    AskBot,
    CloseTicket,
    DraftForAgent,
    Effect,
    EndBotSession,
    NotifyAgents,
    OfferConversation,
    OpenTicket,
    PrepareContext,
    PrepopulateConsole,
    RecordFeedback,
    RelayToDesk,
    RescindOffer,
    ResumeBot,
    SendToCustomer,
    UpdateTicket,
)
from ..refusals import REFUSALS
from ..slate import Slate
from . import ai, desk, people, records, waiting

__all__ = ["CALLBACKS", "EFFECTS_OF"]


def _refusal(name: str) -> Callable[[Slate], None]:
    def refuse(slate: Slate) -> None:
        slate.refuse(name, state=str(slate.before.state))

    return refuse


#: Every callback by its name.
CALLBACKS: dict[str, Callable[[Any], None]] = {
    **{f"refuse_{name}": _refusal(name) for name in REFUSALS},
    **{name: getattr(module, name) for module in (ai, desk, people, records, waiting) for name in module.__all__},
}

#: The effects that a callback may return, for those that return any. Timers are not among them: they follow from the state, as
#: does taking back offers when a state is left.
EFFECTS_OF: dict[str, tuple[type[Effect], ...]] = {
    "ask_bot": (AskBot,),
    "fall_back": (SendToCustomer,),
    "say_reply": (SendToCustomer,),
    "end_offer": (
        NotifyAgents,
        RescindOffer,
    ),
    "expire_offer": (
        NotifyAgents,
        RescindOffer,
    ),
    "lose_offers": (RescindOffer,),
    "make_offer": (
        OfferConversation,
        RescindOffer,
    ),
    "ticket_failed": (NotifyAgents,),
    "ticket_opened": (CloseTicket,),
    "agent_speaks": (SendToCustomer,),
    "ask_for_draft": (DraftForAgent,),
    "barge_in": (
        SendToCustomer,
        UpdateTicket,
        NotifyAgents,
        RescindOffer,
        PrepopulateConsole,
    ),
    "cancel_transfer": (RescindOffer,),
    "drop_transfer": (
        NotifyAgents,
        RescindOffer,
    ),
    "finish": (
        SendToCustomer,
        UpdateTicket,
    ),
    "give_back": (
        SendToCustomer,
        UpdateTicket,
        ResumeBot,
    ),
    "go_idle": (NotifyAgents,),
    "keep_wrapped": (UpdateTicket,),
    "note_foreign_message": (NotifyAgents,),
    "propose_draft": (NotifyAgents,),
    "relay": (
        RelayToDesk,
        NotifyAgents,
    ),
    "replace_owner": (
        UpdateTicket,
        NotifyAgents,
        RescindOffer,
        PrepopulateConsole,
    ),
    "request_transfer": (
        NotifyAgents,
        RescindOffer,
    ),
    "resolve_draft": (SendToCustomer,),
    "start_consult": (NotifyAgents,),
    "take_floor": (
        UpdateTicket,
        RescindOffer,
        PrepopulateConsole,
    ),
    "take_up_again": (
        RelayToDesk,
        NotifyAgents,
    ),
    "unpark_after_silence": (NotifyAgents,),
    "close_as_abandoned": (
        UpdateTicket,
        CloseTicket,
        EndBotSession,
    ),
    "close_as_idle": (
        UpdateTicket,
        CloseTicket,
        EndBotSession,
    ),
    "close_as_left": (
        UpdateTicket,
        CloseTicket,
        EndBotSession,
    ),
    "close_as_resolved_by_ai": (
        UpdateTicket,
        CloseTicket,
        EndBotSession,
    ),
    "close_as_told": (
        UpdateTicket,
        CloseTicket,
        EndBotSession,
    ),
    "close_by_ticket": (
        SendToCustomer,
        UpdateTicket,
        CloseTicket,
        EndBotSession,
    ),
    "close_wrapped": (
        UpdateTicket,
        CloseTicket,
        EndBotSession,
    ),
    "record_feedback": (RecordFeedback,),
    "add_request": (UpdateTicket,),
    "defer": (
        SendToCustomer,
        OpenTicket,
        UpdateTicket,
    ),
    "do_queue_step": (NotifyAgents,),
    "enter_queue": (
        SendToCustomer,
        OpenTicket,
        UpdateTicket,
        NotifyAgents,
    ),
    "escalate": (
        PrepareContext,
        CloseTicket,
    ),
    "escalate_by_request": (
        PrepareContext,
        CloseTicket,
    ),
    "fall_back_to_callback": (
        SendToCustomer,
        UpdateTicket,
    ),
    "fall_back_to_ticket_or_callback": (
        SendToCustomer,
        OpenTicket,
        UpdateTicket,
    ),
    "hold": (
        SendToCustomer,
        AskBot,
        RelayToDesk,
    ),
    "offload": (
        SendToCustomer,
        UpdateTicket,
        ResumeBot,
    ),
    "promise_callback": (
        SendToCustomer,
        UpdateTicket,
        NotifyAgents,
    ),
    "promise_ticket": (
        SendToCustomer,
        OpenTicket,
        UpdateTicket,
        NotifyAgents,
    ),
    "reclaim": (SendToCustomer,),
    "reclaim_after_silence": (SendToCustomer,),
    "reclaim_by_request": (SendToCustomer,),
    "take_context": (UpdateTicket,),
    "tell_position": (SendToCustomer,),
    "withdraw": (CloseTicket,),
}
