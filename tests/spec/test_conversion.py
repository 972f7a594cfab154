from __future__ import annotations

from pathlib import Path

import pytest

from hpazoo.cli import main
from hpazoo.registry import KINDS
from hpazoo.spec import conversion, load
from hpazoo.spec.catalog import components
from tests.spec.test_overrides import SPEC


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec that names a head and a strategy as an earlier release did."""
    old = {"heads": {"look": "attention"}, "strategies": {"mask-gap": "gap-mask"}}
    monkeypatch.setattr(conversion, "renamed", lambda: old)
    path = tmp_path / "old.yaml"
    text = SPEC.replace("head: attention", "head: {type: look, grid: 4}")
    path.write_text(text.replace("gap-mask", "mask-gap"), encoding="utf-8")
    return path


def test_old_names_work(spec: Path) -> None:
    loaded = load(spec)
    assert loaded.models["net.v1"].head == {"type": "attention", "grid": 4}
    assert loaded.members[0].name == "net.v1+gap-mask"
    assert [warning.message for warning in loaded.warnings] == [
        "warning: the head 'look' is called 'attention' now",
        "warning: the strategy 'mask-gap' is called 'gap-mask' now",
    ]
    assert loaded.warnings[0].place[1:3] == (4, 49)


def test_the_command_line_says_so(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["validate", str(spec)])
    assert stop.value.code == 0
    out, err = capsys.readouterr()
    assert "fine" in out
    assert "is called 'attention' now" in err


def test_published_renames_lead_somewhere() -> None:
    conversion.renamed.cache_clear()
    for kind, names in conversion.renamed().items():
        assert kind in KINDS
        for old, new in names.items():
            assert new in components(kind)
            assert old not in components(kind)
