"""Import of a folder: nothing half-written, nothing done twice, nothing lost, and one bad file is only itself."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import FOREIGN, install_plugin, write_recording
from toys import standing_clip

from assistmimic_env import formats, make
from assistmimic_env.clip import PairClip
from assistmimic_env.errors import ClipError, ConfigError
from assistmimic_env.formats import register_format
from assistmimic_env.formats.take import ReadOptions
from assistmimic_env.importing import provenance
from assistmimic_env.importing.batch import Import, Outcome
from assistmimic_env.importing.settings import ConversionSettings


@pytest.fixture(autouse=True)
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own format, registered in this process only."""
    monkeypatch.setattr(formats._CATALOG, "_items", dict(formats._CATALOG._items))
    register_format("foreign", FOREIGN)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two recordings."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, gap in (("a", 0.6), ("b", 0.7)):
        write_recording(folder / f"{name}.foreign.npz", gap=gap)
    return folder


def run(source: Path, **options: Any) -> list[Outcome]:
    """Import a folder into its neighbour `out`."""
    return list(Import(format="foreign", path=source, out=source.parent / "out", **options).run())


def statuses(outcomes: Sequence[Outcome]) -> dict[str, str]:
    return {outcome.name: outcome.status for outcome in outcomes}


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npz")}


def ledger(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "import.json").read_text())["clips"]


def test_an_imported_folder_is_what_an_environment_takes(source: Path) -> None:
    """And it steps."""
    assert statuses(run(source)) == {"a": "imported", "b": "imported"}
    env = make("AssistMimic/SitToStand-v0", clips=source.parent / "out")
    env.reset(seed=0)
    observations, *_ = env.step({agent: np.zeros(69) for agent in env.agents})
    assert all(np.isfinite(value).all() for value in observations.values())


