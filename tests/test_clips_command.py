"""`assistmimic clips import, formats, check, show`: what a user sees, files, exit codes."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import reaching_clip, standing_clip

from assistmimic_env import make
from assistmimic_env.clip import Contact, PairClip, load_clip
from assistmimic_env.clip_check import LIMITS, check
from assistmimic_env.rendering import MissingDependencyError, PairRenderer
from assistmimic_trainers import cli
from assistmimic_trainers.commands.clips_film import pictures
from assistmimic_trainers.commands.clips_table import MAX_ROWS, outcome_table

DOCS = Path(__file__).resolve().parent.parent / "docs" / "motion.md"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one clip in our own format."""
    folder = tmp_path / "source"
    folder.mkdir()
    replace(reaching_clip(20, gap=0.7), name="reach").save(folder / "reach.npz")
    return folder


def run(*words: object) -> int:
    return cli.main(["clips", *map(str, words)])


def test_import_tells_what_it_did_and_makes_what_environments_take(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = source.parent / "out"
    assert run("import", "npz", source, "--out", out) == cli.OK
    text = capsys.readouterr().out
    assert "hand-partner [mm]" in text
    assert "1 imported; every number is in" in text
    env = make("AssistMimic/SitToStand-v0", clips=out)
    env.reset(seed=0)
    env.step({agent: np.zeros(69) for agent in env.agents})
    assert run("import", "npz", source, "--out", out) == cli.OK
    assert "1 kept" in capsys.readouterr().out


def test_import_prints_json_for_programs(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else on either stream."""
    assert run("import", "npz", source, "--out", source.parent / "out", "--json") == cli.OK
    captured = capsys.readouterr()
    (clip,) = json.loads(captured.out)["clips"]
    assert (clip["name"], clip["status"], captured.err) == ("reach", "imported", "")


def test_a_dry_run_shows_conventions_and_writes_nothing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = source.parent / "out"
    assert run("import", "npz", source, "--out", out, "--dry-run") == cli.OK
    text = capsys.readouterr().out
    assert "would import" in text
    assert "up documented" in text
    assert not out.exists()


def test_a_failure_is_one_line_and_exit_code_2_and_the_rest_is_imported(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named again at the end."""
    (source / "bad.npz").write_bytes(b"nothing")
    assert run("import", "npz", source, "--out", source.parent / "out") == cli.USER_ERROR
    captured = capsys.readouterr()
    first, last = captured.err.splitlines()
    assert first.startswith("assistmimic: bad: ")
    assert last == "assistmimic: 1 failed: bad"
    assert "1 failed, 1 imported" in captured.out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["import", "npzz", "{source}", "--out", "{out}"], "Did you mean 'npz'?"),
        (["import", "npz", "{source}x", "--out", "{out}"], "Did you mean 'source'?"),
        (["import", "npz", "{empty}", "--out", "{out}"], "empty"),
        (["import", "npz", "{source}", "--out", "/dev/null/x"], "/dev/null/x"),
        (["import", "npz", "{source}", "--out", "/proc"], "/proc"),
        (["import", "npz", "{source}", "--out", "{out}", "--workers", "0"], "workers is 0"),
        (["import", "npz", "{source}", "--out", "{out}", "--clip-fps", "0"], "fps is 0"),
        (["import", "npz", "{source}", "--out", "{out}", "--name", "reech"], "Did you mean 'reach'?"),
        (["check", "PulUp-v0"], "Did you mean"),
        (["check", "{empty}"], "holds no clip"),
        (["show", "{source}/reach.npz", "--out", "{out}.gif"], ".png or .mp4"),
        (["show", "{source}/reach.npz", "--out", "{out}.png", "--frames", "0"], "frames is 0"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: list[str], hint: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source.parent / "empty").mkdir()
    places = {"source": source, "out": source.parent / "out", "empty": source.parent / "empty"}
    assert run(*(word.format(**places) for word in words)) == cli.USER_ERROR
    captured = capsys.readouterr()
    assert hint in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert not (source.parent / "out").exists()


def test_formats_lists_all_with_terms_and_origin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("formats", "--json") == cli.OK
    entries = json.loads(capsys.readouterr().out)
    assert {"interx", "hhi", "intergen", "amass", "phc", "amc", "bvh", "npz"} <= set(entries)
    assert "non-commercial" in entries["amass"]["license"]
    assert run("formats") == cli.OK
    assert "\ninterx: " in "\n" + capsys.readouterr().out


def test_the_bundled_clips_are_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, and by the environments that play them."""
    assert run("check", "pull_up") == cli.OK
    assert run("check", "AssistMimic/SitToStand-v0") == cli.OK
    assert "8 of 8 clips are fit for physics." in capsys.readouterr().out


def spoilt(kind: str) -> PairClip:
    """The standing clip with one thing wrong."""
    clip = standing_clip(30)
    root = np.array(clip.root_position)
    if kind == "floor_depth":
        root[..., 2] -= 0.1
    elif kind == "floor_gap":
        root[..., 2] += 0.1
    elif kind == "partner_depth":
        root[:, 1] = root[:, 0] + [0.1, 0.0, 0.0]
    elif kind == "foot_slide":
        root[..., 0] += np.linspace(0.0, 0.6, 30)[:, None]
    elif kind == "joint_speed":
        root[..., 0] += np.linspace(0.0, 10.0, 30)[:, None]
    elif kind == "joint_acceleration":
        root[15, :, 0] += 0.15
    elif kind == "contact_gap":
        far = Contact(role="supporter", body="R_Hand", partner_body="Head", start=0.0, end=0.5)
        return replace(clip, contacts=(far,))
    return replace(clip, root_position=root)


@pytest.mark.parametrize(
    "kind",
    ["floor_depth", "floor_gap", "partner_depth", "foot_slide", "joint_speed", "joint_acceleration", "contact_gap"],
)
def test_what_is_wrong_with_a_clip_is_named_with_a_remedy(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the exit code is 2; the clip without the fault is fit."""
    assert check(standing_clip(30)).level != "unfit"
    spoilt(kind).save(tmp_path / "clip.npz")
    assert run("check", tmp_path / "clip.npz", "--json") == cli.USER_ERROR
    (verdict,) = json.loads(capsys.readouterr().out)["clips"]
    remarks = {one["name"]: one for one in verdict["remarks"]}
    assert remarks[kind]["level"] == "unfit"
    assert len(remarks[kind]["remedy"]) > 20
    assert run("check", tmp_path) == cli.USER_ERROR
    assert f"\n  {kind} " in capsys.readouterr().out


def test_a_file_that_is_no_clip_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It counts as unfit."""
    standing_clip(30).save(tmp_path / "good.npz")
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    assert run("check", tmp_path) == cli.USER_ERROR
    text = capsys.readouterr().out
    assert "good.npz: fit" in text
    assert "1 of 2 clips are fit" in text


def test_every_limit_is_documented() -> None:
    """With its two numbers."""
    rows = DOCS.read_text()
    assert all(f"| `{limit.name}` | {limit.fine:g} | {limit.fit:g} {limit.unit} |" in rows for limit in LIMITS)


@pytest.fixture
def screen() -> None:
    """Skips without off-screen OpenGL, as the tests of the renderer do."""
    try:
        PairRenderer(load_clip("pull_up").bodies, width=32, height=32).close()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("screen")
def test_show_draws_a_film_strip(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of four for one clip, one row per clip for several."""
    picture = source.parent / "new" / "strip.png"
    words = ("--out", picture, "--frames", 6, "--width", 64, "--height", 48)
    assert run("show", source, *words) == cli.OK
    assert str(picture) in capsys.readouterr().out
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (4 * 64 + 3 * 2, 2 * 48 + 2)
    standing_clip(30).save(source / "stand.npz")
    assert run("show", source, *words, "--json") == cli.OK
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["reach", "standing"]
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (6 * 64 + 5 * 2, 2 * 48 + 2)


@pytest.mark.usefixtures("screen")
def test_people_who_walk_away_stay_in_a_film_strip() -> None:
    """The camera of each picture aims at the people in it, however far they went since the one before."""
    clip = standing_clip(30)
    root = clip.root_position + np.linspace(0.0, 6.0, 30)[:, None, None] * [0.8, -0.6, 0.0]
    strip = pictures([replace(clip, root_position=root)], count=3, width=64, height=64)
    orange = [int((picture[..., 0] > 80 + picture[..., 2].astype(int)).sum()) for picture in strip]
    assert min(orange) > 0.8 * max(orange) > 20


@pytest.mark.usefixtures("screen")
def test_show_draws_a_video_as_long_as_the_clip(source: Path) -> None:
    """At 30 frames per second."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    film = source.parent / "film.mp4"
    assert run("show", source / "reach.npz", "--out", film, "--width", 64, "--height", 48) == cli.OK
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(film))
    assert (frames, round(seconds * 30)) == (20, 20)


def test_a_long_table_is_cut_and_says_by_how_much() -> None:
    """Eleven thousand lines help nobody."""
    from assistmimic_env.importing.batch import Outcome

    report = {"frames": 20, "fps": 30.0, "height_shift": -1e-6, "notes": ["no seat"]}
    many = [Outcome(name=f"c{index}", status="imported", report=report) for index in range(MAX_ROWS + 7)]
    lines = outcome_table(many).splitlines()
    assert "... and 7 more" in lines
    assert "-0" not in lines[1]
    assert lines[-1] == "47 of 47: no seat"
