"""Other blends of the members of a run than its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hpazoo.classes import ClassList
from hpazoo.ensembles import Learner, ensembles
from hpazoo.errors import UsageError
from hpazoo.evaluation.blends import Blends
from hpazoo.runner.folder import RunFolder
from hpazoo.runner.parts import Parts
from hpazoo.runner.plan import Plan
from hpazoo.runner.results import Results
from hpazoo.spec import Spec


def blended(
    specs: Mapping[str, Spec], classes: ClassList, data: Path, folder: RunFolder, plan: Plan
) -> Blends:
    """What each spec makes of the members' answers, all fields in memory.

    `specs` are specs of the run with other `members` (of its own), `ensemble` or `postprocess`.
    """
    parts = Parts(folder, classes)
    made = [_results(spec, classes, data, folder, plan, parts) for spec in specs.values()]
    fields = {}
    for together in zip(*(one.stream() for one in made), strict=True):
        first = together[0]
        fields[first.id] = first.cells.ids, np.stack([one.probabilities for one in together])
    return Blends(tuple(specs), fields)


def _results(
    spec: Spec, classes: ClassList, data: Path, folder: RunFolder, plan: Plan, parts: Parts
) -> Results:
    blend = ensembles.build(spec.resolved["ensemble"])
    if isinstance(blend, Learner):
        name = spec.resolved["ensemble"]["type"]
        raise UsageError(
            f"ensemble '{name}' learns its weights, and would do so on the cells that blends are "
            "compared on; take one that does not, such as 'mean'"
        )
    return Results(spec, classes, data, folder, plan, blend, parts=parts)
