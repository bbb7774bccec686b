"""The review page: what it says, that it loads nothing, and how it looks in a real browser."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from machines_build import Talk

from handoff_kit.controller.cli.main import root
from handoff_kit.controller.review.facts import seen_rows, text_rows, timeline, timer_rows
from handoff_kit.controller.review.watching import Sessions
from handoff_kit.controller.sessions.reader import sources_of
from handoff_kit.controller.sessions.replaying import Job, replay_sessions
from handoff_kit.controller.shelf import BUNDLED_POLICIES, load_policy
from handoff_kit.controller.svg import _programs
from handoff_kit.machines import HandoffWithdrawn, parse_policy
from handoff_kit.machines.overview import queue_rows

HANDOFF = [sys.executable, "-m", "handoff_kit.controller"]
VIP = load_policy("vip")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `vip.html` (with its sessions), `odd.html` (a policy full of markup), and one of each other policy."""
    pytest.importorskip("jinja2", reason="needs Jinja2: pip install 'handoff-kit[diagrams]'")
    if next(_programs(), None) is None:
        pytest.skip("needs Graphviz: pip install 'handoff-kit[diagrams]', or `dot` on the PATH")
    folder = tmp_path_factory.mktemp("pages")
    odd = folder / "odd.toml"
    odd.write_text(ODD, encoding="utf-8")
    for name in (*BUNDLED_POLICIES, str(odd)):
        args = ["review", name, "-o", str(folder / f"{Path(name).stem}.html")]
        if name == "vip":
            args += ["--sessions", "vip", "banking"]
        root.main(args, standalone_mode=False)
    return folder


ODD = """
[policy]
name = "<b>odd</b> & co"
[[trigger]]
name = "t<script>alert(1)</script>"
when = { customer_says = ["<img src=x onerror=alert(2)>"] }
[texts.de]
hold = "</style><script>alert(3)</script>"
callback = ""
[[destination]]
name = "default"
purpose = "<i>"
fields = ["customer.id", "customer.tier", "messages"]
"""


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.ids: set[str] = set()
        self.inside: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src", "srcset", "action"):
                (self.inside if (value or "").startswith("#") else self.outside).append(value or "")


def parsed(page: Path) -> _Links:
    links = _Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


# --- what it says


@pytest.mark.parametrize("name", [*BUNDLED_POLICIES, "odd"])
def test_a_page_loads_nothing_and_its_links_lead_somewhere(pages: Path, name: str) -> None:
    links = parsed(pages / f"{name}.html")

    assert links.outside == []
    assert {link[1:] for link in links.inside} <= links.ids
    assert not {"script", "link", "iframe", "img", "object"} & set(links.tags)
    assert "url(" not in (pages / f"{name}.html").read_text(encoding="utf-8")


def test_markup_in_a_policy_is_shown_and_not_run(pages: Path) -> None:
    text = (pages / "odd.html").read_text(encoding="utf-8")

    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert "onerror=alert(2)&gt;" in text


def test_a_newcomer_finds_when_a_gold_customer_goes_to_tier_2_and_what_if_nobody_is_there(pages: Path) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (pages / "vip.html").read_text(encoding="utf-8")))

    first = text.index("Who goes where")
    assert "valued_and_losing_patience lifetime value at least 5000 and frustration expected within 2 min" in text[first:]
    nobody = text.index("If nobody is there", first + 100)
    tier2 = text.index("Rings at agents of tier2", nobody)
    assert nobody < text.index("The machine", nobody + 100)
    told = text[tier2 : tier2 + 700]
    assert "nobody is available and no wait is known: a callback is promised" in told
    assert "when nobody is available supervisor is told" in told
    assert "after 15 min the customer is promised a callback" in told
    assert "tier gold, lifetime value 12400" in text


def test_sessions_show_how_often_and_three_examples_each(pages: Path) -> None:
    text = (pages / "vip.html").read_text(encoding="utf-8")

    assert "recorded conversation" in text
    assert re.search(r"\d+ × ", text)
    assert "gold-losing-patience" in text
    assert "sessions" not in parsed(pages / "banking.html").ids


