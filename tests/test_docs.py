"""The documentation: its Python runs, links lead somewhere, every page is in the index, every command exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from plugged import install

from assistmimic_trainers import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "assets").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """Contents of the fenced blocks of a language (Python that is not to be run is marked `py`)."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def run_python(code: str, cwd: Path) -> str:
    """Standard output of a fresh interpreter in a folder, of which it sees the modules; warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(cwd), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """All blocks, one after the other."""
    run_python("\n".join(blocks(page, "python")), tmp_path)


def test_the_package_of_the_extending_page_works_once_installed(tmp_path: Path) -> None:
    """Its term and its task are found by name, in a process that imports nothing of it."""
    page = ROOT / "docs" / "extending.md"
    term, _, task = blocks(page, "python")
    code = "\n".join(line for line in (term + task.split("vec =")[0]).splitlines() if not line.startswith("register"))
    (toml,) = blocks(page, "toml")
    groups = tomllib.loads(toml)["project"]["entry-points"]
    lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items()) for group, points in groups.items()]
    install(tmp_path, "clinic", code, "\n".join(lines))
    use = (
        "import assistmimic_env as a; env = a.make('Clinic/WeakLegs-v0'); env.reset(seed=0)\n"
        "step = env.step({agent: env.action_space(agent).sample() for agent in env.agents})\n"
        "print(step[-1]['supporter']['reward_terms']['upright'], len(a.list_envs()))\n"
        "a.make('PullUp', reward={'extra': {'jerky': -1.0}})\n"
    )
    upright, count = run_python(use, tmp_path).split()
    assert -1.0 <= float(upright) <= 1.0
    assert int(count) >= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Those to files of this repository."""
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


def test_every_page_is_in_the_index() -> None:
    """Of docs/."""
    index = (ROOT / "docs" / "README.md").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"]({page.name})" not in index] == ["README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_named_exists(page: Path) -> None:
    """`assistmimic WORD` in code."""
    words = re.findall(r"assistmimic ([a-z][a-z-]+)", " ".join(re.findall(r"`[^`]+`|```.*?```", page.read_text())))
    assert set(words) <= set(cli.COMMANDS.commands)


def test_every_page_named_in_the_code_exists() -> None:
    """Docstrings point to pages of docs/."""
    sources = [path for folder in ("assistmimic_env", "trainers") for path in (ROOT / folder).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"docs/[\w-]+\.md", path.read_text())}
    assert {name for name in named if not (ROOT / name).is_file()} == set()
