"""Which models are trained: those of whose checkpoint nothing is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpazoo.runner.lesson import to_train
from hpazoo.spec import load

SPEC = """\
hpazoo: 1
name: lesson
classes: hpa-2021
models:
  a:
    backbone: densenet121
    head: avg-max
    input: {size: 768, normalize: hpa-2018}
    checkpoint: hpa2021-6th-densenet121-768
    train: {}
training:
  images: [synthetic]
  splitter: {type: holdout, share: 0.5}
"""


@pytest.mark.parametrize("there", [False, True])
def test_a_damaged_checkpoint_is_not_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """One fold of five, of which nothing is recorded: an error to mend, not hours of training."""
    monkeypatch.setenv("HPAZOO_CACHE", str(tmp_path / "cache"))
    if there:
        folder = tmp_path / "cache" / "hpa2021-6th-densenet121-768"
        folder.mkdir(parents=True)
        (folder / "fold0.pth").write_bytes(b"half a file")
    path = tmp_path / "lesson.yaml"
    path.write_text(SPEC, encoding="utf-8")
    found = to_train(load(path), ["a"], tmp_path)
    assert [model.name for model in found] == ([] if there else ["a"])
