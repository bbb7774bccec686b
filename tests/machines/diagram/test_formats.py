"""The text formats: what the labels say, what each syntax needs, and the same bytes on every run."""

import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff_kit.controller.shelf import load_policy
from handoff_kit.machines import parse_policy
from handoff_kit.machines.actions import CALLBACKS
from handoff_kit.machines.diagram import DARK, FORMATS, LIGHT, MACHINES, Move, Wanted
from handoff_kit.machines.diagram.labels import (
    callback_in_words,
    event_in_words,
    guard_explained,
    guard_in_words,
    lines_of,
    lines_of_moves,
)
from handoff_kit.machines.diagram.markdown import rows_alike, timers_of
from handoff_kit.machines.diagram.palette import Palette
from handoff_kit.machines.diagram.wrapping import wrapped
from handoff_kit.machines.guards import GUARDS
from handoff_kit.machines.timers import TIMERS

CONVERSATION = MACHINES["conversation"]
VIP = load_policy("vip")


def text(form: str, policy: str | None = None, machine: str = "conversation", **fields: object) -> str:
    return FORMATS[form](
        Wanted(machine=MACHINES[machine], policy=load_policy(policy) if policy else None, **fields)  # type: ignore[arg-type]
    )


# --- labels


def test_every_guard_and_callback_has_words() -> None:
    assert all(callback_in_words(name).endswith(".") for name in CALLBACKS)
    assert all(guard_explained(name).endswith(".") for name in GUARDS)
    assert guard_explained("was_lost") == "was lost"
    assert callback_in_words("refuse_stale_timer") == "Refused: stale_timer."


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("ai_turn", "ai_turn"),
        ("timer_queue", "timer queue (15 min)"),
        ("timer_offer", "timer offer (20 s)"),
        ("timer_queue_step", "timer queue_step"),
        ("offer_expired", "offer_expired (after 20 s)"),
    ],
)
def test_timers_have_the_policys_seconds(event: str, words: str) -> None:
    assert event_in_words(event, VIP) == words


def test_a_channels_own_seconds_are_said() -> None:
    policy = parse_policy(
        "[timers]\nqueue_s = 60\n[timers.by_channel.sms]\nwrap_up_s = 1\n[timers.by_channel.email]\nqueue_s = 7200"
    )

    assert event_in_words("timer_queue", policy) == "timer queue (1 min; email 2 h)"
    assert event_in_words("timer_queue") == "timer queue"


def test_guards_have_the_policys_numbers() -> None:
    policy = parse_policy("[limits]\noffloads = 3\n[callback]\nattempts = 2\n[resume]\nsettle_turns = 4")

    assert guard_in_words("offload_is_allowed", policy) == "not the customer's wish, offloaded fewer than 3 times"
    assert guard_in_words("offload_is_allowed", VIP) == "not the customer's wish, not offloaded before"
    assert guard_in_words("callbacks_are_left", policy) == "fewer than 2 callbacks tried"
    assert guard_in_words("has_settled", policy) == "4 good turns in a row"
    assert guard_in_words("ai_wants_to_close", policy) == guard_in_words("ai_wants_to_close") == "AI wants to close"


def test_a_label_lists_the_triggers_and_the_steps_that_it_stands_for() -> None:
    escalates = [row for row in CONVERSATION.rows if row.source == "bot_active" and row.to == "escalation_pending"]
    offloads = [row for row in CONVERSATION.rows if row.source == "queued" and row.to == "resumed_bot"]

    assert lines_of(escalates) == ["ai_turn, customer_message, timer ai_reply [a trigger holds]", "handoff_requested"]
    with_numbers = lines_of(escalates, VIP)
    assert with_numbers[:2] == ["handoff_requested", "ai_turn, customer_message, timer ai_reply (1 min) [a trigger holds]"]
    assert "- valued_and_losing_patience: lifetime value at least 5000 and frustration expected within 2 min" in with_numbers
    assert len(with_numbers) == 2 + len(VIP.trigger)
    assert len(lines_of(escalates, VIP, triggers=False)) == 2
    assert lines_of(offloads, VIP)[-1] == (
        "- tier1: when the whole wait exceeds 5 min (priority at most 3, intent is order_status or opening_hours)"
    )


