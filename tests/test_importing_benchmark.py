"""The retargeting table: it finds the errors that were put in, and the command prints it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from toys import reaching_clip

from assistmimic_env.clip import load_clip
from assistmimic_env.importing import benchmark
from assistmimic_trainers import cli


def test_sources_know_less_and_less() -> None:
    clip = load_clip("pull_up")
    full = benchmark.clip_take(clip)
    rig, posed = benchmark.rig_take(full), benchmark.posed_take(clip)
    told = [np.isfinite(take.people[0].joints[0, :, 0]).sum() for take in (full, rig, posed)]
    assert told == [24, 18, 1]
    assert np.isfinite(full.people[0].joints).all(), "the take itself stays as it is"
    assert posed.people[0].offsets is None and posed.people[0].rotation is not None


def test_the_command_prints_and_writes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fitted bones are nearer to the source than ours; people known by rotations are measured against the truth."""
    monkeypatch.setattr(benchmark, "_CLIPS", ("short",))
    monkeypatch.setattr(benchmark, "load_clip", lambda name: reaching_clip(12, gap=0.5))
    out = tmp_path / "table.json"
    assert cli.main(["bench", "retarget", "--out", str(out)]) == cli.OK
    rows = json.loads(out.read_text())["rows"]
    found = {(row["knows"], row["bones"], row["body"]): row for row in rows}
    assert len(found) == len(rows) == 8
    small = found["joints", "ours, 1.60 / 1.85 m", "smpl24"]["joint_error_mean_mm"]
    assert found["joints", "fitted", "smpl24"]["joint_error_mean_mm"] < 1.0 < small
    assert found["rotations", "fitted", "smpl52"]["joint_error_mean_mm"] < 20.0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9 and "hands" in lines[0] and "smpl52" in lines[2]
