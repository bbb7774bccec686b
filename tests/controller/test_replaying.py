"""Replaying many sessions: counts, verification, digests that depend on nothing but the sessions, flat memory."""

import gzip
import json
import os
import random
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from freezegun import freeze_time

from handoff_kit.controller.sessions.reader import BUNDLED_RECORDINGS, sources_of
from handoff_kit.controller.sessions.replaying import Job, parse_until, replay_sessions
from handoff_kit.controller.sessions.tally import Tally
from handoff_kit.controller.shelf import load_policy
from handoff_kit.machines import RecordingError

AT = "2026-03-02T12:{:02d}:{:02d}Z"


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(name: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """A conversation with an event each 10 s."""
    first = {"type": "conversation_started", "channel": "web", "customer": {"id": "u-1"}}
    return [
        {"conversation": name, "seq": seq, "at": AT.format(seq * 10 // 60, seq * 10 % 60), **event}
        for seq, event in enumerate((first, *events), 1)
    ]


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "customer_message", "text": text, **more}


def turn(reply: str = "ok", **more: Any) -> dict[str, Any]:
    return {"type": "ai_turn", "reply": reply, **more}


def run(path: Path | str, **options: Any) -> Tally:
    tally, _ = replay_sessions(Job(sources=sources_of((str(path),)), **options))
    return tally


# --- counts


def test_counts_of_a_small_log(tmp_path: Path) -> None:
    rows = [
        *rows_of("solved", says("hello"), turn(wants_close=True)),
        *rows_of("asked", says("a real person please"), turn(), {"type": "closed", "reason": "record_end"}),
    ]
    tally = run(write(tmp_path / "a.jsonl", rows))

    assert (tally.sessions, tally.events, tally.escalated) == (2, 7, 1)
    assert tally.reasons == {"explicit_request": 1}
    assert tally.refused == {"not_owner": 1}
    assert tally.final_states == {"closed": 2}
    assert tally.close_reasons == {"resolved_by_ai": 1, "record_end": 1}
    assert tally.transitions["bot_active->escalation_pending"] == 1
    assert tally.verified == tally.mismatches == tally.changed == 0


def test_an_unknown_reason_of_closing_is_counted_as_other(tmp_path: Path) -> None:
    rows = rows_of("c", {"type": "closed", "reason": "gone fishing"})

    assert run(write(tmp_path / "a.jsonl", rows)).close_reasons == {"other": 1}


def test_a_line_for_each_session(tmp_path: Path) -> None:
    rows = [
        *rows_of("b", says("hello")),
        *rows_of("a", says("hello"), says("a human"), turn()),
    ]
    out = tmp_path / "sessions.jsonl"
    run(write(tmp_path / "a.jsonl", rows), sessions_out=out)

    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"conversation": "b", "escalated_at_seq": None, "reasons": [], "final_state": "bot_active", "refused": 0},
        {
            "conversation": "a",
            "escalated_at_seq": 3,
            "reasons": ["explicit_request"],
            "final_state": "queued",
            "refused": 1,
        },
    ]