def test_a_highlighted_arrow_says_what_happened() -> None:
    assert lines_of_moves([Move(1, "a", "b", "ai_turn: unsure"), Move(7, "a", "b")]) == ["#1 ai_turn: unsure", "#7"]


def test_lines_are_broken_where_a_reader_would() -> None:
    assert wrapped(["ai_turn, customer_message, timer ai_reply [a trigger holds]", "- asks: customer says x"], 28) == [
        "ai_turn, customer_message,",
        "  timer ai_reply",
        "  [a trigger holds]",
        "• asks: customer says x",
    ]


@given(st.lists(st.from_regex(r"[a-z_]{1,9}( [a-z_]{1,9}| \[[a-z ]{1,40}\]| \d{1,2} min){0,6}", fullmatch=True), max_size=4))
def test_wrapping_loses_no_word(lines: list[str]) -> None:
    found = " ".join(" ".join(wrapped(lines)).split())

    assert found == " ".join(" ".join(lines).split())
    assert not any("\0" in line for line in wrapped(lines))


# --- formats


def test_dot_has_a_legend_and_tells_owners_apart_by_shape_too() -> None:
    dot = text("dot")

    shapes = dict(re.findall(r'legend_(\w+) \[class="\w+", (shape="\w+", style="[\w,]+", penwidth=[\d.]+)', dot))
    assert shapes.keys() == {"ai", "system", "human", "nobody"}
    assert len(set(shapes.values())) == 4
    assert re.search(r'closed \[class="nobody", .*peripheries=2', dot)


def test_dot_gives_arrows_that_go_back_the_other_way_round() -> None:
    dot = text("dot")

    assert re.search(r'bot_active -> resumed_bot \[class="ai", .*dir="back", .*has settled', dot)
    assert re.search(r'queued -> agent_active \[class="human", .*dir="back", lhead="cluster_agents".*agent_lost', dot)
    assert not re.search(r"resumed_bot -> bot_active", dot)


def test_numbers_stand_in_the_labels_with_a_policy_and_not_without() -> None:
    assert "15 min" in text("dot", "vip")
    assert "policy vip 2026-11-1" in text("dot", "vip")
    assert not re.search(r"\d (s|min|h|d)\b", text("dot"))


def test_quotes_and_backslashes_stay_inside_labels() -> None:
    policy = parse_policy('[policy]\nname = "a\\"b\\\\c"\n[[trigger]]\nname = "t"\nwhen = { customer_says = ["x\\"y:{z}"] }')

    dot = FORMATS["dot"](Wanted(machine=CONVERSATION, policy=policy))
    mermaid = FORMATS["mermaid"](Wanted(machine=CONVERSATION, policy=policy))

    assert 'policy a\\"b\\\\c' in dot
    assert "x#quot;y#58;#123;z#125;" in mermaid
    assert 'policy a\\"b\\\\c"' in mermaid


def test_a_path_is_numbered_and_its_states_stand_out() -> None:
    moves = [Move(1, "bot_active", "escalation_pending", "ai_turn: t"), Move(2, "escalation_pending", "closed", "closed")]

    dot, mermaid, markdown = (text(form, moves=moves) for form in ("dot", "mermaid", "markdown"))

    assert " #1 ai_turn: t \\l" in dot
    assert len(re.findall(f'penwidth=4, .*color="{LIGHT.accent}"', dot)) == 3
    assert "bot_active --> escalation_pending : #35;1 ai_turn#58; t" in mermaid
    assert [line for line in mermaid.splitlines() if line.endswith(" visited")] == [
        "  class bot_active visited",
        "  class escalation_pending visited",
        "  class closed visited",
    ]
    assert "1. `bot_active` → `escalation_pending`: ai_turn: t\n2. `escalation_pending` → `closed`: closed" in markdown


