"""What the packages promise about their imports: the environment stays light, the command stays quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENV_MODULES = sorted((ROOT / "assistmimic_env").rglob("*.py"))
LIGHT_TRAINER_MODULES = [ROOT / "trainers" / "cli.py", *sorted((ROOT / "trainers" / "commands").glob("*.py"))]

FORBIDDEN = {"ray", "torch", "assistmimic_trainers", "trainers"}
ENV_REQUIREMENTS = {"assistmimic_env", "gymnasium", "mujoco", "numpy", "pettingzoo", "safetensors"}
COMMAND_REQUIREMENTS = {"assistmimic_trainers", "rich", "tyro"}
MAX_IMPORT_SECONDS = 0.5


def imported_packages(path: Path, *, top_level_only: bool) -> set[str]:
    """Names of the packages that a file imports; those for type checkers alone do not count."""
    return {name for node in statements(ast.parse(path.read_text()), top_level_only) for name in packages_of(node)}


def statements(node: ast.AST, top_level_only: bool) -> Iterator[ast.AST]:
    """Everything that can run, without `if TYPE_CHECKING` blocks and, if asked, without function bodies."""
    for child in ast.iter_child_nodes(node):
        type_checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if not type_checking and not (top_level_only and function):
            yield child
            yield from statements(child, top_level_only)


def packages_of(node: ast.AST) -> set[str]:
    """Packages of one import statement, or of a call to `import_module`; relative imports have none."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {(node.module or "").split(".")[0]}
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        return {str(arg.value).split(".")[0] for arg in node.args if isinstance(arg, ast.Constant)}
    return set()


def run_python(code: str) -> str:
    """Standard output of a fresh interpreter, in which warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", ENV_MODULES, ids=lambda path: path.stem)
def test_environment_module_names_no_trainer_package(path: Path) -> None:
    """Neither at the top nor inside a function."""
    assert not imported_packages(path, top_level_only=False) & FORBIDDEN


@pytest.mark.parametrize("path", ENV_MODULES, ids=lambda path: path.stem)
def test_environment_module_needs_core_dependencies_only(path: Path) -> None:
    """Optional packages are imported by the functions that use them."""
    packages = imported_packages(path, top_level_only=True) - set(sys.stdlib_module_names)
    assert packages <= ENV_REQUIREMENTS


@pytest.mark.parametrize("path", LIGHT_TRAINER_MODULES, ids=lambda path: path.stem)
def test_command_module_imports_nothing_heavy(path: Path) -> None:
    """`assistmimic --help` and `assistmimic info` work at once, and without the train extra."""
    packages = imported_packages(path, top_level_only=True) - set(sys.stdlib_module_names)
    assert packages <= COMMAND_REQUIREMENTS


def test_importing_every_environment_module_loads_no_trainer_package() -> None:
    """Not through a dependency either."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in ENV_MODULES]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names}]; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in run_python(code).split()}
    assert "assistmimic_env" in loaded
    assert not loaded & FORBIDDEN


def test_import_takes_less_than_half_a_second() -> None:
    """In a fresh process; the best of three, since other processes may be running."""
    code = "import time; t = time.perf_counter(); import assistmimic_env; print(time.perf_counter() - t)"
    assert min(float(run_python(code)) for _ in range(3)) < MAX_IMPORT_SECONDS


def test_the_checker_sees_imports_inside_functions_and_by_name(tmp_path: Path) -> None:
    """The checks above can fail."""
    path = tmp_path / "bad.py"
    path.write_text("def f():\n    import torch.nn\n    importlib.import_module('ray.rllib')\n")
    assert imported_packages(path, top_level_only=False) == {"torch", "ray"}
    assert imported_packages(path, top_level_only=True) == set()