def test_an_escalation_by_a_timer_is_told_at_the_line_before_it(tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text('[[trigger]]\nname = "slow"\nwhen = { misses_at_least = 1 }\n')
    rows = rows_of("c", says("hello"))
    rows.append({"conversation": "c", "seq": 3, "at": "2026-03-02T12:30:00Z", **says("anybody?")})
    out = tmp_path / "sessions.jsonl"
    run(write(tmp_path / "a.jsonl", rows), policy=load_policy(str(policy)), sessions_out=out)

    assert json.loads(out.read_text())["escalated_at_seq"] == 2


def test_a_timer_that_would_close_under_later_events_is_passed_over_and_counted(tmp_path: Path) -> None:
    rows = rows_of("c", says("hello"), turn())
    rows.append({"conversation": "c", "seq": 4, "at": "2026-03-02T14:00:00Z", **says("hours later")})
    rows.append({"conversation": "c", "seq": 5, "at": "2026-03-02T14:00:05Z", **turn()})
    tally = run(write(tmp_path / "a.jsonl", rows))

    assert tally.overrun == 1
    assert tally.final_states == {"bot_active": 1}
    assert tally.refused == {}


def test_a_late_event_is_counted(tmp_path: Path) -> None:
    rows = rows_of("c", says("hello"), says("again"))
    rows[2]["at"] = rows[0]["at"]

    assert run(write(tmp_path / "a.jsonl", rows)).late == 1


def test_until_fires_timers_after_the_last_event(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", rows_of("c", says("a human")))

    assert run(path).final_states == {"escalation_pending": 1}
    assert run(path, until=parse_until("10s")).final_states == {"queued": 1}
    assert run(path, until=parse_until("11m")).final_states == {"callback_pending": 1}
    assert run(path, until=parse_until("2026-03-02T12:00:31Z")).final_states == {"queued": 1}


@pytest.mark.parametrize("text", ["", "soon", "5", "2h later", "2026-03-02T12:00:00"])
def test_until_is_a_time_with_a_zone_or_a_span(text: str) -> None:
    with pytest.raises(ValueError):
        parse_until(text)


def test_an_agents_own_stream_is_checked_and_passed_over(tmp_path: Path) -> None:
    presence = {"agent": "a1", "seq": 1, "at": AT.format(0, 1), "type": "presence_changed", "presence": "available"}
    tally = run(write(tmp_path / "a.jsonl", [presence, *rows_of("c", says("hello"))]))

    assert (tally.sessions, tally.events) == (1, 3)
    with pytest.raises(RecordingError, match="seq is 1, and 2 was expected"):
        run(write(tmp_path / "b.jsonl", [presence, presence]))


# --- bad lines


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows[2].update(seq=4), "a.jsonl:3: seq is 4, and 3 was expected"),
        (lambda rows: rows[2].update(id="x") or rows[1].update(id="x"), "a.jsonl:3: the id 'x' was used before"),
        (lambda rows: rows.pop(0), "a.jsonl:1: conversation 'c' begins with customer_message"),
        (lambda rows: rows[1].update(type="approval_requested"), "a.jsonl:2: type 'approval_requested' is not yet supported"),
    ],
)
def test_a_bad_line_stops_the_replay(tmp_path: Path, change: Any, told: str) -> None:
    rows = rows_of("c", says("hello"), turn())
    change(rows)
    path = write(tmp_path / "a.jsonl", rows)
    for workers in (1, 2):
        with pytest.raises(RecordingError) as error:
            run(path, workers=workers)

        assert told in str(error.value)


def test_bad_lines_may_be_skipped_and_are_counted_and_listed(tmp_path: Path) -> None:
    rows = rows_of("c", says("hello"), turn(confidence=7), says("a human"), turn())
    tally = run(write(tmp_path / "a.jsonl", rows), skip_bad_lines=True)

    assert tally.skipped_count == 1
    assert "a.jsonl:3: confidence must be from 0 to 1" in tally.skipped[0][1]
    assert tally.events == 4
    assert tally.escalated == 1


# --- records


@pytest.mark.parametrize("name", BUNDLED_RECORDINGS)
def test_bundled_recordings_verify_step_by_step(name: str) -> None:
    tally = run(name)

    assert tally.mismatches == tally.changed == 0
    assert tally.verified == tally.events
    assert not tally.unknown_policies


@pytest.mark.parametrize("name", BUNDLED_RECORDINGS)
def test_a_record_of_a_replay_verifies_and_has_its_digest(name: str, tmp_path: Path) -> None:
    first = run(name, record=tmp_path / "again.jsonl")
    second = run(tmp_path / "again.jsonl")

    assert second.verified == second.events == first.events
    assert second.digest == first.digest


def test_a_record_of_a_foreign_log_holds_its_timers_and_leaves_out_what_was_refused(tmp_path: Path) -> None:
    """Line numbers move, and a reference to a message by its line moves with it."""
    rows = rows_of(
        "c",
        {"type": "offer_accepted", "agent": "a1", "offer": 1},
        says("hello"),
        turn(in_reply_to=3, epoch=0),
        turn("again", in_reply_to=3, epoch=0),
        says("a human"),
    )
    rows.append({"conversation": "c", "seq": 7, "at": "2026-03-02T12:20:00Z", **says("anybody?")})
    out = tmp_path / "recorded.jsonl"
    first = run(write(tmp_path / "a.jsonl", rows), record=out)
    recorded = [json.loads(line) for line in out.read_text().splitlines()]
    second = run(out)

    assert first.refused == {"already_answered": 1, "not_offered": 1}
    assert recorded[0] == {"type": "recording", "format": 1}
    assert [row["seq"] for row in recorded[1:]] == list(range(1, 8))
    assert [row["type"] for row in recorded[1:]] == [
        "conversation_started",
        "customer_message",
        "ai_turn",
        "customer_message",
        "timer_fired",
        "timer_fired",
        "customer_message",
    ]
    assert next(row for row in recorded if row.get("type") == "ai_turn")["in_reply_to"] == 2
    assert second.verified == second.events == len(recorded) - 1
    assert second.digest == first.digest
    assert second.refused == {}


def test_a_tampered_record_is_a_mismatch_that_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run("general", record=path)
    lines = path.read_text().splitlines()
    row = json.loads(lines[3])
    row["step"]["epoch"] = 9
    lines[3] = json.dumps(row)
    path.write_text("\n".join(lines) + "\n")
    tally = run(path)

    assert tally.mismatches == 1
    assert "a.jsonl:4: mismatch: epoch 9 is now 0" in tally.differences[0][1]


