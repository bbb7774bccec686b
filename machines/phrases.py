"""Finding a phrase in what somebody wrote.

A phrase is found case-folded, with runs of white space as one, and with no letter, digit or underscore right before or after
it. Scripts that are written without spaces (Chinese, Japanese, Thai and their like) have no such edges, so none is asked there.
"""

import re
from collections.abc import Callable, Iterable

__all__ = ["normalized", "phrase_finder"]

#: Blocks of scripts written without spaces between words (Unicode 15 block names in the comments).
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3000, 0x30FF),  # CJK symbols, Hiragana, Katakana
    (0x3400, 0x4DBF),  # CJK unified ideographs extension A
    (0x4E00, 0x9FFF),  # CJK unified ideographs
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0xFF66, 0xFF9F),  # halfwidth Katakana
    (0x20000, 0x3FFFF),  # supplementary ideographic planes
)


#: A letter, digit or underscore of a script that has spaces.
_LETTER = r"[^\W" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in _UNSPACED) + "]"


def _has_edges(letter: str) -> bool:
    return not any(low <= ord(letter) <= high for low, high in _UNSPACED)


def _bounded(form: str) -> str:
    """Return the pattern of one phrase, with the edges that its script has."""
    before = f"(?<!{_LETTER})" if _has_edges(form[0]) else ""
    after = f"(?!{_LETTER})" if _has_edges(form[-1]) else ""
    return before + re.escape(form) + after


def normalized(text: str) -> str:
    """Return the text case-folded, with runs of white space as one space and none at the ends."""
    return " ".join(text.casefold().split())


def phrase_finder(phrases: Iterable[str]) -> Callable[[str], str | None]:
    """Return a function that finds the first of the phrases, in their order, in a normalized text.

    It returns the phrase as it was given, or None. Whether a phrase occurs at all is looked at first, since that is much
    cheaper than looking at edges, and the answer is nearly always no.
    """
    forms = [(normalized(phrase), phrase) for phrase in phrases]
    searches = [(form, re.compile(_bounded(form)).search, phrase) for form, phrase in forms]

    def find(text: str) -> str | None:
        for form, search, phrase in searches:
            if form in text and search(text):
                return phrase
        return None

    return find
