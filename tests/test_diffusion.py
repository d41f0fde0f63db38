"""Clips as a motion-diffusion model would have made them: what is wrong with them, and what an import repairs."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.clip_check import check
from assistmimic_env.errors import ConfigError
from assistmimic_env.formats.intergen import INTERGEN
from assistmimic_env.formats.take import ReadOptions
from assistmimic_env.generator.diffusion import Flaws, as_sampled
from assistmimic_env.importing.conversion import Conversion, convert_take
from assistmimic_env.importing.settings import ConversionSettings
from assistmimic_env.quality import ClipQuality, quality

Array = NDArray[np.float64]
CLIP = "sit_to_stand/train_01"
BARE = ConversionSettings(foot_lock=False)
REPAIR = ConversionSettings(smooth=4.0, steady=True, separate=True)
NONE = Flaws(**{field.name: 0.0 for field in fields(Flaws)})
OPTIONS = ReadOptions(supporter="first")


@pytest.fixture(scope="module")
def clip() -> PairClip:
    return load_clip(CLIP)


def imported(joints: Array, folder: Path, settings: ConversionSettings) -> Conversion:
    """What the importer makes of samples in a file."""
    np.save(folder / "made.npy", joints)
    (recording,) = INTERGEN.find(folder / "made.npy", OPTIONS)
    return convert_take(INTERGEN.read(recording, OPTIONS), settings)


def flawed(clip: PairClip, folder: Path, flaws: Flaws) -> ClipQuality:
    """Measurements of samples as they are: on our bodies, at their own height, nothing repaired."""
    found = imported(as_sampled(clip, seed=1, flaws=flaws), folder, BARE).clip
    shift = np.array(found.metadata["provenance"]["shift"])
    return quality(replace(found, root_position=found.root_position - shift))


def test_the_seed_decides(clip: PairClip) -> None:
    first, again, other = (as_sampled(clip, seed=seed) for seed in (3, 3, 4))
    assert first.shape == (clip.num_frames, 2, 22, 3)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_without_flaws_the_importer_finds_the_clip_again(clip: PairClip, tmp_path: Path) -> None:
    found = imported(as_sampled(clip, seed=1, flaws=NONE), tmp_path, ConversionSettings())
    assert found.report.joint_error_mean < 1e-4
    assert found.clip.num_frames == clip.num_frames


def test_each_flaw_has_its_size(clip: PairClip) -> None:
    """Standard deviations over many joints, frames and seeds; depth and miss are exact."""
    true = as_sampled(clip, seed=0, flaws=NONE)

    def errors(flaws: Flaws) -> Array:
        return np.stack([as_sampled(clip, seed=seed, flaws=flaws) for seed in range(8)]) - true

    assert errors(replace(NONE, jitter=0.005)).std() == pytest.approx(0.005, rel=0.02)
    assert errors(replace(NONE, wander=0.008)).std() == pytest.approx(0.008, rel=0.1)
    assert errors(replace(NONE, drift=0.03))[..., [0, 2]].std() == pytest.approx(0.03, rel=0.4)
    np.testing.assert_allclose(errors(replace(NONE, depth=0.03))[..., 1], -0.03, atol=1e-12)
    missed = np.linalg.norm(errors(replace(NONE, miss=0.04)), axis=-1)
    np.testing.assert_allclose(missed[:, :, 0], 0.0, atol=1e-12)
    np.testing.assert_allclose(missed[:, :, 1], 0.04, atol=1e-12)


def test_flaws_are_what_the_check_of_clips_measures(clip: PairClip, tmp_path: Path) -> None:
    assert quality(clip).joint_acceleration < 10.0
    assert flawed(clip, tmp_path, replace(NONE, jitter=0.005)).joint_acceleration > 35.0
    assert flawed(clip, tmp_path, replace(NONE, drift=0.03)).foot_slide > 0.04
    assert flawed(clip, tmp_path, replace(NONE, depth=0.03)).floor_depth > 0.025
    assert flawed(clip, tmp_path, replace(NONE, miss=0.04)).partner_depth > quality(clip).partner_depth + 0.01


def test_an_import_repairs_what_the_check_finds(clip: PairClip, tmp_path: Path) -> None:
    sampled = as_sampled(clip, seed=1)
    bare, repaired = flawed(clip, tmp_path, Flaws()), imported(sampled, tmp_path, REPAIR).clip
    found = quality(repaired)
    assert bare.joint_acceleration > 50.0
    assert found.joint_acceleration < 60.0
    assert bare.floor_depth > 0.04 and found.floor_depth < 0.025
    assert found.partner_depth < 0.7 * bare.partner_depth
    assert found.foot_slide < 0.06
    assert check(repaired).level != "unfit"
    assert [item.name for item in repaired.furniture] == ["recipient_seat"]
    assert repaired.contacts


def test_a_steady_person_does_not_glide(clip: PairClip, tmp_path: Path) -> None:
    sampled = as_sampled(clip, seed=1, flaws=replace(NONE, drift=0.03))
    slides = [
        imported(sampled, tmp_path, replace(BARE, steady=steady)).report.foot_slide_after for steady in (False, True)
    ]
    assert slides[1] < 0.3 * slides[0]


def test_flaws_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="jitter is -1"):
        Flaws(jitter=-1.0)
