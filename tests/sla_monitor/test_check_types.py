"""Every check type has what the forms need."""

from typing import get_args

import pytest

from sla_monitor.checks import CHECK_TYPES
from sla_monitor.checks.config import labels
from sla_monitor.texts.languages import Language


@pytest.mark.parametrize("name", CHECK_TYPES)
def test_all_fields_have_labels_in_every_language(name: str) -> None:
    kind = CHECK_TYPES[name]
    assert set(kind.LABEL) == set(get_args(Language))
    if name == "http":  # its form is a template of its own
        return
    found = labels(kind)
    assert set(found) == set(kind.__struct_fields__)
    for label in found.values():
        assert all(label.text[language] for language in get_args(Language))
        assert len({bool(label.hint[language]) for language in get_args(Language)}) == 1
