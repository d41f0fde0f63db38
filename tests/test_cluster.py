"""Training on several nodes, and what happens when parts of it die or are missing."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")

from ray import tune  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402
from ray.rllib.callbacks.callbacks import RLlibCallback  # noqa: E402
from test_trainers_fast import STEPS, make_config  # noqa: E402
from test_trainers_run import PULL_UP, start_command, wait_for_updates  # noqa: E402

from assistmimic_env.errors import CheckpointError, ConfigError  # noqa: E402
from assistmimic_env.policy import load_pair  # noqa: E402
from assistmimic_trainers.checkpoint import CheckpointStore  # noqa: E402
from assistmimic_trainers.cluster import ray_session, require_files, start_ray  # noqa: E402
from assistmimic_trainers.progress import read_records  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns about its own deprecations


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three nodes on this machine, of one CPU each, found by RAY_ADDRESS."""
    ray.shutdown()
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    try:
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


def node_of_each_runner(algorithm: Any) -> list[str]:
    return algorithm.env_runner_group.foreach_env_runner(
        lambda _: ray.get_runtime_context().get_node_id(), local_env_runner=False
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_lost_node_costs_only_its_fragment(cluster: Any) -> None:
    """Two runners on two nodes; one node dies, training goes on with the other, and with a new node there are two."""
    with ray_session(num_cpus=3, learner_threads=1):
        algorithm = make_config(num_env_runners=2, num_envs_per_env_runner=2).build_algo()
        try:
            first = algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"]
            assert first == 2 * 2 * STEPS
            nodes = node_of_each_runner(algorithm)
            assert len(set(nodes)) == 2
            lost = next(node for node in cluster.worker_nodes if node.node_id in nodes)
            cluster.remove_node(lost)
            second = algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"]
            assert second >= first + 2 * 2 * STEPS
            cluster.add_node(num_cpus=1)
            deadline = time.monotonic() + 120.0
            while algorithm.env_runner_group.num_healthy_remote_workers() < 2 and time.monotonic() < deadline:
                algorithm.train()
                time.sleep(0.5)
            algorithm.train()
            assert len(node_of_each_runner(algorithm)) == 2
            weights = algorithm.env_runner_group.foreach_env_runner(
                lambda runner: runner.module["supporter"].actor[0].weight.detach().numpy(), local_env_runner=False
            )
            np.testing.assert_array_equal(*weights)
        finally:
            algorithm.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_trains_on_the_cluster_that_it_is_told_of(cluster: Any, tmp_path: Path) -> None:
    """Two runners and a learner, on three nodes of one CPU each; both policies start from the shipped prior."""
    words = (PULL_UP, "--init-from", "prior", "--env-runners", "2", "--envs-per-runner", "4", "--learners", "1")
    process = start_command(*words, "--steps", "600", "--out", "run", folder=tmp_path)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    records = read_records(tmp_path / "run" / "progress.jsonl")
    assert [record["steps"] for record in records] == list(range(96, 673, 96))  # 2 x 4 worlds, 12 steps each
    pair = load_pair(tmp_path / "run" / "policies" / "trained")
    assert pair["recipient"].card.provenance["iteration"] == 7
    assert len(cluster.list_all_nodes()) == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_file_missing_on_a_node_is_one_error_before_anything_starts(cluster: Any, tmp_path: Path) -> None:
    present, absent = tmp_path / "prior.json", tmp_path / "prior.safetensors"
    present.write_text("{}")
    with ray_session(num_cpus=3, learner_threads=1):
        require_files([str(present)])
        with pytest.raises(ConfigError, match=r"prior\.safetensors on .*shared storage"):
            require_files([str(present), str(absent)])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_more_processes_than_the_cluster_has_cpus_is_refused(cluster: Any) -> None:
    with pytest.raises(ConfigError, match=r"5 env runners .* has 3\."):
        start_ray(num_cpus=5)
    assert not ray.is_initialized()


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=rf"no Ray cluster answers at RAY_ADDRESS={address}"):
        start_ray(num_cpus=1)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_tune_retries_a_killed_learner_from_the_last_checkpoint(tmp_path: Path) -> None:
    marker, seen = tmp_path / "killed", tmp_path / "seen"
    config = make_config(num_learners=1).callbacks(killer(marker, seen))
    ray.shutdown()
    with ray_session(num_cpus=3, learner_threads=1):
        result = tune.Tuner(
            "PPO",
            param_space=config,
            run_config=tune.RunConfig(
                storage_path=str(tmp_path / "tune"),
                stop={"training_iteration": 4},
                failure_config=tune.FailureConfig(max_failures=1),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=2),
                verbose=0,
            ),
        ).fit()[0]
    assert marker.exists()
    assert result.error is None
    assert result.metrics is not None
    assert result.metrics["training_iteration"] == 4
    iterations = [int(line) for line in seen.read_text().split()]
    assert iterations in ([1, 2, 3, 4], [1, 2, 2, 3, 4])  # nothing before the last checkpoint was repeated


def test_a_port_that_another_program_uses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        monkeypatch.setenv("RAY_ADDRESS", "{}:{}".format(*busy.getsockname()))
        with pytest.raises(ConfigError, match="another program uses this port"):
            start_ray(num_cpus=1)


def killer(marker: Path, seen: Path) -> type[RLlibCallback]:
    """A callback that notes every update and kills the remote learner once, after the second."""

    class Killer(RLlibCallback):
        def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **kwargs: Any) -> None:
            with seen.open("a") as file:
                file.write(f"{result['training_iteration']}\n")
            if result["training_iteration"] == 2 and not marker.exists():
                marker.touch()
                for answer in algorithm.learner_group.foreach_learner(lambda _: os.getpid()):
                    os.kill(answer.get(), signal.SIGKILL)

    return Killer


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_driver_loses_at_most_two_checkpoint_intervals(tmp_path: Path) -> None:
    interval = 4.0
    words = (PULL_UP, "--init-from", "random", "--envs-per-runner", "8", "--checkpoint-seconds", str(interval))
    process = start_command(*words, "--steps", "1000000", "--out", "run", folder=tmp_path)
    progress = tmp_path / "run" / "progress.jsonl"
    pointer = tmp_path / "run" / "checkpoints" / "latest"
    wait_for_updates(progress, 3)
    deadline = time.monotonic() + 120.0
    while not pointer.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5 * interval)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    before = read_records(progress)
    process = start_command(PULL_UP, "--resume", "run", "--steps", "1", folder=tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    resumed = int(output.split("at update ")[1].split()[0])
    kept = next(record for record in before if record["iteration"] == resumed)
    lost = before[-1]["steps"] - kept["steps"]
    slowest = max(b["seconds"] - a["seconds"] for a, b in itertools.pairwise(before))
    assert f"{lost:,} steps were lost" in output
    assert "trusted" in output
    assert before[-1]["seconds"] - kept["seconds"] <= 2.0 * interval + slowest


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: writing fails in the middle, as on a full one."""
    store = CheckpointStore(folder=tmp_path)
    with ray_session(num_cpus=1, learner_threads=1):
        algorithm = make_config().build_algo()
        try:
            algorithm.train()
            first = store.save(algorithm)
            algorithm.train()
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
            try:
                with pytest.raises(CheckpointError, match="the one before is intact"):
                    store.save(algorithm)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                signal.signal(signal.SIGXFSZ, previous)
            assert store.latest() == first
            assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [first.name]
            store.load().stop()
        finally:
            algorithm.stop()
