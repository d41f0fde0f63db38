"""Plug-ins: found when needed, never in the way, and the broken ones named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pettingzoo
import pytest
from plugged import install
from toys import BODY, standing_clip

import assistmimic_env
from assistmimic_env import body, converters, formats, plugins, registry, reward_terms
from assistmimic_env.body import get_body
from assistmimic_env.clip import PairClip
from assistmimic_env.errors import ConfigError, UnknownEnvironmentError
from assistmimic_env.formats.take import ReadOptions
from assistmimic_env.importing.settings import ConversionSettings
from assistmimic_env.importing.sources import find_sources
from assistmimic_env.plugins import PluginWarning

ENVS = """
from assistmimic_env import EnvSpec

def spec(name):
    return EnvSpec(id=name, clips=("pull_up",), description="A test.", options={"start": "first"})

ONE = spec("Clinic/One-v0")
PAIR = [spec("Clinic/Two-v0"), spec("Clinic/Three-v2")]

def later():
    return spec("Clinic/Four-v0")
"""

Plug = Callable[..., None]


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """Installs distributions in this process; all that they registered is gone after the test."""
    theirs = (pettingzoo.parallel_registry, gymnasium.registry)
    before = [set(names) for names in theirs]
    monkeypatch.setattr(plugins, "_loaded", set())
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    for module in (body, formats, reward_terms):
        monkeypatch.setattr(module._CATALOG, "_items", dict(module._CATALOG._items))
    monkeypatch.syspath_prepend(tmp_path)

    def add(name: str, module: str, entry_points: str) -> None:
        install(tmp_path, name, module, entry_points)

    yield add
    for names, known in zip(theirs, before, strict=True):
        for name in set(names) - known:
            del names[name]
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def run_python(code: str, path: Path) -> str:
    """Standard output of a fresh interpreter that sees a folder of distributions; warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tasks_of_a_package_are_made_by_name(plug: Plug) -> None:
    """One spec, several, or a function; all views, PettingZoo and Gymnasium included, and their options hold."""
    plug("clinic_a", ENVS, "[assistmimic.envs]\na = clinic_a:ONE\nb = clinic_a:PAIR\nc = clinic_a:later\n")
    env = assistmimic_env.make("Clinic/One-v0")
    assert env.simulation.config.start == "first"
    assert assistmimic_env.spec("Clinic/Three").id == "Clinic/Three-v2"
    assert assistmimic_env.make_vec("Clinic/Two-v0", num_envs=1).config.start == "first"
    assert pettingzoo.make("parallel", "Clinic/Four-v0").possible_agents == ["supporter", "recipient"]
    ids = [entry.id for entry in assistmimic_env.list_envs() if not entry.id.startswith("AssistMimic/")]
    assert ids == ["Clinic/Four-v0", "Clinic/One-v0", "Clinic/Three-v2", "Clinic/Two-v0"]


def test_a_body_of_a_package_is_found_by_name(plug: Plug) -> None:
    code = "from assistmimic_env import body\nTOPOLOGY = body._CATALOG.find('smpl24')\n"
    plug("clinic_b", code, "[assistmimic.bodies]\nclone = clinic_b:TOPOLOGY\n")
    clone = get_body("clone")
    assert clone.name == "clone"
    np.testing.assert_array_equal(clone.offsets, BODY.offsets)
    assert body.body_names()[-1] == "clone"


def test_a_reward_term_of_a_package_gets_its_weight(plug: Plug) -> None:
    """And a misspelt one is answered with those of the package."""
    code = "import numpy as np\ndef seven(context):\n    return np.full(context.torque.shape[:2], 7.0)\n"
    plug("clinic_c", code, "[assistmimic.reward_terms]\nseven = clinic_c:seven\n")
    options = {"clips": standing_clip(), "start": "first"}
    base, more = (assistmimic_env.make("PullUp", **options, reward={"extra": extra}) for extra in ({}, {"seven": 0.5}))
    action = {agent: np.zeros(69) for agent in base.possible_agents}
    steps = []
    for env in (base, more):
        env.reset(seed=0)
        steps.append(env.step(action))
    assert steps[1][1]["recipient"] == pytest.approx(steps[0][1]["recipient"] + 3.5, abs=1e-6)
    with pytest.raises(ConfigError, match=r"'sevn' is not known\. Did you mean 'seven'\? Available: seven\."):
        assistmimic_env.make("PullUp", reward={"extra": {"sevn": 1.0}})


def test_a_converter_of_a_package_is_found_by_name(plug: Plug) -> None:
    code = "from assistmimic_env.clip import load_clip\ndef read(path):\n    yield load_clip(path)\n"
    plug("clinic_d", code, "[assistmimic.converters]\nbundled = clinic_d:read\n")
    (clip,) = converters.convert("bundled", "pull_up")
    assert isinstance(clip, PairClip)
    assert clip.name == "pull_up"


