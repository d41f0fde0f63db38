"""The method in components: what each one changes, and what becomes of mistakes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from assistmimic_env import registry
from assistmimic_env.config import IMPAIRMENTS, env_config
from assistmimic_env.errors import ConfigError

pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.method import (  # noqa: E402
    BASELINES,
    COMPONENTS,
    NOISE,
    UPDATES,
    Method,
)
from assistmimic_trainers.module import ModuleConfig  # noqa: E402
from assistmimic_trainers.options import merged, read_options  # noqa: E402
from assistmimic_trainers.ppo import assistmimic_ppo  # noqa: E402
from assistmimic_trainers.run import TRAINING_OPTIONS, RunSettings  # noqa: E402

PULL_UP, SIT_TO_STAND = "AssistMimic/PullUp-v0", "AssistMimic/SitToStand-v0"

TERMS = {
    "retargeting": {"env.retargeting.mode"},
    "contact-reward": {"env.contact.weight", "env.contact.excess"},
    "coupling": {"env.reward.coupling"},
    "assist": {"env.reward.assist"},
    "grip": {"env.grip.mode"},
    "partner-obs": {"env.partner_observations"},
    "randomisation": {f"env.randomisation.{name}" for name in ("mass", "gain", "torque_limit", "supporter_gain")},
    "curriculum": {"ppo.curriculum", "ppo.curriculum.start"},  # False, or a mapping
    "physical-starts": {"ppo.physical_starts"},
    "weight-init": {"run.init_from"},
    "feedforward": {"run.init_from"},
}
"""What each flag may change."""


def settings(word: str = "full", *, env_id: str = PULL_UP, **options: Any) -> RunSettings:
    return Method.parse(word).settings(env_id, **{"init_from": "feedforward", **options})


def flat(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        dotted = f"{name}.{key}"
        result |= flat(value, dotted) if isinstance(value, dict) and value else {dotted: value}
    return result


def everything(run: RunSettings) -> dict[str, Any]:
    """All that a run decides: every field of the environment's settings, of PPO, and of the run."""
    environment = env_config(env_config(**registry.spec(run.env_id).options), **run.env_options)
    ppo = assistmimic_ppo(run.env_id, **run.ppo)
    sampling = {"curriculum": False, "physical_starts": 0.0, **ppo.env_config}
    own = {key: value for key, value in run.to_json().items() if key not in ("env_options", "ppo")}
    return flat(asdict(environment), "env") | flat(sampling, "ppo") | flat(own, "run")


def differences(first: RunSettings, second: RunSettings) -> set[str]:
    mine, other = everything(first), everything(second)
    return {name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name)}


def test_every_component_has_its_terms() -> None:
    assert TERMS.keys() == COMPONENTS.keys() | {"weight-init", "feedforward"}


@pytest.mark.parametrize("env_id", [PULL_UP, SIT_TO_STAND])
@pytest.mark.parametrize("name", TERMS)
def test_each_flag_changes_exactly_its_terms(name: str, env_id: str) -> None:
    full = settings(env_id=env_id, recipient="needs-help")
    without = settings(f"no-{name}", env_id=env_id, recipient="needs-help")
    assert differences(full, without) == TERMS[name]


def test_several_components_are_left_out_together() -> None:
    changed = differences(settings(), settings("no-coupling+no-assist+no-grip"))
    assert changed == TERMS["coupling"] | TERMS["assist"] | TERMS["grip"]


def test_tracking_is_the_run_without_the_method() -> None:
    assert settings("tracking") == RunSettings(env_id=PULL_UP, ppo=UPDATES, module=ModuleConfig(log_std=NOISE))


def test_the_full_method_differs_from_tracking_by_its_components_only() -> None:
    changed = differences(settings(env_id=SIT_TO_STAND), settings("tracking", env_id=SIT_TO_STAND))
    parts = set().union(*(TERMS[name] for name in COMPONENTS))
    assert changed == parts - {"env.partner_observations"}  # those are the environment's default


