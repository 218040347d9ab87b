"""The command line: what others script against, exit codes, errors people and machines can read."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from api import cli
from api.commands import learning
from tests.databases import trail_of

HEAVY = {"polars", "numpy", "sklearn", "pandas", "mlflow", "shap", "fastapi", "jinja2", "networkx", "rich"}
WHY = ("--purpose", "briefing")
COMMANDS = ("simulate", "check", "ingest", "features", "train", "score", "publish", "list", "evaluate", "report",
            "convert", "serve", "demo")  # fmt: skip


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_home, tmp_path / "home", ignore=shutil.ignore_patterns("doorstep.db*"))
    return tmp_path / "home"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run one command line in this process: exit code, standard output, standard error."""

    def command(*argv: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(part) for part in argv])
        out, err = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, out, err

    return command


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from api.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as left:\n    assert left.code == 0\n"
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Callable[..., tuple[int, str, str]], command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert out.startswith(f"Usage: doorstep {command}")


def test_home_and_json_stand_before_or_after_the_command(
    run: Callable[..., tuple[int, str, str]], home: Path
) -> None:
    before = run("--home", home, "--json", "list", "--top", 3, *WHY)
    after = run("list", "--top", 3, "--home", home, "--json", *WHY)
    assert before[0] == after[0] == 0
    assert json.loads(before[1]) == json.loads(after[1])


