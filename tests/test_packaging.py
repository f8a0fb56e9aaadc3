"""The package as it is published: sdist, wheel from the sdist, installed elsewhere."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import synth
assert pathlib.Path(synth.__file__).is_relative_to(sys.argv[1]), synth.__file__
def fail(name):
    raise
for module in pkgutil.walk_packages(synth.__path__, "synth.", onerror=fail):
    if module.name != "synth.__main__":  # that one runs the command line
        try:
            importlib.import_module(module.name)
        except synth.SynthError as error:
            assert "synth-service[" in str(error), error  # an extra that is not installed, and is named
    print(module.name)
"""


def _run(words: Sequence[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _sources() -> list[str]:
    """The package's files as git has them, new ones included."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "synth"]
    return sorted(name for name in _run(words, ROOT).splitlines() if (ROOT / name).exists())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)], folder)
    return folder


def test_the_sdist_holds_the_package_once(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert sorted(name for name in names if name.startswith("synth/")) == _sources()
    assert not [name for name in names if name.split("/")[0] in ("models", "training", "serving")]
    assert {"LICENSE", "README.md", "requirements.lock", "tests/test_packaging.py"} <= set(names)


def test_the_wheel_holds_the_package_once_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        names = archive.namelist()
    assert sorted(name for name in names if ".dist-info/" not in name) == _sources()


def test_the_installed_wheel_imports_every_module_from_anywhere(built: Path, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    wheel = str(next(built.glob("*.whl")))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    _run([*pip, "--disable-pip-version-check", "--target", str(target), wheel], elsewhere)
    imported = _run([sys.executable, "-c", IMPORT_ALL, str(target)], elsewhere).split()
    modules = [
        name.removesuffix(".py").removesuffix("/__init__") for name in _sources() if name.endswith(".py")
    ]
    assert sorted(["synth", *imported]) == sorted(name.replace("/", ".") for name in modules)
    assert (target / "bin" / "synth").exists()
