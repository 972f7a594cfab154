"""What is shown while fields are read."""

from __future__ import annotations

import io

from rich.console import Console

from hpazoo.runner.progress import FieldProgress


def test_fields_set_aside_without_end_are_told_for_a_while() -> None:
    said = io.StringIO()
    progress = FieldProgress(500, quiet=False, console=Console(file=said))
    for number in range(500):
        progress.advance(f"field-{number}", "green is missing")
    lines = said.getvalue().splitlines()
    aside = [line for line in lines if line.startswith("set aside field-")]
    assert 5 <= len(aside) <= 50
    assert sum("more are set aside" in line for line in lines) == 1
    assert progress.aside == 500
    assert lines[-1] == "500 of 500 fields"


def test_a_bad_field_now_and_then_is_told() -> None:
    said = io.StringIO()
    progress = FieldProgress(40, quiet=False, console=Console(file=said))
    for number in range(40):
        progress.advance(f"field-{number}", "" if number != 30 else "[red] is [missing]")
    assert "set aside field-30: [red] is [missing]\n" in said.getvalue()
    assert "more" not in said.getvalue()