def test_a_list_prints_as_table_csv_and_json_and_each_look_is_logged(
    run: Callable[..., tuple[int, str, str]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    code, table, _ = run("--home", home, "list", "--team", "D1", *WHY, "--reference", "OP 1")
    assert code == 0
    assert "SIMULATED, NO REAL PERSON" in table
    assert "Adam Quillmark" in table
    assert "REF-E05" in table
    assert "not prioritised by the model" in table
    _, text, _ = run("--home", home, "list", "--format", "csv", *WHY)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]  # one more is held for review
    assert rows[0]["person_id"] == "P1"
    assert "2 domestic reports as suspect in the last 90 days" in rows[0]["reasons"]
    _, text, _ = run("--home", home, "list", "--format", "json", "--top", 2, *WHY)
    assert [row["person_id"] for row in json.loads(text)["rows"]] == ["P1", "P7"]
    written = trail_of(home)
    assert [(one["act"], one["page"], one["face"], one["detail"], one["reference"]) for one in written] == [
        ("consultation", "list", "command line", "Team D1", "OP 1"),
        ("disclosure", "list", "command line", "whole force", None),
        ("disclosure", "list", "command line", "whole force", None),
    ]
    assert {one["purpose"] for one in written} == {"briefing"}
    assert {"P1", "P7"} < set(written[2]["persons"]), "ranked, and those who stand apart"
    assert "P3" not in written[2]["persons"], "not shown among the first two"


def test_csv_cells_cannot_become_formulas() -> None:
    from risk.exports import text_cell

    assert text_cell("=1+1") == "'=1+1"
    assert text_cell("@cmd") == "'@cmd"
    assert text_cell("up 3") == "up 3"
    assert text_cell(-3) == -3


def test_score_writes_the_file_others_read(
    run: Callable[..., tuple[int, str, str]], home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.parquet"
    code, text, _ = run("--json", "--home", home, "score", "--as-of", "2025-06-01", "--out", out, *WHY)
    assert code == 0
    assert json.loads(text)["rows"] == 9
    frame = pl.read_parquet(out)
    assert frame.columns == ["person_id", "expected_harm", "p_serious", "p_any", "rank", "in_scope",
                             "out_of_scope_reason"]  # fmt: skip
    assert frame["rank"].drop_nulls().sort().to_list() == [1, 2, 3, 4, 5]
    assert [(one["act"], one["page"], one["persons_count"]) for one in trail_of(home)] == [
        ("disclosure", "scores", 9)
    ]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("subject", ["offender", "victim", "dyad"])
def test_features_writes_histories(
    run: Callable[..., tuple[int, str, str]], home: Path, tmp_path: Path, subject: str
) -> None:
    frames = []
    for engine in ("fast", "reference"):
        out = tmp_path / f"{engine}.parquet"
        code, _, _ = run("--home", home, "features", "--as-of", "2025-06-01", "--subject", subject, "--out", out,
                         "--engine", engine, *WHY)  # fmt: skip
        assert code == 0
        frames.append(pl.read_parquet(out))
    assert frames[0].height > 0
    assert frames[0].equals(frames[1], null_equal=True)


def test_publish_twice_is_one_list(run: Callable[..., tuple[int, str, str]], home: Path) -> None:
    first = run("--home", home, "publish", "--as-of", "2025-05-28")
    again = run("--home", home, "publish", "--as-of", "2025-05-28")
    assert first[0] == again[0] == 0
    assert "published" in first[1]
    assert "already published; nothing changed" in again[1]


BAD: list[tuple[list[str], str]] = [
    (["list", "--team", "nowhere", *WHY], "no team or district 'nowhere'"),
    (["list", "--list", "none", *WHY], "no list 'none'"),
    (["list", "--top", "0", *WHY], "--top"),
    (["list", "--format", "xml", *WHY], "--format"),
    (["list"], "needs a purpose"),
    (["list", "--purpose", "curiosity"], "No purpose 'curiosity'"),
    (["report"], "needs a purpose"),
    (["score", "--as-of", "2025-06-01", "--out", "x.parquet"], "needs a purpose"),
    (["features", "--as-of", "2025-06-01", "--subject", "dyad", "--out", "x.parquet"], "needs a purpose"),
    (["link"], "needs a purpose"),
    (["link", "review", "--by", "A Name"], "needs a purpose"),
    (["publish", "--as-of", "someday"], "'someday' is not a date"),
    (["publish", "--as-of", "2099-01-01"], "in the future"),
    (["network", "P1", "--as-of", "2099-01-01", *WHY], "in the future"),
    (["features", "--as-of", "2099-01-01", "--subject", "dyad", "--out", "x.parquet", *WHY], "in the future"),
    (["publish"], "--as-of"),
    (["score", "--as-of", "2025-06-01", "--out", "no/such/folder/x.parquet", *WHY], "no folder"),
    (["features", "--as-of", "2025-06-01", "--subject", "house", "--out", "x.parquet", *WHY], "--subject"),
    (["ingest", "no-such-folder"], "no-such-folder"),
    (["check", "no-such-folder"], "no-such-folder"),
    (["report", "m-000000000000", *WHY], "no model"),
    (["serve", "--host", "0.0.0.0"], "only behind TLS"),
    (["serve", "--port", "99999"], "--port"),
    (["convert", "broward", "no-such-folder", "out"], "no-such-folder"),
    (["nonsense"], "nonsense"),
    (["list", "--bogus"], "--bogus"),
]


@pytest.mark.parametrize(("argv", "word"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_bad_input_leaves_by_2_and_says_what_to_do(
    run: Callable[..., tuple[int, str, str]], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    argv: list[str], word: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, out, err = run("--home", home, *argv)
    assert code == 2
    assert word in err
    assert out == ""
    assert err.startswith("Error: ")
    code, out, _ = run("--home", home, *argv, "--json")
    assert code == 2
    error = json.loads(out)["error"]
    assert set(error) == {"what", "where", "cure", "exit_code"}
    assert word in error["what"] + error["where"]
    assert error["cure"]


def test_without_a_load_a_model_or_a_list_it_says_what_comes_first(
    run: Callable[..., tuple[int, str, str]], small_home_maker: Callable[..., Path], tmp_path: Path
) -> None:
    empty = tmp_path / "nothing-here"
    assert "doorstep ingest" in run("--home", empty, "publish", "--as-of", "2025-06-01")[2]
    assert "doorstep publish" in run("--home", empty, "list", *WHY)[2]
    bare = small_home_maker("bare", model=False)
    code, _, err = run("--home", bare, "publish", "--as-of", "2025-06-01")
    assert code == 2
    assert "doorstep train" in err


def test_our_fault_leaves_by_1_with_a_log_that_holds_no_persons_data(
    run: Callable[..., tuple[int, str, str]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "Adam Quillmark of 1 High Row"

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError(name)

    monkeypatch.setattr("risk.published.read_list", broken)
    code, out, err = run("--home", home, "list", *WHY)
    assert (code, out) == (1, "")
    assert "our fault" in err
    assert "Where: list" in err
    log = (home / "doorstep-errors.log").read_text(encoding="utf-8")
    assert "KeyError" in log
    assert "in list_" in log
    assert "Quillmark" not in log + err
    code, out, _ = run("--home", home, "list", "--json", *WHY)
    assert code == 1
    assert json.loads(out)["error"]["exit_code"] == 1


def test_check_leaves_by_its_own_code(
    run: Callable[..., tuple[int, str, str]], small_extract_tables: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    for name, frame in small_extract_tables.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
    code, out, _ = run("check", tmp_path)
    assert code == 0, out
    assert run("check", tmp_path, "--json")[0] == 0
    people = small_extract_tables["person"]
    pl.concat([people, people.head(3).with_columns(person_id=pl.lit(None, dtype=pl.String))]).write_parquet(
        tmp_path / "person.parquet"
    )
    assert run("check", tmp_path)[0] == 2


def test_evaluate_asks_for_monthly_moments() -> None:
    from features.clocks import parse_as_of

    last = parse_as_of("2025-03-31")
    moments = learning.monthly(last, 4)
    assert moments[-1] == last
    assert [f"{m:%Y-%m-%d}" for m in moments] == ["2024-12-28", "2025-01-28", "2025-02-28", "2025-03-31"]


def test_the_demonstration_refuses_a_folder_that_is_not_its_own(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    code, _, err = run("demo", "--out", tmp_path, "--no-serve")
    assert code == 2
    assert "holds no demonstration" in err
    assert (tmp_path / "thesis.txt").exists()
    made = tmp_path / "demo"
    made.mkdir()
    (made / "demo.json").write_text('{"events_per_year": 1, "years": 2, "seed": 3}', encoding="utf-8")
    code, _, err = run("demo", "--out", made, "--no-serve")
    assert code == 2
    assert "--fresh" in err