def test_the_page_is_the_same_bytes_again(pages: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([*HANDOFF, "review", "vip", "--sessions", "vip", "banking", "-o", str(again)], check=True, env=env)

    assert again.read_bytes() == (pages / "vip.html").read_bytes()


# --- its rows


def test_who_waits_is_told_in_order_what_happens() -> None:
    rows = {row.name: timeline(VIP, row) for row in queue_rows(VIP)}

    assert [moment.when for moment in rows["tier2"]] == ["at once", "when nobody is available", "after 1 min", "after 15 min"]
    assert "back in line after 1 h, 3 times at most, then a ticket" in rows["tier2"][-1].what
    assert rows["tier1"][1].only == "priority at most 3, intent is order_status or opening_hours"


def test_a_promise_says_what_the_policy_makes_of_it() -> None:
    def last(text: str) -> str:
        policy = parse_policy(text)
        return timeline(policy, queue_rows(policy)[0])[-1].what

    queue = '[[queue]]\nname = "q"\n'
    assert last(f'{queue}fallback = "ticket"').startswith("the customer is promised an answer by ticket, and told: “Nobody")
    assert last(f"[callback]\nattempts = 0\n{queue}").endswith("; at once a ticket")
    assert last(f"[callback]\nattempts = 1\n{queue}").endswith("back in line after 1 h, once, then a ticket")
    assert "and told nothing" in last(f'[texts.default]\ncallback = ""\n{queue}')
    policy = parse_policy(f"[timers.by_channel.email]\nqueue_s = 86400\n{queue}")
    assert timeline(policy, queue_rows(policy)[0])[-1].when == "after 10 min; email 1 d"


def test_every_state_has_its_timers_and_what_follows() -> None:
    rows = {(row.state, row.timer): row for row in timer_rows(VIP)}

    assert rows["escalation_pending", "context"].time == "10 s"
    assert rows["escalation_pending", "context"].then == ("if no human is possible: → callback_pending", "else: → queued")
    assert rows["queued", "offer"].time == "20 s"
    assert rows["queued", "queue_step"].time == "as the queue's steps say"
    assert rows["queued", "queue"].then == ("→ callback_pending",)
    by_channel = parse_policy("[timers.by_channel.email]\nwrap_up_s = 600")
    assert next(row for row in timer_rows(by_channel) if row.timer == "wrap_up").time == "2 min; email: 10 min"


def test_texts_say_where_they_come_from() -> None:
    policy = parse_policy('[texts.default]\nhold = "Wait."\n[texts.de]\nhold = "Warten."\nrating = ""\n[texts.fr]\nrating = "?"')
    rows = {name: [(text.text, text.origin) for text in texts] for name, texts in text_rows(policy)}

    assert rows["hold"] == [("Wait.", "own"), ("Warten.", "own"), ("Wait.", "inherited")]
    assert [origin for _, origin in rows["rating"]] == ["built-in", "silent", "own"]


def test_what_each_destination_sees() -> None:
    policy = parse_policy(
        '[[destination]]\nname = "default"\nfields = ["customer.id", "customer.tier", "messages", "entities.a"]'
    )
    rows = {row.field: row.seen for row in seen_rows(policy)}

    assert (rows["customer"], rows["messages"], rows["entities"], rows["facts"]) == (("id, tier",), ("all",), ("a",), ("none",))


# --- what sessions show


def watched(policy_name: str, *files: str) -> Sessions:
    policy = load_policy(policy_name)
    sessions = Sessions(policy)
    replay_sessions(Job(sources=sources_of(files), policy=policy), watch=sessions)
    return sessions


def test_counts_agree_with_the_replays_own() -> None:
    policy = load_policy("banking")
    sessions = Sessions(policy)
    tally, _ = replay_sessions(Job(sources=sources_of(("banking", "general")), policy=policy), watch=sessions)

    assert sessions.conversations == tally.sessions
    assert sessions.escalated == tally.escalated
    assert sessions.final == tally.final_states
    moves = {(source, target): 0 for source, target, _ in sessions.arrows}
    for (source, target, _), count in sessions.arrows.items():
        moves[source, target] += count
    assert {f"{s}->{t}": n for (s, t), n in moves.items() if s != t} == dict(tally.transitions)
    refusals: dict[str, int] = {}
    for (name, _), count in sessions.refusals.items():
        refusals[name] = refusals.get(name, 0) + count
    assert refusals == dict(tally.refused)
    assert not sessions._under_way


def test_examples_say_who_what_why_and_what_followed() -> None:
    sessions = watched("vip", "vip")
    first, second = sessions.examples["valued_and_losing_patience"]

    assert (first.conversation, first.customer) == ("gold-losing-patience", "tier gold, lifetime value 12400, en-GB, web")
    assert [line.speaker for line in first.talk] == ["customer", "AI, withheld"]
    assert any("valued_and_losing_patience holds" in sentence for sentence in first.decision)
    assert [state for _, state, _ in first.after] == ["queued", "agent_active", "wrap_up", "closed"]
    assert second.after[0][1] == "callback_pending"
    assert first.ending == "resolved_by_agent"
    assert all(len(examples) <= 3 for examples in watched("general", "general", "banking", "vip").examples.values())


def test_what_the_cool_down_keeps_back_is_counted() -> None:
    talk = Talk()
    talk.escalate(5)
    talk.do(HandoffWithdrawn, 6)
    talk.turn(20, confidence=0.1)
    talk.turn(400, confidence=0.1, wants_handoff=True)
    sessions = Sessions(talk.policy)
    for step in talk.steps:
        sessions.step("c-1", step)
    sessions.end("c-1")

    counts = {name: (count.first, count.beside, count.held_back) for name, count in sessions.triggers.items()}
    assert counts == {"asks": (0, 0, 0), "ai_asks": (1, 0, 0), "unsure": (0, 1, 1)}


# --- the command


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HANDOFF, "review", *args], capture_output=True, text=True, check=False)


