"""The repository itself: pinned without addresses, four packages of our own, nothing that must not be here."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("features", "models", "risk", "api")


def tracked(*patterns: str) -> list[Path]:
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-service.lock"])
def test_every_locked_version_is_pinned_and_none_names_an_address(lock: str) -> None:
    lines = (ROOT / lock).read_text().split()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), f"{lock}: {line!r} is not NAME==VERSION"


def test_the_service_set_holds_no_training_library() -> None:
    names = {line.split("==")[0] for line in (ROOT / "requirements-service.lock").read_text().split()}
    assert not names & {"scikit-learn", "pandas", "mlflow", "shap", "pyarrow", "numba"}
    training = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().split()}
    assert names <= training


def test_no_installed_package_but_ours_owns_a_room() -> None:
    owners = importlib.metadata.packages_distributions()
    for room in ROOMS:
        assert set(owners.get(room, ["doorstep"])) <= {"doorstep"}, (
            f"{room} is also installed by {owners[room]}"
        )


def test_the_wheel_is_the_four_rooms() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert sorted(config["tool"]["setuptools"]["packages"]["find"]["include"]) == sorted(
        f"{r}*" for r in ROOMS
    )


def test_nothing_unpickles_and_no_path_of_a_machine_is_committed() -> None:
    wrong = re.compile(
        r"(?m)^\s*(import pickle|from pickle|import joblib)|joblib\.load|pickle\.loads?\(|(?<![\w.])eval\("
    )
    for path in tracked("*.py"):
        if path.name != Path(__file__).name:
            assert not wrong.search(path.read_text()), f"{path.relative_to(ROOT)} unpickles or evaluates"
    machine = re.compile(r"/(?:root|home/\w+|work)/")
    for path in tracked("*.py", "*.md", "*.toml", "*.html", "*.ipynb", "Makefile", ".ci/run"):
        assert not machine.search(path.read_text()), f"{path.relative_to(ROOT)} holds a path of one machine"


def test_nobody_is_called_low_risk() -> None:
    for path in tracked("risk/*", "api/*", "models/*"):
        if path.suffix in {".py", ".html", ".toml", ".css"}:
            text = path.read_text().lower()
            assert "low risk" not in text, f"{path.relative_to(ROOT)}: say 'not prioritised by the model'"
            assert "low-risk" not in text, f"{path.relative_to(ROOT)}: say 'not prioritised by the model'"


def test_modules_tell_one_story_each() -> None:
    long = {
        str(p.relative_to(ROOT)): n for p in tracked("*.py") if (n := len(p.read_text().splitlines())) > 500
    }
    assert not long, f"over 500 lines: {long}"
