"""Labels that readers give beside their images."""

import typing

import numpy as np
import pytest

from hpazoo.classes import class_list, class_list_names
from hpazoo.errors import HpazooError, UsageError
from hpazoo.parameters import parameters_of
from hpazoo.readers.hpa_files import HpaFiles
from hpazoo.readers.synthetic import Synthetic

OLD, NEW = class_list("hpa-2018"), class_list("hpa-2021")


def test_a_table_beside_the_files(tmp_path):
    (tmp_path / "t.csv").write_text("ID,Label\na,25\nb,0\nc,15\nd,21\n")
    reader = HpaFiles(
        tmp_path, root="images", labels="t.csv", labels_in="hpa-2018", exclude=["Nucleoplasm"]
    )
    found = reader.labels(NEW)
    assert found.ids == ("a", "d")
    assert [found.named(row) for row in (0, 1)] == ["Cytosol", "Plasma membrane"]
    assert found.source == str(tmp_path / "t.csv")
    assert len(HpaFiles(tmp_path, root=".", labels="t.csv").labels(OLD)) == 4


def test_without_a_table(tmp_path):
    with pytest.raises(HpazooError, match="have no labels; add 'labels: FILE'"):
        HpaFiles(tmp_path, root=".").labels(NEW)
    for wrong in ({"labels_in": "hpa-2018"}, {"exclude": ["Cytosol"]}):
        with pytest.raises(UsageError, match=f"'{next(iter(wrong))}' is said of a table of labels"):
            HpaFiles(tmp_path, root=".", **wrong)


def test_every_list_of_classes_can_be_named():
    (found,) = (p.schema["enum"] for p in parameters_of(HpaFiles) if p.name == "labels_in")
    assert set(found) == {*class_list_names(), None}
    assert typing.get_type_hints(HpaFiles.labels)["classes"] is type(NEW)


def test_drawn_fields_are_labelled_by_well(tmp_path):
    reader = Synthetic(tmp_path, fields=20, size=128, label_noise=0)
    found = reader.labels(NEW)
    assert found.ids == tuple(reader.ids())
    for row, name in enumerate(found.ids):
        if name.endswith("_1"):  # annotators label what they see; a cell may show one more
            shown = {one for names in reader.read(name).truth.values() for one in names}
            assert set(found.named(row).split("|")) <= shown
            assert found.named(row) == found.named(row + 1)
    assert np.array_equal(found.labels, reader.labels(NEW).labels)
    with pytest.raises(UsageError, match="draws the classes of hpa-2021"):
        reader.labels(OLD)
