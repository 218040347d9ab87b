"""A load is there whole or not at all, whoever is killed and whenever."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from features import disk
from features import ingest as module
from features.apart import open_audit, open_identity
from features.errors import InputError
from features.home import Home
from features.ingest import ingest

REPOSITORY = Path(__file__).parent.parent
INGEST = "import sys, pathlib; from features.home import Home; from features.ingest import ingest; " + (
    "print(ingest(pathlib.Path(sys.argv[1]), Home(pathlib.Path(sys.argv[2]))).load.load_id)"
)


def write_extract(folder: Path, people: int, nature: str = "simulated") -> Path:
    folder.mkdir(exist_ok=True)
    ids = [f"p{n}" for n in range(people)]
    (folder / "extract.json").write_text(json.dumps({"nature": nature}))
    pl.DataFrame({"person_id": ids, "family_name": ["Name"] * people, "sex": ["F"] * people}).write_csv(
        folder / "person.csv"
    )
    pl.DataFrame(
        {
            "event_id": [f"e{n}" for n in range(people)],
            "kind": ["crime"] * people,
            "occurred_at": ["2024-05-01T10:00"] * people,
            "domestic": ["Y"] * people,
            "address_id": ["a"] * people,
            "source": ["victim" if n else "police_proactive" for n in range(people)],
        }
    ).write_csv(folder / "event.csv")
    pl.DataFrame(
        {"event_id": [f"e{n}" for n in range(people)], "person_id": ids, "role": ["suspect"] * people}
    ).write_csv(folder / "involvement.csv")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def assert_whole(home: Home, allowed: set[str]) -> str:
    """The current load is one of those allowed, and every file it lists is there and can be read."""
    load = home.require()
    assert load.load_id in allowed
    for name, size in load.manifest["files"].items():
        path = load.path / name
        assert path.stat().st_size == size
        pl.read_parquet(path)
    assert load.records().table("person").height > 0
    return load.load_id


def snapshot(home: Home) -> dict[str, int]:
    return {
        str(p.relative_to(home.path)): p.stat().st_mtime_ns
        for p in sorted(home.path.rglob("*"))
        if p.is_file()
    }


def test_the_same_extract_twice_changes_nothing(tmp_path: Path, home: Home) -> None:
    extract = write_extract(tmp_path / "x", 5)
    first = ingest(extract, home)
    before = snapshot(home)
    second = ingest(extract, home)
    assert (first.changed, second.changed) == (True, False)
    assert first.load.load_id == second.load.load_id
    after = snapshot(home)
    assert {k: v for k, v in before.items() if k != ".lock"} == {
        k: v for k, v in after.items() if k != ".lock"
    }
    assert "nothing changed" in second.render()

    elsewhere = write_extract(tmp_path / "y", 5)
    assert ingest(elsewhere, Home(tmp_path / "other")).load.load_id == first.load.load_id
    write_extract(extract, 5, nature="public")
    assert ingest(extract, home).load.load_id != first.load.load_id


def test_earlier_loads_are_kept_and_can_be_current_again(tmp_path: Path, home: Home) -> None:
    small, large = write_extract(tmp_path / "s", 3), write_extract(tmp_path / "l", 6)
    first, second = ingest(small, home).load, ingest(large, home).load
    assert home.require().load_id == second.load_id
    assert home.load(first.load_id).records().table("person").height == 3
    back = ingest(small, home)
    assert back.changed
    assert home.require().load_id == first.load_id


def test_what_a_load_says_of_itself(tmp_path: Path, home: Home) -> None:
    assert home.current() is None
    with pytest.raises(InputError, match="Nothing is loaded"):
        home.require()
    extract = write_extract(tmp_path / "x", 4)
    load = ingest(extract, home).load
    assert (load.nature, load.manifest["nature"]) == ("simulated", "simulated")
    assert load.manifest["tables"]["person"]["new"] == 4
    assert set(load.manifest["sources"]) == {"person.csv", "event.csv", "involvement.csv"}
    assert len(load.manifest["sources"]["person.csv"]["sha256"]) == 64
    assert "custody" in load.manifest["missing"]
    assert "custody" in load.records().missing
    assert load.records() is load.records()


def test_names_places_and_protected_facts_are_kept_apart(tmp_path: Path, home: Home) -> None:
    load = ingest(write_extract(tmp_path / "x", 4), home).load
    records, identity, audit = load.records(), open_identity(load), open_audit(load)
    assert records.table("event")["event_id"].to_list() == ["e1", "e2", "e3"]
    assert records.table("involvement").height == 3
    assert audit["proactive_event"]["event_id"].to_list() == ["e0"]
    assert audit["proactive_involvement"].height == 1
    assert audit["person_protected"]["sex"].to_list() == ["F"] * 4
    assert identity["event_place"]["address_id"].to_list() == ["a"] * 3
    assert identity["person"]["family_name"].to_list() == ["Name"] * 4
    forbidden = {"sex", "ethnicity_self", "ethnicity_observed", "family_name", "address_id", "district"}
    for frame in records.tables.values():
        assert not forbidden & set(frame.columns)
    assert "ethnicity_self" not in identity["person"].columns


def test_a_broken_extract_leaves_the_load_before_as_it_was(tmp_path: Path, home: Home) -> None:
    extract = write_extract(tmp_path / "x", 4)
    load = ingest(extract, home).load
    before = snapshot(home)
    (extract / "event.csv").write_bytes(b"event_id,kind\n\xff\xfe\n")
    with pytest.raises(InputError):
        ingest(extract, home)
    assert snapshot(home) == before
    assert_whole(home, {load.load_id})


def test_quarantined_rows_return_when_mended(tmp_path: Path, home: Home) -> None:
    extract = write_extract(tmp_path / "x", 4)
    good = (extract / "event.csv").read_text()
    (extract / "event.csv").write_text(good.replace("e2,crime", "e2,crime?"))
    load = ingest(extract, home).load
    held = pl.read_parquet(load.path / "quarantine" / "rows.parquet")
    assert held.select("table", "line", "column", "reason").rows() == [
        ("event", 4, "kind", "not one of crime, non_crime, contact"),
        ("involvement", 4, "event_id", "parent quarantined"),
    ]
    (extract / "event.csv").write_text(good)
    mended = ingest(extract, home).load
    assert mended.records().table("involvement").height == 3
    assert mended.manifest["tables"]["event"]["quarantined"] == 0


def test_a_damaged_load_is_written_again(tmp_path: Path, home: Home) -> None:
    extract = write_extract(tmp_path / "x", 4)
    load = ingest(extract, home).load
    (load.path / "records" / "person.parquet").unlink()
    assert ingest(extract, home).changed
    assert_whole(home, {load.load_id})


# --- killed ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the process: nothing in the code may catch it."""


