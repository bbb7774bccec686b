"""Lines of recordings: from which files, and what a broken one is told."""

import gzip
import io
import json
from pathlib import Path

import pytest

from handoff_kit.controller.sessions.reader import Line, Source, conversation_of, decode, read_lines, share_of, sources_of
from handoff_kit.machines import ConversationStarted, RecordingError

FIRST = {
    "conversation": "c-1",
    "seq": 1,
    "at": "2026-03-02T12:00:00Z",
    "type": "conversation_started",
    "channel": "web",
    "customer": {"id": "u-1"},
}


def line(raw: str | bytes) -> Line:
    return Line(Source(0, "f.jsonl", None), 7, raw.encode() if isinstance(raw, str) else raw)


def test_a_plain_and_a_gzipped_file_give_the_same_lines(tmp_path: Path) -> None:
    text = json.dumps(FIRST) + "\n\n" + json.dumps({**FIRST, "conversation": "c-2"}) + "\n"
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "b.bin").write_bytes(gzip.compress(text.encode()))
    plain, zipped = (list(read_lines(sources_of((str(tmp_path / name),)))) for name in ("a.jsonl", "b.bin"))

    assert [(one.number, one.raw) for one in plain] == [(one.number, one.raw) for one in zipped]
    assert [one.number for one in plain] == [1, 3]


def test_the_heading_is_no_event(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"type": "recording", "format": 1}\n' + json.dumps(FIRST) + "\n")

    assert [one.number for one in read_lines(sources_of((str(path),)))] == [2]


@pytest.mark.parametrize("form", [2, "1", None])
def test_a_newer_format_is_refused_as_such(tmp_path: Path, form: object) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"type": "recording", "format": form}) + "\n")
    with pytest.raises(RecordingError, match=r"a\.jsonl:1: the recording has format .* newer version"):
        list(read_lines(sources_of((str(path),))))


def test_standard_input_may_be_gzipped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BufferedReader(io.BytesIO(gzip.compress(json.dumps(FIRST).encode())))  # type: ignore[arg-type]

    monkeypatch.setattr("sys.stdin", Stdin)

    assert len(list(read_lines(sources_of(("-",))))) == 1


def test_a_file_that_is_cut_off_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress((json.dumps(FIRST) + "\n").encode() * 500)[:-20])
    with pytest.raises(RecordingError, match=r"cut\.jsonl\.gz: cannot be read"):
        list(read_lines(sources_of((str(path),))))


def test_an_unknown_file_is_told_with_what_may_be_given() -> None:
    with pytest.raises(RecordingError, match="nowhere: there is no such file; give a file, - for standard input, or"):
        sources_of(("nowhere",))


def test_a_line_gives_its_event_and_no_step_where_none_was_recorded() -> None:
    event, step = decode(line(json.dumps(FIRST)))

    assert isinstance(event, ConversationStarted)
    assert step is None


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("{", "f.jsonl:7: not a line of JSON in UTF-8"),
        (b"\xff\xfe{}", "f.jsonl:7: not a line of JSON in UTF-8"),
        ("[]", "f.jsonl:7: not an object; write one JSON object a line"),
        (json.dumps({**FIRST, "colour": "red"}), "f.jsonl:7: colour: there is no key 'colour' here"),
        (json.dumps({k: v for k, v in FIRST.items() if k != "seq"}), "f.jsonl:7: the field 'seq' is missing"),
        (json.dumps({k: v for k, v in FIRST.items() if k != "at"}), "f.jsonl:7: the field 'at' is missing"),
        (json.dumps({**FIRST, "conversation": ""}), "f.jsonl:7: the field 'conversation' is missing or empty"),
        (json.dumps({**FIRST, "step": {"state": "closed"}}), "f.jsonl:7: step is not what a recording keeps"),
        (json.dumps({**FIRST, "step": 3}), "f.jsonl:7: step is not what a recording keeps"),
        ('{"conversation":"c","seq":2,"at":"2026-03-02T12:00:00Z","type":"ai_turn","confidence":NaN}', "NaN is not JSON"),
        ('{"conversation":"c","seq":2,"at":"2026-03-02T12:00:00Z","type":"ai_turn","confidence":1e999}', "confidence"),
    ],
)
def test_a_broken_line_is_told_with_file_line_what_and_mend(raw: str | bytes, told: str) -> None:
    with pytest.raises(RecordingError) as error:
        decode(line(raw))

    assert told in str(error.value)
    assert "; " in str(error.value)


@pytest.mark.parametrize("name", ["c-1", 'quo"te', "back\\slash", "ünï", "", "a" * 300])
def test_all_spellings_of_a_conversations_id_fall_into_one_share(name: str) -> None:
    """Workers split the lines by conversation; how a line is written must not matter."""
    data = {**FIRST, "conversation": name}
    spellings = [
        json.dumps(data, separators=(",", ":")),
        json.dumps(data),
        json.dumps(dict(reversed(data.items()))),
        json.dumps(data, ensure_ascii=False, separators=(",", ":")),
    ]

    assert len({share_of(conversation_of(line(raw)), 7) for raw in spellings}) == 1


def test_a_line_that_cannot_be_read_belongs_to_the_first_share() -> None:
    assert share_of(conversation_of(line("nonsense")), 5) == 0
