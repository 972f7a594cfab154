from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpazoo.fields import Cells
from hpazoo.postprocessors import Seen


@pytest.fixture
def nowhere() -> Path:
    return Path("/there/is/no/such/folder")


def seen(cells: int = 0, **known) -> Seen:
    """A field of so many cells; `areas`, `nuclei`, `border` and `members` as given."""
    found = Cells(
        np.arange(1, cells + 1),
        np.zeros((cells, 4), np.int64),
        np.asarray(known.get("areas", np.full(cells, 100))),
        np.asarray(known.get("border", np.zeros(cells, bool))),
        None if "nuclei" not in known else np.asarray(known["nuclei"]),
    )
    return Seen(found, (200, 200), 0.08, known.get("members", {}))
