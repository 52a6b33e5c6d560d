"""The seconds that the stored checks of a service cover. The interval of the service is one second."""

from datetime import datetime, timedelta

import psycopg


def slots(database_url: str, service_id: str = "web") -> list[datetime]:
    """The covered seconds in order. A check that takes longer than a second covers several."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT scheduled_at + number * interval '1 second' FROM checks "
            "CROSS JOIN generate_series(0, interval_seconds - 1) AS number WHERE service_id = %s ORDER BY 1",
            (service_id,),
        ).fetchall()
    return [at for (at,) in rows]


def missing_seconds(slots: list[datetime]) -> float:
    """The seconds between the first and the last slot that no check covers. A prober on a loaded machine can miss some,
    and counts them."""
    return (slots[-1] - slots[0]) / timedelta(seconds=1) + 1 - len(slots)
