"""Whole runs on the real environment: quickstart, interruption, resume. Most of them are slow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from assistmimic_env.errors import CheckpointError, ConfigError, UnknownEnvironmentError
from assistmimic_env.policy import load_pair

pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.commands.train import new_folder  # noqa: E402
from assistmimic_trainers.feedforward import WarmStart  # noqa: E402
from assistmimic_trainers.module import ModuleConfig  # noqa: E402
from assistmimic_trainers.progress import read_records  # noqa: E402
from assistmimic_trainers.quickstart import BUDGETS  # noqa: E402
from assistmimic_trainers.run import RunSettings, default_start, make_simulation, read_settings, start_run  # noqa: E402
from assistmimic_trainers.start import StartSettings  # noqa: E402
from assistmimic_trainers.training import Budget  # noqa: E402

PULL_UP = "AssistMimic/PullUp-v0"


def start_command(*words: str, folder: Path) -> subprocess.Popen[str]:
    """`assistmimic train` in a process of its own."""
    main = "import sys; from assistmimic_trainers.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "train", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_for_updates(path: Path, count: int, *, timeout: float = 240.0) -> None:
    """Wait until `progress.jsonl` has so many records."""
    end = time.monotonic() + timeout
    while len(read_records(path)) < count:
        assert time.monotonic() < end, "training did not get anywhere"
        time.sleep(0.2)


def test_settings_survive_json() -> None:
    settings = RunSettings(
        env_id=PULL_UP,
        seed=3,
        ppo={"num_env_runners": 1},
        module=ModuleConfig(hidden=(64,)),
        start=StartSettings(feedforward=WarmStart(samples=100)),
    )
    assert RunSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a run already"):
        start_run(RunSettings(env_id=PULL_UP), tmp_path, budget=Budget(steps=1), console=None)  # type: ignore[arg-type]


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no run"):
        read_settings(tmp_path)
    (tmp_path / "run.json").write_text("{not json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_settings(tmp_path)


def test_mistakes_about_the_environment_are_found_before_ray_starts() -> None:
    with pytest.raises(UnknownEnvironmentError, match="PullUp"):
        make_simulation(RunSettings(env_id="AssistMimic/PulUp-v0"))


def test_the_prior_is_the_default_start_where_it_fits() -> None:
    assert default_start(RunSettings(env_id="AssistMimic/SitToStand-v0")) == "prior"
    assert default_start(RunSettings(env_id=PULL_UP, env_options={"actuation": "expmap"})) == "feedforward"


def test_new_folders_do_not_collide(tmp_path: Path) -> None:
    first = new_folder(tmp_path, "quickstart")
    first.mkdir()
    assert (first.name, new_folder(tmp_path, "quickstart").name) == ("quickstart", "quickstart-2")


def test_budgets_leave_room_for_the_rest_of_their_time() -> None:
    assert BUDGETS["full"].train_seconds <= 12 * 60
    assert BUDGETS["smoke"].train_seconds <= 45


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_smoke_quickstart_leaves_everything_and_resumes(tmp_path: Path) -> None:
    process = start_command("quickstart", "--budget", "smoke", "--out", "run", folder=tmp_path)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    run = tmp_path / "run"
    results = json.loads((run / "results.json").read_text())
    assert set(results["evaluation"]["policies"]) == {"random", "start", "trained"}
    assert results["training"]["finished"]
    assert results["claims"]["survived"]["random"]["mean"] < results["claims"]["survived"]["start"]["mean"]
    assert (run / "learning_curve.png").stat().st_size > 5000
    assert (run / "trained.mp4").exists() or (run / "trained.png").exists()
    before = read_records(run / "progress.jsonl")[-1]
    steps = str(before["steps"] + 1000)
    process = start_command("quickstart", "--budget", "smoke", "--resume", "run", "--steps", steps, folder=tmp_path)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert "0 steps were lost" in output
    after = read_records(run / "progress.jsonl")[-1]
    assert after["steps"] > before["steps"]
    assert after["iteration"] > before["iteration"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_interrupt_saves_and_kill_loses_only_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    words = (PULL_UP, "--init-from", "random", "--envs-per-runner", "2", "--steps", "1000000")
    process = start_command(*words, "--out", "run", folder=tmp_path)
    run = tmp_path / "run"
    wait_for_updates(run / "progress.jsonl", 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "--resume" in output
    assert "Traceback" not in output
    saved = read_records(run / "progress.jsonl")[-1]
    trained = load_pair(run / "policies" / "trained")["recipient"].tensors["actor.0.weight"]
    assert not np.array_equal(trained, load_pair(run / "policies" / "random")["recipient"].tensors["actor.0.weight"])

    process = start_command(PULL_UP, "--resume", "run", "--steps", "1000000", folder=tmp_path)
    wait_for_updates(run / "progress.jsonl", saved["iteration"] + 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    process = start_command(PULL_UP, "--resume", "run", "--steps", str(saved["steps"] + 1), folder=tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert f"at update {saved['iteration']}" in output
    assert "0 steps were lost" not in output


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("AssistMimic/PulUp-v0",), "PullUp"),
        (("quickstart", "--resume", "nowhere"), "holds no run"),
        (("quickstart", "--budget", "tiny"), "tiny"),
        (("quickstart", "--ppo", "gamma=0.9"), "the quickstart has settings of its own, without --ppo"),
        (("PullUp-v0", "--ppo", "gama=0.9"), "--ppo has no option 'gama'. Did you mean 'gamma'?"),
        (("PullUp-v0", "--ppo", "gamma=much"), "--ppo gamma is 'much', expected a number"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_two(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    process = start_command(*words, folder=tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert message in output
    assert "Traceback" not in output
    assert not list(tmp_path.iterdir())
