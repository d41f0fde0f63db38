"""The catalog of generated motion: every family is drawn, split, within its limits, and as it ships."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from assistmimic_env import generator, list_envs
from assistmimic_env.clip import PairClip, bundled_clips, bundled_folder, is_held_out, load_clip
from assistmimic_env.errors import ConfigError
from assistmimic_env.generator import FAMILIES, Family, find_family, limits
from assistmimic_env.registry import resolve_clips

EACH = pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))


@EACH
def test_bundled_clips_keep_the_limits(family: Family) -> None:
    for split in family.bundled:
        for name in family.bundled_names(split):
            assert limits.broken(limits.measure(load_clip(name)), family.name) == {}, name


@pytest.mark.slow
@EACH
def test_clips_of_further_seeds_keep_the_limits(family: Family) -> None:
    """Not those of all seeds: docs/results/generator_limits.md lists who does not."""
    assert limits.broken(limits.measure(family.generate(seed=11, split="train")), family.name) == {}


def test_a_jump_breaks_the_limits() -> None:
    """A hand that goes elsewhere for one frame; knees that bend the wrong way."""
    clip = load_clip("sit_down/train_00")
    local = clip.local_rotation.copy()
    local[40, 0, clip.bodies[0].index("L_Shoulder")] = (1.0, 0.0, 0.0, 0.0)
    local[:, 1, clip.bodies[0].index("L_Knee")] = (np.cos(0.3), 0.0, -np.sin(0.3), 0.0)
    spoiled = PairClip(
        name="spoiled", fps=clip.fps, offsets=clip.offsets, masses=clip.masses, root_position=clip.root_position,
        local_rotation=local, contacts=clip.contacts,
    )  # fmt: skip
    assert {"joint_excess", "joint_acceleration"} <= set(limits.broken(limits.measure(spoiled), "sit_down"))


@EACH
def test_bundled_clips_are_those_of_their_seeds(family: Family) -> None:
    """By what they say of themselves; that the motion is the same is tested for the quick families."""
    for split in family.bundled:
        for seed, name in enumerate(family.bundled_names(split)):
            metadata = load_clip(name).metadata
            assert (metadata["split"], metadata["seed"]) == (split, seed)
            assert metadata["provenance"]["version"] == family.version
            assert metadata["parameters"] == asdict(family.sample_parameters(seed, split)), name


def same(made: PairClip, ships: PairClip) -> bool:
    """Equal but for the last digits of another machine's linear algebra."""
    return (
        made.num_frames == ships.num_frames
        and np.allclose(made.root_position, ships.root_position, rtol=0.0, atol=1e-6)
        and np.allclose(made.local_rotation, ships.local_rotation, rtol=0.0, atol=1e-6)
        and (made.metadata, made.contacts) == (ships.metadata, ships.contacts)
    )


def test_bundled_clips_are_generated_anew() -> None:
    assert same(FAMILIES["sit_down"].generate(seed=9, split="train"), load_clip("sit_down/train_09"))
    assert not same(load_clip("sit_down/train_08"), load_clip("sit_down/train_09"))


@EACH
def test_seeds_of_the_splits_differ_and_are_unlimited(family: Family) -> None:
    drawn = [asdict(family.sample_parameters(seed, split)) for split in ("train", "test") for seed in (0, 1, 10**6)]
    assert all(one != other for index, one in enumerate(drawn) for other in drawn[:index])


def test_few_seeds_have_every_way_of_holding_and_every_start() -> None:
    holds = [FAMILIES["assisted_rise"].sample_parameters(seed, "train") for seed in range(10)]
    assert len({(one.side, one.hands, one.grip) for one in holds}) == 10
    starts = [FAMILIES["help_up"].sample_parameters(seed, "train") for seed in range(6)]
    assert len({(one.start, one.place) for one in starts}) == 6


def test_all_bundled_clips_but_the_real_one_belong_to_a_family() -> None:
    names = {name for one in FAMILIES.values() for split in one.bundled for name in one.bundled_names(split)}
    assert names | {"pull_up"} == set(bundled_clips())


def test_environments_play_whole_families() -> None:
    for entry in list_envs():
        if entry.clips and entry.clips != ("pull_up",):
            family = FAMILIES[entry.clips[0].partition("/")[0]]
            assert (entry.clips, entry.held_out) == (family.bundled_names("train"), family.bundled_names("test"))


def test_a_bundled_folder_stands_for_its_training_clips() -> None:
    assert bundled_folder("assisted_rise") == FAMILIES["assisted_rise"].bundled_names("train")
    assert bundled_folder("assisted") == ()
    assert is_held_out("assisted_rise/test_03")
    clips = resolve_clips("SitToStand", ["assisted_rise", "help_up/test_01"])
    made = [clip.metadata["provenance"]["generator"].rpartition(".")[2] for clip in clips]
    assert made == [*["assisted_rise"] * 10, "help_up"]
    assert [clip.metadata["seed"] for clip in clips] == [*range(10), 1]


def test_an_unknown_family_is_answered_with_the_closest_and_all() -> None:
    with pytest.raises(ConfigError, match=r"no family of generated motion 'helpup'\. Did you mean 'help_up'.*sit_down"):
        find_family("helpup")


def test_bundle_writes_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Family(**{**vars(FAMILIES["assisted_rise"]), "bundled": {"train": 0, "test": 1}})
    monkeypatch.setattr(generator.families, "FAMILIES", {"assisted_rise": one})
    (path,) = generator.bundle(tmp_path, ["assisted_rise"])
    assert path == tmp_path / "assisted_rise" / "test_00.npz"
    assert same(PairClip.load(path), load_clip("assisted_rise/test_00"))
    with pytest.raises(ConfigError, match="help_up"):
        list(generator.bundle(tmp_path, ["help_up"]))
