"""The examples run as they are, with warnings as errors; those that learn change both policies."""

from __future__ import annotations

import math
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
LEARNING = {
    "cleanrl_ppo": ("--updates", "2", "--worlds", "4", "--steps", "16", "--threads", "1"),
    "rllib_stock": ("--updates", "1", "--worlds", "2", "--runners", "0"),
    "sb3_supersuit": ("--steps", "512", "--worlds", "2", "--rollout", "64"),
    "torchrl_wrapper": ("--updates", "2", "--frames", "64"),
}
SLOW = {"rllib_stock", "sb3_supersuit", "torchrl_wrapper"}
"""Seconds of imports, or packages of the extra `interop`, which only `tox -e full` installs."""
THEIR_WARNINGS = {
    "torchrl_wrapper": ("-Wignore::DeprecationWarning", "-Wignore:PettingZoo in TorchRL is tested"),
}
"""What the libraries warn about in themselves."""


def test_every_example_is_listed_here() -> None:
    """So that none is left untried."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*SHORT, *LEARNING}


def run_example(name: str, *arguments: str, cwd: Path) -> str:
    """Standard output of an example in a fresh interpreter, in another folder."""
    command = [sys.executable, "-Werror", *THEIR_WARNINGS.get(name, ()), str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SHORT)
def test_example_runs(name: str, tmp_path: Path) -> None:
    """And says what it did."""
    assert "supporter: " in run_example(name, *SHORT[name], cwd=tmp_path)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in LEARNING]
)
def test_example_learns(name: str, tmp_path: Path) -> None:
    """Its gradient steps move the policies by a finite amount, which it prints."""
    pytest.importorskip("torch")
    output = run_example(name, *LEARNING[name], cwd=tmp_path)
    divergences = [float(number) for number in re.findall(r"kl (\S+\d)", output)]
    assert len(divergences) >= (1 if name == "sb3_supersuit" else 2), output
    assert all(math.isfinite(value) and value != 0.0 for value in divergences), output
    assert "supporter: " in output
