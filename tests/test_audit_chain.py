"""The audit trail: what is written, by whom, how fast, and that every way of tampering with it shows."""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from features.errors import DoorstepError
from risk import audit_chain
from risk.audit import Who, carry_head, record, rows, verify
from risk.audit_chain import START, row_code, set_hash, writer_of
from risk.audit_heads import heads_path
from risk.audit_key import key_path, read_key
from risk.store import Database
from risk.store.appended import KEPT
from risk.store.tables_audit import AUDIT, AUDIT_MEMBER, AUDIT_SET

pytest_plugins = ("tests.databases",)

OFFICER = Who("jsmith", "proactive", "page", "10.0.0.7")


def look(database: Database, home: Path, *persons: str, **more: object) -> int:
    return record(database, home, OFFICER, "consultation", "person", persons=persons, **more)  # type: ignore[arg-type]


@pytest.fixture
def unguarded(database: Database) -> Database:
    """A database whose owner took its triggers away, as somebody who tampers would."""
    with database.begin() as connection:
        for table in KEPT:
            if database.dialect == "postgresql":
                connection.exec_driver_sql(f"DROP TRIGGER {table}_appended ON {table}")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER {table}_no_update")
                connection.exec_driver_sql(f"DROP TRIGGER {table}_no_delete")
    return database


@pytest.fixture
def trail(unguarded: Database, home_path: Path) -> Database:
    """Ten rows, headed at the first and at the last."""
    for n in range(10):
        look(unguarded, home_path, f"P{n}", "P99", purpose="briefing", reference=f"OP{n}")
    carry(unguarded, home_path)
    assert verify(unguarded, home_path) == []
    return unguarded


def carry(database: Database, home: Path) -> None:
    writer = writer_of(database, home)
    with database.read() as connection:
        writer.heads.write(writer.key(), writer.end(connection))


def tamper(database: Database, *statements: sa.Executable) -> None:
    with database.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_row_says_who_what_whom_why_whence_and_when(database: Database, home_path: Path) -> None:
    before = datetime.now(UTC)
    seq = record(
        database, home_path, OFFICER, "disclosure", "list", persons=["P2", "P1", "P2"], list_id="L1",
        purpose="briefing", reference="OP Test", outside=True, detail="printed",
    )  # fmt: skip
    (row,) = rows(database)
    assert before <= row.pop("at") <= datetime.now(UTC)
    assert len(row.pop("mac")) == 64
    assert row.pop("key_id") == read_key(home_path, make=False).name
    assert row == {
        "seq": seq, "username": "jsmith", "role": "proactive", "face": "page", "source": "10.0.0.7",
        "act": "disclosure", "page": "list", "persons": ["P1", "P2"], "persons_count": 2, "list_id": "L1",
        "purpose": "briefing", "reference": "OP Test", "outside": True, "detail": "printed",
    }  # fmt: skip


def test_rows_are_found_by_person_by_who_and_by_act(database: Database, home_path: Path) -> None:
    look(database, home_path, "P1")
    record(database, home_path, Who("other", "dalo", "api", "x"), "disclosure", "sheet", persons=["P1", "P2"])
    look(database, home_path, "P2")
    look(database, home_path)
    assert [row["seq"] for row in rows(database, person="P1")] == [1, 2]
    assert [row["seq"] for row in rows(database, who="other")] == [2]
    assert [row["seq"] for row in rows(database, act="consultation", person="P2")] == [3]
    assert [row["seq"] for row in rows(database, after=1, limit=2)] == [2, 3]
    assert rows(database, person="P") == [], "part of a reference is not the reference"


def test_what_cannot_be_kept_as_typed_is_kept_as_near_as_can_be(database: Database, home_path: Path) -> None:
    record(database, home_path, OFFICER, "consultation", "search", detail="\x00\ud800" + "é" * 10_000_000)
    (row,) = rows(database)
    assert row["detail"].startswith("\ufffd?éé")
    assert row["detail"].endswith("(10,000,002 characters)")
    assert len(row["detail"]) < 2100
    assert verify(database, home_path) == []


