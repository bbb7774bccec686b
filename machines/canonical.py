"""One text for one value: the canonical JSON that digests and fingerprints are made from.

Keys are sorted, nothing is padded, text is UTF-8, times are RFC 3339 with a `Z`, floats are Python's shortest repr, which is
the same on every machine. NaN and infinities are refused.
"""

import hashlib
import json
from datetime import datetime
from typing import Any

__all__ = ["canonical", "digest_of", "rfc3339"]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> str:
    """Return the canonical JSON of a JSON value."""
    return _ENCODER.encode(value)


def digest_of(value: Any) -> str:
    """Return a digest of a JSON value: the first 32 hex digits of its canonical form's SHA-256."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def rfc3339(at: datetime) -> str:
    """Return an aware UTC time as RFC 3339 with `Z`; microseconds only where there are any."""
    return at.isoformat().replace("+00:00", "Z")
