"""What a run writes on the cards of its policies is enough to measure them where they were trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistmimic_env.policy import load_pair

pytest.importorskip("torch")
pytest.importorskip("ray")

from assistmimic_trainers.commands.stage import choose_stage
from assistmimic_trainers.export import export_policies
from assistmimic_trainers.module import ModuleConfig, blank_module
from assistmimic_trainers.run import TRAINING_OPTIONS, RunSettings, make_simulation

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns about its own deprecations


def test_exported_policies_are_measured_where_they_were_trained(tmp_path: Path) -> None:
    """Environment, recipient and grip come back from the cards; the options of the training alone do not."""
    options = {**TRAINING_OPTIONS, "recipient": "needs-help", "grip": "none", "reward": {"assist": 0.2}}
    settings = RunSettings(env_id="AssistMimic/SitToStand-v0", env_options=options)
    simulation = make_simulation(settings)
    config = ModuleConfig(hidden=(4,)).to_dict()
    module = blank_module(simulation.layout.size, simulation.body.num_dofs, config)
    folder = export_policies(
        dict.fromkeys(settings.cast.roles, module),
        tmp_path / "pair",
        cast=settings.cast,
        interface=settings.cast.interface(simulation),
        provenance={},
        environment=settings.environment,
    )
    for policy in load_pair(folder).values():
        assert policy.card.environment == settings.environment
        assert policy.card.environment.options["start_noise"] == 1.0
        assert policy.card.layout_version is not None
    stage = choose_stage([str(folder)], env=None, clips=(), held_out=False)
    assert stage.env == settings.env_id
    assert stage.options == {"recipient": "needs-help", "grip": "none"}


def test_a_tracker_says_that_it_was_trained_alone() -> None:
    assert RunSettings(env_id="AssistMimic/SitToStand-v0", solo=True).environment.options["solo"] is True
