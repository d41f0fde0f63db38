"""The folder and the page of a report: complete, self-contained, safe, and honest about what could not be drawn."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from assistmimic_env import rendering
from assistmimic_env.clip import ROLES, PairClip
from assistmimic_env.errors import MissingDependencyError
from assistmimic_env.grid import Grid, evaluate_grid
from assistmimic_env.policy import HoldPolicy
from assistmimic_env.report import write_report
from assistmimic_env.vector import VectorEnv

ODD = "<b>&'\"x"


class Page(HTMLParser):
    """Collects tags, attributes and what is not closed."""

    VOID = ("meta", "img", "br", "path", "circle", "i")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def attributes(self, name: str) -> list[str]:
        """All values of an attribute."""
        return [str(attributes[name]) for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def grid(standing_pair: Callable[..., PairClip]) -> Grid:
    """Two conditions, two policies, one of them with an odd name, one rollout recorded."""
    vec = VectorEnv([standing_pair(frames=12, gap=1.6)], 1, threads=1, name="Test/Stand-v0")
    pair: dict[str, Any] = {role: HoldPolicy.zero(vec.simulation.body.num_dofs) for role in ROLES}
    pairs = {"hold": pair, ODD: pair}
    return evaluate_grid(vec, pairs, conditions=["none", "mass-1.2"], rollouts=3, threads=1, record=1)


def drawn() -> bool:
    """Whether this machine can draw."""
    try:
        rendering._Canvas(32, 32, shadows=False, samples=0).close()
    except MissingDependencyError:
        return False
    return True


def test_the_page_needs_nothing_else(grid: Grid, tmp_path: Path) -> None:
    """No link to anything, a policy that forbids it, and every tag is closed."""
    text = write_report(grid, tmp_path, command="assistmimic eval x").read_text()
    page = Page(text)
    assert page.open == []
    assert all(source.startswith("data:") for source in page.attributes("src"))
    assert page.attributes("href") == []
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"} == set()
    assert set(re.findall(r"https?://[^\"'<> ]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in text
    assert any("default-src 'none'" in content for content in page.attributes("content"))


def test_the_page_tells_everything(grid: Grid, tmp_path: Path) -> None:
    """Conditions, policies, command, seeds, versions, meanings; odd names are text."""
    text = write_report(grid, tmp_path, command="assistmimic eval 'a b'", videos="none").read_text()
    for words in ("mass-1.2", "recipient&#x27;s mass x 1.2", "assistmimic eval &#x27;a b&#x27;", "0 to 2;", "mujoco 4"):
        assert words in text, words
    for words in ("task success [%]", "Test/Stand-v0", "not impaired", "Difference to hold", "nothing is changed"):
        assert words in text, words
    assert ODD not in text
    assert "&lt;b&gt;&amp;" in text
    assert "<video" not in text


def test_the_folder_has_the_parts(grid: Grid, tmp_path: Path) -> None:
    """JSON, Markdown and charts, also without videos; file names are safe."""
    write_report(grid, tmp_path / "new" / "report", videos="none")
    folder = tmp_path / "new" / "report"
    assert sorted(path.name for path in folder.iterdir()) == ["evaluation.json", "plots", "report.html", "table.md"]
    assert json.loads((folder / "evaluation.json").read_text())["format"] == "assistmimic-grid"
    assert (folder / "table.md").read_text().startswith("# Evaluation of Test/Stand-v0")
    assert {"task_success.svg", "survival.svg", "support.svg"} <= {path.name for path in (folder / "plots").iterdir()}


def test_videos_are_inside_the_page(grid: Grid, tmp_path: Path) -> None:
    """One per policy of the first condition, the same bytes as beside the page."""
    if not drawn():
        pytest.skip("no OpenGL here")
    page = Page(write_report(grid, tmp_path).read_text())
    inside = [base64.b64decode(source.split(",", 1)[1]) for source in page.attributes("src")]
    files = sorted(tmp_path.glob("videos/*"))
    assert len(files) == 2
    assert sorted(inside) == sorted(path.read_bytes() for path in files)
    assert all(path.name.startswith("none--") for path in files)


def test_videos_of_all_conditions(grid: Grid, tmp_path: Path) -> None:
    if not drawn():
        pytest.skip("no OpenGL here")
    write_report(grid, tmp_path, videos="all")
    assert len(list(tmp_path.glob("videos/*"))) == 4


def test_without_an_encoder_there_is_a_film_strip(grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a sentence that says why."""
    if not drawn():
        pytest.skip("no OpenGL here")
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    text = write_report(grid, tmp_path).read_text()
    assert "data:image/png;base64," in text
    assert "A film strip instead of a video: imageio-ffmpeg is not installed" in text


def test_without_opengl_there_is_a_sentence(grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are there all the same."""
    monkeypatch.setenv("MUJOCO_GL", "nowhere")
    text = write_report(grid, tmp_path).read_text()
    assert "No picture was made: no off-screen OpenGL" in text
    assert "task success [%]" in text
    assert Page(text).attributes("src") == []