def test_another_policy_than_the_recorded_one_counts_as_changed(tmp_path: Path) -> None:
    tally = run("general", policy=load_policy("banking"))

    assert tally.mismatches == 0
    assert tally.changed > 0


def test_a_policy_beside_the_recording_is_found_by_its_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[trigger]]\nname = "t"\nwhen = { customer_says = ["help"] }\n')
    (tmp_path / "other.toml").write_text("[project]\nname = 'not a policy'\n")
    policy = load_policy(str(tmp_path / "mine.toml"))
    path = write(tmp_path / "a.jsonl", rows_of("c", says("help")))
    run(path, policy=policy, record=tmp_path / "recorded.jsonl")
    tally = run(tmp_path / "recorded.jsonl")
    (tmp_path / "mine.toml").unlink()
    alone = run(tmp_path / "recorded.jsonl")

    assert tally.verified == 2
    assert alone.unknown_policies == {policy.fingerprint}
    assert alone.mismatches == 0
    assert alone.changed > 0


def test_an_event_with_erased_fields_takes_its_recorded_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run(write(tmp_path / "in.jsonl", rows_of("c", says("a human, my card is 4111"), turn())), record=path)
    rows = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    rows[1]["text"], rows[1]["erased"] = "", ["text"]
    tally = run(write(tmp_path / "erased.jsonl", rows))

    assert tally.erased == 1
    assert tally.mismatches == 0
    assert tally.escalated == 1
    assert tally.reasons == {"explicit_request": 1}


# --- one digest


@pytest.mark.parametrize("name", BUNDLED_RECORDINGS)
def test_the_digests_of_bundled_recordings_are_those_on_record(name: str, golden: Any) -> None:
    """On every machine and Python version; a change of decisions shows here."""
    tally = run(name)

    golden(f"digest_{name}", {"sessions": tally.sessions, "events": tally.events, "digest": f"{tally.digest:064x}"})


def big_log(path: Path, sessions: int = 60) -> Path:
    rng = random.Random(7)
    talks = []
    for number in range(sessions):
        events: list[dict[str, Any]] = []
        for _ in range(rng.randint(1, 8)):
            events.append(says(rng.choice(["hello", "a human please", "where is it?"])))
            events.append(turn(sentiment=rng.choice([-0.9, -0.2, 0.4]), missed=rng.random() < 0.3))
        talks.append(rows_of(f"c-{number}", *events))
    rows = []
    while talks:
        talk = rng.choice(talks)
        rows.append(talk.pop(0))
        talks = [talk for talk in talks if talk]
    return write(path, rows)


def test_the_digest_depends_on_nothing_but_the_sessions(tmp_path: Path) -> None:
    path = big_log(tmp_path / "a.jsonl")
    whole = run(path)
    lines = path.read_text().splitlines()
    by_name = sorted(lines, key=lambda line: (json.loads(line)["conversation"], json.loads(line)["seq"]))
    (tmp_path / "sorted.jsonl.gz").write_bytes(gzip.compress(("\n".join(by_name) + "\n").encode()))

    assert whole.sessions == 60
    for other in (
        run(tmp_path / "sorted.jsonl.gz"),
        run(path, workers=3),
        run(path, live=7),
        run(path, live=1, workers=2),
    ):
        assert attrs.evolve(other, differences=[], skipped=[]) == whole


def test_what_is_written_is_the_same_for_any_number_of_workers_and_any_room(tmp_path: Path) -> None:
    path = big_log(tmp_path / "a.jsonl")
    texts = set()
    for number, options in enumerate(({}, {"workers": 2}, {"live": 5}, {"live": 2, "workers": 3})):
        record, sessions = tmp_path / f"r{number}", tmp_path / f"s{number}"
        run(path, record=record, sessions_out=sessions, until=parse_until("1h"), **options)
        texts.add((record.read_text(), sessions.read_text()))

    assert len(texts) == 1


