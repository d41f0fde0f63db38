"""Training, export, evaluation and the benchmark with the body that has fingers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from assistmimic_env import benchmark, make_vec, resources
from assistmimic_env.errors import ConfigError, PolicyError
from assistmimic_env.policy import Policy, load_pair
from assistmimic_env.policy_expansion import fitted

pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns about its own deprecations

from assistmimic_trainers import cli  # noqa: E402
from assistmimic_trainers.feedforward import WarmStart  # noqa: E402
from assistmimic_trainers.module import ModuleConfig  # noqa: E402
from assistmimic_trainers.run import RunSettings, default_start, make_simulation, start_run  # noqa: E402
from assistmimic_trainers.start import PRIOR, Start, StartSettings  # noqa: E402
from assistmimic_trainers.training import Budget  # noqa: E402

ENV, CLIP = "AssistMimic/SitToStand-v0", "sit_to_stand/train_00"


def settings(*, init_from: str, sampler: str = "batched", fingers: str = "free") -> RunSettings:
    return RunSettings(
        env_id=ENV,
        env_options={"body": "smpl52", "fingers": fingers, "clips": CLIP},
        init_from=init_from,
        module=ModuleConfig(hidden=(16,), critic_hidden=(16,)),
        start=StartSettings(feedforward=WarmStart(samples=4096, epochs=1)),
        ppo={"num_envs_per_env_runner": 2, "rollout_fragment_length": 8, "minibatch_size": 8, "sampler": sampler},
    )


@pytest.mark.parametrize(
    ("init_from", "sampler", "fingers"), [("random", "batched", "frozen"), ("feedforward", "stock", "free")]
)
def test_a_pair_with_fingers_trains_and_its_export_is_evaluated(
    init_from: str, sampler: str, fingers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two updates; the card knows body and fingers, so that eval needs no options."""
    chosen = settings(init_from=init_from, sampler=sampler, fingers=fingers)
    with (tmp_path / "log").open("w") as log:
        start_run(chosen, tmp_path / "run", budget=Budget(steps=32), console=Console(file=log))
    trained, start = (load_pair(tmp_path / "run" / "policies" / name)["recipient"] for name in ("trained", "start"))
    assert (trained.card.body, trained.card.action_size) == ("smpl52", 153)
    assert not np.array_equal(trained.tensors["actor.0.weight"], start.tensors["actor.0.weight"])
    words = ["eval", str(tmp_path / "run" / "policies" / "trained"), "--rollouts", "2", "--threads", "1"]
    assert cli.main(words) == cli.OK
    assert f"body=smpl52, fingers={fingers}" in capsys.readouterr().err


def test_the_shipped_tracker_does_not_fit_and_says_what_to_do() -> None:
    run = settings(init_from=PRIOR)
    message = r"moves the body 'smpl24', this environment has 'smpl52'.* start from feedforward or random"
    with pytest.raises(PolicyError, match=message):
        Start.of(PRIOR, run.cast).module_config(run.module, run.cast, make_simulation(run))
    with pytest.raises(PolicyError, match=message):
        fitted(Policy.load(resources.asset_path(resources.PRIOR)), make_vec(ENV, num_envs=1, body="smpl52").simulation)
    assert default_start(run) == "feedforward"


def test_the_benchmark_compares_the_body_with_the_one_without_fingers() -> None:
    lines: list[str] = []
    config = benchmark.BenchmarkConfig(body="smpl52", num_envs=2, threads=1, blocks=3, steps=4, growth=(1,))
    report: dict[str, Any] = benchmark.run_benchmark(config, log=lines.append)
    assert report["body"] == "smpl52"
    assert list(report["bodies"]) == ["smpl24", "smpl52, free", "smpl52, frozen"]
    assert report["bodies"]["smpl24"]["over_smpl24"] == 1.0
    assert 0.0 < report["bodies"]["smpl52, free"]["over_smpl24"] < 1.5
    assert lines[-1] == "smpl52 against smpl24"


def test_training_speed_is_measured_with_the_default_body_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "train", "--body", "smpl52"]) == 2
    assert "always measures smpl24" in capsys.readouterr().err


def test_a_body_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="body 'smpl53' is not known"):
        make_simulation(RunSettings(env_id=ENV, env_options={"body": "smpl53"}))