FORMAT = """
from assistmimic_env.formats.take import Format, Recording

def find(path, options):
    return tuple(Recording(name=file.stem, files=(file,)) for file in sorted(path.glob("*.own")))

OWN = Format(name="own", title="our files", license="ours", obtain="Ask us.", find=find, read=print)
"""


def test_a_format_of_a_package_is_found_by_name(plug: Plug, tmp_path: Path) -> None:
    """Its recordings are what an import would read; under another name it is left out."""
    points = "[assistmimic.converters]\nown = clinic_g:OWN\nalias = clinic_g:OWN\n"
    plug("clinic_g", FORMAT, points)
    (tmp_path / "a.own").touch()
    with pytest.warns(PluginWarning, match="format 'alias' calls itself 'own'"):
        sources = find_sources("own", tmp_path, options=ReadOptions(), settings=ConversionSettings())
    assert [source.name for source in sources] == ["a"]


BROKEN = {
    "import": ("raise RuntimeError('no licence')", "x", "RuntimeError: no licence"),
    "exit": ("import sys; sys.exit(3)", "x", "SystemExit: 3"),
    "attribute": ("", "x", "AttributeError: module 'broken' has no attribute 'x'"),
    "kind": ("x = [1]", "x", "ConfigError: 'entry' holds 1, expected an EnvSpec"),
    "call": ("def x(): raise OSError('offline')", "x", "OSError: offline"),
    "taken": (
        "from assistmimic_env import spec\nx = spec('PullUp')",
        "x",
        "UnknownEnvironmentError: environment 'AssistMimic/PullUp-v0' is registered already",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_gives_one_warning_and_breaks_nothing(kind: str, plug: Plug) -> None:
    """It names the distribution, its version, the entry point and the error; the plug-ins after it are loaded."""
    module, attribute, message = BROKEN[kind]
    plug("broken", module, f"[assistmimic.envs]\nentry = broken:{attribute}\n")
    plug("sound", ENVS, "[assistmimic.envs]\nzzz = sound:ONE\n")
    with pytest.warns(PluginWarning) as caught:
        ids = {entry.id for entry in assistmimic_env.list_envs()}
    assert ids >= {"AssistMimic/PullUp-v0", "AssistMimic/SitToStand-v0", "Clinic/One-v0"}
    (text,) = (str(warning.message) for warning in caught)
    assert "the plug-in 'entry' of broken 1.0 is left out (assistmimic.envs: broken:" in text
    assert message in text
    assistmimic_env.list_envs()  # a second warning would be an error


@pytest.mark.filterwarnings("ignore::assistmimic_env.plugins.PluginWarning")
def test_an_unknown_name_is_still_an_error_with_broken_plugins(plug: Plug) -> None:
    plug("broken", "1 / 0", "[assistmimic.envs]\nentry = broken:x\n")
    with pytest.raises(UnknownEnvironmentError, match="Did you mean 'AssistMimic/PullUp-v0'"):
        assistmimic_env.make("AssistMimic/PulUp-v0")


def test_a_broken_reward_term_does_not_hide_the_field_it_is_named_after(plug: Plug) -> None:
    """Nor does one that is no function; both are named."""
    plug("broken", "x = 3\ndef power(context): ...", "[assistmimic.reward_terms]\nx = broken:x\npower = broken:power\n")
    with pytest.warns(PluginWarning) as caught:
        assert reward_terms.reward_term_names() == ()
    texts = " ".join(str(warning.message) for warning in caught)
    assert "'power' would hide the field 'power' of RewardConfig" in texts
    assert "'x' is 3, expected a function" in texts


def test_no_plugin_is_imported_for_what_is_built_in(tmp_path: Path) -> None:
    """Import, make, and all lookups of built-in names; only an unknown name or a list loads it."""
    groups = ("envs", "bodies", "reward_terms", "converters")
    points = "\n".join(f"[assistmimic.{group}]\nx = clinic_e:ONE" for group in groups)
    path = install(tmp_path, "clinic_e", ENVS, points)
    code = (
        "import sys, assistmimic_env as a\n"
        "from assistmimic_env.body import get_body\n"
        "a.make('PullUp').reset(seed=0); a.spec('AssistMimic/SitToStand-v0'); get_body('smpl24')\n"
        "print('clinic_e' in sys.modules)\n"
        "a.spec('Clinic/One-v0')\n"
        "print('clinic_e' in sys.modules)\n"
    )
    assert run_python(code, path).split() == ["False", "True"]


def test_a_plugin_may_use_the_registry_while_it_is_imported(plug: Plug) -> None:
    """No endless loop, whatever it looks up."""
    code = "import assistmimic_env\nassistmimic_env.list_envs()\n" + ENVS
    plug("clinic_f", code, "[assistmimic.envs]\nx = clinic_f:ONE\n")
    assert assistmimic_env.spec("Clinic/One-v0").id == "Clinic/One-v0"
