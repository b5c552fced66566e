"""The table of formats in the reference is what the tests show, no more and no less."""

import re

import format_facts
import pytest
from format_facts import FORMATS, PAGE, ROOT, page_with_table

TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
}
SHARED = (ROOT / "tests" / "unit" / "test_readers_shared.py").read_text()


def test_the_page_has_the_table():
    assert PAGE.read_text() == page_with_table(PAGE.read_text()), format_facts.__doc__
    assert all(f"| {f.name} |" in PAGE.read_text() for f in FORMATS)


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_fact_has_a_test_and_every_format_a_reader_in_the_shared_suite(row):
    assert {*row.kept.values(), *row.changed.values(), *row.refused.values()} <= TESTS
    assert row.kept
    assert row.refused
    assert re.search(rf'(?:"|READERS\[f"){row.readers}', SHARED)
