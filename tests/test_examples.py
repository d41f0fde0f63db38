"""The examples, and the Python of the README, run as they are, with warnings as errors."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
SHORT = {
    "random_pair": ("--seconds", "1"),
    "vector_env": ("--worlds", "4", "--steps", "20", "--threads", "1"),
}


def test_every_example_is_listed_here() -> None:
    """So that none is left untried."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SHORT)


def run_python(*arguments: str, cwd: Path) -> str:
    """Standard output of a fresh interpreter in another folder."""
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SHORT)
def test_example_runs(name: str, tmp_path: Path) -> None:
    """And says what it did."""
    assert "supporter: " in run_python(str(EXAMPLES / f"{name}.py"), *SHORT[name], cwd=tmp_path)


def test_python_of_the_readme_runs(tmp_path: Path) -> None:
    """All blocks, one after the other."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert blocks
    run_python("-c", "\n".join(blocks), cwd=tmp_path)
