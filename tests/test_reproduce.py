"""`assistmimic reproduce table`: cells found again by their hash, a queue that goes on, a table that hides nothing."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from assistmimic_env.clip import PairClip
from assistmimic_env.quantities import QUANTITIES as MEASURED
from assistmimic_trainers import cli

pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers import cell as cell_module  # noqa: E402
from assistmimic_trainers import run as run_module  # noqa: E402
from assistmimic_trainers.cell import Cell, Protocol  # noqa: E402
from assistmimic_trainers.cell_queue import CellQueue, clock  # noqa: E402
from assistmimic_trainers.cluster import ray_session  # noqa: E402
from assistmimic_trainers.learner import LearnerOptions  # noqa: E402
from assistmimic_trainers.method import Method  # noqa: E402
from assistmimic_trainers.pace import Pace  # noqa: E402
from assistmimic_trainers.table import ARMS, EFFORTS, MAIN_TASK, Table  # noqa: E402
from assistmimic_trainers.table_report import TableReport  # noqa: E402
from assistmimic_trainers.training_range import inside_training_range  # noqa: E402

PULL_UP = "AssistMimic/PullUp-v0"


@pytest.fixture(scope="module")
def small(standing_pair: Callable[..., PairClip], tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A table of two arms and one seed on a clip of 12 frames."""
    clip = tmp_path_factory.mktemp("clips") / "stand.npz"
    standing_pair(frames=12, gap=1.6).save(clip)
    return Table(
        env_id=PULL_UP,
        arms=("tracking", "recipient-alone"),
        seeds=(0,),
        steps=60,
        protocol=Protocol(rollouts=2, conditions=("none", "mass-1.2")),
        options={"clips": [str(clip)]},
        ppo={"num_envs_per_env_runner": 4},
    )


@pytest.fixture
def session() -> Iterator[None]:
    """Ray, for all trainings of a test."""
    with ray_session(num_cpus=1, learner_threads=1):
        yield


class Screen(Console):
    """A console that remembers what it shows."""

    def __init__(self) -> None:
        self._shown = io.StringIO()
        super().__init__(file=self._shown)

    def shown(self) -> str:
        return self._shown.getvalue()


@pytest.fixture
def screen() -> Screen:
    return Screen()


def report_of(table: Table, folder: Path) -> TableReport:
    return TableReport.read(table, table.cells(), folder, command="assistmimic reproduce table")


def result_of(cell: Cell, value: float) -> dict[str, Any]:
    """A result in which every quantity has one value."""
    one = {"mean": value, "low": value - 0.1, "high": value + 0.1, "n": cell.protocol.rollouts}
    return {
        "key": cell.key, "arm": cell.arm, "seed": cell.settings.seed, "steps": cell.steps, "config": cell.config,
        "seconds": {"training": 10.0, "evaluation": 2.0}, "machine": {},
        "conditions": {name: dict.fromkeys(MEASURED, one) for name in cell.protocol.columns},
    }  # fmt: skip


def test_a_cell_is_found_again_by_its_settings_and_by_nothing_else(small: Table) -> None:
    """The same settings have the same key; whatever decides the result changes it, the arm's name does not."""
    first, other = small.cells()
    assert [cell.key for cell in small.cells()] == [first.key, other.key]
    assert replace(first, arm="another name").key == first.key
    changed = [
        replace(small, steps=61).cells()[0],
        replace(small, seeds=(1,)).cells()[0],
        replace(small, protocol=replace(small.protocol, rollouts=3)).cells()[0],
        replace(small, ppo={"num_envs_per_env_runner": 5}).cells()[0],
        replace(small, options={**small.options, "physics": "fast"}).cells()[0],
        replace(small, options={}).cells()[0],
    ]
    assert len({first.key, other.key, *(cell.key for cell in changed)}) == 2 + len(changed)


