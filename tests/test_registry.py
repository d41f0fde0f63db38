"""Environments by name: found, made with options, and every mistake answered with what exists."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest
from brought import clips_of
from toys import TOY_ID, rising_clip, standing_clip

import assistmimic_env
from assistmimic_env import EnvSpec, list_envs, make, make_single, make_vec, register, registry, spec
from assistmimic_env.clip import bundled_clips
from assistmimic_env.config import EnvConfig, PhysicsConfig
from assistmimic_env.errors import (
    AssistMimicError,
    ClipError,
    ConfigError,
    UnknownEnvironmentError,
    UnknownOptionError,
)
from assistmimic_env.parallel import PairEnv

IDS = [spec.id for spec in list_envs()]


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Environments registered by a test are gone after it, from PettingZoo's and Gymnasium's registries too."""
    theirs = (pettingzoo.parallel_registry, gymnasium.registry)
    before = [set(names) for names in theirs]
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    yield
    for names, known in zip(theirs, before, strict=True):
        for name in set(names) - known:
            del names[name]


# --- Names ----------------------------------------------------------------------------------------------------


def test_bundled_environments_are_listed() -> None:
    """Sorted, described, with clips that ship with the package."""
    short = [id.removeprefix("AssistMimic/").removesuffix("-v0") for id in IDS]
    assert short == ["HHIAssist", "HelpUp", "InterX", "LayToSit", "PullUp", "SitDown", "SitToStand", "SupportedWalk"]
    for entry in list_envs():
        assert entry.description.endswith(".")
        assert set(entry.clips) | set(entry.held_out) <= set(bundled_clips())
        assert not set(entry.clips) & set(entry.held_out)


@pytest.mark.parametrize("name", ["AssistMimic/PullUp-v0", "AssistMimic/PullUp", "PullUp-v0", "PullUp"])
def test_namespace_and_version_may_be_left_out(name: str) -> None:
    assert spec(name).id == "AssistMimic/PullUp-v0"
    assert make(name).name == "AssistMimic/PullUp-v0"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("AssistMimic/PulUp-v0", "Did you mean 'AssistMimic/PullUp-v0'"),
        ("SitToStnd-v0", "Did you mean 'AssistMimic/SitToStand-v0'"),
        ("AssistMimic/PullUp-v7", "Did you mean 'AssistMimic/PullUp-v0'"),
        ("", "Environments: AssistMimic/HHIAssist-v0, AssistMimic/HelpUp-v0, AssistMimic/InterX-v0, "),
        ("../../etc", "Environments: "),
        ("Humanoid-v5", "Environments: "),
    ],
)
def test_unknown_id_is_answered_with_the_closest_and_all(name: str, hint: str) -> None:
    for function in (spec, make, lambda id: make_vec(id, num_envs=1), make_single):
        with pytest.raises(UnknownEnvironmentError, match=f"no environment '{name}'.*{hint}"):
            function(name)


