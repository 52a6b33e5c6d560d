"""The prober's process: everything wired together, in one task group, from the first check to a clean end."""

import logging
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from prober.catalogue import Catalogue
from prober.dispatch import Dispatch
from prober.heartbeat import beat
from prober.housekeeping import Housekeeping
from prober.listener import listen
from prober.metrics import Metrics
from prober.probes import Engine, run_check
from prober.recorder import Recorder
from prober.server import Readiness, bind, serve
from prober.spool import Spool
from prober.store import Store
from sla_monitor.settings import Settings
from sql.migrate import migrate, migrate_when_possible
from sql.migration_errors import MigrationError, NotNowError

CHECKS_PATIENCE_S = 4.0
"""How long checks under way may go on after a stop; together with the recorder's and the server's time
under 10 s."""
RECORDER_PATIENCE_S = 4.0
MIGRATION_PATIENCE_S = 2.0
"""How long the services are not read because the schema is being brought up to date. Then they are read as it is."""
LAG_SECONDS = 0.5

_log = logging.getLogger(__name__)


async def run(settings: Settings, database_url: str) -> None:
    """Checks the enabled services until SIGTERM or SIGINT, then ends within 10 s; a second signal ends at
    once.

    The database may be away at any time, at the start too, or not let its schema be brought up to date: that is
    tried again while checks are made and kept in the spool. Raises `PortError`, `SpoolError` or `MigrationError`,
    whose text is one line, when it cannot start.
    """
    metrics = Metrics()
    listening = bind(settings.prober_host, settings.prober_port)
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
            housekeeping = Housekeeping(database_url, settings, metrics)
            actions = {"services": catalogue.changed.set, "ranges": housekeeping.wanted.set}

            def readiness() -> Readiness:
                return Readiness(catalogue.known, recorder.database_answers, recorder.spool_works)

            schema = _Schema()
            async with anyio.create_task_group() as group:
                await group.start(_stop_on_signal, partial(_stop, dispatch))
                for task in (
                    partial(serve, listening, metrics, readiness),
                    partial(_watch_loop, metrics),
                    partial(_bring_up_to_date, database_url, settings, schema),
                    partial(_once_tried, schema, catalogue.run),
                    partial(_once_tried, schema, partial(listen, database_url, actions, metrics)),
                    partial(_once_current, schema, [*actions.values()], housekeeping.run),
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


class _Schema:
    """How far the schema has been brought."""

    def __init__(self) -> None:
        self.tried = anyio.Event()
        """It is up to date, or cannot be brought there now."""
        self.current = anyio.Event()


async def _bring_up_to_date(database_url: str, settings: Settings, schema: _Schema) -> None:
    """Raises MigrationError where that is impossible from the start. Where it turns out later, checks go on."""
    try:
        await migrate(database_url, settings)
    except NotNowError as error:
        _log.warning("%s; going on with the services known from before, checks go to the spool", error)
        schema.tried.set()
        try:
            await migrate_when_possible(database_url, settings)
        except MigrationError as late:
            _log.error("%s; checks go on, and are recorded as far as the database takes them", late)
            return
    schema.current.set()
    schema.tried.set()


async def _once_tried(schema: _Schema, task: Callable[[], Awaitable[None]]) -> None:
    with anyio.move_on_after(MIGRATION_PATIENCE_S):
        await schema.tried.wait()
    await task()


async def _once_current(schema: _Schema, wake: list[Callable[[], None]], task: Callable[[], Awaitable[None]]) -> None:
    """`task` needs the schema of this program; what was read before may have been that of an older one."""
    await schema.current.wait()
    for act in wake:
        act()
    await task()


def _stop(dispatch: Dispatch) -> None:
    dispatch.stop(CHECKS_PATIENCE_S)


async def _stop_on_signal(stop: Callable[[], None], *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        stopping = False
        async for number in signals:
            if stopping:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            stopping = True
            _log.info("stopping: checks under way may finish; a second signal ends at once")
            stop()


async def _watch_loop(metrics: Metrics) -> None:
    """How late the loop gets to what is due: everything timed in this process is off by as much."""
    while True:
        due = anyio.current_time() + LAG_SECONDS
        await anyio.sleep(LAG_SECONDS)
        metrics.loop_lag.observe(max(0.0, anyio.current_time() - due))
