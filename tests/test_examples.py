"""The examples run as they are, with warnings as errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SHORT = {
    "random_pair": ("--seconds", "1"),
    "vector_env": ("--worlds", "4", "--steps", "20", "--threads", "1"),
}


def test_every_example_is_listed_here() -> None:
    """So that none is left untried."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SHORT)


@pytest.mark.parametrize("name", SHORT)
def test_example_runs(name: str, tmp_path: Path) -> None:
    """From another folder."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *SHORT[name]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "supporter: " in done.stdout
