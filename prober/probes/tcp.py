"""TCP, with or without TLS: connect, send, and wait for the expected bytes, within one deadline."""

import re

import pycurl

from prober import judge as verdict
from prober.judge import Judgement
from prober.outcome import Outcome, printable
from prober.probes import certificates
from prober.probes.curl import Engine
from prober.probes.failures import Failure, failure, phase_of, timed_out
from prober.probes.request import Shape
from prober.probes.resolver import NameFailure
from prober.probes.transfer import Transfer
from prober.services import Service
from sla_monitor.checks.tcp import Tcp, unescaped
from sla_monitor.formats.host_names import HostNameError, host_in

READ_BYTES = 64 * 1024
"""The most bytes that are read of a response."""
_PIECE = 16 * 1024
_NUMERIC_HOST = re.compile(r"[0-9.]+|\[.*")


async def probe(service: Service, config: Tcp, deadline: float, engine: Engine) -> Outcome:
    """Makes one attempt, which ends at `deadline` (loop time) at the latest. Raises `ProberTrouble`.

    `total_ms` ends when the expected bytes have arrived, or when the connection is open if none are expected.
    """
    begun = engine.loop.time()
    try:
        host = host_in(config.authority)
    except HostNameError as error:
        return _outcome(engine, begun, ("dns_error", str(error)))
    dns_ms, resolve = None, list[str]()
    if _NUMERIC_HOST.fullmatch(host) is None:
        try:
            found = await engine.resolver.addresses(host, deadline)
        except NameFailure as error:
            return _outcome(engine, begun, ("dns_error", str(error)))
        except TimeoutError:
            return _outcome(engine, begun, timed_out(service, "while looking up the name", deadline, engine))
        dns_ms = found.ms
        resolve = [f"+{host}:{config.port}:{','.join(found.addresses)}"]
    transfer = engine.take()
    try:
        return await _connected(service, config, deadline, engine, transfer, (host, dns_ms, resolve, begun))
    finally:
        engine.disconnect(transfer)
        engine.give_back(transfer)


async def _connected(
    service: Service,
    config: Tcp,
    deadline: float,
    engine: Engine,
    transfer: Transfer,
    looked_up: tuple[str, float | None, list[str], float],
) -> Outcome:
    host, dns_ms, resolve, begun = looked_up
    inspects = config.tls and engine.inspection.due(service, engine.loop.time())
    transfer.expect(READ_BYTES, False, lambda _: False)
    try:
        transfer.prepare(
            f"{'https' if config.tls else 'http'}://{host}:{config.port}/",
            Shape("GET", {}, None, config.verify_tls, None, connect_only=True),
            resolve,
            max(1, round((deadline - engine.loop.time()) * 1000)),
            inspects,
        )
    except pycurl.error:
        return _outcome(engine, begun, ("unknown_error", "libcurl refuses the host"))
    code, message = await engine.connect(transfer)
    phases = _phases(transfer, dns_ms)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return _outcome(engine, begun, timed_out(service, phase_of(transfer), deadline, engine), **phases)
    if code != 0:
        return _outcome(engine, begun, failure(code, message, transfer), **phases)
    certificate = certificates.leaf(transfer.curl) if inspects else None
    failed, first_byte_ms = await _exchange(service, config, deadline, engine, transfer)
    return _outcome(
        engine,
        begun,
        failed,
        **phases,
        first_byte_ms=first_byte_ms,
        inspected=inspects,
        certificate=certificate,
    )


async def _exchange(
    service: Service, config: Tcp, deadline: float, engine: Engine, transfer: Transfer
) -> tuple[Failure | None, float | None]:
    """Sends and waits for the expected bytes. Returns the failure, or None, and the time to the first byte in
    milliseconds."""
    begun, first_byte_ms = engine.loop.time(), None
    received = bytearray()
    try:
        if config.send is not None:
            await engine.send(transfer, unescaped(config.send), deadline)
        if config.expect is None:
            return None, None
        expected = unescaped(config.expect)
        while expected not in received:
            piece = await engine.receive(transfer, min(_PIECE, READ_BYTES - len(received)), deadline)
            if first_byte_ms is None and piece:
                first_byte_ms = (engine.loop.time() - begun) * 1000
            if not piece:
                return _unmet(config, received, "before the connection was closed"), first_byte_ms
            received += piece
            if len(received) >= READ_BYTES and expected not in received:
                return _unmet(config, received, f"in {READ_BYTES >> 10} KiB"), first_byte_ms
        return None, first_byte_ms
    except TimeoutError:
        if received:
            timed_out(service, "", deadline, engine)  # raises ProberTrouble if the loop was blocked
            return _unmet(config, received, f"within {service.timeout_ms} ms"), first_byte_ms
        what = "while sending" if config.expect is None else "while waiting for the first byte"
        return timed_out(service, what, deadline, engine), None
    except pycurl.error as error:
        return failure(error.args[0], str(error.args[1]), transfer), first_byte_ms


def _unmet(config: Tcp, received: bytearray, when: str) -> Failure:
    beginning = bytes(received[:80]).decode("utf-8", "replace")
    came = f'; it begins with "{beginning}"' if received else "; nothing was received"
    return "assertion_failed", f'the response does not contain "{config.expect}" {when}{came}'


def _phases(transfer: Transfer, dns_ms: float | None) -> dict[str, float | str | None]:
    """The times of the phases that happened, in milliseconds, and the address."""
    info = transfer.curl.getinfo
    phases: dict[str, float | str | None] = {"dns_ms": dns_ms}
    connected, secured = info(pycurl.CONNECT_TIME_T), info(pycurl.APPCONNECT_TIME_T)
    if connected:
        phases["connect_ms"] = (connected - info(pycurl.NAMELOOKUP_TIME_T)) / 1000
        phases["address"] = info(pycurl.PRIMARY_IP)
        if transfer.secure and secured:
            phases["tls_ms"] = (secured - connected) / 1000
    return phases


def _outcome(engine: Engine, begun: float, failed: Failure | None, **facts: object) -> Outcome:
    return Outcome(
        total_ms=(engine.loop.time() - begun) * 1000,
        error_type=failed[0] if failed else None,
        error_message=printable(failed[1]) if failed else None,
        **facts,  # type: ignore[arg-type]
    )


def judge(service: Service, config: Tcp, outcome: Outcome) -> Judgement:
    """The failure of the probe, or else whether it was slow."""
    return verdict.error(outcome) or verdict.good(outcome, service.degraded_after_ms)
