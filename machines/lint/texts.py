"""Rules over texts to the customer: placeholders, silence, languages.

What may not go in here: what texts are for, which the machine's callbacks know.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ..policy import DEFAULT_TEXTS, Policy
from ..policy_codec import guess
from ..wording import listed
from .findings import Finding

__all__ = ["lint_texts"]

#: The placeholders that are filled in, by text; all other texts know none.
_KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType({"connecting": ("summary",), "position": ("position", "eta")})

#: Texts without which the customer is left without a word, and when.
_LAST_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "callback": "nobody is free",
        "closed_hours": "the queue is closed",
        "fallback": "the AI has no answer",
    }
)

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def lint_texts(policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong with texts, language by language."""
    for language, texts in policy.texts.items():
        for name, text in texts.items():
            place = f"texts.{language}.{name}"
            for word in dict.fromkeys(_PLACEHOLDER.findall(text)):
                if word not in _KNOWN.get(name, ()):
                    yield _unknown(place, name, word)
            # A language that lacks a text takes that of another table, where it is found.
            if name in _LAST_WORDS and not text.strip():
                sentence = f"{name} is empty in {language}: when {_LAST_WORDS[name]}, the customer reads nothing."
                yield Finding("silent_fallback", place, sentence, "give a text, or take the key out for the default's", "warning")
        missing = [name for name in DEFAULT_TEXTS if language != "default" and not _has(policy, language, name)]
        if missing:
            sentence = f"{language} lacks {listed(missing, 'and')}: the customer reads the default's there."
            mend = f"write {'it' if len(missing) == 1 else 'them'} in [texts.{language}]"
            yield Finding("missing_text", f"texts.{language}", sentence, mend, "warning")


def _unknown(place: str, name: str, word: str) -> Finding:
    known = _KNOWN.get(name, ())
    if known:
        mend = guess(word, known) or f"known are {', '.join(known)}"
    else:
        mend = f"take it out: {name} knows no placeholder"
    return Finding("unknown_placeholder", place, f"{name} does not know {{{word}}}: the customer reads it as it stands.", mend)


def _has(policy: Policy, language: str, name: str) -> bool:
    """Whether a language has a text, by itself or by the language that it is a form of."""
    base = language.replace("_", "-").partition("-")[0]
    return any(name in policy.texts.get(one, {}) for one in (language, base))
