"""Which packages may import which: the core knows no I/O, no clock, no randomness, and nothing of the shell."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"asyncio", "time", "random", "os", "sqlite3", "structlog", "logging", "pathlib", "socket", "threading", "uuid"}
ALLOWED = {"attrs", "cattrs", "transitions", "handoff_kit"}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", modules_of("machines"), ids=lambda path: path.stem)
def test_the_core_imports_no_io_no_clock_and_no_shell(path: Path) -> None:
    for name in imports_of(path):
        top = name.split(".")[0]

        assert top not in FORBIDDEN
        assert not name.startswith("handoff_kit.controller")
        assert top in ALLOWED or top in sys.stdlib_module_names


def test_the_core_reads_no_clock_by_way_of_datetime() -> None:
    for path in modules_of("machines"):
        source = path.read_text(encoding="utf-8")

        assert ".now(" not in source, path
        assert ".today(" not in source, path
        assert "utcnow" not in source, path


def test_importing_the_core_pulls_in_no_shell_and_no_extra() -> None:
    code = (
        "import sys, handoff_kit.machines;"
        "bad = {'asyncio', 'sqlite3', 'structlog', 'click', 'rich', 'msgspec', 'handoff_kit.controller'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_importing_the_shell_pulls_in_no_extra() -> None:
    code = "import sys, handoff_kit.controller.cli;"
    code += "sys.exit(', '.join({'msgspec', 'hypothesis', 'pytest'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["machines", "controller"])
def test_the_folders_cannot_be_imported_under_their_own_names(package: str) -> None:
    """Two imports of one module would make two classes of each event."""
    done = subprocess.run([sys.executable, "-c", f"import {package}"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert f"import handoff_kit.{package}, not {package}" in done.stderr
