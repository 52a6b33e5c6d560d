"""The process of the prober: its parts, started and stopped in one task group."""

import gc
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import anyio.to_thread

from prober.catalogue import Catalogue
from prober.dispatch import Dispatch
from prober.heartbeat import beat
from prober.metrics import Metrics
from prober.probes import Engine, run_check
from prober.recorder import Recorder
from prober.spool import Spool
from prober.store import Store
from sla_monitor.serving.loop_lag import watch_loop
from sla_monitor.serving.own_state import Readiness, serve_own_state
from sla_monitor.serving.ports import bind
from sla_monitor.serving.signals import stop_on_signal
from sla_monitor.settings import Settings
from sql.listen import listen
from sql.migrate import migrate, migrate_when_possible
from sql.migration_errors import MigrationError, NotNowError

CHECKS_PATIENCE_S = 4.0
"""How long checks under way may continue after a stop. The sum of this time, that of the recorder and that of the
server is less than 10 s."""
RECORDER_PATIENCE_S = 4.0
GARBAGE_THRESHOLD = 20_000
"""New objects after which Python looks for reference cycles, instead of 700. A check leaves none behind, and at 4,000
checks a second looking for them took 4 % of the CPU time of the prober."""
MIGRATION_PATIENCE_S = 2.0
"""How long the prober waits for the migration of the schema before it reads the services from the schema as it is."""

_log = logging.getLogger(__name__)


async def run(settings: Settings, database_url: str) -> None:
    """Checks the enabled services until SIGTERM or SIGINT, then ends within 10 s; a second signal ends it at once.

    The database may be unavailable at any time, and the migration of its schema may fail: both are retried, while
    checks go to the spool. Raises `PortError`, `SpoolError` or `MigrationError` with a text of one line if the prober
    cannot start.
    """
    gc.set_threshold(GARBAGE_THRESHOLD)
    metrics = Metrics()
    listening = bind(settings, "prober")
    spool_folder = settings.home / "spool" / settings.location
    spool = await anyio.to_thread.run_sync(Spool, spool_folder, settings.spool_max_bytes)
    try:
        async with Engine(settings) as engine:
            metrics.large_bodies.set_function(lambda: engine.large_bodies)
            metrics.bodies_waiting.set_function(lambda: engine.bodies_waiting)
            store = Store(database_url, settings.location, metrics)
            recorder = Recorder(store, spool, spool_folder / "refused.jsonl", metrics)
            check = partial(run_check, engine=engine)
            dispatch = Dispatch(
                check,
                recorder.put,
                metrics,
                location=settings.location,
                concurrency=settings.probe_concurrency,
            )
            catalogue = Catalogue(database_url, spool_folder / "services.json", dispatch.replace, metrics)
            actions = {"services": catalogue.changed.set}
            receive = partial(
                listen, database_url, "sla-monitor prober listener", actions, metrics.listener_connects.inc
            )
            schema = _Schema()
            async with anyio.create_task_group() as group:
                await group.start(stop_on_signal, partial(_stop, dispatch))
                for task in (
                    partial(
                        serve_own_state,
                        listening,
                        metrics.registry,
                        partial(_readiness, catalogue, recorder),
                        metrics.count_client_fault,
                    ),
                    partial(watch_loop, metrics.loop_lag.observe),
                    partial(_bring_up_to_date, database_url, settings, schema),
                    partial(_once_tried, schema, catalogue.run),
                    partial(_once_tried, schema, receive),
                    partial(_once_current, schema, catalogue.changed.set),
                ):
                    group.start_soon(task)
                if settings.heartbeat_url is not None:
                    group.start_soon(beat, settings.heartbeat_url, check, lambda: store.stored, metrics)
                async with anyio.create_task_group() as recording:
                    recording.start_soon(recorder.run)
                    await dispatch.run()
                    recorder.close()
                    recording.cancel_scope.deadline = anyio.current_time() + RECORDER_PATIENCE_S
                group.cancel_scope.cancel()
    finally:
        spool.close()
    _log.info("the prober has stopped")


def _readiness(catalogue: Catalogue, recorder: Recorder) -> Readiness:
    """The prober is ready if it knows its services and can store checks in the database or in the spool."""
    return Readiness(
        catalogue.known and recorder.ready,
        {
            "servicesKnown": catalogue.known,
            "databaseAnswers": recorder.database_responds,
            "spoolWorks": recorder.spool_works,
        },
    )


class _Schema:
    """The state of the migration."""

    def __init__(self) -> None:
        self.tried = anyio.Event()
        """The schema is current, or cannot be migrated now."""
        self.current = anyio.Event()


async def _bring_up_to_date(database_url: str, settings: Settings, schema: _Schema) -> None:
    """Migrates the schema, and tries again while the database is unavailable. Raises MigrationError if the first
    attempt fails for another reason. If a later attempt does, the error is logged and the prober continues."""
    try:
        await migrate(database_url, settings)
    except NotNowError as error:
        _log.warning("%s; the prober continues with the services that it knows, and checks go to the spool", error)
        schema.tried.set()
        try:
            await migrate_when_possible(database_url, settings)
        except MigrationError as late:
            _log.error("%s; checks continue, and are recorded as far as the database accepts them", late)
            return
    schema.current.set()
    schema.tried.set()


async def _once_tried(schema: _Schema, task: Callable[[], Awaitable[None]]) -> None:
    """Runs `task` once the migration has been tried, or after `MIGRATION_PATIENCE_S`."""
    with anyio.move_on_after(MIGRATION_PATIENCE_S):
        await schema.tried.wait()
    await task()


async def _once_current(schema: _Schema, act: Callable[[], None]) -> None:
    """Calls `act` once the schema is current: the services may have been read from the schema of an older release."""
    await schema.current.wait()
    act()


def _stop(dispatch: Dispatch) -> None:
    _log.info("stopping: checks under way may finish; a second signal ends at once")
    dispatch.stop(CHECKS_PATIENCE_S)