def test_an_act_without_a_name_is_a_mistake_in_the_code(database: Database, home_path: Path) -> None:
    with pytest.raises(ValueError, match="no such act"):
        record(database, home_path, OFFICER, "peeking", "person")


def test_a_look_that_cannot_be_written_is_refused(
    home_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORSTEP_AUDIT_HEADS", str(home_path / "no" / "such" / "folder" / "heads"))
    with pytest.raises(DoorstepError, match="heads of the audit trail cannot be written"):
        look(database, home_path, "P1")
    with pytest.raises(DoorstepError, match="heads of the audit trail cannot be written"):
        look(database, home_path, "P1")


def test_an_act_and_its_row_stand_or_fall_together(database: Database, home_path: Path) -> None:
    look(database, home_path, "P1")
    with suppress(KeyError), database.begin():
        assert look(database, home_path, "P2") == 2
        raise KeyError
    assert look(database, home_path, "P3") == 2
    assert [row["persons"] for row in rows(database)] == [["P1"], ["P3"]]
    assert verify(database, home_path) == []


def test_a_changed_row_shows(trail: Database, home_path: Path) -> None:
    tamper(trail, sa.update(AUDIT).where(AUDIT.c.seq == 4).values(username="nobody"))
    assert verify(trail, home_path) == [
        "Row 4 does not fit its code: it was changed or put in, or the row before it was."
    ]


def test_a_change_of_any_column_shows(trail: Database, home_path: Path) -> None:
    values = {"at": datetime(2020, 1, 1, tzinfo=UTC), "persons_count": 7, "outside": True}
    with trail.read() as connection:
        (was,) = connection.execute(sa.select(AUDIT).where(AUDIT.c.seq == 10)).mappings()
    for column in set(was) - {"seq", "persons"}:
        tamper(
            trail, sa.update(AUDIT).where(AUDIT.c.seq == 10).values({column: values.get(column, "changed")})
        )
        assert verify(trail, home_path), column
        tamper(trail, sa.update(AUDIT).where(AUDIT.c.seq == 10).values({column: was[column]}))
    assert verify(trail, home_path) == []


def test_a_removed_row_shows(trail: Database, home_path: Path) -> None:
    tamper(trail, sa.delete(AUDIT).where(AUDIT.c.seq == 4))
    assert verify(trail, home_path) == ["Row 4 is missing before row 5."]


def test_rows_removed_and_the_rest_numbered_anew_show(trail: Database, home_path: Path) -> None:
    tamper(trail, sa.delete(AUDIT).where(AUDIT.c.seq == 4))
    for seq in range(5, 11):
        tamper(trail, sa.update(AUDIT).where(AUDIT.c.seq == seq).values(seq=seq - 1))
    assert any("Row 4 does not fit" in words for words in verify(trail, home_path))


def test_an_inserted_row_shows(trail: Database, home_path: Path) -> None:
    for seq in range(10, 4, -1):
        tamper(trail, sa.update(AUDIT).where(AUDIT.c.seq == seq).values(seq=seq + 1))
    with trail.read() as connection:
        (row,) = connection.execute(sa.select(AUDIT).where(AUDIT.c.seq == 4)).mappings()
    tamper(trail, sa.insert(AUDIT).values(dict(row) | {"seq": 5, "username": "framed"}))
    assert any("Row 5 does not fit" in words for words in verify(trail, home_path))


def test_a_cut_tail_shows(trail: Database, home_path: Path) -> None:
    tamper(trail, sa.delete(AUDIT).where(AUDIT.c.seq > 7))
    (words,) = verify(trail, home_path)
    assert words.startswith("The trail ends at row 7, and the head of ")
    assert words.endswith("counts 10: its tail was cut.")


def test_a_trail_emptied_altogether_shows(trail: Database, home_path: Path) -> None:
    tamper(trail, sa.delete(AUDIT), sa.delete(AUDIT_SET), sa.delete(AUDIT_MEMBER))
    assert any("its tail was cut" in words for words in verify(trail, home_path))


def written_anew(database: Database, home: Path, *, without: int) -> None:
    """Write the whole trail again without one row, with the key in hand."""
    key = read_key(home, make=False)
    with database.read() as connection:
        kept = [dict(row) for row in connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq)).mappings()]
    before, anew = START, []
    for seq, row in enumerate((row for row in kept if row["seq"] != without), 1):
        row["seq"] = seq
        row["mac"] = before = row_code(key, before, row)
        anew.append(row)
    tamper(database, sa.delete(AUDIT))
    with database.begin() as connection:
        connection.execute(sa.insert(AUDIT), anew)


