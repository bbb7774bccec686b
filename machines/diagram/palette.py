"""Colours of the pictures, for light and for dark paper."""

import attrs

__all__ = ["DARK", "LIGHT", "Palette"]


@attrs.frozen(kw_only=True)
class Palette:
    """The colours of a picture. `ai`, `system`, `human` and `nobody` are a state's fill, `*_line` its outline and arrows."""

    paper: str
    ink: str
    faint: str
    accent: str
    happy: str
    ai: str
    ai_line: str
    system: str
    system_line: str
    human: str
    human_line: str
    nobody: str
    nobody_line: str


#: Fills that differ in lightness too, for grey print; text on each has a contrast of at least 7.
LIGHT = Palette(
    paper="#ffffff",
    ink="#16202e",
    faint="#4d5b6e",
    accent="#c2185b",
    happy="#16324f",
    ai="#dcecfd",
    ai_line="#2a6db0",
    system="#fff3cf",
    system_line="#8a6400",
    human="#bfe3c1",
    human_line="#236b2b",
    nobody="#f1f3f6",
    nobody_line="#66717f",
)
DARK = Palette(
    paper="#12161d",
    ink="#eef2f7",
    faint="#a9b4c2",
    accent="#ff7fb0",
    happy="#dbe7f5",
    ai="#1b3a59",
    ai_line="#7fb8f0",
    system="#4a3a0c",
    system_line="#e3bd5a",
    human="#1d4a26",
    human_line="#82cf8c",
    nobody="#2a313b",
    nobody_line="#98a4b3",
)
