"""The definition of the schema, for comparisons, and statements that add a location and a service."""

import re

from tests.sql.batches import connected, fetch, value

# The definition of the schema, without generated numbers.
CATALOG = (
    "SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation, "
    "pg_get_expr(d.adbin, d.adrelid), c.reloptions::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
    "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
    "WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped",
    "SELECT proname, pg_get_functiondef(p.oid) FROM pg_proc p "
    "LEFT JOIN pg_depend e ON e.objid = p.oid AND e.deptype = 'e' WHERE pronamespace = 'public'::regnamespace "
    "AND e.objid IS NULL",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "SELECT tgrelid::regclass::text, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid "
    "WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace",
    "SELECT typname, enumlabel, enumsortorder FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid",
    "SELECT c.relname, objsubid, description FROM pg_description JOIN pg_class c ON c.oid = objoid "
    "WHERE c.relnamespace = 'public'::regnamespace",
    "SELECT name, checksum FROM schema_versions",
    "SELECT engine, time_zone, retention FROM installation",
)
JOBS = (
    "SELECT proc_name, schedule_interval, config - 'mat_hypertable_id' - 'hypertable_id' "
    "FROM timescaledb_information.jobs"
)
ADD_LOCATION = "INSERT INTO locations (id, name) VALUES ('local', 'local')"
ADD_SERVICE = "INSERT INTO services (id, name, endpoint_url) VALUES ('web', 'Web', 'http://target/')"
MONTH = re.compile(r"checks_\d{6}(?!\d)")
NUMBERED = re.compile(r"_hypertable_\d+\b|_watermark\(\d+\)")


def without_numbers(text: str) -> str:
    return MONTH.sub("checks_MONTH", NUMBERED.sub("_N", text))


async def schema(database_url: str) -> dict[str, list[str]]:
    """Returns the definition of the schema as sorted texts, without the months of `checks`, which depend on the
    date."""
    async with connected(database_url) as connection:
        statements = list(CATALOG)
        if await value(connection, "SELECT engine = 'timescaledb' FROM installation"):
            statements.append(JOBS)
        return {
            statement: sorted({without_numbers(repr(one)) for one in await fetch(connection, statement)})
            for statement in statements
        }
