"""Certificates for test targets, and an engine that trusts their CA."""

from collections.abc import AsyncIterator

import pytest

from prober.probes import Engine
from tests.prober.http_checks import settings
from tests.prober.targets import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def probe_engine(certificates: Certificates) -> AsyncIterator[Engine]:
    """An engine that inspects the certificate in every check, not once an hour."""
    async with Engine(settings(certificates.ca_file), certificates_every_s=0) as probe_engine:
        yield probe_engine
