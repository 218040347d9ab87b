"""The notebooks run from first cell to last in a fresh kernel and show what they say they show."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def shown_by(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a notebook in ``folder``: all that its cells showed. It fails where a cell fails."""
    import jupytext
    from nbclient import NotebookClient

    monkeypatch.setenv("DOORSTEP_NOTEBOOK_DIR", str(folder))
    monkeypatch.setenv("DOORSTEP_NOTEBOOK_EVENTS", "1000")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    notebook = jupytext.read(NOTEBOOKS / name)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return "\n".join(str(output) for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.slow
def test_your_own_feature_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = shown_by("05-your-own-feature.py", tmp_path, monkeypatch)
    for words in (
        "the fast engine gives 1",
        "Data dictionary: own features",
        "own features: victim_emergency_calls (calls.toml), calls_per_event (calls.toml)",
        "mergency calls by the victim naming this person as suspect in the last 365 days: ",
        "a call naming the person as suspect",
        "flagged proactive: no model may take it",
    ):
        assert words in shown, words
    assert "Traceback" not in shown
    assert (tmp_path / "home" / "features" / "calls.toml").exists()


@pytest.mark.slow
def test_from_records_to_list_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = shown_by("01-from-records-to-list.py", tmp_path, monkeypatch)
    for words in ("test, model", "made again", "harm out of reach", "Traceback"):
        assert (words in shown) == (words != "Traceback"), words
    assert list((tmp_path / "home" / "lists").iterdir())


@pytest.mark.slow
def test_is_it_fair_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = shown_by("03-is-it-fair.py", tmp_path, monkeypatch)
    for words in (
        "list_over_harm",
        "former partner",
        "Not assessable, with fewer than 50 serious outcomes",
        "with police-initiated records",
        "they are held for review, and a person decides",
        "What this cannot show",
        "reported",
    ):
        assert words in shown, words
    assert "Traceback" not in shown


@pytest.mark.slow
def test_retraining_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = shown_by("02-retraining.py", tmp_path, monkeypatch)
    for words in (
        "used without an approval",  # the first model of a simulated force
        "fitted again from load",  # the gate that repeats the fit
        "REFUSED:",  # a force this small cannot pass
        "OVERRIDE by A. Approver",
        "AUC against the model in use",
        "in use again, by B. Chief",
        "champion in the registry",
    ):
        assert words in shown, words
    assert "Traceback" not in shown
    assert len((tmp_path / "home" / "models" / "champions.jsonl").read_text().splitlines()) == 4
    assert len(list((tmp_path / "home" / "lists").iterdir())) == 2


def test_notebooks_hold_no_outputs_and_no_machine_paths() -> None:
    for path in NOTEBOOKS.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "/tmp" not in text
        assert "/home/" not in text
        assert text.startswith("# ---")


@pytest.mark.slow
def test_the_challenge_runs_also_where_its_rows_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORSTEP_DATA", str(tmp_path / "nothing"))
    shown = shown_by("04-nij-challenge.py", tmp_path, monkeypatch)
    for words in (
        "these are INVENTED rows",
        "Scorecard",
        "Explainable boosting machine",
        "cut off below a half",
    ):
        assert words in shown, words
    assert "Traceback" not in shown
