"""What a user can choose: ranges, names, nesting, presets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import pytest

from assistmimic_env.config import (
    CONTROL_DT,
    PHYSICS_PRESETS,
    EnvConfig,
    Impairment,
    NoiseConfig,
    PhysicsConfig,
    RewardConfig,
    env_config,
)
from assistmimic_env.errors import AssistMimicError, ConfigError, UnknownOptionError


def test_defaults_are_the_recommended_set_up() -> None:
    """spec/physics.md section 1."""
    physics = EnvConfig().physics
    assert (physics.timestep, physics.substeps) == (1.0 / 120.0, 4)
    assert (physics.integrator, physics.solver, physics.iterations, physics.tolerance) == (
        "implicitfast",
        "pgs",
        50,
        1e-5,
    )
    assert physics.self_collision
    assert PHYSICS_PRESETS["standard"] == physics


@pytest.mark.parametrize("name", PHYSICS_PRESETS)
def test_presets_step_at_the_control_rate(name: str) -> None:
    preset = PHYSICS_PRESETS[name]
    assert preset.timestep * preset.substeps == pytest.approx(CONTROL_DT)
    assert not (preset.integrator == "discrete" and preset.solver == "pgs")


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: PhysicsConfig(timestep=0.01), "physics.timestep * physics.substeps is 0.04"),
        (lambda: PhysicsConfig(timestep=-1.0), "physics.timestep is -1.0, expected a positive"),
        (lambda: PhysicsConfig(timestep=float("nan")), "physics.timestep is nan"),
        (lambda: PhysicsConfig(substeps=0), "physics.substeps is 0, expected at least 1"),
        (lambda: PhysicsConfig(solver="newtn"), "expected one of pgs, newton. Did you mean 'newton'?"),
        (lambda: PhysicsConfig(integrator="euler"), "expected one of implicitfast, discrete"),
        (lambda: PhysicsConfig(integrator="discrete"), "newton with the discrete integrator"),
        (lambda: PhysicsConfig(jacobian="sprase"), "Did you mean 'sparse'?"),
        (lambda: PhysicsConfig(iterations=0), "physics.iterations"),
        (lambda: PhysicsConfig(tolerance=-1e-9), "physics.tolerance"),
        (lambda: PhysicsConfig(friction=float("nan")), "physics.friction"),
        (lambda: PhysicsConfig(contact_time=0.0), "physics.contact_time"),
        (lambda: RewardConfig(velocity=-0.2), "reward.velocity is -0.2, expected a value in [0, inf); 0 switches"),
        (lambda: RewardConfig(position_scale=float("nan")), "reward.position_scale"),
        (lambda: NoiseConfig(root_position=-1.0), "noise.root_position"),
        (lambda: Impairment(mass=0.0), "impairment.mass is 0.0, expected a factor in [0.05, 20]"),
        (lambda: Impairment(gain={"Hip": -1.0}), "impairment.gain['Hip'] is -1.0"),
        (lambda: Impairment(torque_limit={"Knee": float("nan")}), "impairment.torque_limit['Knee'] is nan"),
        (lambda: EnvConfig(actuation="so4"), "Did you mean 'so3'?"),
        (lambda: EnvConfig(start="random"), "expected one of uniform, first"),
        (lambda: EnvConfig(termination_distance=0.0), "termination_distance"),
        (lambda: EnvConfig(start_noise=-1.0), "start_noise"),
        (lambda: EnvConfig(start_noise=float("inf")), "start_noise"),
    ],
)  # fmt: skip
def test_impossible_values_name_the_setting_and_what_is_expected(make: Callable[[], object], names: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(names)):
        make()


@pytest.mark.parametrize("kind", [PhysicsConfig, RewardConfig, NoiseConfig, Impairment, EnvConfig])
def test_configs_cannot_be_changed_and_document_every_field(kind: type) -> None:
    fields = [item.name for item in dataclasses.fields(kind)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), fields[0], 1.0)
    for name in fields:
        assert f"{name}:" in (kind.__doc__ or ""), name
    with pytest.raises(TypeError, match="positional"):
        kind(1.0)


def test_options_override_the_base_and_the_rest_stays() -> None:
    base = EnvConfig(start_noise=0.5, reward=RewardConfig(power=0.0))
    config = env_config(base, termination_distance=0.5, reward={"velocity": 0.0})
    assert config.start_noise == 0.5
    assert config.termination_distance == 0.5
    assert config.reward == RewardConfig(power=0.0, velocity=0.0)
    assert base == EnvConfig(start_noise=0.5, reward=RewardConfig(power=0.0))


@pytest.mark.parametrize("name", PHYSICS_PRESETS)
def test_physics_may_be_a_preset_a_mapping_or_a_config(name: str) -> None:
    assert env_config(physics=name).physics == PHYSICS_PRESETS[name]
    assert env_config(physics=dataclasses.asdict(PHYSICS_PRESETS[name])).physics == PHYSICS_PRESETS[name]
    assert env_config(physics=PHYSICS_PRESETS[name]).physics is PHYSICS_PRESETS[name]


def test_recipient_may_be_impaired_by_a_mapping() -> None:
    config = env_config(recipient={"mass": 0.7, "gain": {"Hip": 0.5}})
    assert config.recipient == Impairment(mass=0.7, gain={"Hip": 0.5})
    assert config.supporter == Impairment()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"star_noise": 1.0}, UnknownOptionError, "no option 'star_noise'. Did you mean 'start_noise'?"),
        ({"reward": {"positon": 1.0}}, UnknownOptionError, "reward has no option 'positon'. Did you mean 'position'?"),
        ({"physics": "fats"}, ConfigError, "standard, fast, smooth, fine, reference. Did you mean 'fast'?"),
        ({"physics": 3}, ConfigError, "physics is 3, expected a PhysicsConfig or a mapping of its fields."),
        ({"reward": [1.0]}, ConfigError, "expected a RewardConfig or a mapping"),
    ],
)  # fmt: skip
def test_wrong_options_are_answered_with_the_closest_and_all(
    options: dict[str, object], kind: type[AssistMimicError], message: str
) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        env_config(**options)
