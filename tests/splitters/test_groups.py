"""Groups by ids and columns, hold-outs, and what cannot be had."""

import re
from pathlib import Path

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.errors import HpazooError, UsageError
from hpazoo.splitters import Samples
from hpazoo.splitters.groups import Groups
from hpazoo.splitters.holdout import Holdout
from hpazoo.splitters.multilabel_stratified import MultilabelStratified
from tests.splitters.conftest import labels_of, samples_of

HERE = Path()


def atlas(count=300):
    """2018's style: 60 antibodies on six plates, 2 wells each, some with the fifth part."""
    ids = []
    for row in range(count):
        antibody, well = row % 60, row % 120
        tail = "_cr5c52d8af8e1b3" if row % 7 == 0 else ""
        ids.append(f"{antibody + 100}_{antibody % 6}_B{well}_{row}{tail}")
    return samples_of(labels_of(count), ids)


@pytest.mark.parametrize(("by", "groups"), [("antibody", 60), ("plate", 6), ("well", 120)])
def test_groups_by_id(by, groups):
    given = atlas()
    found = Groups(HERE, by=by, folds=3).split(given)
    assert found.group.max() + 1 == groups
    place = {"antibody": 0, "plate": 1, "well": 2}[by]
    parts = [name.split("_")[place] for name in given.ids]
    for one in set(parts):
        rows = [row for row, part in enumerate(parts) if part == one]
        assert len(set(found.fold[rows])) == 1


def test_an_id_without_antibody_takes_that_of_its_well():
    """2021's style leaves the antibody out: 0_B0_999 is of the same well as 100_0_B0_0."""
    given = atlas()
    ids = (*given.ids, "0_B0_999", "0_b0_998")
    labels = np.concatenate([given.labels, given.labels[:2]])
    for by in ("antibody", "well"):
        found = Groups(HERE, by=by).split(samples_of(labels, ids))
        assert found.group[-1] == found.group[-2] == found.group[0]
        said = "2 ids without antibody take that of other fields"
        assert any(said in note for note in found.notes) == (by == "antibody")


def test_ids_that_say_no_antibody_are_refused_or_stand_alone():
    given = atlas()
    ids = (*given.ids, "77_C9_1", "77_C9_2", "5f2c-uuid", "another")
    mixed = samples_of(np.concatenate([given.labels, given.labels[:4]]), ids)
    words = (
        r"ids that say no antibody: 4 of 304 images \(77_C9_1, 77_C9_2, 5f2c-uuid, ...\).*others"
    )
    with pytest.raises(HpazooError, match=words):
        Groups(HERE, by="antibody").split(mixed)
    found = Groups(HERE, by="antibody", others="alone").split(mixed)
    assert any("4 of 304 images" in note and "near-duplicates" in note for note in found.notes)
    assert found.group[-4] == found.group[-3]
    assert len({*found.group[-3:]}) == 3


def test_ids_that_are_none_of_the_atlas():
    plain = samples_of(labels_of(50))
    for others in ("refuse", "alone"):
        with pytest.raises(
            HpazooError, match=r"no plate: 50 of 50 images .*Atlas ids are <antibody>"
        ):
            Groups(HERE, by="plate", others=others).split(plain)


def test_groups_by_column():
    lines = [f"line {row % 20}" for row in range(200)]
    given = samples_of(labels_of(200), columns={"Cellline": tuple(lines)})
    found = Groups(HERE, column="Cellline").split(given)
    assert found.group.max() + 1 == 20
    with pytest.raises(HpazooError, match="no column 'Celline'; did you mean 'Cellline'"):
        Groups(HERE, column="Celline").split(given)
    lines[3] = " "
    gaps = samples_of(labels_of(200), columns={"Cellline": tuple(lines)})
    with pytest.raises(HpazooError, match=r"'Cellline' is empty: 1 of 200 images .x00003.*Fill it"):
        Groups(HERE, column="Cellline").split(gaps)
    found = Groups(HERE, column="Cellline", others="alone").split(gaps)
    assert (found.group == found.group[3]).sum() == 1


@pytest.mark.parametrize("options", [{}, {"by": "well", "column": "x"}])
def test_one_of_by_and_column(options):
    with pytest.raises(UsageError, match="give one of 'by'"):
        Groups(HERE, **options)


def test_hold_outs():
    given = samples_of(labels_of(1000))
    for share, size in ((0.2, 200), (1 / 3, 333), (0.001, 1), (1e-9, 1), (0.9999, 999)):
        found = Holdout(HERE, share=share).split(given)
        assert abs(int((found.fold == 0).sum()) - size) <= 1
        assert set(found.fold.tolist()) == {0, -1}
        assert found.group is None
    grouped = Holdout(HERE, by="antibody").split(atlas())
    assert abs(int((grouped.fold == 0).sum()) - 60) <= 1
    assert grouped.group.max() + 1 == 60
    with pytest.raises(UsageError, match="not both"):
        Holdout(HERE, by="well", column="x")


def test_a_hold_out_spreads_every_class():
    given = samples_of(labels_of(5000))
    found = Holdout(HERE, share=0.15).split(given)
    off = given.labels[found.fold == 0].sum(axis=0) - 0.15 * given.labels.sum(axis=0)
    assert np.abs(off).max() < 1


def test_what_could_not_be_had_is_said():
    """A class without images, one in two groups, one group larger than a fold."""
    labels = labels_of(400)
    labels[:, [2, 18]] = False
    labels[[0, 1, 399], 18] = True
    columns = {"c": tuple("big" if row < 150 else str(row) for row in range(400))}
    found = Groups(HERE, column="c").split(samples_of(labels, columns=columns))
    said = "\n".join(found.notes)
    assert "no image has Nucleoli:" in said
    assert "fewer groups of images than folds have" in said and "Negative (2)" in said
    assert "the largest group has 150 of 400 images, more than a fold should have (80)" in said
    assert re.search(rf"could not be divided evenly: .* \+\d+% in fold {found.fold[0]}", said)


def test_nothing_is_said_where_all_is_well():
    assert MultilabelStratified(HERE).split(samples_of(labels_of(2000))).notes == ()
    columns = {"c": tuple(str(row // 3) for row in range(6000))}
    given = samples_of(labels_of(6000), columns=columns)
    assert Groups(HERE, column="c").split(given).notes == ()


def test_one_class_alone_is_stratified():
    """The library takes one column for another kind of problem."""
    labels = np.zeros((100, 19), bool)
    for count in (0, 40, 100):
        labels[:count, 4] = True
        fold = MultilabelStratified(HERE).split(samples_of(labels)).fold
        assert [labels[fold == number, 4].sum() for number in range(5)] == [count // 5] * 5
        assert np.bincount(fold).tolist() == [20] * 5


def test_real_groups(external):
    """74,606 images of 12,815 antibodies, some classes in fewer antibodies than folds."""
    ids, labels = external
    given = Samples(ids, labels, class_list("hpa-2018"))
    found = Groups(HERE, by="antibody").split(given)
    assert found.group.max() + 1 == 12815
    antibodies = np.array([name.split("_")[0] for name in ids])
    for number in range(5):
        inside = set(antibodies[found.fold == number])
        assert inside.isdisjoint(antibodies[found.fold != number])
    total = labels.sum(axis=0)
    off = np.stack([labels[found.fold == number].sum(axis=0) for number in range(5)]) - total / 5
    assert (np.abs(off) / (total / 5))[:, total >= 500].max() <= 0.0051
    assert np.ptp(np.bincount(found.fold)) <= 1