@pytest.mark.parametrize("form", ["dot", "mermaid"])
def test_dark_uses_no_light_colour(form: str) -> None:
    dark = text(form, "copilot", palette=DARK, moves=[Move(1, "bot_active", "escalation_pending")])
    light = {getattr(LIGHT, field) for field in Palette.__slots__ if field.startswith(tuple("abcdefghijklmnopqrstuvwxyz"))}

    assert not [colour for colour in light if colour in dark]
    assert FORMATS[form](Wanted(machine=CONVERSATION)).count(DARK.paper) == 0


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_words_can_be_read_on_every_fill(palette: Palette) -> None:
    """WCAG 2.2: 7 for text (AAA), 3 for lines that carry meaning."""
    for kind in ("ai", "system", "human", "nobody"):
        assert contrast(palette.ink, getattr(palette, kind)) >= 7
        assert contrast(getattr(palette, f"{kind}_line"), palette.paper) >= 3
    assert contrast(palette.faint, palette.paper) >= 4.5
    assert contrast(palette.accent, palette.paper) >= 4.5


def test_the_tables_name_every_event_guard_and_state() -> None:
    markdown = text("markdown")

    for row in CONVERSATION.rows:
        if row.refuses is None:
            assert f"`{row.event}`" in markdown
            assert all(f"| `{guard}` |" in markdown for guard in row.when)
    assert all(f"| `{state}` |" in markdown for state in CONVERSATION.states)
    assert "refused (`not_allowed_here`, `stale_timer`)" in markdown
    assert "| `queued` | `offer_accepted` | `copilot_engages_on_accept` | `copilot` |" in markdown
    assert "DraftForAgent |" in markdown


def test_the_tables_show_a_policys_numbers_and_triggers() -> None:
    markdown = text("markdown", "vip")

    assert "`timer_queue` (15 min)" in markdown
    assert "Here: fewer than 3 callbacks tried." in markdown
    assert "2. valued_and_losing_patience: lifetime value" in markdown
    assert "None." in FORMATS["markdown"](Wanted(machine=CONVERSATION, policy=parse_policy("")))
    assert "Guards" not in text("markdown", machine="offer")


def test_every_cell_of_a_table_is_where_its_column_is() -> None:
    for machine in MACHINES:
        for block in text("markdown", "general", machine).split("\n\n"):
            if block.startswith("|"):
                columns = {line.replace("\\|", "").count("|") for line in block.splitlines()}
                assert len(columns) == 1, block


def test_rows_keep_the_order_in_which_they_are_tried() -> None:
    flat = [(source, row.event, row.when) for sources, row in rows_alike(CONVERSATION.rows) for source in sources]

    assert flat == [(row.source, row.event, row.when) for row in CONVERSATION.rows]


def test_every_state_but_closed_owes_timers() -> None:
    owed = {state: timers_of(CONVERSATION, state) for state in CONVERSATION.states}

    assert owed["closed"] == []
    assert all(timers for state, timers in owed.items() if state != "closed")
    assert {timer for timers in owed.values() for timer in timers} == {f"timer_{name}" for name in TIMERS}


@pytest.mark.parametrize("policy", [None, "vip", "general"])
def test_real_mermaid_takes_the_text(policy: str | None) -> None:
    mermaidx = pytest.importorskip("mermaidx", reason="needs mermaidx (real Mermaid): pip install mermaidx")
    moves = [Move(1, "bot_active", "escalation_pending", "ai_turn: unsure; 10 < 20 {#}")]

    for machine in ("conversation",) if policy else MACHINES:
        drawn = mermaidx.render(text("mermaid", policy, machine, moves=moves if machine == "conversation" else ())).svg()
        assert "<svg" in drawn
        assert all(state in drawn for state in MACHINES[machine].states)
    with pytest.raises(RuntimeError, match="Parse error"):
        mermaidx.render("stateDiagram-v2\n a --> : b").svg()


def test_the_same_bytes_in_another_process_with_another_hash_seed() -> None:
    code = (
        "from handoff_kit.controller.shelf import load_policy\n"
        "from handoff_kit.machines.diagram import FORMATS, MACHINES, Wanted\n"
        "import hashlib\n"
        "texts = [make(Wanted(machine=m, policy=p)) for m in MACHINES.values() for make in FORMATS.values()"
        " for p in (None, load_policy('vip'))]\n"
        "print(hashlib.sha256(''.join(texts).encode()).hexdigest())"
    )
    pythons = [sys.executable, *([other] if (other := os.environ.get("HANDOFF_OTHER_PYTHON")) else [])]
    digests = {
        subprocess.run(
            [python, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for python in pythons
        for seed in ("1", "2")
    }

    assert len(digests) == 1
