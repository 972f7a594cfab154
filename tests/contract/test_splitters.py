"""What every splitter keeps to, run over all that are registered."""

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import HpazooError
from hpazoo.parameters import parameters_of
from hpazoo.splitters import Samples, splitters
from tests.contract.names import built_in

COUNT = 240
OPTIONS = {
    "cosine-groups": {"embeddings": "e.parquet"},
    "embedding-clusters": {"embeddings": "e.parquet", "neighbours": 5},
    "from-file": {"file": "folds.csv"},
    "groups": {"by": "antibody"},
    "groups, by column": {"type": "groups", "column": "Cellline", "folds": 3},
    "holdout": {},
    "holdout, by plate": {"type": "holdout", "by": "plate", "share": 0.3},
    "multilabel-stratified": {"folds": 4},
}


def config(case):
    return {"type": case, **OPTIONS[case]}


def samples(count=COUNT, labels=None):
    """Images of 40 antibodies, which look alike, on ten plates."""
    rng = np.random.default_rng(0)
    antibody = np.arange(count) % 40
    ids = [f"{a}_{a % 10}_A{a}_{row}" for row, a in enumerate(antibody)]
    if labels is None:
        labels = rng.random((count, 19)) < 0.15
    looks = rng.normal(size=(40, 16))[antibody] + 0.05 * rng.normal(size=(count, 16))
    columns = {"Cellline": tuple(f"line {a % 12}" for a in antibody)}
    return Samples(tuple(ids), labels, class_list("hpa-2021"), columns, looks.astype(np.float32))


@pytest.fixture
def splitter(request, tmp_path, monkeypatch):
    """By its case; UMAP, which takes half a minute to compile, has a slow test of its own."""
    rows = [f"{name},{row % 3}" for row, name in enumerate(samples().ids)]
    (tmp_path / "folds.csv").write_text("\n".join(["field,fold", *rows]), encoding="utf-8")
    found = splitters.build(config(request.param), tmp_path)
    if hasattr(found, "_project"):
        monkeypatch.setattr(found, "_project", lambda vectors: 10 * vectors[:, :2])
    return found


def test_every_splitter_is_tried():
    tried = {options.get("type", case) for case, options in OPTIONS.items()}
    assert set(built_in(splitters)) == tried, "give the new splitter its options here"


@pytest.mark.parametrize("splitter", OPTIONS, indirect=True)
class TestSplitter:
    def test_folds_are_a_partition(self, splitter):
        found = splitter.split(samples())
        assert found.fold.shape == (COUNT,) and found.fold.dtype == np.int64
        folds = int(found.fold.max()) + 1
        assert set(found.fold.tolist()) - {-1} == set(range(folds))
        assert splitter.folds in (None, folds)
        assert (found.fold == -1).any() == (folds == 1)

    def test_no_group_is_in_two_folds(self, splitter):
        found = splitter.split(samples())
        if found.group is None:
            return
        assert found.group.shape == (COUNT,) and found.group.dtype == np.int64
        for group in np.unique(found.group):
            assert len(set(found.fold[found.group == group])) == 1

    def test_repeats_itself_and_keeps_the_samples(self, splitter):
        given = samples()
        first, again = splitter.split(given), splitter.split(given)
        assert np.array_equal(first.fold, again.fold)
        assert first.notes == again.notes
        assert all(isinstance(note, str) and note for note in first.notes)
        assert np.array_equal(given.labels, samples().labels)
        assert np.array_equal(given.embeddings, samples().embeddings)

    @pytest.mark.parametrize("count", [0, 1])
    def test_too_few_images(self, splitter, count):
        if splitter.folds is None:
            pytest.skip("makes no folds")
        with pytest.raises(HpazooError, match="cannot fill"):
            splitter.split(samples(count))

    def test_classes_without_images_are_named_or_passed_over(self, splitter):
        labels = samples().labels.copy()
        labels[:, 7] = False
        found = splitter.split(samples(labels=labels))
        if splitter.folds is not None:
            assert any("no image has Golgi apparatus" in note for note in found.notes)

    def test_labels_that_do_not_fit(self, splitter):
        if splitter.folds is None:
            pytest.skip("looks at no labels")
        with pytest.raises(HpazooError, match="labels of shape"):
            splitter.split(samples(labels=np.zeros((COUNT, 3), bool)))


@pytest.mark.parametrize("name", built_in(splitters))
def test_parameters_are_documented(name):
    factory = splitters.get(name)
    assert factory.__doc__
    assert all(parameter.doc for parameter in parameters_of(factory))
    assert any(p.schema.get("x-reference") == "embeddings" for p in parameters_of(factory))
