"""Policies as text: from TOML, to canonical JSON, and the errors in between.

An error names the file, the path of the key, what was found and what is allowed. What may not go in here: opening files.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from .canonical import canonical, digest_of
from .conditions import COMBINATORS, LEAVES, Comparison, Condition, Group, Leaf
from .destinations import UnknownField
from .errors import PolicyError
from .policy import Policy
from .values import Json

__all__ = ["fingerprint_of", "guess", "parse_policy", "policy_from_data", "policy_to_data", "told"]

_ABSENT = object()


class _Wrong(ValueError):
    """A value that does not fit, at a path below the place where it is raised."""

    def __init__(self, path: str, found: Any, allowed: str, mend: str = "") -> None:
        super().__init__(allowed if found is _ABSENT else f"found {_short(found)}")
        self.path = path
        self.mend = mend or f"allowed is {allowed}"


def parse_policy(text: str, *, file: str = "policy") -> Policy:
    """Return the policy that a TOML text describes.

    Args:
        text: the TOML.
        file: what to call it in errors.

    Raises:
        PolicyError: names file, key path, what was found and what is allowed.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(file, f"not TOML: {error}", "mend the syntax at that line and column") from None
    return policy_from_data(data, file=file)


def policy_from_data(data: Mapping[str, Json], *, file: str = "policy") -> Policy:
    """Return the policy that plain data describes; raises `PolicyError` as `parse_policy` does."""
    try:
        return _CONVERTER.structure(data, Policy)
    except (cattrs.BaseValidationError, ForbiddenExtraKeysError, ValueError, TypeError) as error:
        path, what, mend = next(told(error, ""))
        raise PolicyError(f"{file}: {path}" if path else file, what, mend) from None


def policy_to_data(policy: Policy) -> dict[str, Json]:
    """Return the policy as plain data, without values that equal their defaults; the way back is `policy_from_data`."""
    data: dict[str, Json] = _CONVERTER.unstructure(policy)
    return data


def fingerprint_of(policy: Policy) -> str:
    """Return the digest of the canonical form."""
    return digest_of(policy_to_data(policy))


# --- conditions


def _condition(data: Json, path: str = "") -> Condition:
    if not isinstance(data, Mapping) or len(data) != 1:
        raise _Wrong(path, data, "a condition: an object with exactly one key")
    ((kind, value),) = data.items()
    place = f"{path}.{kind}" if path else kind
    if kind in COMBINATORS:
        if not isinstance(value, list) or not value:
            raise _Wrong(place, value, "a list of conditions that is not empty")
        return Group(kind, tuple(_condition(inner, f"{place}[{index}]") for index, inner in enumerate(value)))
    if kind not in LEAVES:
        words = [*COMBINATORS, *LEAVES]
        raise _Wrong(place, _ABSENT, f"there is no condition {kind!r}", guess(kind, words) or f"known are {', '.join(words)}")
    try:
        return Leaf(kind, LEAVES[kind].parse(value))
    except ValueError as error:
        raise _Wrong(place, value, str(error)) from None


def _condition_data(condition: Condition) -> dict[str, Json]:
    if isinstance(condition, Group):
        return {condition.kind: [_condition_data(inner) for inner in condition.conditions]}
    value = condition.threshold
    if isinstance(value, Comparison):
        value = {"name": value.name, value.operator: _listed(value.operand)}
    elif condition.kind == "frustration_before_service":
        value = {"margin_s": value}
    return {condition.kind: _listed(value)}


def _listed(value: Json) -> Json:
    return list(value) if isinstance(value, tuple) else value


# --- the converter


def _strict(kind: type, words: str) -> Any:
    def hook(value: Json, _: Any) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _Wrong("", value, words)
        return value

    return hook


def _literal(value: Json, allowed: Any) -> Json:
    words = get_args(allowed)
    if value in words:
        return value
    if value in ("ask_approval", "notify") and words == ("handoff",):
        raise _Wrong("", _ABSENT, f'do = "{value}" is not yet supported', "leave `do` out to hand over")
    raise _Wrong("", value, f"one of {', '.join(map(str, words))}")


def _tuple(value: Json, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _Wrong("", value, "a list")
    inner = get_args(kind)[0]
    out = []
    for index, one in enumerate(value):
        try:
            out.append(_CONVERTER.structure(one, inner))
        except Exception as error:
            error.add_note(f"[{index}]")
            raise
    return tuple(out)


def _mapping(value: Json, kind: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Wrong("", value, "a table")
    inner = get_args(kind)[1]
    out = {}
    for key, one in value.items():
        try:
            out[key] = _CONVERTER.structure(one, inner)
        except Exception as error:
            error.add_note(f".{key}")
            raise
    return out


def _table_hook(cls: type, converter: cattrs.Converter) -> Any:
    structure: Any = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True)

    def hook(value: Json, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _Wrong("", value, "a table")
        return structure(value, cls)

    return hook


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True, forbid_extra_keys=True, omit_if_default=True)
    for kind, words in ((str, "a string"), (int, "a whole number"), (float, "a number"), (bool, "true or false")):
        converter.register_structure_hook(kind, _strict(kind, words))
    converter.register_structure_hook_func(lambda kind: _origin(kind) is Literal, _literal)
    converter.register_structure_hook_func(lambda kind: _origin(kind) is tuple, _tuple)
    converter.register_structure_hook_func(lambda kind: _origin(kind) is not None and _is_mapping(kind), _mapping)
    converter.register_structure_hook_factory(attrs.has, _table_hook)
    converter.register_structure_hook_func(lambda kind: kind == Condition, lambda value, _: _condition(value))
    converter.register_unstructure_hook_func(lambda kind: kind == Condition, _condition_data)
    converter.register_unstructure_hook_factory(
        attrs.has, lambda cls: make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True)
    )
    converter.register_unstructure_hook_func(
        lambda kind: _origin(kind) is tuple, lambda value: [converter.unstructure(one) for one in value]
    )
    return converter


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _is_mapping(kind: Any) -> bool:
    origin = _origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


_CONVERTER = _make_converter()


# --- errors


def told(error: BaseException, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield (path, what, mend) for each thing that is wrong, the first first."""
    here = path + "".join(note for note in reversed(getattr(error, "__notes__", ())) if type(note) is str)
    if isinstance(error, ClassValidationError | IterableValidationError):
        for inner in error.exceptions:
            note = next((n for n in getattr(inner, "__notes__", ()) if hasattr(n, "name")), None)
            yield from told(inner, _joined(here, note.name if note is not None else ""))
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name.rstrip("_") for field in attrs.fields(error.cl)]
        for extra in sorted(error.extra_fields):
            mend = guess(extra, known) or f"known are {', '.join(known)}"
            yield _joined(here, extra), f"there is no key {extra!r} here", mend
    elif isinstance(error, _Wrong | UnknownField):
        yield _joined(here, error.path), str(error), error.mend
    elif isinstance(error, KeyError):
        yield here, f"the key {error.args[0]!r} is missing", "add it"
    else:
        yield here, str(error), "correct the value"


def _joined(path: str, name: str) -> str:
    if not name or name.startswith("["):
        return path + name
    return f"{path}.{name}" if path else name


def guess(word: Any, known: Any) -> str:
    """Return `did you mean ..?`, or nothing where no known word is close."""
    close = difflib.get_close_matches(str(word), list(map(str, known)), 1)
    return f"did you mean {close[0]!r}?" if close else ""


def _short(value: Any) -> str:
    try:
        shown = canonical(value)
    except (TypeError, ValueError):
        shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
