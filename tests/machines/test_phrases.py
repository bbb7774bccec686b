"""Finding phrases: folded, spaces as one, edges where the script has edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff_kit.machines.phrases import normalized, phrase_finder


def found(phrase: str, text: str) -> bool:
    return phrase_finder([phrase])(normalized(text)) is not None


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("human", "HUMAN"),
        ("HUMAN", "a human"),
        ("Straße", "die STRASSE hier"),
        ("ΣΊΣΥΦΟΣ", "ο σίσυφος"),
        ("I", "it is i"),
    ],
)
def test_case_does_not_matter(phrase: str, text: str) -> None:
    assert found(phrase, text)


@pytest.mark.parametrize("space", ["  ", "\n", "\t", "\r\n", " \u00a0 ", "\u2003", "\u3000"])
def test_a_run_of_white_space_is_one_space(space: str) -> None:
    assert found("real person", f"a real{space}person")
    assert found(f"real{space}person", "a real person")


def test_white_space_at_the_ends_of_a_phrase_is_nothing() -> None:
    assert found("  human ", "human")


def test_a_space_that_is_missing_is_missed() -> None:
    assert not found("real person", "realperson")


@pytest.mark.parametrize("edge", ["", " ", ".", ",", "!", "?", "-", "'", "’", "(", "/", "…", "😀", "€"])
def test_whatever_is_no_letter_digit_or_underscore_is_an_edge(edge: str) -> None:
    assert found("human", f"{edge}human{edge}")


@pytest.mark.parametrize("letter", ["s", "S", "é", "ж", "1", "٣", "_", "ß"])
def test_no_letter_digit_or_underscore_may_stand_next_to_it(letter: str) -> None:
    assert not found("human", f"human{letter}")
    assert not found("human", f"{letter}human")


def test_a_later_place_may_have_the_edges_that_the_first_lacks() -> None:
    assert found("human", "superhuman help: human")


def test_punctuation_in_a_phrase_is_meant() -> None:
    assert found("c++ (help)", "I need C++ (help) now")
    assert not found("a.c", "abc")


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("人工", "我要转人工客服"),
        ("オペレーター", "はやくオペレーターに繋いで"),
        ("ひと", "このひとがいい"),
        ("เจ้าหน้าที่", "ขอคุยกับเจ้าหน้าที่หน่อย"),
        ("ມະນຸດ", "ຂໍມະນຸດແດ່"),
        ("ｵﾍﾟ", "はやくｵﾍﾟに"),
        ("𠮷野", "我𠮷野家"),
        ("មនុស្ស", "ខ្ញុំមនុស្សទេ"),
    ],
)
def test_scripts_without_spaces_have_no_edges(phrase: str, text: str) -> None:
    assert found(phrase, text)


def test_a_phrase_of_two_scripts_has_the_edges_of_its_ends() -> None:
    assert found("人工 agent", "我要转人工 agent!")
    assert not found("人工 agent", "我要转人工 agents")


def test_a_script_with_spaces_keeps_its_edges() -> None:
    assert not found("사람", "사람과")
    assert found("사람", "사람 과")


def test_the_first_phrase_of_the_list_is_told_as_it_was_written() -> None:
    find = phrase_finder(["Real  Person", "Human"])
    assert find(normalized("a human, a real person")) == "Real  Person"
    assert find(normalized("a human")) == "Human"
    assert find(normalized("nobody")) is None


ALPHABET = "ab _1.é人\n"


def is_word(letter: str) -> bool:
    """A letter, digit or underscore of a script with spaces."""
    return (letter.isalnum() and letter != "人") or letter == "_"


def naive(phrase: str, text: str) -> bool:
    """Look at every place, letter by letter."""
    phrase, text = " ".join(phrase.casefold().split()), " ".join(text.casefold().split())
    for start in range(len(text) - len(phrase) + 1):
        end = start + len(phrase)
        if text[start:end] != phrase:
            continue
        clear_before = start == 0 or not is_word(text[start - 1]) or phrase[0] == "人"
        clear_after = end == len(text) or not is_word(text[end]) or phrase[-1] == "人"
        if clear_before and clear_after:
            return True
    return False


@given(
    phrase=st.text(ALPHABET, min_size=1, max_size=4).filter(lambda text: bool(text.strip())),
    text=st.text(ALPHABET, max_size=20),
)
def test_the_finder_is_a_look_at_every_place(phrase: str, text: str) -> None:
    assert found(phrase, text) is naive(phrase, text)


@given(st.text(max_size=30))
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    once = " ".join(text.split())
    assert normalized(once) == normalized(text)


def test_a_word_beside_a_script_without_spaces_is_found() -> None:
    assert found("human", "我要human客服")
    assert not found("human", "我要humans")
