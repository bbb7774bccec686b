"""One text for one value: the canonical JSON that digests and fingerprints are made from.

Keys are sorted, nothing is padded, text is UTF-8, times are RFC 3339 with a `Z`, floats are Python's shortest repr, which is
the same on every machine. NaN and infinities are refused. An attrs value is an object of its fields without those that equal
their defaults; where its class has a name on the wire, that stands under `type`.
"""

import hashlib
import json
import math
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from json.encoder import encode_basestring
from typing import Any

import attrs

__all__ = ["canonical", "digest_of", "fields_writer", "rfc3339", "text_digest", "write_with"]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def rfc3339(at: datetime) -> str:
    """Return an aware UTC time as RFC 3339 with `Z`; microseconds only where there are any."""
    return at.isoformat()[:-6] + "Z"


def canonical(value: Any) -> str:
    """Return the canonical JSON of a JSON value, a time, an attrs value, or a tuple, list or dictionary of them."""
    writer = _WRITERS.get(value.__class__)
    if writer is None:
        writer = _WRITERS[value.__class__] = _writer_of(value.__class__)
    return writer(value)


def text_digest(text: str) -> str:
    """Return the first 32 hex digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def digest_of(value: Any) -> str:
    """Return the digest of a value's canonical form."""
    return text_digest(canonical(value))


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value!r} has no canonical form")
    return repr(value)


def _list(value: Any) -> str:
    return f"[{','.join([canonical(one) for one in value])}]"


def _dict(value: dict[str, Any]) -> str:
    try:
        return _ENCODER.encode(value)
    except TypeError:
        parts = [f"{encode_basestring(str(key))}:{canonical(value[key])}" for key in sorted(value)]
        return "{" + ",".join(parts) + "}"


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    float: _float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
    datetime: lambda value: f'"{rfc3339(value)}"',
    list: _list,
    tuple: _list,
    dict: _dict,
}


#: Taken at import, since a frozen clock puts a class of its own in the place of `datetime`.
_PLAIN = (str, int, float, datetime, list, tuple, dict)


def _writer_of(cls: type) -> Callable[[Any], str]:
    if issubclass(cls, StrEnum):
        return lambda value: encode_basestring(str(value))
    for plain in _PLAIN:
        if issubclass(cls, plain):
            return _WRITERS[plain]  # a subclass of a plain type, such as the datetime of a frozen clock
    if not attrs.has(cls):
        raise TypeError(f"{cls.__name__} has no canonical form")
    return fields_writer(cls)


def fields_writer(cls: type) -> Callable[[Any], str]:
    """Return a function that writes the fields of an attrs class; made as source text once a class, as attrs makes `__init__`.

    `tests` hold it equal to a plain loop over the fields.
    """
    names: dict[str, Any] = {"canonical": canonical, "text": encode_basestring, "at": rfc3339}
    lines = ["def write(v):", "    parts = []"]
    word = getattr(cls, "type", "")
    keys = sorted([field.name for field in attrs.fields(cls) if not field.name.startswith("_")] + (["type"] if word else []))
    for key in keys:
        if key == "type":
            constant = '"type":' + encode_basestring(word)
            lines.append(f"    parts.append({constant!r})")
            continue
        field = attrs.fields_dict(cls)[key]
        plain = {str: "text({})", datetime: "'\"' + at({}) + '\"'", int: "str({})"}.get(field.type, "canonical({})")  # type: ignore[arg-type]
        name = encode_basestring(key.rstrip("_")) + ":"
        written = f"parts.append({name!r} + {plain.format('x')})"
        lines.append(f"    x = v.{key}")
        default = _default(field)
        if default is _NONE:
            lines.append(f"    {written}")
        elif default is None or default is True or default is False:
            lines.append(f"    if x is not {default!r}: {written}")
        else:
            names[f"default_{key}"] = default
            lines.append(f"    if x is not default_{key} and x != default_{key}: {written}")
    lines.append("    return '{' + ','.join(parts) + '}'")
    exec("\n".join(lines), names)
    write: Callable[[Any], str] = names["write"]
    return write


def write_with(cls: type, writer: Callable[[Any], str]) -> None:
    """Let `canonical` write a class in its own way."""
    _WRITERS[cls] = writer


#: Stands for the default of a field that has none.
_NONE = object()


def _default(field: "attrs.Attribute[Any]") -> Any:
    if field.default is attrs.NOTHING:
        return _NONE
    default: Any = field.default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