def test_import_alone_fills_pettingzoos_registry() -> None:
    """In a fresh process, with warnings as errors."""
    code = (
        "import assistmimic_env, pettingzoo; print(type(pettingzoo.make('parallel', 'AssistMimic/PullUp-v0')).__name__)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "PairEnv", done.stderr


@pytest.mark.parametrize("id", IDS)
def test_pettingzoo_and_gymnasium_make_the_same_environments(id: str) -> None:
    """Options pass through."""
    ours = make(id, clips=clips_of(id), start="first")
    theirs = pettingzoo.make("parallel", id, clips=clips_of(id), start="first")
    single: Any = gymnasium.make(id, role="supporter", partner="hold", clips=clips_of(id), start="first").unwrapped
    expected = ours.reset(seed=5)[0]
    np.testing.assert_array_equal(theirs.reset(seed=5)[0]["recipient"], expected["recipient"])
    np.testing.assert_array_equal(single.reset(seed=5)[0], expected["supporter"])
    assert (single.role, single.partner) == ("supporter", "hold")


def test_package_exports_what_the_readme_uses() -> None:
    for name in ("make", "make_vec", "make_single", "list_envs", "spec", "register", "EnvSpec", "AssistMimicError"):
        assert hasattr(assistmimic_env, name)
        assert name in assistmimic_env.__all__


# --- Options --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"termination_distanc": 0.5}, "Did you mean 'termination_distance'"),
        ({"rendermode": "rgb_array"}, "Did you mean 'render_mode'"),
        ({"bodies": "smpl24"}, "Options: actuation, body, clips"),
    ],
)
def test_unknown_option_is_answered_with_the_closest_and_all(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(
        UnknownOptionError, match=f"AssistMimic/PullUp-v0 has no option '{next(iter(options))}'.*{hint}"
    ):
        make("PullUp", **options)


def test_unknown_option_of_the_other_views_is_answered_too() -> None:
    with pytest.raises(UnknownOptionError, match=r"'thread'.*Did you mean 'threads'"):
        make_vec("PullUp", num_envs=1, thread=2)
    with pytest.raises(UnknownOptionError, match=r"'partnr'.*Did you mean 'partner'"):
        make_single("PullUp", partnr="hold")


@pytest.mark.parametrize("body", ["smpl42", "smpl2"])
def test_unknown_body_is_one_clear_error(body: str) -> None:
    with pytest.raises(AssistMimicError, match=f"'{body}'"):
        make("PullUp", body=body)


def test_options_reach_the_simulation() -> None:
    """Single ones, nested mappings, presets, and whole configs with single changes."""
    env = make("PullUp", body="smpl24", actuation="expmap", physics="fast", reward={"power": 0.0}, start="first")
    assert env.config.actuation == "expmap"
    assert env.simulation.scene.model.opt.timestep == pytest.approx(1 / 90)
    assert env.config.reward.power == 0.0
    assert env.config.reward.position == 0.5
    config = EnvConfig(start="first", physics=PhysicsConfig(solver="newton"))
    vec = make_vec("PullUp", num_envs=2, config=config, termination_distance=0.4)
    assert (vec.config.start, vec.config.physics.solver) == ("first", "newton")
    assert vec.config.termination_distance == 0.4
    assert config.termination_distance == 0.25


# --- Clips ----------------------------------------------------------------------------------------------------


def played(env: PairEnv) -> list[str]:
    return [clip.name for clip in env.reference.clips]


def test_clips_may_be_objects_files_folders_and_names(tmp_path: Path) -> None:
    """Alone or mixed; a folder's files come in the order of their names."""
    first, second = standing_clip(name="first"), rising_clip()
    second.save(tmp_path / "b.npz")
    first.save(tmp_path / "a.npz")
    assert played(make(TOY_ID, clips=first)) == ["first"]
    assert played(make(TOY_ID, clips=tmp_path / "b.npz")) == ["rising"]
    assert played(make(TOY_ID, clips=str(tmp_path / "b.npz"))) == ["rising"]
    assert played(make(TOY_ID, clips=tmp_path)) == ["first", "rising"]
    assert played(make(TOY_ID, clips=str(tmp_path))) == ["first", "rising"]
    mixed = make(TOY_ID, clips=[second, tmp_path / "a.npz", "pull_up"])
    assert played(mixed)[:2] == ["rising", "first"]
    assert len(played(mixed)) == 3
    assert played(make(TOY_ID, clips="sit_to_stand/test_00")) != played(make(TOY_ID))


@pytest.mark.parametrize("view", [make, lambda id, **options: make_vec(id, num_envs=1, **options), make_single])
def test_clips_that_cannot_be_used_are_one_clear_error(view: Any, tmp_path: Path) -> None:
    """The message names the file and, for names, the closest one."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04" + bytes(100))
    cases = [
        ("pull_upp", "Did you mean 'pull_up'"),
        (tmp_path / "missing.npz", "missing.npz"),
        (tmp_path / "damaged.npz", "damaged.npz"),
        (tmp_path / "empty", "holds no clip"),
        ([], "at least one clip"),
    ]
    for clips, message in cases:
        with pytest.raises(AssistMimicError, match=message):
            view(TOY_ID, clips=clips)


def test_folder_named_like_a_bundled_clip_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an id stands for does not depend on the working directory."""
    (tmp_path / "pull_up").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(played(make("PullUp"))) == 1
    with pytest.raises(ClipError, match="holds no clip"):
        make("PullUp", clips="pull_up")


# --- User environments ----------------------------------------------------------------------------------------


def mine(id: str, tmp_path: Path, **options: Any) -> EnvSpec:
    path = tmp_path / "rising.npz"
    rising_clip().save(path)
    return EnvSpec(id=id, clips=(str(path),), description="A test.", options=options)


@pytest.mark.usefixtures("own_registry")
def test_users_register_environments_of_their_own(tmp_path: Path) -> None:
    """They are listed, keep their options, and exist for PettingZoo and Gymnasium too; the highest version wins."""
    register(mine("Lab/Rise-v0", tmp_path, start="first"))
    register(mine("Lab/Rise-v2", tmp_path, start="first", termination_distance=0.5))
    register(mine("Lab/Rise-v10", tmp_path))
    assert [entry.id for entry in list_envs()] == [*IDS, "Lab/Rise-v0", "Lab/Rise-v10", "Lab/Rise-v2"]
    assert spec("Lab/Rise").id == "Lab/Rise-v10"
    assert spec("Lab/Rise-v2").make().config.termination_distance == 0.5
    assert make("Lab/Rise-v2", termination_distance=0.3).config.start == "first"
    assert make("Lab/Rise-v2", config=EnvConfig()).config.start == "uniform"
    theirs = pettingzoo.make("parallel", "Lab/Rise-v0")
    assert isinstance(theirs.unwrapped, PairEnv)
    assert played(theirs.unwrapped) == ["rising"]
    assert gymnasium.make("Lab/Rise-v10").reset(seed=0)[0].shape == (1665,)


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("id", ["Rise-v0", "Lab/Rise", "Lab/Rise-1", "", "Lab/Ri se-v0", "AssistMimic/PullUp-v0"])
def test_malformed_and_taken_ids_are_refused(id: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownEnvironmentError, match=r"malformed|registered already"):
        register(mine(id, tmp_path))
    assert [entry.id for entry in list_envs()] == IDS


@pytest.mark.usefixtures("own_registry")
def test_bad_options_of_a_user_environment_are_named(tmp_path: Path) -> None:
    register(mine("Lab/Bad-v0", tmp_path, termination_distance=-1.0))
    with pytest.raises(ConfigError, match="termination_distance is -1"):
        make("Lab/Bad-v0")
