"""Our tracker in PHC's checkpoint format: the same actions after the way back, PHC's own names, a small file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_phc import CONTROLS, GOLDEN, OBSERVATION, observations
from toys import make_vec

from assistmimic_env.errors import PolicyError
from assistmimic_env.policy import Mixture, Policy, load_pair

torch = pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from test_policy_expansion import make_policy  # noqa: E402

from assistmimic_trainers import cli  # noqa: E402
from assistmimic_trainers.cast import SOLO  # noqa: E402
from assistmimic_trainers.export import export_policies  # noqa: E402
from assistmimic_trainers.module import ModuleConfig, PolicyModule, blank_module  # noqa: E402
from assistmimic_trainers.normalizer import Moments  # noqa: E402
from assistmimic_trainers.phc import load_policy  # noqa: E402
from assistmimic_trainers.phc.writing import write_checkpoint  # noqa: E402
from assistmimic_trainers.solo import TRACKER  # noqa: E402


def make_tracker(folder: Path, **network: object) -> tuple[Policy, PolicyModule]:
    """A tracker of the shipped size, with statistics."""
    torch.manual_seed(1)
    module = blank_module(OBSERVATION, CONTROLS, ModuleConfig(activation="relu", **network).to_dict())
    module.normalizer.update(Moments.of(3.0 * torch.randn(200, OBSERVATION) + 1.0))
    module.value_normalizer.update(Moments.of(torch.randn(50, 1)))
    with torch.no_grad():
        module.actor.layers[-1].weight.mul_(100.0)
    module.average.load_state_dict(module.actor.state_dict())
    interface = SOLO.interface(make_vec(1, solo=True).simulation)
    export_policies({TRACKER: module}, folder, cast=SOLO, interface=interface, provenance={})
    return Policy.load(folder / TRACKER), module


def test_actions_survive_the_way_to_phc_and_back(tmp_path: Path) -> None:
    """Without any option: the activation that readers assume for this depth is the one it has."""
    policy, module = make_tracker(tmp_path)
    path = write_checkpoint(policy, tmp_path / "Humanoid.pth", module=module, epoch=7, frame=123)
    rows = observations()
    with torch.no_grad():
        actions = load_policy(path)(rows).numpy()
    assert np.abs(actions).max() > 0.1
    np.testing.assert_allclose(actions, policy.act(rows.numpy()), atol=1e-5)
    assert path.stat().st_size < 10 * 2**20
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_names_are_those_of_a_plain_network_of_phc(tmp_path: Path) -> None:
    policy, module = make_tracker(tmp_path, hidden=(1024, 512), critic_hidden=(1024, 512))
    content = torch.load(write_checkpoint(policy, tmp_path / "Humanoid.pth", module=module), weights_only=True)
    assert set(content) >= {"model", "running_mean_std", "reward_mean_std", "amp_input_mean_std", "epoch", "frame"}
    assert content["optimizer"] == {}
    assert content["running_mean_std"]["running_mean"].dtype == torch.float64
    assert torch.equal(content["model"]["a2c_network.value.bias"], module.critic.layers[-1].bias)
    if not GOLDEN.is_dir():
        pytest.skip("PHC's reference vectors are not here")
    (expected,) = (
        shapes["model"]
        for name, shapes in json.loads((GOLDEN / "true_shapes.json").read_text()).items()
        if name.startswith("im  (")
    )
    found = {name: list(tensor.shape) for name, tensor in content["model"].items()}
    assert set(found) == set(expected)
    differing = {name for name in expected if found[name] != expected[name]}
    assert all("_disc" in name for name in differing)  # the discriminator is smaller on purpose


def test_explain_knows_every_entry_of_a_written_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy, module = make_tracker(tmp_path)
    path = write_checkpoint(policy, tmp_path / "Humanoid.pth", module=module)
    assert cli.main(["import-phc", str(path), "--explain", "--json"]) == cli.OK
    report = json.loads(capsys.readouterr().out)
    assert report["problem"] is None
    assert [key["key"] for key in report["keys"] if "unknown" in key["why"]] == []


def test_a_written_file_is_imported_as_a_policy_for_both_roles(tmp_path: Path) -> None:
    policy, _ = make_tracker(tmp_path)
    assert cli.main(["prior", "export-phc", str(tmp_path / "tracker.json"), "--out", str(tmp_path / "H.pth")]) == cli.OK
    assert cli.main(["import-phc", str(tmp_path / "H.pth"), "--out", str(tmp_path)]) == cli.OK
    imported = Policy.load(tmp_path / "H")
    rows = observations().numpy()
    np.testing.assert_allclose(imported.act(rows), policy.act(rows), atol=1e-5)
    assert imported.card.role == "any"
    assert imported.card.actuation["law"] == "expmap"
    for role in ("supporter", "recipient"):
        for suffix in (".json", ".safetensors"):
            (tmp_path / f"{role}{suffix}").write_bytes((tmp_path / f"H{suffix}").read_bytes())
    assert set(load_pair(tmp_path)) == {"supporter", "recipient"}


def test_a_composer_is_not_written(tmp_path: Path) -> None:
    mixture = Mixture(primitives=2, hidden=(3,), activation="relu", ending="silu", softmax=False)
    with pytest.raises(PolicyError, match="is a composer"):
        write_checkpoint(make_policy(mixture), tmp_path / "Humanoid.pth")
    assert list(tmp_path.iterdir()) == []
