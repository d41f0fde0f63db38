"""The benchmark of training: small, so that it says nothing about speed, but runs all of it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow, pytest.mark.timeout(300)]

from assistmimic_trainers.benchmark import TrainBenchmark, run_benchmark  # noqa: E402


def test_every_ratio_is_measured() -> None:
    lines: list[str] = []
    config = TrainBenchmark(worlds=8, fragment=8, blocks=2, stock_worlds=(4,))
    report = run_benchmark(config, log=lines.append)
    assert len(lines) == 5
    for name in ("sampling_over_stock", "sampling_over_environment", "learning_over_torch", "two_runners_over_one"):
        assert 0.0 < report[name] < 100.0, name
    assert report["sampling_over_environment"] < 1.5
    assert report["env_steps_per_second"] > 0.0
    assert set(report["stock"]["stock_steps_per_second"]) == {"0 runners, 4 worlds each", "2 runners, 4 worlds each"}
    json.dumps(report)
