"""The README's lines run as they stand, on a smaller force."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_lines_from_an_extract_to_a_list_run(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found
    lines = found.group(1)
    assert len([line for line in lines.splitlines() if line.strip()]) <= 25
    script = tmp_path / "lines.py"
    smaller = lines.replace("events_per_year=2_000", "events_per_year=1_500")
    assert smaller != lines
    script.write_text(smaller, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "rfgv" in done.stdout.lower()
    assert re.search(r"(?m)^1 P\d+ ", done.stdout)