def test_a_clip_says_where_it_comes_from(source: Path) -> None:
    """Hash, size, terms, options, conventions and converter."""
    run(source, options=ReadOptions(up="z"))
    file = source / "a.foreign.npz"
    clip = PairClip.load(source.parent / "out" / "a.npz")
    found = clip.metadata["provenance"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found["files"] == [{"name": "a.foreign.npz", "sha256": digest, "bytes": file.stat().st_size}]
    assert (found["format"], found["license"], found["options"]["up"]) == ("foreign", "test-only", "z")
    assert found["conventions"] == {"up": "z", "supporter": "first"}
    assert found["converter"] == provenance.CONVERTER
    assert clip.metadata["import_report"]["frames"] == clip.num_frames


def test_the_ledger_has_every_number_of_every_clip(source: Path) -> None:
    run(source)
    records = ledger(source.parent / "out")
    assert set(records) == {"a", "b"}
    assert {"hand_distance_before", "hand_distance_after", "foot_slide_before", "stature"} <= set(
        records["a"]["report"]
    )


def test_a_second_import_keeps_everything(source: Path) -> None:
    """Not a byte is written again."""
    run(source)
    before = stamps(source.parent / "out")
    assert statuses(run(source)) == {"a": "kept", "b": "kept"}
    assert stamps(source.parent / "out") == before


def test_equal_imports_give_equal_bytes(source: Path) -> None:
    """The time it took is not in the clip."""
    run(source)
    target = source.parent / "out" / "a.npz"
    before = target.read_bytes()
    target.unlink()
    run(source)
    assert target.read_bytes() == before


@pytest.mark.parametrize("change", ["source", "option", "setting", "version", "truncated", "flipped"])
def test_what_changed_is_done_again_and_only_that(change: str, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source, options, converter and damage of the output."""
    run(source)
    target, options = source.parent / "out" / "a.npz", {}
    expected = {"a": "imported", "b": "imported"}
    if change == "source":
        write_recording(source / "a.foreign.npz", gap=0.9)
        expected["b"] = "kept"
    elif change == "option":
        options = {"options": ReadOptions(supporter="second")}
    elif change == "setting":
        options = {"settings": ConversionSettings(fps=15.0)}
    elif change == "version":
        monkeypatch.setattr(provenance, "CONVERTER", "assistmimic_env.importing 999")
    else:
        data = bytearray(target.read_bytes())
        data[len(data) // 2] ^= 0xFF
        target.write_bytes(bytes(data) if change == "flipped" else bytes(data[:500]))
        expected["b"] = "kept"
    assert statuses(run(source, **options)) == expected
    assert PairClip.load(target).name == "a"


def test_a_bad_file_does_not_stop_the_rest(source: Path) -> None:
    """One line each; a bug in a reader included; nothing appears for them."""
    (source / "0bad.foreign.npz").write_bytes(b"PK\x03\x04 not a zip")
    write_recording(source / "crash.foreign.npz")
    outcomes = {outcome.name: outcome for outcome in run(source)}
    assert {name: one.status for name, one in outcomes.items()} == {
        "0bad": "failed", "a": "imported", "b": "imported", "crash": "failed"
    }  # fmt: skip
    assert "empty or truncated" in outcomes["0bad"].error
    assert "ZeroDivisionError" in outcomes["crash"].error
    assert all("\n" not in one.error for one in outcomes.values())
    assert sorted(path.name for path in (source.parent / "out").iterdir()) == ["a.npz", "b.npz", "import.json"]
    assert ledger(source.parent / "out")["0bad"]["status"] == "failed"


def test_a_clip_that_is_not_ours_is_never_written_over(source: Path) -> None:
    """It may be somebody's work."""
    out = source.parent / "out"
    out.mkdir()
    standing_clip(name="a").save(out / "a.npz")
    before = (out / "a.npz").read_bytes()
    outcomes = run(source)
    assert statuses(outcomes) == {"a": "failed", "b": "imported"}
    assert "another folder" in outcomes[0].error
    assert (out / "a.npz").read_bytes() == before


def test_an_interruption_leaves_what_was_done_and_says_so(source: Path) -> None:
    """Closing the iterator is what Ctrl-C does."""
    outcomes = Import(format="foreign", path=source, out=source.parent / "out").run()
    assert next(outcomes).name == "a"
    outcomes.close()
    assert set(ledger(source.parent / "out")) == {"a"}
    assert statuses(run(source)) == {"a": "kept", "b": "imported"}


def test_two_imports_share_a_folder(source: Path) -> None:
    """Records of the first stay; those of clips that are gone do not; a damaged ledger is made again."""
    run(source, pattern="a")
    run(source, pattern="b")
    out = source.parent / "out"
    assert set(ledger(out)) == {"a", "b"}
    (out / "a.npz").unlink()
    run(source, pattern="b")
    assert set(ledger(out)) == {"b"}
    (out / "import.json").write_text('{"clips": [')
    run(source, pattern="b")
    assert set(ledger(out)) == {"b"}


def test_what_nobody_will_finish_is_removed(source: Path) -> None:
    """Half-written files of killed imports; nothing that only looks alike."""
    out = source.parent / "out"
    out.mkdir()
    (out / f".a.npz.{os.getppid()}.tmp").touch()
    (out / ".mine.tmp").touch()
    run(source)
    assert [path.name for path in out.glob(".*")] == [".mine.tmp"]


def test_what_another_import_is_writing_stays_until_both_are_done(source: Path) -> None:
    out = source.parent / "out"
    other = Import(format="foreign", path=source, out=out).run()
    next(other)
    (out / ".b.npz.1.tmp").touch()
    run(source, pattern="a")
    assert [path.name for path in out.glob(".*")] == [".b.npz.1.tmp"]
    other.close()
    assert not list(out.glob(".*"))


def test_left_overs_of_a_killed_process_are_removed_before_anybody_asked_how_it_ended(source: Path) -> None:
    """Until then its number is in use: whether a process has that number would be the wrong question."""
    out = source.parent / "out"
    out.mkdir()
    program = "import os, sys; from pathlib import Path; from assistmimic_env.importing.occupancy import occupy\n"
    program += "folder = Path(sys.argv[1]); occupy(folder); (folder / f'.a.npz.{os.getpid()}.tmp').touch()\n"
    with subprocess.Popen([sys.executable, "-c", f"{program}os.kill(os.getpid(), 9)", str(out)]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        os.kill(process.pid, 0)
        assert [path.name for path in out.glob(".*")] == [f".a.npz.{process.pid}.tmp"]
        run(source)
        assert not list(out.glob(".*"))


def test_a_preview_writes_nothing(source: Path) -> None:
    """And tells what would be kept, imported, or fail."""
    out = source.parent / "out"
    (source / "z.foreign.npz").write_bytes(b"nothing")
    order = Import(format="foreign", path=source, out=out)
    first = list(order.preview())
    assert [one.status for one in first] == ["would import", "would import", "would fail"]
    assert (first[0].frames, first[0].fps, first[0].conventions["up"]) == (20, 30.0, "z")
    assert not out.exists()
    run(source, pattern="a")
    before = stamps(out)
    assert [one.status for one in order.preview()] == ["would keep", "would import", "would fail"]
    assert stamps(out) == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format": "forein"}, ConfigError, "Did you mean 'foreign'"),
        ({"path": "sourc"}, ClipError, "no such file or folder. Did you mean 'source'"),
        ({"path": "."}, ClipError, "nothing in the format 'foreign' is there. Write \\*.foreign.npz files."),
        ({"pattern": "c*"}, ClipError, "no recording is called 'c\\*'. There: a, b."),
        ({"format": "cmu", "options": ReadOptions(up="y", fps=3.0)}, ConfigError, "it takes no --up, --fps"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    change: dict[str, Any], error: type[Exception], message: str, source: Path
) -> None:
    root = source.parent
    given = {**change, "path": root / change.get("path", "source")}
    with pytest.raises(error, match=message):
        list(Import(**{"format": "foreign", "out": root / "out", **given}).run())
    assert not (root / "out").exists()


def test_a_function_of_a_path_is_imported_as_it_is(source: Path) -> None:
    """Its clips are not converted again; names become file names."""
    clip = standing_clip(name="walk/with help")
    register_format("plain", lambda path: [clip])
    order = Import(format="plain", path=source, out=source.parent / "out")
    assert statuses(list(order.run())) == {"walk_with_help": "imported"}
    found = PairClip.load(source.parent / "out" / "walk_with_help.npz")
    np.testing.assert_array_equal(found.root_position, clip.root_position)
    assert len(found.metadata["provenance"]["files"]) == 2
    assert statuses(list(order.run())) == {"walk_with_help": "kept"}


PROGRAM = """
import os
import sys
from pathlib import Path
from assistmimic_env.importing.batch import Import

if __name__ == "__main__":
    order = Import(format="foreign", path=Path(sys.argv[1]), out=Path(sys.argv[2]))
    for outcome in order.run(workers=int(sys.argv[3])):
        print(outcome.name, outcome.status, flush=True)
        if "kill" in sys.argv:
            os.kill(os.getpid(), 9)
"""


def import_elsewhere(source: Path, workers: int, *words: str) -> tuple[int, list[str]]:
    """An import in a process of its own, with the format as an installed plug-in: its exit code and lines.

    Workers share its output, so this returns when they have ended, too.
    """
    root = source.parent
    (root / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": install_plugin(root)}
    command = [sys.executable, str(root / "program.py"), str(source), str(root / "out"), str(workers), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, timeout=240, check=False)
    return done.returncode, done.stdout.splitlines()


def test_several_workers_import_the_same(source: Path) -> None:
    """Byte by byte, and a plug-in's format is found there, too."""
    run(source)
    out = source.parent / "out"
    alone = {path.name: path.read_bytes() for path in out.glob("*.npz")}
    for path in out.iterdir():
        path.unlink()
    code, lines = import_elsewhere(source, 2)
    assert (code, sorted(lines)) == (0, ["a imported", "b imported"])
    assert {path.name: path.read_bytes() for path in out.glob("*.npz")} == alone


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_import_goes_on_where_it_stopped(source: Path, workers: int) -> None:
    """By kill -9 after the first clip: every file there is whole, and workers do not outlive their parent."""
    for index in range(14):
        write_recording(source / f"k{index:02d}.foreign.npz", gap=0.6 + 0.01 * index)
    code, lines = import_elsewhere(source, workers, "kill")
    assert (code, len(lines)) == (-signal.SIGKILL, 1)
    out = source.parent / "out"
    settled = sorted(out.glob("*.npz"))
    assert 1 <= len(settled) < 16
    assert all(PairClip.load(path).num_frames for path in settled)
    outcomes = run(source)
    assert statuses([one for one in outcomes if one.status == "kept"]) == {path.stem: "kept" for path in settled}
    assert len(outcomes) == 16
    assert not list(out.glob(".*"))
