"""When the prober inspects a certificate, and how it reads the expiry and the issuer."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.outcome import Certificate, Outcome
from prober.probes.certificates import ISSUER_LIMIT, Inspection, certificate
from prober.services import Service
from sla_monitor.checks.http import Http
from sla_monitor.formats.one_line import fits_one_line
from tests.prober.services import http_service

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
SERVICE = http_service(id="web", endpoint_url="https://one.example/")
INSPECTED = Outcome(total_ms=1.0, inspected=True, certificate=Certificate(NEW_YEAR, None))


def read(expires: bytes = b"Jan  1 00:00:00 2027 GMT", issuer: bytes = b"O = Acme") -> Certificate | None:
    return certificate({b"Expire date": expires, b"Issuer": issuer})


@pytest.mark.parametrize(
    ("stated", "year"),
    [
        (b"Jan  1 00:00:00 2027 GMT", 2027),
        (b"Dec 31 23:59:59 1999 GMT", 1999),
        (b"Dec 31 23:59:59 9998 GMT", 9998),
        (b"Dec 31 23:59:59 9999 GMT", None),
        (b"Jan  1 00:00:00 0000 GMT", None),
        (b"Jan  1 00:00:00 1950 GMT", None),
        (b"Bad time value", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"2027-01-01T00:00:00Z", None),
    ],
)
def test_an_implausible_expiry_is_none(stated: bytes, year: int | None) -> None:
    found = read(stated)
    assert (found.expires_at.year if found else None) == year


@pytest.mark.parametrize(
    ("name", "issuer"),
    [
        (b"C = US, O = Let's Encrypt, CN = R11", "Let's Encrypt"),
        (b"C=US, O=Let's Encrypt, CN=R11", "Let's Encrypt"),
        (b"CN = 127.0.0.1", "127.0.0.1"),
        (b"C = US", None),
        (b"", None),
        (rb'C = US, O = "DigiCert, \"Inc.\" = \C3\96+x", OU = y', 'DigiCert, "Inc." = Ö+x'),
        (rb'OU = "x, O = Evil", O = Acme', "Acme"),
        (rb"O = M\C3\BCller + CN = x", "Müller"),
        (rb"O = \FF", "\N{REPLACEMENT CHARACTER}"),
        (b"O = a\x1b[31m\nb", "a�[31m�b"),
        (b"O = " + b"a" * 5000, "a" * ISSUER_LIMIT),
    ],
)
def test_the_issuer_is_its_organisation(name: bytes, issuer: str | None) -> None:
    found = read(issuer=name)
    assert found is not None
    assert found.issuer == issuer


@given(expires=st.binary(max_size=50), issuer=st.binary(max_size=200))
def test_any_bytes_can_be_read(expires: bytes, issuer: bytes) -> None:
    read(expires)
    found = read(issuer=issuer)
    assert found is not None
    assert found.issuer is None or (fits_one_line(found.issuer) and len(found.issuer) <= ISSUER_LIMIT)


def test_a_certificate_without_expiry_and_issuer_is_none() -> None:
    assert certificate({}) is None


class TestInspection:
    def inspected(self, outcome: Outcome = INSPECTED, **changes: Any) -> tuple[Inspection, Service]:
        inspection = Inspection(every_s=3600)
        assert inspection.due(SERVICE, 10.0)
        inspection.note(SERVICE, outcome, 10.0)
        return inspection, msgspec.structs.replace(SERVICE, **changes)

    def test_it_is_due_once_an_hour(self) -> None:
        inspection, service = self.inspected()
        assert not inspection.due(service, 3609.0)
        assert inspection.due(service, 3610.0)

    def test_an_unreadable_certificate_is_not_inspected_with_every_check(self) -> None:
        inspection, service = self.inspected(Outcome(total_ms=1.0, inspected=True))
        assert not inspection.due(service, 11.0)

    def test_it_is_due_again_if_there_was_no_inspection(self) -> None:
        inspection, service = self.inspected(Outcome(total_ms=1.0))
        assert inspection.due(service, 11.0)

    def test_it_is_due_at_once_for_another_url(self) -> None:
        inspection, service = self.inspected(check_config=Http(endpoint_url="https://two.example/"))
        assert inspection.due(service, 11.0)

    def test_it_is_due_at_once_after_a_failed_handshake(self) -> None:
        """The certificate may have been replaced."""
        inspection, service = self.inspected()
        inspection.note(service, Outcome(total_ms=1.0, error_type="timeout"), 20.0)
        assert not inspection.due(service, 21.0)
        inspection.note(service, Outcome(total_ms=1.0, error_type="tls_error"), 20.0)
        assert inspection.due(service, 21.0)
