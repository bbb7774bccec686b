"""What is installed is what is in the folders."""

import configparser
import doctest
import importlib
import pkgutil
from pathlib import Path

import handoff_kit.controller
import handoff_kit.machines
from handoff_kit.controller.sessions.reader import BUNDLED_RECORDINGS
from handoff_kit.controller.shelf import BUNDLED_POLICIES

ROOT = Path(__file__).parent.parent


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_every_folder_with_code_is_a_listed_package() -> None:
    """A forgotten one works where it is editable, and is missing from the wheel."""
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for package in ("controller", "machines")
        for path in (ROOT / package).rglob("*.py")
    }
    listed = set(setup()["options"]["packages"].split())

    assert listed == {"handoff_kit." + folder.replace("/", ".") for folder in folders}


def test_every_data_file_is_package_data() -> None:
    patterns = dict(setup()["options.package_data"])
    for package, suffix in (("policies", ".toml"), ("recordings", ".jsonl")):
        files = [path for path in (ROOT / "controller" / package).iterdir() if path.suffix not in (".py", "")]

        assert files
        assert {path.suffix for path in files if path.is_file()} == {suffix}
        assert patterns[f"handoff_kit.controller.{package}"] == f"*{suffix}"


def test_bundled_names_are_files_and_files_are_bundled_names() -> None:
    assert {path.stem for path in (ROOT / "controller" / "policies").glob("*.toml")} == set(BUNDLED_POLICIES)
    assert {path.stem for path in (ROOT / "controller" / "recordings").glob("*.jsonl")} == set(BUNDLED_RECORDINGS)


def test_public_names_are_sorted_complete_and_importable() -> None:
    for package in (handoff_kit.machines, handoff_kit.controller):
        assert list(package.__all__) == sorted(package.__all__)
        for name in package.__all__:
            assert getattr(package, name) is not None


def test_all_modules_import_and_their_examples_run() -> None:
    seen = 0
    for package in (handoff_kit.machines, handoff_kit.controller):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith("__main__"):
                continue
            result = doctest.testmod(importlib.import_module(module.name))
            seen += 1

            assert result.failed == 0, module.name
    assert seen > 40


def test_every_module_says_what_it_is_for() -> None:
    for package in ("controller", "machines"):
        for path in (ROOT / package).rglob("*.py"):
            assert path.read_text(encoding="utf-8").startswith('"""'), path
