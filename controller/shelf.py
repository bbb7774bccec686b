"""Policies by name, by file, and by the fingerprint that a recording names."""

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
        folder = resources.files(__package__ or "handoff_kit.controller") / "policies"
        return (folder / f"{name}.toml").read_text(encoding="utf-8"), name
    raise PolicyError(name, "there is no such file or bundled policy", f"bundled are {', '.join(BUNDLED_POLICIES)}")


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
        self.default = load_policy(DEFAULT_POLICY)
        self._by_fingerprint = {self.default.fingerprint: self.default}
        for name in BUNDLED_POLICIES:
            self.add(load_policy(name))
        for folder in dict.fromkeys(folders or []):
            for path in sorted(folder.glob("*.toml")):
                try:
                    self.add(load_policy(str(path)))
                except PolicyError:
                    continue

    def add(self, policy: Policy) -> None:
        """Put a policy on the shelf."""
        self._by_fingerprint.setdefault(policy.fingerprint, policy)

    def find(self, fingerprint: str) -> Policy | None:
        """Return the policy of that fingerprint."""
        return self._by_fingerprint.get(fingerprint)
