"""services.toml: a file is applied as a whole or not at all, can be applied again, and never deletes history."""

import logging
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.rest import declared_files
from api.rest.declared_files import DeclarationError, require_files
from api.services.declared import apply, read
from sla_monitor.settings import Settings, SettingsError
from sql import open_pool
from tests.api.conftest import add_service, running_api, until

Db = psycopg.AsyncConnection[Any]
SHOP = '[[service]]\nid = "shop"\nname = "Shop"\nendpointUrl = "https://shop.example/"\n'
PAY = SHOP.replace("shop", "pay").replace("Shop", "Pay") + 'tags = ["eu"]\nexpectedStatusCodes = [200, 204]\n'


async def services(db: Db) -> dict[str, tuple[Any, ...]]:
    cursor = await db.execute("SELECT id, name, enabled, declared_in FROM services ORDER BY id")
    return {row[0]: row[1:] for row in await cursor.fetchall()}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[[service]", ["line 1"]),
        ('[[service]]\nid = "shop"\n', ["'shop'", "name"]),
        (SHOP + "intervalSeconds = 0\n", ["'shop'", "intervalSeconds"]),
        (SHOP + "interval_seconds = 60\n", ["'shop'", "interval_seconds"]),
        (SHOP + "timeoutMs = 1000\ndegradedAfterMs = 2000\n", ["'shop'", "degradedAfterMs"]),
        (SHOP + SHOP, ["'shop'", "twice"]),
        (SHOP.replace("https", "ftp"), ["'shop'", "endpointUrl"]),
        (SHOP + 'method = "HEAD"\nkeyword = "ok"\n', ["'shop'", "keyword", "HEAD"]),
        ("[[service]]\nname = 'x'\nendpointUrl = 'http://x/'\n", ["number 1", "id"]),
        ("service = 5\n", ["[[service]]"]),
        (SHOP + "intervalSeconds = " + "9" * 5000, ["digits"]),
        (SHOP.replace('"shop"', '"shop\\n"'), ["shop", "id"]),
        (SHOP + '"a\\nb\\u001b[31m" = 1\n', ["'shop'", "is not a known field"]),
        (SHOP + "intervalSeconds = 0\n", ["'shop': intervalSeconds: must be 1 or more"]),
        (SHOP + 'method = "FETCH"\n', ["'shop': method: must be one of DELETE, GET, HEAD"]),
        (SHOP + 'tags = ["a", ""]\n', ["'shop': tags[1]: must not be empty"]),
        ("[other]\n", ["[[service]]"]),
    ],
)
def test_an_error_is_one_line_with_file_service_and_field(tmp_path: Path, text: str, names: list[str]) -> None:
    path = tmp_path / "services.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as refused:
        read(path, Settings())
    line = str(refused.value)
    assert line.isprintable()
    assert all(name in line for name in [*names, str(path)]), line


@pytest.mark.one_engine
async def test_a_file_can_be_applied_repeatedly(database: str, db: Db, tmp_path: Path) -> None:
    path = tmp_path / "services.toml"
    await add_service(db, "rest", name="Created over REST")
    async with open_pool(database, application="test") as pool:
        path.write_text(SHOP + PAY)
        assert await apply(path, Settings(), pool) == [("pay", "applied"), ("shop", "applied")]
        assert await apply(path, Settings(), pool) == []
        path.write_text(SHOP.replace('"Shop"', '"Store"'))
        assert await apply(path, Settings(), pool) == [("pay", "released"), ("shop", "applied")]
        assert await services(db) == {
            "pay": ("Pay", False, None),
            "rest": ("Created over REST", True, None),
            "shop": ("Store", True, "services.toml"),
        }
        path.write_text(SHOP + PAY + "intervalSeconds = 0\n")
        with pytest.raises(DeclarationError):
            await apply(path, Settings(), pool)
        path.write_text(SHOP.replace("shop", "rest") + PAY)
        await apply(path, Settings(), pool)
        assert await services(db) == {
            "pay": ("Pay", True, "services.toml"),
            "rest": ("Shop", True, "services.toml"),
            "shop": ("Store", False, None),
        }


