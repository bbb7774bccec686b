import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

sys.path.insert(0, str(Path(__file__).parent))
GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what tests find into tests/golden")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> None:
    """The command sets structlog's streams and our logger's level; the next test begins as a process does."""
    structlog.reset_defaults()
    logging.getLogger("handoff_kit").setLevel(logging.NOTSET)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Any:
    """Compare a JSON value with the file of that name in tests/golden; `--update-golden` writes it."""

    def check(name: str, found: Any) -> None:
        path = GOLDEN / f"{name}.json"
        if request.config.getoption("--update-golden"):
            path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

        assert found == json.loads(path.read_text(encoding="utf-8"))

    return check
