"""Policies by name, by file, and by the fingerprint that a recording names."""

import contextlib
from importlib import resources
from pathlib import Path

from handoff_kit.machines import Policy, PolicyError, parse_policy

__all__ = ["BUNDLED_POLICIES", "DEFAULT_POLICY", "PolicyShelf", "load_policy", "policy_text"]

#: Policies that come with the library.
BUNDLED_POLICIES = ("general", "banking", "copilot", "vip", "triage")
#: The one that is taken where none is named.
DEFAULT_POLICY = "general"


def policy_text(name: str) -> tuple[str, str]:
    """Return (text, what to call it in errors) of a policy: a file, or a bundled name.

    Raises:
        PolicyError: there is neither such a file nor such a bundled policy, or it cannot be read.
    """
    path = Path(name)
    if path.is_file() or (name not in BUNDLED_POLICIES and path.exists()):
        try:
            return path.read_text(encoding="utf-8"), name
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyError(name, f"cannot be read ({error})", "give a TOML file in UTF-8") from None
    if name in BUNDLED_POLICIES:
        return _bundled_text(name), name
    raise PolicyError(name, "there is no such file or bundled policy", f"bundled are {', '.join(BUNDLED_POLICIES)}")


def _bundled_text(name: str) -> str:
    return (resources.files("handoff_kit.controller") / "policies" / f"{name}.toml").read_text(encoding="utf-8")


def load_policy(name: str) -> Policy:
    """Return a policy by file or bundled name; raises `PolicyError` as `policy_text` and `parse_policy` do."""
    text, file = policy_text(name)
    return parse_policy(text, file=file)


class PolicyShelf:
    """Policies by fingerprint: the bundled ones, and those beside the recordings.

    A file beside a recording that is no policy of ours is passed over: folders hold all sorts of TOML.

    Args:
        folders: where else to look for `*.toml`.
    """

    def __init__(self, folders: list[Path] | None = None) -> None:
        self.default = parse_policy(_bundled_text(DEFAULT_POLICY), file=DEFAULT_POLICY)
        self._by_fingerprint: dict[str, Policy] = {}
        self._texts: dict[str, str] = {}
        for name in BUNDLED_POLICIES:
            policy = parse_policy(_bundled_text(name), file=name)
            self._by_fingerprint[policy.fingerprint] = policy
        self.bundled = frozenset(self._by_fingerprint)
        for folder in dict.fromkeys(folders or []):
            for path in sorted(folder.glob("*.toml")):
                with contextlib.suppress(PolicyError):
                    self.add(str(path))

    def add(self, name: str) -> Policy:
        """Put a policy on the shelf by file or bundled name, and return it."""
        text, file = policy_text(name)
        policy = parse_policy(text, file=file)
        self._by_fingerprint.setdefault(policy.fingerprint, policy)
        self._texts.setdefault(policy.fingerprint, text)
        return policy

    def text_of(self, fingerprint: str) -> str | None:
        """Return the text of a policy that was put on the shelf from a file."""
        return self._texts.get(fingerprint)

    def find(self, fingerprint: str) -> Policy | None:
        """Return the policy of that fingerprint."""
        return self._by_fingerprint.get(fingerprint)
