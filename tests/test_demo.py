"""`assistmimic demo`: every pair that ships is played where it was trained, with whatever is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assistmimic_env.clip import load_clip
from assistmimic_env.policy import load_pair
from assistmimic_env.resources import shipped_pairs
from assistmimic_trainers import cli
from assistmimic_trainers.commands import demo

SIT = "AssistMimic/SitToStand-v0"
QUICK = ["demo", "--task", "SitToStand", "--rollouts", "2", "--threads", "1"]
CORE_ONLY = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("imageio", "imageio_ffmpeg", "matplotlib", "ray", "torch"):
            raise ModuleNotFoundError(f"{name} is imported", name=name)
sys.meta_path.insert(0, Missing())
from assistmimic_trainers.cli import main
sys.exit(main())
"""
"""The program where none of the extras can be imported."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures are drawn sooner."""
    monkeypatch.setattr(demo, "WIDTH", 160)
    monkeypatch.setattr(demo, "HEIGHT", 90)


def test_a_folder_of_policies_is_a_pair_that_ships() -> None:
    """It has a name without underscores; its cards agree on an environment; the single-person tracker is no pair."""
    pairs = shipped_pairs()
    assert pairs["needs-help"].name == "needs_help"
    assert "prior" not in pairs
    for folder in pairs.values():
        trained_in = [policy.card.environment for policy in load_pair(folder).values()]
        assert trained_in[0] is not None and trained_in[0] == trained_in[1]


def test_the_core_dependencies_are_enough(tmp_path: Path) -> None:
    """Figures of every task for programs, and a film strip, in a process that can import nothing of the extras."""
    command = [sys.executable, "-W", "error", "-c", CORE_ONLY, *QUICK, "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == cli.OK, done.stderr
    tasks = json.loads(done.stdout)["tasks"]
    assert {row["task"] for row in tasks} == {SIT}
    for row in tasks:
        assert row["success_rate"] == row["task_success"]["mean"]
        assert 0.0 <= row["task_success"]["low"] <= row["success_rate"] <= row["task_success"]["high"] <= 1.0
        assert 0.0 < row["mpjpe"]["mean"] < 1.0
        assert (row["rollouts"], row["seeds"]) == (2, [0, 1])
    (row,) = (row for row in tasks if row["policy"] == "needs-help")
    assert row["options"]["recipient"] == "needs-help"
    if row["film"] is None:
        assert "no picture was made" in done.stderr
    else:
        assert row["film"] == str(Path("assistmimic-demo", "SitToStand-v0-needs-help.png"))
        assert (tmp_path / row["film"]).read_bytes().startswith(b"\x89PNG")
        assert "film strips instead of videos: imageio-ffmpeg is not installed" in done.stderr


@pytest.mark.usefixtures("small")
def test_the_film_shows_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first one, here the second rollout; its seed is told, and it lasts as long as it did; none without OpenGL."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    assert cli.main([*QUICK, "--seed", "45", "--out", str(tmp_path / "new" / "films")]) == cli.OK
    output = capsys.readouterr()
    assert "task success" in output.out
    if "no picture was made" not in output.err:
        film = tmp_path / "new" / "films" / "SitToStand-v0-needs-help.mp4"
        assert f"{film}  (seed 46, a success)" in output.out
        _, seconds = imageio_ffmpeg.count_frames_and_secs(str(film))
        assert seconds == pytest.approx(load_clip("sit_to_stand/train_01").duration, abs=0.1)


def test_without_opengl_there_are_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And one line that says why there is no picture."""
    monkeypatch.setenv("MUJOCO_GL", "disable")
    assert cli.main([*QUICK, "--rollouts", "1", "--out", str(tmp_path)]) == cli.OK
    output = capsys.readouterr()
    assert "needs-help" in output.out
    assert output.err.count("no picture was made") == 1
    assert not any(tmp_path.iterdir())


def test_without_video_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only printed; the same seeds give the same figures."""
    monkeypatch.chdir(tmp_path)
    reports = []
    for _ in range(2):
        assert cli.main([*QUICK, "--rollouts", "1", "--no-video", "--json"]) == cli.OK
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0] == reports[1]
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--task", "SitToStan-v0"], "Did you mean 'AssistMimic/SitToStand-v0'?"),
        (["--task", "InterX-v0"], "no policies ship for AssistMimic/InterX-v0, only for: AssistMimic/"),
        (["--rollouts", "0"], "--rollouts is 0, expected at least 1"),
        (["--out", "/dev/null/films"], "/dev/null/films"),
        (["--out", __file__], __file__),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2, before anything is played."""
    assert cli.main(["demo", *words]) == cli.USER_ERROR
    output = capsys.readouterr()
    assert hint in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
