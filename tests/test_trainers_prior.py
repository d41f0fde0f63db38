"""The shipped tracker, and the run that makes one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from assistmimic_env import resources
from assistmimic_env.policy import Policy
from assistmimic_env.solo_evaluation import evaluate_alone, mean_of, training_clips

torch = pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers import cli  # noqa: E402
from assistmimic_trainers.phc import load_policy  # noqa: E402
from assistmimic_trainers.prior import prior_settings  # noqa: E402
from assistmimic_trainers.run import RunSettings  # noqa: E402

GENERATED = "sit_to_stand/train_00"


@pytest.fixture(scope="module")
def prior() -> Policy:
    return Policy.load(resources.asset_path(resources.PRIOR))


def test_the_shipped_tracker_follows_both_people_of_a_generated_clip(prior: Policy) -> None:
    """Measured over 32 rollouts: task success 1.0 for both; eight of eight leaves room for other machines' rounding."""
    results = evaluate_alone(prior, clips=[GENERATED], rollouts=8, threads=1)
    assert mean_of(results, "task_success") >= 0.8
    assert mean_of(results, "mpjpe") < 0.06


def test_the_shipped_tracker_also_follows_a_held_out_clip(prior: Policy) -> None:
    results = evaluate_alone(prior, clips=["sit_to_stand/test_03"], rollouts=8, threads=1)
    assert mean_of(results, "task_success") >= 0.8


def test_the_shipped_tracker_is_a_single_person_of_the_default_environment(prior: Policy) -> None:
    assert prior.card.role == "any"
    assert prior.card.observation_size == 934
    assert prior.card.actuation["law"] == "so3"
    assert prior.card.normalizer_count > 1e5


def test_evaluation_command_reports_every_person(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    words = ["prior", "eval", "--clips", GENERATED, "--rollouts", "2", "--threads", "1", "--out", str(out)]
    assert cli.main([*words, "--json"]) == cli.OK
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(out.read_text())
    people = report["groups"]["given"]["people"]
    assert [(one["clip"], one["role"]) for one in people] == [
        ("sit_to_stand_train_00", "supporter"),
        ("sit_to_stand_train_00", "recipient"),
    ]
    assert cli.main(words) == cli.OK
    assert "supporter" in capsys.readouterr().out


def test_both_roles_of_a_pair_can_be_played_by_the_prior(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "prior", "--env", "AssistMimic/SitToStand-v0", "--rollouts", "2", "--threads", "1", "--json"]
    assert cli.main(words) == cli.OK
    report = json.loads(capsys.readouterr().out)
    assert report["policies"]["prior"]["metrics"]["survived"]["mean"] > 0.3


def test_the_run_of_a_prior_trains_alone_on_all_training_clips() -> None:
    settings = prior_settings(seed=3)
    assert settings.solo
    assert tuple(settings.env_options["clips"]) == training_clips()
    assert RunSettings.from_json(json.loads(json.dumps(settings.to_json()))).cast is settings.cast


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_prior_is_trained_resumed_exported_and_starts_a_pair(tmp_path: Path) -> None:
    """From the cheap start, a few steps; then a pair from the result."""
    run = tmp_path / "prior"
    words = ["prior", "train", "--init-from", "feedforward", "--steps", "7000", "--out", str(run)]
    assert cli.main(words) == cli.OK
    assert cli.main(["prior", "train", "--steps", "14000", "--resume", str(run)]) == cli.OK
    trained = run / "policies" / "trained"
    policy = Policy.load(trained / "tracker")
    assert (trained / "Humanoid.pth").stat().st_size < 10 * 2**20
    rows = np.random.default_rng(0).normal(size=(4, 934)).astype(np.float32)
    with torch.no_grad():
        same = load_policy(trained / "Humanoid.pth")(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(same, policy.act(rows), atol=1e-5)
    words = ["train", "AssistMimic/SitToStand-v0", "--init-from", str(trained / "tracker"), "--steps", "100"]
    assert cli.main([*words, "--envs-per-runner", "4", "--out", str(tmp_path / "pair")]) == cli.OK
    start = Policy.load(tmp_path / "pair" / "policies" / "start" / "recipient")
    wide = np.zeros((4, start.card.observation_size), np.float32)
    wide[:, :934] = rows
    np.testing.assert_allclose(start.act(wide), policy.act(rows), atol=1e-5)
