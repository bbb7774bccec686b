"""SVG pictures: drawn by a Graphviz that pip brought, the same bytes each time, light and dark."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from handoff_kit.controller import svg
from handoff_kit.controller.svg import NoGraphviz, svg_of
from handoff_kit.machines.diagram import DARK, FORMATS, LIGHT, MACHINES, Wanted

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def graphviz() -> None:
    if next(svg._programs(), None) is None:
        pytest.skip("needs Graphviz: pip install 'handoff-kit[diagrams]', or `dot` on the PATH")


def drawn(name: str = "conversation", *, auto: bool = True) -> str:
    return svg_of(FORMATS["dot"](Wanted(machine=MACHINES[name])), auto=auto)


def test_every_state_is_in_the_picture_and_nothing_is_loaded_from_elsewhere() -> None:
    text = drawn()
    root = ET.fromstring(text)

    titles = {title.text for title in root.iter(f"{SVG}title")}
    assert titles >= set(MACHINES["conversation"].states)
    assert not re.search(r"href|url\(|<script|<image", text)
    assert text.startswith('<svg width="')
    assert "graphviz version" not in text.lower()


def test_the_same_text_gives_the_same_bytes() -> None:
    assert drawn("offer") == drawn("offer")


def test_dark_screens_get_dark_paper_and_print_does_not() -> None:
    text = drawn("offer")

    (rules,) = re.findall(r"@media screen and \(prefers-color-scheme:dark\)\{(.*)\}</style>", text)
    assert f'[fill="{LIGHT.paper}"]{{fill:{DARK.paper}}}' in rules
    used = set(re.findall(r'(?:fill|stroke)="(#\w{6})"', text))
    assert used <= {getattr(LIGHT, field) for field in DARK.__slots__ if hasattr(LIGHT, field)}
    assert all(f'="{colour}"]' in rules for colour in used)
    assert "@media" not in drawn("offer", auto=False)


def test_without_graphviz_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "_PROGRAMS", ("no-such-program",))

    with pytest.raises(NoGraphviz, match=r"pip install 'handoff-kit\[diagrams\]'"):
        drawn()


def test_a_program_that_fails_is_named_with_what_it_said() -> None:
    with pytest.raises(NoGraphviz, match=r"did not draw: .*syntax error"):
        svg_of("digraph {")


def test_a_program_beside_this_python_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("graphviz-pure", "dot"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setattr(svg.sys, "executable", str(tmp_path / "python"))

    assert next(svg._programs()) == str(tmp_path / "graphviz-pure")