def digest_under(python: str, *names: str, **environment: str) -> str:
    done = subprocess.run(
        [python, "-m", "handoff_kit.controller", "replay", *names, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    digest: str = json.loads(done.stdout)["digest"]
    return digest


def test_the_digest_is_the_same_under_another_hash_seed(tmp_path: Path) -> None:
    path = str(big_log(tmp_path / "a.jsonl", 20))

    assert len({digest_under(sys.executable, path, PYTHONHASHSEED=seed) for seed in ("0", "1", "77")}) == 1


def test_the_digest_is_the_same_under_another_python(tmp_path: Path) -> None:
    other = os.environ.get("HANDOFF_OTHER_PYTHON")
    if not other:
        pytest.skip("HANDOFF_OTHER_PYTHON names no second interpreter with handoff-kit installed")
    path = str(big_log(tmp_path / "a.jsonl", 30))
    version = subprocess.run([other, "-V"], capture_output=True, text=True, check=True).stdout

    assert version.split()[1].rsplit(".", 1)[0] != ".".join(map(str, sys.version_info[:2]))
    assert digest_under(sys.executable, path, "general", "banking") == digest_under(other, path, "general", "banking")


def test_memory_stays_flat_however_long_the_file_is(tmp_path: Path) -> None:
    """Six times the sessions, hardly more memory: what there is no room for waits on disk."""
    paths = []
    # The first warms up what is made once a process; the last is run twice, since a table of the interpreter's own may grow once.
    for sessions in (600, 600, 3600, 3600):
        paths.append(tmp_path / f"{len(paths)}.jsonl")
        with paths[-1].open("w", encoding="utf-8") as file:
            for number in range(sessions):
                for row in rows_of(f"c-{number}", says("hello"), turn("x" * 400)):
                    file.write(json.dumps(row) + "\n")
    peaks = []
    for path in paths:
        tracemalloc.start()
        run(path, live=100)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert min(peaks[2:]) < peaks[1] * 1.5, peaks


def test_no_clock_has_a_say() -> None:
    """The same steps in another century: time comes in with the events alone."""
    with freeze_time("1999-12-31 23:59:59"):
        then = run("general", until=parse_until("1h"))

    assert then == run("general", until=parse_until("1h"))


# --- odd inputs


def test_gaps_after_skipped_lines_are_judged_alike_by_any_number_of_workers(tmp_path: Path) -> None:
    lines = []
    for number in range(8):
        rows = rows_of(f"c-{number}", says("hello"), turn(), says("again"))
        lines += [json.dumps(rows[0]), f"BAD {number}", *(json.dumps(row) for row in rows[2:])]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines) + "\n")
    found = [run(path, workers=workers, skip_bad_lines=True, **more) for workers in (1, 2, 4) for more in ({}, {"live": 2})]

    assert found[0].skipped_count == 8
    assert found[0].events == 24
    assert all(attrs.evolve(one, skipped=[], differences=[]) == attrs.evolve(found[0], skipped=[]) for one in found)


def test_a_conversation_whose_beginning_was_skipped_is_skipped(tmp_path: Path) -> None:
    rows = rows_of("c", says("hello"), turn())
    rows[0]["seq"] = 2
    tally = run(write(tmp_path / "a.jsonl", rows), skip_bad_lines=True)

    assert (tally.sessions, tally.events, tally.skipped_count) == (0, 0, 3)


def test_until_counts_from_the_latest_time_where_the_last_line_is_late(tmp_path: Path) -> None:
    rows = rows_of("c", says("hello"), says("again"))
    rows[2]["at"] = rows[0]["at"]
    rows[1]["at"] = "2026-03-02T13:00:00Z"

    assert run(write(tmp_path / "a.jsonl", rows), until=parse_until("59s")).final_states == {"bot_active": 1}
    assert parse_until("59s").after(datetime(8999, 12, 31, 23, 59, 59, tzinfo=UTC)) == datetime(9000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["99999999999d", "9" * 50 + "s"])
def test_until_is_at_most_a_hundred_years(text: str) -> None:
    with pytest.raises(ValueError):
        parse_until(text)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"text": "\ud800"}, "half of a surrogate pair"),
        ({"at": "9999-12-31T23:59:59Z"}, "beyond the year 9000"),
        ({"type": "handoff_requested", "target": {"queue": ""}, "text": None}, "queue must be a string that is not empty"),
        (
            {"step": {"state": "x", "version": 1, "epoch": 0, "effects": "", "verdicts": 5, "policy": "", "machine": ""}},
            "step is not",
        ),
        (
            {
                "step": {
                    "state": "x",
                    "version": 1,
                    "epoch": 0,
                    "effects": "",
                    "verdicts": [{"name": "a", "holds": True, "colour": 1}],
                    "policy": "",
                    "machine": "",
                }
            },
            "step is not",
        ),
    ],
)
def test_what_cannot_be_used_is_told_and_never_raises(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    rows = rows_of("c", says("hello"))
    rows[1] = {key: value for key, value in {**rows[1], **change}.items() if value is not None}
    with pytest.raises(RecordingError, match=told):
        run(write(tmp_path / "a.jsonl", rows))


def test_json_that_is_too_deep_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("[" * 100_000 + "\n")
    for workers in (1, 2):
        assert run(path, skip_bad_lines=True, workers=workers).skipped_count == 1


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", rows_of("c", says("hello")))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert run(path).events == 2


def test_a_directory_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is a directory"):
        sources_of((str(tmp_path),))
