"""What the wheel contains, and that code and assets are found however the package was installed."""

from __future__ import annotations

import configparser
import io
import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from assistmimic_env.errors import AssetNotFoundError
from assistmimic_env.resources import asset_names, asset_path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"assistmimic_env": "assistmimic_env", "assets": "assistmimic_env/assets", "trainers": "assistmimic_trainers"}
DATA = {".json", ".npz", ".safetensors", ".txt"}
COPIED = ("assets", "assistmimic_env", "trainers", "LICENSE", "NOTICE", "README.md", "pyproject.toml", "setup.cfg")

# Formats and names of body models, motion sets and checkpoints that must not be redistributed.
DENIED_SUFFIXES = {".fbx", ".h5", ".joblib", ".obj", ".pkl", ".pickle", ".pt", ".pth", ".stl", ".xml"}
DENIED_WORDS = ("amass", "basicmodel", "dmpl", "interx", "mano_", "phc", "smpl_", "smplh", "smplx", "vposer")
DENIED_ARRAYS = {"betas", "dmpls", "j_regressor", "kintree_table", "pose_aa", "poses", "posedirs", "shapedirs",
                 "trans", "v_template", "weights_prior"}  # fmt: skip
MAX_DATA_BYTES = 5_000_000


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that builds leave nothing behind and take nothing left over."""
    target = tmp_path_factory.mktemp("clone")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, target / name)
    return target


@pytest.fixture(scope="session")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built once."""
    target = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, clone, cwd=target)
    (path,) = target.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def members(wheel: Path) -> dict[str, bytes]:
    """Every file of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def make_python(folder: Path) -> Path:
    """An environment with the dependencies of this one, but without AssistMimic; returns its interpreter."""
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "assistmimic" not in entry.name and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """Install without dependencies and without a network."""
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--no-build-isolation", *what, cwd=python.parent)


def test_wheel_holds_every_source_and_data_file(members: dict[str, bytes]) -> None:
    """A package missing from the list in setup.cfg, or a data file of an unlisted kind, shows here."""
    expected = {
        f"{target}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, target in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", *DATA} or path.name == "py.typed"
    }
    assert expected <= set(members)


def test_wheel_holds_nothing_else(members: dict[str, bytes]) -> None:
    """Neither tests nor left-overs of a build."""
    tops = {name.split("/")[0] for name in members}
    assert tops == {"assistmimic_env", "assistmimic_trainers", "assistmimic-0.1.0.dist-info"}
    assert {Path(name).suffix for name in members if "dist-info" not in name} <= {".py", ".typed", ".md", *DATA}


def test_wheel_holds_the_licence_and_the_notice(members: dict[str, bytes]) -> None:
    """The data's terms travel with the data."""
    assert b"Apache License" in members["assistmimic-0.1.0.dist-info/licenses/LICENSE"]
    assert b"mocap.cs.cmu.edu" in members["assistmimic-0.1.0.dist-info/licenses/NOTICE"]


def test_wheel_installs_the_command(members: dict[str, bytes]) -> None:
    """`assistmimic` is on the path after an installation."""
    entries = configparser.ConfigParser()
    entries.read_string(members["assistmimic-0.1.0.dist-info/entry_points.txt"].decode())
    assert dict(entries["console_scripts"]) == {"assistmimic": "assistmimic_trainers.cli:main"}


def denied(name: str, content: bytes) -> list[str]:
    """Reasons why a file may not be redistributed, or looks as if."""
    reasons = [f"word {word}" for word in DENIED_WORDS if word in name.lower()]
    if Path(name).suffix in DENIED_SUFFIXES:
        reasons.append("format")
    if len(content) > MAX_DATA_BYTES:
        reasons.append("size")
    if name.endswith(".npz"):
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            reasons += [f"array {key}" for key in archive.files if key.lower() in DENIED_ARRAYS]
    return reasons


def test_wheel_holds_no_smpl_amass_or_checkpoint_content(members: dict[str, bytes]) -> None:
    """Names, formats, array names and sizes; code may talk about them, data may not be them."""
    data = {name: content for name, content in members.items() if not name.endswith(".py")}
    assert {name: reasons for name, content in data.items() if (reasons := denied(name, content))} == {}


@pytest.mark.parametrize("name", ["SMPL_NEUTRAL.npz", "smpl_humanoid.xml", "phc_3.pth", "clip.npz"])
def test_the_deny_list_recognises_what_it_is_for(name: str) -> None:
    """The check above can fail."""
    buffer = io.BytesIO()
    np.savez(buffer, poses=np.zeros((10, 156)), betas=np.zeros(16))
    assert denied(name, buffer.getvalue())


RESOLVE = """
import json, assistmimic_env.resources as r
names = r.asset_names()
print(json.dumps({name: str(r.asset_path(name)) for name in names}))
"""


@pytest.mark.parametrize("layout", ["wheel", "editable", "clone"])
def test_assets_are_found(layout: str, clone: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """In a wheel, in an editable install, and in a clone that is not installed at all."""
    python = make_python(tmp_path / "env")
    if layout == "wheel":
        install(python, request.getfixturevalue("wheel"))
    elif layout == "editable":
        install(python, "--editable", clone)
    cwd = clone if layout == "clone" else tmp_path
    found = {name: Path(path) for name, path in json.loads(run(python, "-c", RESOLVE, cwd=cwd)).items()}
    assert set(found) == set(asset_names())
    home = tmp_path / "env" if layout == "wheel" else clone
    assert all(path.is_file() and path.resolve().is_relative_to(home.resolve()) for path in found.values())
    if layout != "clone":
        code = "import assistmimic_env.assets, assistmimic_trainers.cli as c; raise SystemExit(c.main(['--version']))"
        assert run(python, "-c", code, cwd=tmp_path) == "assistmimic 0.1.0\n"


def test_the_bundled_clips_are_assets() -> None:
    """The clip of the quickstart ships with the package."""
    assert "clips/pull_up.npz" in asset_names("clips", ".npz")


def test_a_missing_asset_is_named_beside_those_that_exist() -> None:
    """With a suggestion."""
    with pytest.raises(AssetNotFoundError, match=r"no asset 'clips/pul_up\.npz'\. Did you mean 'clips/pull_up\.npz'\?"):
        asset_path("clips/pul_up.npz")


@pytest.mark.parametrize("name", ["../setup.cfg", "/etc/hostname", "clips/../../setup.cfg"])
def test_an_asset_is_never_outside_the_asset_folder(name: str) -> None:
    """Whatever the name."""
    with pytest.raises(AssetNotFoundError):
        asset_path(name)