def test_stopped_at_every_single_write(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die before the n-th write, for every n there is: the old load or the new one is there, and the next
    ingest succeeds and leaves no rubbish."""
    old = ingest(write_extract(tmp_path / "old", 3), home).load.load_id
    new_extract = write_extract(tmp_path / "new", 5)
    new = module.load_id_of(module.examine(new_extract).raw)
    found = module.examine(new_extract)
    monkeypatch.setattr(module, "examine", lambda folder: found)
    real_sync, real_rename, real_replace = disk.sync, Path.rename, Path.replace
    real_parquet = pl.DataFrame.write_parquet
    left = [0]

    def dying(real):  # type: ignore[no-untyped-def]
        def step(*args, **kwargs):  # type: ignore[no-untyped-def]
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*args, **kwargs)

        return step

    seen = set()
    steps = 0
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(disk, "sync", dying(real_sync))
            patch.setattr(Path, "rename", dying(real_rename))
            patch.setattr(Path, "replace", dying(real_replace))
            patch.setattr(pl.DataFrame, "write_parquet", dying(real_parquet))
            left[0] = steps
            try:
                ingest(new_extract, home)
                finished = True
            except Killed:
                finished = False
        current = json.loads(home.pointer.read_text())["load_id"]
        assert current in {old, new}
        assert (home.loads / current / "load.json").exists()
        seen.add(current)
        if finished:
            break
        if current == old and (home.loads / new).exists():
            assert home.load(new).records().table("person").height == 5  # renamed, so whole
        # Back to the state before, keeping what the kill left lying about.
        home.pointer.write_text(json.dumps({"load_id": old}))
        if (home.loads / new).exists():
            module.shutil.rmtree(home.loads / new)
        steps += 1
    assert steps > 60
    assert seen == {old, new}
    assert_whole(home, {new})
    assert not list(home.loads.glob(".*"))


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, home: Home) -> None:
    rng = random.Random(4)
    extracts = [write_extract(tmp_path / "a", 2_000), write_extract(tmp_path / "b", 3_000)]
    ids = {ingest(extract, Home(tmp_path / f"ref{n}")).load.load_id for n, extract in enumerate(extracts)}
    ingest(extracts[0], home)
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    begun = time.monotonic()
    run = [sys.executable, "-c", INGEST]
    subprocess.run(
        [*run, extracts[1], home.path], check=True, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL
    )
    full = time.monotonic() - begun
    killed = 0
    for n in range(12):
        for left in home.loads.glob("load-*"):
            if left.name != home.require().load_id:
                module.shutil.rmtree(left)  # so that the whole work is to be done again
        process = subprocess.Popen(
            [*run, extracts[n % 2], home.path], cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.3, 1.0) * full)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        assert_whole(home, ids)
    assert killed > 0
    ingest(extracts[1], home)
    assert_whole(home, ids)
    assert not list(home.loads.glob(f"{module.MAKING}*"))


def test_two_ingests_at_once(tmp_path: Path, home: Home) -> None:
    extracts = [write_extract(tmp_path / "a", 20), write_extract(tmp_path / "b", 30)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", INGEST, extract, home.path],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for extract in [*extracts, extracts[0]]
    ]
    printed = {process.communicate(timeout=120)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0, 0]
    assert len(printed) == 2
    assert_whole(home, printed)
    assert {p.name for p in home.loads.iterdir()} == printed


def test_a_home_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    extract = write_extract(tmp_path / "x", 2)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written"):
        ingest(extract, Home(tmp_path / "file"))


def test_the_front_door_loads_no_training_library() -> None:
    code = "import sys, features.ingest; print(sorted({'sklearn', 'pandas', 'mlflow', 'shap'} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
