"""What a study needs of each of its variants, looked at before the first of them is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hpazoo.classes import class_list
from hpazoo.ensembles import Learner, ensembles
from hpazoo.errors import HpazooError, UsageError
from hpazoo.evaluation.chosen import title
from hpazoo.metrics import metrics
from hpazoo.readers import Reader, readers
from hpazoo.registry import split_config
from hpazoo.spec import Spec
from hpazoo.spec.study import Study
from hpazoo.studies.groups import labels_of


def check(specs: Mapping[str, Spec], study: Study, data: Path) -> None:
    """UsageError with all that some variant lacks; `specs` are those of one repeat, by variant."""
    problems = [
        f"{name}: {problem}"
        for name, spec in specs.items()
        for problem in _problems(spec, study, data)
    ]
    problems += _unlike(specs, study)
    if problems:
        raise UsageError("this cannot be studied:\n  " + "\n  ".join(problems))


def _problems(spec: Spec, study: Study, data: Path) -> Iterator[str]:
    if "table" not in [config["type"] for config in spec.resolved["outputs"]]:
        yield "blends are compared on the cells of the table; put 'table' among the 'outputs'"
    blend = spec.resolved["ensemble"]
    if isinstance(ensembles.build(blend), Learner):
        yield (
            f"ensemble '{blend['type']}' learns its weights, and would do so on the cells that "
            "blends are compared on; take one that does not, such as 'mean'"
        )
    config = spec.resolved["images"]
    try:
        reader: Reader = readers.build(config, data)
        table = labels_of(reader, class_list(spec.resolved["classes"]))
    except HpazooError as error:
        yield f"images: {error}"
        return
    cells = {"truth", "masks"} <= set(reader.gives)
    if not cells and table is None:
        yield f"reader '{config['type']}' knows nothing of what its images show"
    for metric in spec.resolved["metrics"]:
        needs = getattr(metrics.get(split_config(metric)[0]), "needs", ())
        if "cells" in needs and not cells:
            yield (
                f"{title(metric)} needs the truth of cells, and reader '{config['type']}' knows "
                "labels of images; take 'image-map'"
            )
    if study.group is not None and (table is None or study.group not in table.columns):
        has = ", ".join(table.columns) if table else ""
        yield (
            f"'group' is '{study.group}', which is no column of the labels of these images; their "
            f"columns: {has or 'none'}"
        )


def _unlike(specs: Mapping[str, Spec], study: Study) -> Iterator[str]:
    """Comparisons of scores by two metrics."""
    first = {name: title(spec.resolved["metrics"][0]) for name, spec in specs.items()}
    for one in study.comparisons:
        found = {} if one.optimism else {first[name]: name for name in one.variants}
        if len(found) > 1:
            by = " and ".join(f"{metric} in {name}" for metric, name in found.items())
            yield f"'{one.claim}' compares scores by {by}; a comparison has one first metric"