@pytest.mark.one_engine
async def test_a_denied_target_is_applied_with_a_warning(
    database: str, db: Db, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "services.toml"
    path.write_text(SHOP.replace("https://shop.example", " HTTP://169.254.169.254") + PAY)
    async with open_pool(database, application="test") as pool:
        with caplog.at_level(logging.WARNING):
            assert await apply(path, Settings(), pool) == [("pay", "applied"), ("shop", "applied")]
        [line] = [record.getMessage() for record in caplog.records]
        assert "'shop'" in line and "169.254.169.254 (PROBE_DENY_NETWORKS)" in line
        caplog.clear()
        assert await apply(path, Settings(), pool) == []
        assert not caplog.records
    row = await (await db.execute("SELECT endpoint_url FROM services WHERE id = 'shop'")).fetchone()
    assert row == ("http://169.254.169.254/",)


@pytest.fixture
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the times after which a changed file counts as complete and a removed file releases its services."""
    monkeypatch.setattr(declared_files, "POLL_S", 0.02)
    monkeypatch.setattr(declared_files, "STABLE_S", 0.2)
    monkeypatch.setattr(declared_files, "RELEASE_S", 0.2)


@pytest.mark.one_engine
async def test_the_api_follows_the_file(
    database: str, db: Db, tmp_path: Path, caplog: pytest.LogCaptureFixture, short_delays: None
) -> None:
    path = tmp_path / "services.toml"
    path.write_text(SHOP)
    async with running_api(database, services_file=path) as api:

        async def has_names(*names: str) -> bool:
            listed = await api.get("/api/services")
            return [service["name"] for service in listed["services"][1:]] == list(names)

        await until(lambda: has_names("Shop"))
        with caplog.at_level(logging.ERROR):
            path.write_text("[[broken")

            async def has_logged_the_error() -> bool:
                return "services.toml" in caplog.text

            await until(has_logged_the_error)
        assert await has_names("Shop")
        path.write_text(SHOP + PAY)
        await until(lambda: has_names("Pay", "Shop"))


async def test_a_file_that_is_being_written_pauses_no_service(
    any_database: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    short_delays: None,
) -> None:
    """An editor truncates the file and writes it later."""
    monkeypatch.setattr(declared_files, "RELEASE_S", 3600.0)
    path = tmp_path / "services.toml"
    path.write_text(SHOP + PAY)
    async with (
        await psycopg.AsyncConnection.connect(any_database, autocommit=True) as db,
        running_api(any_database, services_file=path),
    ):

        async def as_declared(**names: str) -> bool:
            return {key: row[0] for key, row in (await services(db)).items()} == names

        async def enabled() -> dict[str, bool]:
            return {key: row[1] for key, row in (await services(db)).items()}

        async def has_warned() -> bool:
            return caplog.text.count("services.toml no longer names") == 1

        await until(lambda: as_declared(pay="Pay", shop="Shop"))
        with caplog.at_level(logging.WARNING):
            path.write_text("")
            await until(has_warned)
        assert "no longer names pay, shop: " in caplog.text
        assert await enabled() == {"pay": True, "shop": True}
        path.write_text(SHOP.replace('"Shop"', '"Store"') + PAY)
        await until(lambda: as_declared(pay="Pay", shop="Store"))
        changes = await (
            await db.execute("SELECT object_id, after FROM audit_entries WHERE action = 'update' ORDER BY id")
        ).fetchall()
        assert changes == [("shop", {"name": "Store"})], "no service was paused"
        monkeypatch.setattr(declared_files, "RELEASE_S", 0.2)
        path.write_text(PAY)

        async def released() -> bool:
            return await enabled() == {"pay": True, "shop": False}

        await until(released)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "services.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SHOP.encode())
    assert [service.id for service in read(path, Settings())] == ["shop"]


def test_a_missing_file_is_an_error_at_startup(tmp_path: Path) -> None:
    path = tmp_path / "services.toml"
    with pytest.raises(SettingsError) as refused:
        require_files(Settings(services_file=path))
    assert str(refused.value) == f"SERVICES_FILE={path} cannot be read: there is no such file"
    with pytest.raises(SettingsError, match="SERVICES_FILE="):
        require_files(Settings(services_file=tmp_path))
    path.write_text("")
    require_files(Settings(services_file=path))
    require_files(Settings())
