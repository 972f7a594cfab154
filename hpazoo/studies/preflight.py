"""What a study needs of each of its variants, looked at before the first of them is run."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from hpazoo.classes import class_list
from hpazoo.ensembles import Learner, ensembles
from hpazoo.errors import HpazooError, UsageError, listed
from hpazoo.evaluation.chosen import title
from hpazoo.metrics import metrics
from hpazoo.postprocessors import postprocessors
from hpazoo.readers import Reader, readers
from hpazoo.registry import split_config
from hpazoo.spec import Spec
from hpazoo.spec.shapes import AS_WRITTEN
from hpazoo.spec.study import Comparison, Study
from hpazoo.studies.groups import labels_of
from hpazoo.training.sources import gather


def check(specs: Mapping[str, Spec], study: Study, data: Path) -> None:
    """UsageError with all that some variant lacks; `specs` are those of one repeat, by variant."""
    problems = [
        *_corrections(specs[AS_WRITTEN], study, data),
        *(
            f"{name}: {problem}"
            for name, spec in specs.items()
            for problem in _problems(spec, study, data)
        ),
    ]
    if not problems:
        problems = [*_unlike(specs, study), *_known_images(specs, study, data)]
        problems = list(dict.fromkeys(problems))
    if problems:
        raise UsageError("this cannot be studied:\n  " + "\n  ".join(problems))


def _corrections(spec: Spec, study: Study, data: Path) -> Iterator[str]:
    """Files that they need."""
    classes = class_list(spec.resolved["classes"])
    for name, steps in study.corrections.items():
        for step in steps:
            try:
                postprocessors.build(step, classes, data)
            except HpazooError as error:
                yield f"correction '{name}': {error}"


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
        names = [] if one.optimism else [*one.variants, *_chooses_on(one, study)]
        found = {first[name]: name for name in names}
        if len(found) > 1:
            by = " and ".join(f"{metric} in {name}" for metric, name in found.items())
            yield f"'{one.claim}' compares scores by {by}; a comparison has one first metric"


def _known_images(specs: Mapping[str, Spec], study: Study, data: Path) -> Iterator[str]:
    """Variants whose images are not new to what is chosen, or promised, of them."""

    @functools.cache
    def ids(name: str) -> frozenset[str]:
        reader: Reader = readers.build(specs[name].resolved["images"], data)
        return frozenset(reader.ids())

    for one in study.comparisons:
        for chosen in _chooses_on(one, study):
            for name in one.variants:
                if common := sorted(ids(chosen) & ids(name)):
                    yield (
                        f"'{one.claim}' chooses the best on '{chosen}', {len(common)} of whose "
                        f"fields are among those it is compared on in {name} ({listed(common)}); "
                        "give it other images"
                    )
    for name in dict.fromkeys(n for one in study.comparisons if one.optimism for n in one.variants):
        spec = specs[name]
        classes = class_list(spec.resolved["classes"])
        learned = gather(spec.resolved["training"]["images"], classes, data).table.ids
        if common := sorted(ids(name) & set(learned)):
            yield (
                f"{name}: {len(common)} of the run's images are among those to learn from "
                f"({listed(common)}), so that they are not new; give the run other images"
            )


def _chooses_on(comparison: Comparison, study: Study) -> list[str]:
    """The variant on which one side is chosen, if it is."""
    several = len(comparison.arm) > 1 or len(comparison.against) > 1
    return [study.choose_on] if several and study.choose_on is not None else []
