"""`assistmimic clips generate` and `clips families`: seeds, what is kept, what is refused, what is told."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.errors import ConfigError
from assistmimic_env.generator import FAMILIES
from assistmimic_env.generator.limits import LIMITS, limits_of
from assistmimic_env.resources import asset_path
from assistmimic_trainers import cli
from assistmimic_trainers.commands.clips_generate import read_seeds


def run(*words: object) -> int:
    return cli.main(["clips", *map(str, words)])


def previewed(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    """What would become of each clip."""
    assert run("generate", *words, "--dry-run", "--json") == cli.OK
    return [one["status"] for one in json.loads(capsys.readouterr().out)["clips"]]


def copied(name: str, folder: Path) -> Path:
    """A clip that ships, in another folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(asset_path(f"clips/{name}.npz"), folder))


def jumping(clip: PairClip) -> PairClip:
    """The clip with an arm that is elsewhere for one frame."""
    local = clip.local_rotation.copy()
    local[40, 0, clip.bodies[0].index("L_Shoulder")] = (1.0, 0.0, 0.0, 0.0)
    return replace(clip, local_rotation=local)


@pytest.mark.parametrize(
    ("text", "seeds"), [("0:3", (0, 1, 2)), ("7:8", (7,)), ("3,5,8", (3, 5, 8)), ("4", (4,)), ("2,2", (2,))]
)
def test_seeds_are_a_range_or_numbers(text: str, seeds: tuple[int, ...]) -> None:
    assert read_seeds(text) == seeds


@pytest.mark.parametrize(("text", "hint"), [("", "0:20"), ("a:b", "0:20"), ("-1:3", "0:20"), ("5:5", "empty")])
def test_what_is_no_seed_is_refused(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        read_seeds(text)


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert previewed(capsys, "lay_to_sit", "--seeds", "0:2", "--out", out) == ["would generate"] * 2
    assert not out.exists()
    copied("lay_to_sit/train_01", out)
    assert previewed(capsys, "lay_to_sit", "--seeds", "0:2", "--out", out) == ["would generate", "would keep"]
    assert [path.name for path in out.iterdir()] == ["train_01.npz"]


def test_damaged_clips_and_those_of_other_versions_are_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(path: Path, **changes: Any) -> None:
        clip = PairClip.load(path)
        replace(clip, metadata={**clip.metadata, **changes}).save(path)

    for seed in range(4):
        path = copied(f"sit_down/train_0{seed}", tmp_path)
        if seed == 0:
            path.write_bytes(path.read_bytes()[:5000])
        elif seed == 1:
            spoil(path, provenance={**PairClip.load(path).metadata["provenance"], "version": 0})
        elif seed == 2:
            spoil(path, parameters={**PairClip.load(path).metadata["parameters"], "time": 9.0})
    expected = ["would generate"] * 3 + ["would keep"]
    assert previewed(capsys, "sit_down", "--seeds", "0:4", "--out", tmp_path) == expected


def test_other_clips_are_refused_before_anything_is_generated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = tmp_path / "train_01.npz"
    load_clip("pull_up").save(stranger)
    assert run("generate", "sit_down", "--seeds", "0:2", "--out", tmp_path) == cli.USER_ERROR
    assert "is another clip, not sit_down of seed 1. Choose another folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [stranger]
    assert PairClip.load(stranger).name == "pull_up"


def test_an_unknown_family_makes_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "sitdown", "--out", tmp_path / "out") == cli.USER_ERROR
    assert "Did you mean 'sit_down'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run("generate", "sit_down", "--seeds", "0", "--out", tmp_path / "file" / "out") == cli.USER_ERROR
    assert "cannot be made" in capsys.readouterr().err
    assert run("generate", "sit_down", "--seeds", "0", "--out", tmp_path, "--workers", "0") == cli.USER_ERROR
    assert "workers is 0, expected at least 1" in capsys.readouterr().err


