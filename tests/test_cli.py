"""The command line: help for a newcomer, one line for a mistake, exit codes, and no traceback for a user's error."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from assistmimic_env.clip import bundled_clips
from assistmimic_env.errors import ConfigError
from assistmimic_env.resources import asset_names, asset_path
from assistmimic_trainers import cli
from assistmimic_trainers.commands import info


def leaves(group: cli.Group) -> list[tuple[str, ...]]:
    """The words of every command."""
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found += [(name, *rest) for rest in leaves(command)] if isinstance(command, cli.Group) else [(name,)]
    return found


def run_program(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, after some preparation."""
    program = f"{code}\nimport sys\nfrom assistmimic_trainers.cli import main\nsys.exit(main())"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def replace_command(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `assistmimic info` raise."""

    def info() -> None:
        raise error

    module = ModuleType("info")
    module.__dict__["info"] = info
    monkeypatch.setitem(sys.modules, "assistmimic_trainers.commands.info", module)


def test_the_commands_are_those_of_the_documentation() -> None:
    """Of the README, at least."""
    assert {"train", "eval", "render", "bench", "info", "clips"} <= set(cli.COMMANDS.commands)


@pytest.mark.parametrize("words", leaves(cli.COMMANDS), ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` exits with 0, says what the command does and describes every option."""
    assert cli.main([*words, "--help"]) == cli.OK
    text = capsys.readouterr().out
    assert text.startswith(f"usage: assistmimic {' '.join(words)}")
    assert "(required)" in text or "(default: " in text


def test_help_lists_the_commands_and_where_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    """What a newcomer reads first."""
    assert cli.main(["--help"]) == cli.OK
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in cli.COMMANDS.commands)
    assert "train quickstart" in text


def test_without_a_command_the_overview_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a mistake, but a friendly one."""
    assert cli.main([]) == cli.USER_ERROR
    assert "train quickstart" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["clips", "shwo"], "Did you mean 'show'?"),
        (["info", "--jsn"], "--json"),
        (["clips", "show"], "CLIP"),
        (["clips", "show", "pul_up"], "Did you mean 'pull_up'?"),
        (["clips", "show", "nowhere.npz"], "nowhere.npz"),
        (["clips", "generate", "help_up", "--out", "/dev/null/clips"], "/dev/null/clips"),
        (["clips", "generate", "helpup", "--out", "clips"], "Did you mean 'help_up'?"),
        (["clips", "generate", "help_up", "--out", "clips", "--seeds", "5:5"], "empty"),
        (["clips", "generate", "help_up", "--out", "clips", "--seeds", "-1"], "0:20"),
        (["train", "AssistMimic/PulUp-v0"], "Did you mean 'AssistMimic/PullUp-v0'?"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_gets_a_hint_and_exit_code_2(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, nothing on standard output."""
    assert cli.main(words) == cli.USER_ERROR
    output = capsys.readouterr()
    assert hint in output.err
    assert "Traceback" not in output.err
    assert output.out == ""


def test_an_error_of_ours_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors made for the user carry their own explanation."""
    replace_command(monkeypatch, ConfigError("reward.pose is -1, expected a value in [0, inf)."))
    assert cli.main(["info"]) == cli.USER_ERROR
    assert capsys.readouterr().err == "assistmimic: reward.pose is -1, expected a value in [0, inf).\n"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the line that installs it."""
    replace_command(monkeypatch, ModuleNotFoundError("No module named 'ray.rllib'", name="ray.rllib"))
    assert cli.main(["info"]) == cli.USER_ERROR
    assert "pip install 'assistmimic[train]'" in capsys.readouterr().err


def test_an_internal_error_shows_where_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug is not the user's fault; its traceback is needed to report it."""
    replace_command(monkeypatch, ZeroDivisionError("division by zero"))
    assert cli.main(["info"]) == cli.INTERNAL_ERROR
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "please report" in text


def test_an_interruption_exits_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As shells expect; what was saved stays."""
    replace_command(monkeypatch, KeyboardInterrupt())
    assert cli.main(["info"]) == cli.INTERRUPTED
    assert capsys.readouterr().err.startswith("assistmimic: interrupted")


def test_every_extra_in_a_hint_exists() -> None:
    """Names of setup.cfg."""
    extras = info.collect()["extras"]
    assert isinstance(extras, dict)
    assert set(cli.EXTRA_OF_MODULE.values()) <= set(extras)


def test_info_reports_versions_environments_and_clips(capsys: pytest.CaptureFixture[str]) -> None:
    """On a working installation, no section fails."""
    assert cli.main(["info", "--json"]) == cli.OK
    report = json.loads(capsys.readouterr().out)
    assert not [value for value in report.values() if str(value).startswith("error")]
    assert {"AssistMimic/PullUp-v0", "AssistMimic/SitToStand-v0"} <= set(report["environments"])
    assert "pull_up" in report["clips"]


@pytest.mark.parametrize("broken", ["mujoco", "numpy", "pettingzoo", "assistmimic_env"])
def test_info_works_on_a_broken_installation(broken: str) -> None:
    """A package that cannot be imported is reported, the rest is shown."""
    done = run_program("info", code=f"import sys; sys.modules[{broken!r}] = None")
    assert done.returncode == cli.OK, done.stderr
    assert "error: " in done.stdout
    assert "mujoco  " in done.stdout


def test_overview_and_info_load_neither_ray_nor_torch() -> None:
    """They answer at once."""
    check = "import atexit, sys; atexit.register(lambda: print({'ray', 'torch'} & set(sys.modules)))"
    assert run_program("info", code=check).stdout.endswith("set()\n")


def test_clips_show_describes_a_bundled_clip(capsys: pytest.CaptureFixture[str]) -> None:
    """People, furniture, source and licence."""
    assert cli.main(["clips", "show", "pull_up"]) == cli.OK
    text = capsys.readouterr().out
    assert "supporter" in text
    assert "mocap.cs.cmu.edu" in text
    assert cli.main(["clips", "show", "pull_up", "--json"]) == cli.OK
    assert json.loads(capsys.readouterr().out)["name"] == "pull_up"


@pytest.mark.slow
def test_clips_build_generated_writes_the_bundled_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped clips are what the command makes, bit for bit; it names each file that it wrote."""
    assert cli.main(["clips", "build-generated", "sit_to_stand", "--out", str(tmp_path)]) == cli.OK
    bundled = [asset_path(name) for name in asset_names("clips/sit_to_stand", ".npz")]
    made = tmp_path / "sit_to_stand"
    assert {path.name for path in made.iterdir()} == {path.name for path in bundled}
    assert all((made / path.name).read_bytes() == path.read_bytes() for path in bundled)
    assert str(made / "train_00.npz") in capsys.readouterr().out


def test_every_bundled_clip_can_be_shown() -> None:
    """None is stale."""
    clips = importlib.import_module("assistmimic_trainers.commands.clips")
    load_clip = importlib.import_module("assistmimic_env.clip").load_clip
    assert all(clips.describe(load_clip(name))["name"] for name in bundled_clips())
