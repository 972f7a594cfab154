from __future__ import annotations

from pathlib import Path

import pytest

SPEC = """\
hpazoo: 1
name: small
classes: hpa-2021
images: {type: synthetic, fields: 5, size: 128, seed: 3}
masks: provided
models:
  dense: {backbone: densenet121, head: avg-max, input: {size: 64, normalize: hpa-2018}}
members:
  - {model: dense, strategy: gap-mask}
  - {model: dense, strategy: {type: gridify, crop: 32}, weight: 3}
postprocess: [suppress-negative]
outputs: [table, kaggle-submission]
"""


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


OUTPUTS = ("predictions.parquet", "predictions.csv", "fields.csv", "submission.csv")


def outputs_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads shapes the last bits; and tests share the machine."""
    monkeypatch.setattr("hpazoo.runner.options.cores", lambda: 1)
