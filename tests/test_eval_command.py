"""`assistmimic eval` and `render`: where policies act, what is written, and one line for every mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assistmimic_env
from assistmimic_env.clip import ROLES, PairClip
from assistmimic_env.policy import PolicyCard, TrainedIn, policy_interface, save_policy
from assistmimic_trainers import cli
from assistmimic_trainers.commands.pairs import pair_folder, split_name
from assistmimic_trainers.commands.stage import DEFAULT_ENV, choose_stage
from assistmimic_trainers.options import merged, read_options

SIT = "AssistMimic/SitToStand-v0"
PULL = "AssistMimic/PullUp-v0"
QUICK = ["--rollouts", "2", "--threads", "1"]


@pytest.fixture(scope="module")
def interface() -> dict[str, Any]:
    """What the environments need of policies."""
    simulation = assistmimic_env.make_vec(PULL, num_envs=1).simulation
    return policy_interface(layout=simulation.layout, body=simulation.body, actuation="so3")


@pytest.fixture
def export(interface: dict[str, Any], tmp_path: Path) -> Callable[..., str]:
    """Factory of folders with pairs of policies that ask for the T-pose, trained somewhere or nobody knows where."""

    def make(name: str, env: str | None = None, options: dict[str, Any] | None = None, **changes: Any) -> str:
        trained_in = None if env is None else TrainedIn.of(env, options or {}).to_json()
        for role in ROLES:
            card = {
                "format": "assistmimic-policy", "version": 1, "role": role, **interface,
                "observation_size": max(stop for _, stop in interface["observation_layout"].values()),
                "action_size": 69, "activation": "tanh", "hidden": [], "provenance": {},
                "normalizer": {"epsilon": 1e-5, "clip": 5.0}, "environment": trained_in, **changes,
            }  # fmt: skip
            shapes = PolicyCard.from_json(card).tensor_shapes()
            save_policy(tmp_path / name / role, {key: np.zeros(shape) for key, shape in shapes.items()}, card)
        return str(tmp_path / name)

    return make


@pytest.fixture
def clip(standing_pair: Callable[..., PairClip], tmp_path: Path) -> str:
    """A short clip as a file."""
    standing_pair(frames=12, gap=1.6).save(tmp_path / "stand.npz")
    return str(tmp_path / "stand.npz")


def stage_of(*words: str, env: str | None = None, **choices: Any) -> Any:
    return choose_stage(words, env=env, clips=choices.pop("clips", ()), held_out=False, **choices)


def test_a_run_stands_for_the_pair_it_has_trained(export: Callable[..., str], tmp_path: Path) -> None:
    export("run/policies/trained", SIT, {"recipient": "needs-help"})
    assert stage_of(str(tmp_path / "run")).options == {"recipient": "needs-help"}
    assert pair_folder(str(tmp_path / "run")) == tmp_path / "run" / "policies" / "trained"
    assert pair_folder(str(tmp_path / "run" / "policies" / "trained")) == tmp_path / "run" / "policies" / "trained"


def test_policies_know_their_environment(export: Callable[..., str]) -> None:
    """Id and options that matter to a measurement; where episodes start and what is rewarded does not."""
    options = {"recipient": "needs-help", "grip": "none", "start_noise": 2.0, "reward": {"assist": 0.5}}
    stage = stage_of(export("a", SIT, options))
    assert stage.env == SIT
    assert stage.options == {"recipient": "needs-help", "grip": "none"}
    assert f"{SIT} with recipient=needs-help, grip=none" in stage.describe()


def test_a_recipient_trained_alone_is_measured_alone(export: Callable[..., str]) -> None:
    """And cannot be put beside a pair by mistake."""
    alone = {"solo": True, "judged": "recipient", "partner_observations": False}
    stage = stage_of(export("alone", SIT, alone))
    assert stage.options == alone
    assert stage_of(f"alone={export('a', SIT, alone)}", f"pair={export('b', SIT)}").own_options["alone"] == alone


def test_flags_come_before_the_card(export: Callable[..., str]) -> None:
    """One by one; a whole environment on the command line replaces the card's."""
    folder = export("a", SIT, {"recipient": "needs-help", "retargeting": {"mode": "dynamic", "margin": 0.05}})
    stage = stage_of(folder, recipient="hhi", options=read_options(["retargeting.margin=0.1"]))
    assert stage.options == {"recipient": "hhi", "retargeting": {"mode": "dynamic", "margin": 0.1}}
    other = stage_of(folder, env="PullUp", options={"grip": "none"})
    assert (other.env, other.options) == (PULL, {"grip": "none"})


