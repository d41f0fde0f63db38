"""Environments that play the user's data: without it they say what to do; with it every view and command works."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest
from brought import clips_of

from assistmimic_env import EnvSpec, list_envs, make, make_single, make_vec
from assistmimic_env.errors import ClipError, ConfigError
from assistmimic_trainers import cli

BRINGS = {"AssistMimic/HHIAssist-v0": "hhi", "AssistMimic/InterX-v0": "interx"}
"""Id -> format of its data."""

VIEWS: dict[str, Callable[..., Any]] = {
    "make": make,
    "make_vec": lambda id, **options: make_vec(id, num_envs=1, **options),
    "make_single": make_single,
    "pettingzoo": lambda id, **options: pettingzoo.make("parallel", id, **options),
    "gymnasium": gymnasium.make,
}

COMMANDS = (
    "eval random --env {id}",
    "render random --env {id}",
    "demand {id}",
    "bench env --env {id}",
    "clips show {id}",
    "clips check {id}",
    "train {id}",
    "train quickstart --env-id {id} --budget smoke",
    "study {id} --steps 64",
    "bench train --env {id}",
)
TRAINS = ("train", "study", "bench train")


def test_they_are_listed_with_the_format_of_their_data() -> None:
    assert {entry.id: entry.data for entry in list_envs() if not entry.clips} == BRINGS


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("id", BRINGS)
def test_without_clips_every_view_says_how_to_get_them(id: str, view: Callable[..., Any]) -> None:
    """Where the data is, how to import it, and how to give it."""
    places = {"hhi": "sites.google.com/view/hhi-assist", "interx": "liangxuyy.github.io/inter-x"}
    hint = f"{places[BRINGS[id]]}.*assistmimic clips import {BRINGS[id]} PATH --out DIR, and give clips=DIR"
    with pytest.raises(ClipError, match=f"{id} plays your data.*{hint}"):
        view(id)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("id", BRINGS)
def test_with_clips_every_view_plays_them(id: str, view: Callable[..., Any]) -> None:
    (clip,) = Path(clips_of(id) or "").glob("*.npz")
    env = view(id, clips=clip.parent)
    env.reset(seed=0)
    env = getattr(env, "unwrapped", env)
    assert [one.name for one in getattr(env, "pair", env).reference.clips] == [clip.stem]


def test_hands_hold_where_the_recording_shows_it_and_inter_x_people_have_fingers() -> None:
    for id, actions in (("HHIAssist", 69), ("InterX", 153)):
        env = make(id, clips=clips_of(id), start="first")
        assert env.action_space("recipient").shape == (actions,)
        env.reset(seed=0)
        for _ in range(3):
            env.step({agent: np.zeros(actions, np.float32) for agent in env.agents})
        assert env.simulation.worlds.num_holds > 0


@pytest.mark.parametrize("changes", [{}, {"clips": ("pull_up",), "data": "interx"}], ids=["neither", "both"])
def test_an_environment_has_clips_or_the_format_of_its_data(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="'Lab/Mine-v0' needs either clips or the format of its data"):
        EnvSpec(id="Lab/Mine-v0", description="Mine.", **changes)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_clips_every_command_says_so_in_a_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2, before anything is started or written."""
    if command.startswith(TRAINS):
        pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    assert cli.main(command.format(id="InterX").split()) == cli.USER_ERROR
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.endswith("...")]
    assert len(lines) == 1
    assert "assistmimic clips import interx PATH --out DIR" in lines[0]
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "command", ["eval random --env HHIAssist --rollouts 1 --threads 1 --json", "demand HHIAssist --json"]
)
def test_with_clips_commands_measure_them(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clips_of("HHIAssist")
    (clip,) = Path(folder or "").glob("*.npz")
    assert cli.main([*command.split(), "--clips", str(folder)]) == cli.OK
    assert [*json.loads(capsys.readouterr().out)["clips"]] == [clip.stem]


def test_speed_is_measured_on_other_motion(capsys: pytest.CaptureFixture[str]) -> None:
    from assistmimic_env.benchmark import BenchmarkConfig, run_benchmark

    config = BenchmarkConfig(
        env_id="HHIAssist", clips=(str(clips_of("HHIAssist")),), num_envs=2, threads=1, blocks=1, steps=2, growth=(1,)
    )
    assert run_benchmark(config)["vector"]["steps_per_second"] > 0.0
    assert cli.main(["bench", "grip", "--clips", "pull_up"]) == cli.USER_ERROR
    assert "bench grip has motion of its own" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")  # Ray warns about its own deprecations
def test_a_pair_trains_on_other_motion(tmp_path: Path) -> None:
    """`--clips` of the command line; the run knows them."""
    pytest.importorskip("ray")
    from assistmimic_trainers.run import read_settings

    folder, run = str(clips_of("HHIAssist")), tmp_path / "run"
    words = f"train HHIAssist --clips {folder} --init-from random --steps 64 --envs-per-runner 2 --out {run}"
    assert cli.main(words.split()) == cli.OK
    assert read_settings(run).env_options["clips"] == [folder]


def test_info_says_whose_data_an_environment_plays(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--json"]) == cli.OK
    environments = json.loads(capsys.readouterr().out)["environments"]
    assert environments["AssistMimic/InterX-v0"] == "your data: assistmimic clips import interx PATH --out DIR"
    assert environments["AssistMimic/SitToStand-v0"] == "clips to train on: 8, held out: 4"