def test_the_impairment_is_the_recipients_only() -> None:
    impaired = settings(env_id=SIT_TO_STAND, recipient="needs-help")
    changed = differences(settings(env_id=SIT_TO_STAND), impaired)
    assert {name.rsplit(".", 1)[0].removeprefix("env.").split(".")[0] for name in changed} == {"recipient"}
    assert env_config(**impaired.env_options).recipient == IMPAIRMENTS["needs-help"]


def test_options_of_the_user_come_last_and_are_merged() -> None:
    run = settings(options={"contact": {"force": 50.0}, "reward": {"assist": 0.7}}, ppo={"focus": 0.25})
    config = env_config(**run.env_options)
    assert (config.contact.weight, config.contact.force) == (0.3, 50.0)
    assert (config.reward.assist, config.reward.coupling) == (0.7, 0.5)
    assert run.ppo == {**UPDATES, "curriculum": {"start": 0.5}, "physical_starts": 0.1, "focus": 0.25}
    assert run.env_options["termination_distance"] == TRAINING_OPTIONS["termination_distance"]


def test_merging_leaves_its_arguments_alone() -> None:
    first, second = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}}
    assert merged(first, second) == {"a": {"b": 4, "c": 2}, "d": 3}
    assert first == {"a": {"b": 1, "c": 2}, "d": 3}


def test_options_are_read_from_words() -> None:
    words = ["contact.weight=0.5", "contact.excess=0", "physics=fast", "solo=true", 'reward={"power": 0}']
    expected = {"contact": {"weight": 0.5, "excess": 0}, "physics": "fast", "solo": True, "reward": {"power": 0}}
    assert read_options(words) == expected
    with pytest.raises(ConfigError, match="'physics' is not KEY=VALUE"):
        read_options(["physics"])


def test_the_recipient_alone_is_judged_alone() -> None:
    run = settings("recipient-alone", recipient="needs-help")
    config = env_config(**run.env_options)
    assert config.solo
    assert config.judged == "recipient"
    assert not config.partner_observations
    assert run.trained == ("recipient",)
    assert config.recipient == IMPAIRMENTS["needs-help"]


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_keep_the_components(name: str) -> None:
    """But for what they are about."""
    baseline = BASELINES[name]
    own = set(flat(dict(baseline.env_options), "env"))
    run = {"run.trained": bool(baseline.trained), "run.alone_first": baseline.alone_first}
    run["run.residual"] = baseline.residual
    run["run.init_from"] = baseline.init_from is not None
    full, other = (settings(word, init_from="prior") for word in ("full", name))
    assert differences(full, other) == own | {one for one, differs in run.items() if differs}


def test_baselines_are_what_they_are_called() -> None:
    trained = {name: baseline.trained for name, baseline in BASELINES.items()}
    assert trained == {
        "recipient-alone": ("recipient",),
        "frozen-partner": ("supporter",),
        "sequential": ("supporter",),
        "residual": (),
        "kinematic-recipient": ("supporter",),
        "feedforward-start": (),
    }
    assert [name for name, baseline in BASELINES.items() if baseline.alone_first] == ["sequential"]
    assert [name for name, baseline in BASELINES.items() if baseline.residual] == ["residual"]
    assert settings("kinematic-recipient").env_options["kinematic_recipient"]
    assert settings("feedforward-start").init_from == "feedforward"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("no-retargetting", "no arm 'no-retargetting'. Did you mean 'no-retargeting'"),
        ("full+tracking", "names several methods"),
        ("frozen-partner+recipient-alone", "names several methods"),
        ("tracking+no-grip", "'tracking' has no component 'grip'"),
    ],
)
def test_arms_that_mean_nothing_are_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Method.parse(word)


def test_unknown_components_are_named_with_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"no component 'contact'\. Did you mean 'contact-reward'"):
        Method(ablated=("contact",))


def test_a_role_that_does_not_exist_cannot_be_trained() -> None:
    with pytest.raises(ConfigError, match=r"trained names 'suporter'.*Did you mean 'supporter'"):
        assistmimic_ppo(PULL_UP, trained=("suporter",))