def test_old_cards_and_simple_policies_use_the_default(export: Callable[..., str]) -> None:
    stage = stage_of(export("old"), "random")
    assert (stage.env, stage.options) == (DEFAULT_ENV, {})


def test_compared_policies_keep_what_they_observe(export: Callable[..., str]) -> None:
    """Options that all share are the environment's; policies without a card follow the first with one."""
    full = export("full", SIT, {"recipient": "hhi", "retargeting": "dynamic"})
    less = export("less", SIT, {"recipient": "hhi", "retargeting": "none"})
    stage = stage_of(f"full={full}", f"less={less}", "random")
    assert stage.options == {"recipient": "hhi"}
    assert stage.own_options == {
        "full": {"retargeting": "dynamic"}, "less": {"retargeting": "none"}, "random": {"retargeting": "dynamic"}
    }  # fmt: skip


def test_clips_of_a_card_are_used_only_if_they_ship(export: Callable[..., str], clip: str) -> None:
    """A card may come from anywhere: it cannot make us read files."""
    assert stage_of(export("a", SIT, {"clips": ["sit_to_stand/test_00"]})).options["clips"] == ("sit_to_stand/test_00",)
    assert stage_of(export("c", SIT, {"clips": "assisted_rise"})).options["clips"] == ("assisted_rise",)
    elsewhere = export("b", SIT, {"clips": [clip]})
    with pytest.raises(assistmimic_env.errors.ConfigError, match="do not ship with the package"):
        stage_of(elsewhere)
    assert stage_of(elsewhere, clips=(clip,)).options["clips"] == (clip,)


def test_names_of_pairs(tmp_path: Path) -> None:
    """NAME=PATH, unless a path with such a name exists."""
    (tmp_path / "lr=3").mkdir()
    assert split_name("full=runs/a") == ("full", "runs/a")
    assert split_name("random") == ("random", "random")
    assert split_name(str(tmp_path / "lr=3")) == (str(tmp_path / "lr=3"),) * 2


def test_options_are_json_or_words() -> None:
    """Dots go into mappings; later ones win; merging goes inside of mappings."""
    words = ["grip=none", "contact.near=0.2", "contact.far=0.5", "solo=false", 'recipient={"mass": 0.5}', "a=b=c"]
    assert read_options(words) == {
        "grip": "none", "contact": {"near": 0.2, "far": 0.5}, "solo": False, "recipient": {"mass": 0.5}, "a": "b=c"
    }  # fmt: skip
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": "x"}) == {"a": "x"}
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}