def test_a_file_without_sessions_before_it_is_an_error(tmp_path: Path) -> None:
    done = run("vip", "vip", "-o", str(tmp_path / "x.html"))

    assert (done.returncode, done.stderr) == (2, "handoff: vip: give recordings after --sessions\n")


def test_a_bad_policy_writes_no_page(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[timers]\nqueue_x = 1\n", encoding="utf-8")
    done = run(str(bad), "-o", str(tmp_path / "x.html"))

    assert done.returncode == 2
    assert "timers.queue_x" in done.stderr
    assert not (tmp_path / "x.html").exists()


# --- in a real browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'handoff-kit[browser]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a Chromium on the PATH")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


def opened(browser: Any, page: Path, **how: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    tab = browser.new_page(**how)
    tab.on("request", lambda request: said.append(request.url) if request.url != page.as_uri() else None)
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(page.as_uri())
    return tab, said


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_hangs_over_the_edge_and_nothing_is_asked_for(browser: Any, pages: Path, width: int) -> None:
    for name in ("vip", "odd", "triage"):
        tab, said = opened(browser, pages / f"{name}.html", viewport={"width": width, "height": 900})

        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert said == []
        tab.close()


def test_dark_screens_are_dark_and_print_is_light(browser: Any, pages: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    fill = "getComputedStyle(document.querySelector('.picture svg polygon')).fill"
    tab, _ = opened(browser, pages / "vip.html", color_scheme="dark")

    assert tab.evaluate(paper) == tab.evaluate(fill) == "rgb(18, 22, 29)"
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate(paper) == tab.evaluate(fill) == "rgb(255, 255, 255)"
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    tab.close()


def test_the_picture_grows_to_its_actual_size(browser: Any, pages: Path) -> None:
    tab, _ = opened(browser, pages / "vip.html", viewport={"width": 1280, "height": 900})
    width = "document.querySelector('.picture svg').getBoundingClientRect().width"

    before = tab.evaluate(width)
    tab.check("#large")
    assert before < 1280 < tab.evaluate(width)
    tab.close()