def test_what_is_beyond_the_limits_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jumping(load_clip("sit_down/train_00")).save(tmp_path / "train_00.npz")
    copied("sit_down/train_01", tmp_path)
    assert run("generate", "sit_down", "--seeds", "0:2", "--out", tmp_path) == cli.OK
    first, second = capsys.readouterr().out.splitlines()
    assert "train_00.npz  kept  " in first
    assert "joint_acceleration " in first
    assert f"(at most {limits_of('sit_down')['joint_acceleration']:g})" in first
    assert second.endswith("train_01.npz  kept")


def test_workers_generate_the_clips_that_ship(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what a killed generation left half-written is removed."""
    (tmp_path / ".train_00.npz.4711.tmp").write_bytes(b"half")
    words = ("sit_to_stand", "--seeds", "5,7", "--out", tmp_path, "--workers", "2", "--json")
    assert run("generate", *words) == cli.OK
    clips = json.loads(capsys.readouterr().out)["clips"]
    assert {(Path(one["file"]).name, one["status"]) for one in clips} == {
        ("train_05.npz", "generated"), ("train_07.npz", "generated")
    }  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"train_05.npz", "train_07.npz"}
    for name in ("train_05", "train_07"):
        made, ships = PairClip.load(tmp_path / f"{name}.npz"), load_clip(f"sit_to_stand/{name}")
        np.testing.assert_allclose(made.local_rotation, ships.local_rotation, atol=1e-6)
        assert made.metadata == ships.metadata


def test_families_are_listed_and_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("families", "--measure", "--json") == cli.OK
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == set(FAMILIES)
    for name, entry in listed.items():
        assert entry["measured"]["clips"] == dict(FAMILIES[name].bundled)
        assert [row["name"] for row in entry["measured"]["rows"]] == list(LIMITS)
    seat = next(row for row in listed["lay_to_sit"]["measured"]["rows"] if row["name"] == "seat_depth")
    assert 0.0 < seat["worst"] <= seat["limit"]
    walk = next(row for row in listed["supported_walk"]["measured"]["rows"] if row["name"] == "seat_depth")
    assert (walk["worst"], walk["clip"]) == (None, "")
    assert run("families") == cli.OK
    assert "help_up: From the floor" in capsys.readouterr().out


def test_the_table_names_the_worst_clips_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied("sit_down/train_00", tmp_path / "sit_down")
    jumping(load_clip("sit_down/test_01")).save(tmp_path / "sit_down" / "test_01.npz")
    copied("supported_walk/test_00", tmp_path / "supported_walk")
    out = tmp_path / "results" / "limits.json"
    assert run("families", "--clips", tmp_path, "--out", out) == cli.OK
    assert "upper_arm_test_01" in capsys.readouterr().out
    written = json.loads(out.read_text())
    assert list(written) == ["sit_down", "supported_walk"]
    assert written["sit_down"]["clips"] == {"test": 1, "train": 1}
    worst = {row["name"]: row for row in written["sit_down"]["rows"]}["joint_acceleration"]
    assert worst["clip"] == "sit_down_front_both_hands_upper_arm_test_01"
    assert worst["worst"] > worst["limit"]
    assert list(written["sit_down"]["beyond"]) == [worst["clip"]]
    assert written["supported_walk"]["beyond"] == {}
    lines = out.with_suffix(".md").read_text().splitlines()
    assert "| worst / limit | sit_down | supported_walk |" in lines
    assert f"/ {limits_of('supported_walk')['joint_speed']:g} |" in next(
        line for line in lines if "joint_speed" in line
    )


def test_what_cannot_be_measured_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("families", "--clips", tmp_path) == cli.USER_ERROR
    assert "has no clips in FAMILY/*.npz" in capsys.readouterr().err
    assert run("families", "--out", tmp_path / "limits.txt") == cli.USER_ERROR
    assert "ends with .json" in capsys.readouterr().err
    copied("sit_down/train_00", tmp_path / "help_up")
    assert run("families", "--clips", tmp_path) == cli.USER_ERROR
    assert "was not generated as help_up" in capsys.readouterr().err


def test_parameters_that_seeds_draw_are_in_the_clips(tmp_path: Path) -> None:
    """So that a clip can be made again by hand."""
    clip = PairClip.load(copied("supported_walk/test_01", tmp_path))
    assert clip.metadata["parameters"] == asdict(FAMILIES["supported_walk"].sample_parameters(1, "test"))
