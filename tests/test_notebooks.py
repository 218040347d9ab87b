"""The notebook runs from first cell to last in a fresh kernel and shows what it says it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.mark.slow
def test_from_records_to_list_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jupytext
    from nbclient import NotebookClient

    monkeypatch.setenv("DOORSTEP_NOTEBOOK_DIR", str(tmp_path))
    monkeypatch.setenv("DOORSTEP_NOTEBOOK_EVENTS", "1000")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    notebook = jupytext.read(NOTEBOOKS / "01-from-records-to-list.py")
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = "\n".join(str(output) for cell in notebook.cells for output in cell.get("outputs", []))
    for words in ("test, model", "made again", "harm out of reach", "Traceback"):
        assert (words in shown) == (words != "Traceback"), words
    assert list((tmp_path / "home" / "lists").iterdir())


def test_notebooks_hold_no_outputs_and_no_machine_paths() -> None:
    for path in NOTEBOOKS.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "/tmp" not in text
        assert "/home/" not in text
        assert text.startswith("# ---")