def test_a_report_is_written(
    export: Callable[..., str], clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folder with everything, from a grid, with names, in the environment of the card."""
    words = ["eval", f"best={export('a', SIT, {'recipient': 'needs-help'})}", "--policy", "random"]
    more = ["--clips", clip, "--grid", "none", "mass-1.2", "--out", str(tmp_path / "report"), "--videos", "none"]
    assert cli.main([*words, *more, *QUICK]) == cli.OK
    output = capsys.readouterr()
    assert "recipient=needs-help" in output.err
    assert "mass-1.2" in output.out
    report = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert tuple(report["conditions"]["none"]["policies"]) == ("best", "random")
    assert report["conditions"]["none"]["config"]["recipient"]["torque_limit"] == {"Hip": 20.0, "Knee": 40.0}
    assert report["conditions"]["mass-1.2"]["config"]["perturbation"]["recipient"]["mass"] == 1.2
    assert "needs-help" not in (tmp_path / "report" / "table.md").read_text()
    assert str(tmp_path / "report" / "report.html") in output.err


def test_without_a_grid_the_result_is_one_evaluation(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the file, on standard output, and in a folder with a report."""
    out = tmp_path / "result.json"
    words = ["eval", "hold", "--env", SIT, "--clips", clip, *QUICK]
    assert cli.main([*words, "--out", str(out), "--json"]) == cli.OK
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    assert printed["format"] == "assistmimic-evaluation"
    assert set(printed["policies"]) == {"hold"}
    assert cli.main([*words, "--out", str(tmp_path / "folder"), "--videos", "none"]) == cli.OK
    assert json.loads((tmp_path / "folder" / "evaluation.json").read_text())["policies"] == printed["policies"]
    assert "task success" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--grid", "paper", "--rollouts", "0"], "--rollouts is 0, expected at least 1"),
        (["--grid", "papre"], "no grid or condition 'papre'. Did you mean 'paper'?"),
        (["--grid", "none", "mass1.5"], "Did you mean 'mass-1.5'?"),
        (["--grid", "none", "--option", "perturbation=mass-1.2", "--rollouts", "1"], "give one of them"),
        (["--option", "grip"], "the option 'grip' is not KEY=VALUE"),
        (["--option", "gripp=none"], "has no option 'gripp'. Did you mean 'grip'?"),
        (["--recipient", "need-help"], "Did you mean 'needs-help'?"),
        (["hold", "--policy", "hold"], "two policies are called 'hold'"),
        (["holt"], "no policy or folder 'holt'. Did you mean 'hold'?"),
        (["--env", "SitToStan"], "Did you mean"),
        (["--clips", "pull_up", "--held-out"], "give one of them"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_mistakes_are_one_line(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2 and what to do, no traceback."""
    assert cli.main(["eval", *words]) == cli.USER_ERROR
    error = capsys.readouterr().err
    assert hint in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("env", "options", "changes", "hint"),
    [
        (SIT, {"recipient": {"mass": "heavy"}}, {}, "the environment on its card cannot be made"),
        (SIT, {"frobnicate": 1}, {}, "the environment on its card cannot be made"),
        ("Clinic/Gone-v3", {}, {}, "there is no environment 'Clinic/Gone-v3'"),
        (SIT, {}, {"layout_version": 99}, "layout_version is 99 in the policy"),
        (SIT, {}, {"body": "smpl52"}, "moves the body 'smpl52', this environment has 'smpl24'"),
        (SIT, {}, {"control_dt": 0.02}, "control_dt is 0.02 in the policy"),
    ],
)
def test_policies_that_do_not_fit_say_why(
    export: Callable[..., str],
    clip: str,
    capsys: pytest.CaptureFixture[str],
    env: str,
    options: dict[str, Any],
    changes: dict[str, Any],
    hint: str,
) -> None:
    """Which key; for `eval` and for `render`."""
    folder = export("a", env, options, **changes)
    for words in (["eval", folder, "--clips", clip, *QUICK], ["render", folder, "--clips", clip]):
        assert cli.main(words) == cli.USER_ERROR
        error = capsys.readouterr().err
        assert hint in error
        assert "Traceback" not in error


def test_different_environments_are_not_compared(
    export: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor different recipients."""
    a, b = export("a", SIT, {"recipient": "hhi"}), export("b", PULL)
    assert cli.main(["eval", a, b, *QUICK]) == cli.USER_ERROR
    assert "trained in different environments" in capsys.readouterr().err
    c = export("c", SIT, {"recipient": "interx"})
    assert cli.main(["eval", a, c, *QUICK]) == cli.USER_ERROR
    assert "their recipient differs" in capsys.readouterr().err


def test_render_uses_the_environment_of_the_card(
    export: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A video, a film strip, or a sentence."""
    out, folder = tmp_path / "film.mp4", export("a", SIT, {"recipient": "needs-help"})
    assert cli.main(["render", folder, "--out", str(out), "--width", "160", "--height", "90"]) == cli.OK
    output = capsys.readouterr()
    assert str(tmp_path / "film") in output.out or "no picture" in output.err


def test_the_shipped_pair_helps_and_a_passive_supporter_does_not(tmp_path: Path) -> None:
    """The recipient of the pair that ships stands up with its supporter, never beside one that stands still."""
    words = ["eval", "needs-help", "passive=still+needs-help", "--rollouts", "16", "--out", str(tmp_path / "out.json")]
    assert cli.main(words) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["env"] == SIT and report["config"]["recipient"]["torque_limit"] == {"Hip": 20.0, "Knee": 40.0}
    helped, passive = (report["policies"][name]["metrics"] for name in ("needs-help", "passive"))
    assert helped["task_success"]["mean"] >= 0.5 and passive["task_success"]["mean"] == 0.0
    assert helped["support_force"]["mean"] > passive["support_force"]["mean"] + 5.0