def test_another_default_makes_another_cell(small: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the settings do not say, such as the learner's options, counts as well."""
    key = small.cells()[0].key
    monkeypatch.setattr(cell_module, "LearnerOptions", lambda: LearnerOptions(kl_target=0.01))
    assert small.cells()[0].key != key


def test_the_table_of_the_main_task_has_every_arm_once_the_most_important_first() -> None:
    table = Table.of("SitToStand-v0", EFFORTS["full"])
    cells = table.cells()
    assert (table.env_id, table.steps, table.seeds) == (MAIN_TASK, 1_000_000, (0, 1, 2))
    assert len({cell.key for cell in cells}) == len(cells) == 3 * len(ARMS)
    assert [(cell.arm, cell.settings.seed) for cell in cells[:2]] == [("full", 0), ("recipient-alone", 0)]
    assert [cell.settings.seed for cell in cells] == sorted(cell.settings.seed for cell in cells)
    assert {cell.settings.env_options["recipient"] for cell in cells} == {"needs-help"}


def test_of_other_tasks_the_full_method_is_trained_with_one_seed() -> None:
    table = Table.of("HelpUp-v0", EFFORTS["full"])
    assert (table.arms, table.seeds) == (("full",), (0,))
    assert Table.of("HelpUp-v0", EFFORTS["full"], arms=["tracking"], seeds=[3, 4], steps=7).seeds == (3, 4)


@pytest.mark.usefixtures("session")
def test_an_interrupted_queue_keeps_what_is_done_and_goes_on(
    small: Table, tmp_path: Path, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second training is interrupted; called again, only that one runs, and the table is complete."""
    begun: list[Path] = []
    start = run_module.start_run

    def interrupted(settings: Any, folder: Path, **given: Any) -> Any:
        begun.append(folder)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return start(settings, folder, **given)

    monkeypatch.setattr(cell_module, "start_run", interrupted)
    first, second = small.cells()
    queue = CellQueue((first, second), tmp_path, console=screen)
    with pytest.raises(KeyboardInterrupt):
        queue.work()
    table = report_of(small, tmp_path)
    assert [line["state"] for line in table.to_json()["cells"]] == ["run", "not run"]
    assert "| recipient-alone | not run | not run | not run |" in table.markdown()
    again = CellQueue((first, second), tmp_path, console=screen)
    again.announce()
    assert "2 cells, 1 done. ETA 0:00:" in screen.shown()
    assert "measured on 1 finished cell)" in screen.shown()
    again.work()
    assert begun == [tmp_path / first.key, tmp_path / second.key, tmp_path / second.key]
    entries = report_of(small, tmp_path).to_json()["table"]
    assert {entry["state"] for row in entries.values() for entry in row.values()} == {"run"}
    assert entries["recipient-alone"]["none"]["quantities"] == entries["recipient-alone"]["alone"]["quantities"]
    assert entries["tracking"]["alone"]["quantities"]["support_force"]["mean"] == 0.0
    begun.clear()
    CellQueue((first, second), tmp_path, console=screen).work()
    assert begun == []


@pytest.mark.usefixtures("session")
def test_a_training_whose_time_is_up_goes_on_from_its_checkpoint(small: Table, tmp_path: Path, screen: Screen) -> None:
    """In stages, too: the recipient alone for 48 of its 60 steps, and the rest of everything the next time."""
    (cell,) = replace(small, arms=("sequential",), steps=120).cells()
    assert cell.run(tmp_path, console=screen, deadline=time.monotonic()) is None
    assert cell.result(tmp_path) is None
    assert cell.steps_done(tmp_path) == 48
    result = cell.run(tmp_path, console=screen)
    assert result is not None
    assert "alone at update 1" in screen.shown()
    assert result == cell.result(tmp_path)
    assert result["steps"] == 2 * 96
    assert result["seed"] == 0
    assert [*result["conditions"]] == ["none", "mass-1.2", "alone"]


def test_cells_that_do_not_fit_are_not_started_and_marked(
    small: Table, tmp_path: Path, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_module, "start_run", None)
    queue = CellQueue(small.cells(), tmp_path, console=screen, seconds=1.0)
    queue.announce()
    queue.work()
    assert screen.shown().count("does not fit, not run.") == 2
    assert "2 cells, 0 done. ETA 0:00:" in screen.shown()
    assert "guessed from the environment's speed" in screen.shown()
    data, page = report_of(small, tmp_path).save(tmp_path / "table.json")
    report = json.loads(data.read_text())
    assert {entry["state"] for row in report["table"].values() for entry in row.values()} == {"not run"}
    assert report["table"]["tracking"]["none"]["quantities"] is None
    assert "| tracking | not run | not run | not run |" in page.read_text()
    assert "0 of 2 cells were run" in page.read_text()


def test_entries_say_of_how_many_seeds_they_are(small: Table) -> None:
    """All three of the first arm, one of the second: mean and Student's interval, and what is missing."""
    table = replace(small, seeds=(0, 1, 2))
    cells = table.cells()
    kept = [cell for cell in cells if cell.arm == "tracking" or cell.settings.seed == 1]
    results = {cell.key: result_of(cell, 0.1 + 0.2 * cell.settings.seed) for cell in kept}
    report = TableReport(table=table, cells=cells, results=results, command="")
    found = report.to_json()
    whole, part = (found["table"][arm]["mass-1.2"] for arm in table.arms)
    assert (whole["state"], whole["seeds"], whole["interval_over"]) == ("run", [0, 1, 2], "training seeds")
    assert whole["quantities"]["task_success"]["mean"] == pytest.approx(0.3)
    assert whole["quantities"]["task_success"]["high"] == pytest.approx(0.3 + 4.303 * 0.2 / 3**0.5)
    assert (part["state"], part["seeds"], part["interval_over"]) == ("partly run", [1], "rollouts")
    assert "30 (20 to 40), 1 of 3 seeds" in report.markdown()
    assert found["differences"]["none"] == {}
    results |= {cell.key: result_of(cell, 0.2 * cell.settings.seed) for cell in cells if cell not in kept}
    both = TableReport(table=table, cells=cells, results=results, command="").to_json()
    assert both["differences"]["none"].keys() == {"recipient-alone - tracking"}


def test_the_page_has_commands_machine_and_the_papers_numbers_apart(small: Table) -> None:
    report = TableReport(table=small, cells=small.cells(), results={}, command="assistmimic reproduce table")
    page, data = report.markdown(), report.to_json()
    for text in ("the data differ", "| full method | 74.9 | 113 | 57.9 | 72.8 |", "arXiv 2603.11346", "CPUs"):
        assert text in page
    assert data["cells"][0]["command"] == (
        "assistmimic reproduce table --task PullUp-v0 --budget full --arms tracking --seeds 0 --steps 60 --rollouts 2"
    )
    assert data["paper"]["tables"][1]["rows"]["and without weight initialisation"]["SR [%]"] == 19.1


def test_a_condition_is_inside_if_training_drew_all_of_its_numbers() -> None:
    def inside(arm: str = "full", **randomisation: Any) -> set[str]:
        options = {"randomisation": {name: list(ends) for name, ends in randomisation.items()}}
        settings = Method.parse(arm).settings(PULL_UP, init_from="random", options=options)
        return {name for name in ("none", *PERTURBED, "alone") if inside_training_range(name, settings)}

    off = dict.fromkeys(("mass", "gain", "torque_limit", "supporter_gain"), (1.0, 1.0))
    assert inside(**off) == {"none"}
    assert inside(**{**off, "mass": (0.9, 1.3)}) == {"none", "mass-1.2"}
    assert inside(**{**off, "gain": (0.5, 1.0), "torque_limit": (0.4, 1.0)}) == {"none", "gain-0.5", "hip-torque-0.5"}
    everybody = {**off, "gain": (0.5, 1.0), "supporter_gain": (0.5, 1.0)}
    assert inside(**everybody) == {"none", "gain-0.5", "gain-0.5-both"}
    assert inside("recipient-alone", **off) == {"none", "alone"}
    assert inside("kinematic-recipient", **off) == set()


PERTURBED = ("mass-1.2", "mass-1.5", "gain-0.5", "gain-0.5-both", "hip-torque-0.5")


def test_the_pace_is_that_of_the_cells_that_are_done(small: Table) -> None:
    cell = small.cells()[0]
    pace = Pace.measured([result_of(cell, 0.0), result_of(cell, 0.0)])
    assert pace.steps == cell.steps / 10.0
    assert pace.evaluation(cell) == pytest.approx(2.0)
    assert pace.rest(cell, steps_done=30) == pytest.approx(pace.rest(cell, steps_done=0) - 5.0)
    assert clock(3725.4) == "1:02:05"


def test_a_dry_run_shows_the_queue_and_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--task", "PullUp-v0", "--steps", "500", "--runs", str(tmp_path / "runs"), "--dry-run"]
    assert cli.main(["reproduce", "table", *words]) == 0
    told = capsys.readouterr().out
    assert "1 cells, 0 done. ETA 0:0" in told
    assert "full" in told
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "SitToStnd-v0"], "Did you mean 'AssistMimic/SitToStand-v0'"),
        (["--arms", "full", "no-gripp"], "Did you mean 'no-grip'"),
        (["--arms", "full", "full"], "full is named twice"),
        (["--task", "InterX-v0"], "assistmimic clips import"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reproduce", "table", *words, "--runs", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not [*tmp_path.iterdir()]
