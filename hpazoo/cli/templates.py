"""Texts of `hpazoo new`; NAME, PACKAGE and SCHEMA are filled in."""

from __future__ import annotations

PLUGIN = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
""",
    "setup.cfg": """
[metadata]
name = hpazoo-NAME
version = 0.1.0
description = Components for hpazoo

[options]
packages = PACKAGE
python_requires = >=3.11
install_requires =
    hpazoo

[options.package_data]
PACKAGE = hpazoo.json

[options.entry_points]
hpazoo.ensembles =
    NAME.median = PACKAGE.median:Median

[tool:pytest]
testpaths = tests
""",
    "README.md": """
# hpazoo-NAME

Components for [hpazoo](https://pypi.org/project/hpazoo). After `pip install -e .`

    hpazoo list ensembles
    hpazoo show ensemble NAME.median

and in a spec: `ensemble: NAME.median`. Its parameters are read from `PACKAGE/hpazoo.json`, so that
specs are checked without importing it; write that file anew when you change them:

    hpazoo plugins --manifest hpazoo-NAME > PACKAGE/hpazoo.json
""",
    "PACKAGE/__init__.py": """
\"\"\"Components for hpazoo.\"\"\"
""",
    "PACKAGE/median.py": """
\"\"\"Median of the members.\"\"\"

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from hpazoo.parameters import Range


class Median:
    \"\"\"Take the median of the members' probabilities.

    Parameters
    ----------
    trim
        Share of the lowest and of the highest values that is left out first.
    \"\"\"

    uses_weights: ClassVar[bool] = False

    def __init__(self, *, trim: Annotated[float, Range(ge=0, lt=0.5)] = 0.0) -> None:
        self.trim = trim

    def blend(self, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
        \"\"\"Probabilities (members, N, classes) -> (N, classes).\"\"\"
        ordered = np.sort(probabilities, axis=0)
        cut = int(self.trim * len(ordered))
        median: np.ndarray = np.median(ordered[cut : len(ordered) - cut], axis=0)
        return median.astype(np.float32)
""",
    "PACKAGE/hpazoo.json": """
{
 "ensembles": {
  "NAME.median": {
   "summary": "Take the median of the members' probabilities.",
   "doc": "Take the median of the members' probabilities.\\n\\nParameters\\n----------\\ntrim\\n    Share of the lowest and of the highest values that is left out first.",
   "parameters": {
    "trim": {
     "schema": {
      "type": "number",
      "minimum": 0,
      "exclusiveMaximum": 0.5
     },
     "doc": "Share of the lowest and of the highest values that is left out first.",
     "default": 0.0
    }
   },
   "needs": [],
   "gives": [],
   "facts": {
    "uses_weights": false
   }
  }
 }
}
""",  # noqa: E501
    "tests/test_median.py": """
import json
from pathlib import Path

import numpy as np
import PACKAGE
from PACKAGE.median import Median

from hpazoo.spec.catalog import describe


def test_median():
    probabilities = np.array([0.1, 0.2, 0.9], np.float32).reshape(3, 1, 1)
    blended = Median().blend(probabilities, np.ones(3))
    assert blended.shape == (1, 1)
    assert blended.dtype == np.float32
    assert blended[0, 0] == np.float32(0.2)


def test_the_manifest_is_up_to_date():
    \"\"\"Stale: hpazoo plugins --manifest hpazoo-NAME > PACKAGE/hpazoo.json\"\"\"
    manifest = json.loads(Path(PACKAGE.__file__).with_name("hpazoo.json").read_text())
    assert manifest["ensembles"]["NAME.median"] == describe(Median).as_json()
""",
}

SPEC = """
# yaml-language-server: $schema=SCHEMA
hpazoo: 1
name: NAME
classes: hpa-2021

images: {type: hpa-files, root: my-images} # <id>_red.png, _green, _blue and _yellow
masks: watershed # how cells are found; or {type: label-images, root: my-masks}

models:
  network:
    backbone: densenet121
    head: avg-max
    input: {size: 768, normalize: hpa-2018}
    checkpoint: weights/final.pth

members: # a model seen through a strategy
  - {model: network, strategy: gap-mask}
  - {model: network, strategy: gridify}

ensemble: mean
postprocess: [suppress-negative]
outputs: [table, kaggle-submission]
"""