def test_a_full_rewrite_by_somebody_with_the_key_shows_by_the_heads(trail: Database, home_path: Path) -> None:
    written_anew(trail, home_path, without=4)
    other = Database.of(home_path, trail.url)  # a process that did not see the trail before
    look(other, home_path, "P7")  # and as many rows as before
    other.close()
    found = verify(trail, home_path)
    assert any("the trail was written anew" in words for words in found), found


def test_a_full_rewrite_with_another_key_shows(
    trail: Database, home_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = tmp_path / "forged.key"
    forged.write_text("0" * 64)
    with monkeypatch.context() as patch:
        patch.setenv("DOORSTEP_AUDIT_KEY", str(forged))
        name = read_key(home_path, make=False).name
        tamper(trail, sa.update(AUDIT).values(key_id=name))
        written_anew(trail, home_path, without=4)
    found = verify(trail, home_path)
    assert f"Row 1 was coded with another key ({name})." in found


def test_a_head_forged_without_the_key_shows(trail: Database, home_path: Path) -> None:
    path = heads_path(home_path)
    lines = path.read_text().splitlines()
    forged = json.loads(lines[-1]) | {"count": 3}
    path.write_text("\n".join([*lines[:-1], json.dumps(forged), "not a head"]) + "\n")
    assert verify(trail, home_path) == [
        f"Line {len(lines)} of the heads is not a head made with this key.",
        f"Line {len(lines) + 1} of the heads is not a head made with this key.",
    ]


def test_heads_that_were_removed_are_missed_after_an_hour(
    trail: Database, home_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads_path(home_path).unlink()
    assert verify(trail, home_path) == [], "a head may still come"

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(minutes=61)

    monkeypatch.setattr("risk.audit_verify.datetime", Later)
    assert any("heads stopped coming, or were removed" in words for words in verify(trail, home_path))


def test_a_set_of_persons_that_was_changed_shows(trail: Database, home_path: Path) -> None:
    name = set_hash(["P3", "P99"])
    tamper(trail, sa.update(AUDIT_SET).where(AUDIT_SET.c.persons == name).values(members=["P3"]))
    assert verify(trail, home_path) == ["A set of persons was changed (row 4)."]
    tamper(trail, sa.delete(AUDIT_SET).where(AUDIT_SET.c.persons == name))
    assert verify(trail, home_path) == ["The persons of row 4 were removed."]


def test_a_person_taken_out_of_the_search_shows(trail: Database, home_path: Path) -> None:
    tamper(trail, sa.delete(AUDIT_MEMBER).where(AUDIT_MEMBER.c.person_id == "P3"))
    assert verify(trail, home_path) == ["The search by person was changed (row 4)."]


def test_a_long_list_of_faults_is_told_short(trail: Database, home_path: Path) -> None:
    for n in range(40):
        look(trail, home_path, f"Q{n}")
    tamper(trail, sa.update(AUDIT).values(role="changed"))
    found = verify(trail, home_path)
    assert len(found) == 21
    assert found[-1] == "And 30 more such rows."


def write_some(url: str, home: Path, who: str, times: int) -> None:
    database = Database.of(home, url)
    for n in range(times):
        record(database, home, Who(who, "dalo", "api", "x"), "consultation", "sheet", persons=[f"P{n}"])
    database.close()


def test_two_processes_writing_make_one_whole_trail(
    database: Database, database_url: str, home_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    other = spawn.Process(target=write_some, args=(database_url, home_path, "other", 60))
    other.start()
    while not rows(database, who="other", limit=1):  # it has begun
        assert other.exitcode in (None, 0)
        time.sleep(0.05)
    for n in range(60):
        look(database, home_path, f"P{n}")
    other.join(60)
    assert other.exitcode == 0
    found = rows(database, limit=1000)
    assert [row["seq"] for row in found] == list(range(1, 121))
    assert sum(row["username"] == "other" for row in found) == 60
    assert verify(database, home_path) == []


def test_rows_of_many_requests_share_a_commit(database: Database, home_path: Path) -> None:
    look(database, home_path, "P0")
    commits: list[int] = []
    sa.event.listen(database._engine, "commit", lambda _: commits.append(1))
    with ThreadPoolExecutor(16) as pool, database.begin():  # all wait behind one that holds the database
        found = [pool.submit(look, database, home_path, f"P{n}") for n in range(16)]
        time.sleep(0.3)
    assert sorted(one.result() for one in found) == list(range(2, 18))
    assert len(commits) <= 4, "one transaction held, then a few for all sixteen rows"
    assert verify(database, home_path) == []


def test_a_trail_cut_under_a_running_service_stops_it(trail: Database, home_path: Path) -> None:
    tamper(trail, sa.delete(AUDIT).where(AUDIT.c.seq > 7))
    with pytest.raises(DoorstepError, match="ended at row 10 and now ends at row 7"):
        look(trail, home_path, "P1")


def test_the_key_is_made_once_and_never_replaced_in_silence(database: Database, home_path: Path) -> None:
    look(database, home_path, "P1")
    key_path(home_path).unlink()
    fresh = Database.of(home_path, database.url)  # as after a restart
    with pytest.raises(DoorstepError, match="key of the audit trail cannot be read"):
        look(fresh, home_path, "P2")
    fresh.close()
    assert not key_path(home_path).exists()


def test_a_key_made_by_two_at_once_is_one_key(home_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: read_key(home_path, make=True).name, range(8)))
    assert len(names) == 1
    assert [path.name for path in (home_path / "keys").iterdir()] == ["audit.key"]


def test_a_key_too_short_is_refused(home_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "short").write_text("secret")
    monkeypatch.setenv("DOORSTEP_AUDIT_KEY", str(tmp_path / "short"))
    with pytest.raises(DoorstepError, match="shorter than 32 bytes"):
        read_key(home_path, make=True)


def test_heads_come_in_time_and_in_rows(
    database: Database, home_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("risk.audit_heads.time.monotonic", lambda: now[0])

    def counts() -> list[int]:
        return [json.loads(line)["count"] for line in heads_path(home_path).read_text().splitlines()]

    look(database, home_path)
    look(database, home_path)
    assert counts() == [1], "the first of a process, then none for a while"
    now[0] += 3600
    look(database, home_path)
    assert counts() == [1, 3], "at least hourly"
    monkeypatch.setitem(audit_chain_settings()["heads"], "every_rows", 2)
    look(database, home_path)
    look(database, home_path)
    assert counts() == [1, 3, 5]
    assert carry_head(database, home_path) is None, "just carried"
    now[0] += 3600
    assert carry_head(database, home_path) is not None, "an hour without a row has its head too"
    assert counts() == [1, 3, 5, 5]
    assert verify(database, home_path) == []


def audit_chain_settings() -> dict[str, dict[str, int]]:
    from risk.settings import settings

    return settings("audit")


def test_fifty_rows_a_second_are_far_from_the_limit(database: Database, home_path: Path) -> None:
    hundred = [f"P{n}" for n in range(100)]
    look(database, home_path, *hundred)
    started = time.process_time()
    for n in range(50):
        look(database, home_path, *(hundred if n % 2 else [f"P{n}"]))
    assert time.process_time() - started < 1.0


def test_every_column_is_in_the_code() -> None:
    assert set(audit_chain.CODED) == {column.name for column in AUDIT.columns} - {"mac"}
