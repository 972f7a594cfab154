"""What can be seen in the pictures."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab

from hpazoo.classes import ClassList, class_list
from hpazoo.errors import HpazooError
from hpazoo.fields import FieldRecord
from hpazoo.geometry import cells_of
from hpazoo.readers.synthetic import Synthetic
from hpazoo.runner.results import Results
from hpazoo.writers import FieldResult
from hpazoo.writers._colours import colour_of
from hpazoo.writers._overlay import _FILL, _UNCALLED, visible
from hpazoo.writers._sheet import _EDGE, _HEAD
from hpazoo.writers.pictures import Pictures

CLASSES = class_list("hpa-2021")
SIDE = 300
# Simulation of people without red, and without green, on linear values: Machado et al. 2009.
NO_RED = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
NO_GREEN = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]


def masks_of(shape=(SIDE, SIDE)):
    """Cells 3 and 5 side by side, 9 in a corner."""
    masks = np.zeros(shape, np.int32)
    masks[100:180, 20:120] = 3
    masks[100:180, 120:220] = 5
    masks[:60, :60] = 9
    return masks


def result(calls, name="a", masks=None, classes=CLASSES, protein=60, **more):
    """A field whose cells are called as `calls` says: cell -> {class: probability}."""
    masks = masks_of() if masks is None else masks
    cells = cells_of(masks)
    values = np.zeros((len(cells), len(classes)), np.float32)
    for row, cell in enumerate(cells.ids.tolist()):
        for location, value in calls.get(cell, {}).items():
            values[row, classes.index(location)] = value
    pixels = np.zeros((4, *masks.shape), np.uint8)
    pixels[0], pixels[1], pixels[2] = 40, protein, 90
    known = {"pixel_size": 0.5, "sha256": "", "notes": ()} | more
    return FieldResult(
        name, *masks.shape, cells=cells, probabilities=values, masks=masks.copy,
        **{"pixels": pixels.copy, **known},
    )  # fmt: skip


def views(data, shape=(SIDE, SIDE)):
    """(page, left view, right view) of a PNG, red first."""
    page = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].astype(int)
    height, width = shape
    rows = slice(_HEAD, _HEAD + height)
    left = page[rows, _EDGE : _EDGE + width]
    second = 2 * _EDGE + (page.shape[1] - 3 * _EDGE) // 2  # as wide as what stands above it
    return page, left, page[rows, second : second + width]


def drawn(calls, stamp="", **more):
    return views(Pictures(CLASSES, size=SIDE).picture(result(calls, **more), stamp))


def named(name):
    return np.array(colour_of(name, CLASSES.index(name)))


def mixed(name, protein=60):
    return protein + _FILL * (named(name) - protein)


def share(region, colour, within=6):
    """Of the pixels of a region, those of a colour."""
    return (np.abs(region - colour).max(axis=-1) <= within).mean()


def test_cells_have_the_colour_of_their_call():
    _, left, right = drawn({3: {"Nucleoli": 0.9}, 5: {"Cytosol": 0.7}})
    assert share(left[5:250, 225:295], [40, 60, 90]) == 1
    assert share(right[185:295, 225:295], 60) == 1
    # names stand over the fills
    assert share(right[110:170, 30:110], mixed("Nucleoli")) > 0.7
    assert share(right[110:170, 130:210], mixed("Cytosol")) > 0.7
    assert share(right[120:160, 20:22], named("Nucleoli"), 12) > 0.9
    # each outline lies within its own cell
    assert share(right[120:160, 118:120], named("Nucleoli"), 12) > 0.9
    assert share(right[120:160, 120:122], named("Cytosol"), 12) > 0.9


def test_several_calls_are_stripes_and_the_likeliest_has_the_outline():
    calls = {
        "Golgi apparatus": 0.6,
        "Mitochondria": 0.8,
        "Vesicles and punctate cytosolic patterns": 0.4,
    }
    _, _, right = drawn({3: calls})
    inside = right[105:175, 25:115]
    for name in ("Golgi apparatus", "Mitochondria"):
        assert 0.25 < share(inside, mixed(name)) < 0.6
    assert share(inside, mixed("Vesicles and punctate cytosolic patterns")) == 0
    assert share(right[120:160, 20:22], named("Mitochondria"), 12) > 0.9


def test_nothing_called_is_an_outline_alone_and_the_border_of_the_field_is_none():
    _, _, right = drawn({9: {"Negative": 0.49}})
    assert share(right[10:50, 10:50], 60) == 1
    assert share(right[10:50, 58:61], np.array(_UNCALLED), 70) > 0.3
    assert share(right[:2, 5:50], 60) == 1 and share(right[5:50, :2], 60) == 1


def test_the_legend_has_what_occurs_and_no_more():
    one, _, _ = drawn({3: {"Nucleoli": 0.9}, 5: {"Nucleoli": 0.9}, 9: {"Nucleoli": 0.9}})
    legend = one[_HEAD + SIDE :]
    found = {
        name: int((np.abs(legend - named(name)).max(axis=-1) <= 2).sum()) for name in CLASSES.names
    }
    assert found["Nucleoli"] > 200
    assert all(count < 20 for name, count in found.items() if name not in ("Nucleoli", "Negative"))


def test_a_stamp_is_in_the_picture():
    plain, _, _ = drawn({})
    page, _, _ = drawn({}, stamp="random weights")
    red = (page[..., 0] > 150) & (page[..., 1:] < 60).all(axis=-1)
    assert red[:_HEAD].sum() > 100
    assert not ((plain[..., 0] > 150) & (plain[..., 1:] < 60).all(axis=-1)).any()


@pytest.mark.parametrize("shape", [(2048, 1500), (64, 128)])
def test_every_field_is_fitted(shape):
    masks = np.zeros(shape, np.int32)
    height, width = shape
    masks[height // 4 : height // 2, width // 4 : width // 2] = 70_000
    field = result({70_000: {"Cytosol": 1}}, masks=masks)
    small = tuple(round(side * SIDE / max(shape)) for side in shape)
    page, _, right = views(Pictures(CLASSES, size=SIDE).picture(field, ""), small)
    assert page.shape[1] >= 2 * small[1] + 3 * _EDGE
    # nothing of what stands above the views is cut off
    assert (page[:_HEAD, -_EDGE:] == 255).all()
    assert share(right[small[0] // 4 + 5, small[1] // 4 + 5], mixed("Cytosol"), 12) == 1
    assert share(right[small[0] // 2 + 4 :], 60) == 1


def test_odd_names_are_written_as_they_are():
    classes = ClassList("mine", ("a$b$c", "日本", "_{x}"))
    calls = {3: {"a$b$c": 1}, 5: {"日本": 1}, 9: {"_{x}": 1}}
    field = result(calls, name="x$1$\ny", classes=classes)
    assert Pictures(classes, size=SIDE).picture(field, "").startswith(b"\x89PNG")


def test_sixteen_bits_are_stretched_alike():
    pixels = np.zeros((4, 50, 50), np.uint16)
    pixels[0], pixels[1, :25], pixels[2] = 4000, 2000, 1000
    seen = visible(pixels)
    assert seen.dtype == np.uint8
    assert [seen[0, 0, 0], seen[1, 0, 0], seen[1, 30, 0], seen[2, 0, 0]] == [255, 128, 0, 64]
    assert visible(np.zeros((4, 5, 5), np.uint16)).max() == 0


def fields():
    two = {"Nucleoli": 0.9, "Cytosol": 0.9}
    yield result({3: {"Nucleoli": 0.9}}, "a")
    yield result({3: two}, "b")
    yield result({}, "c")
    yield result({3: two, 5: two}, "d")


@pytest.mark.parametrize(
    ("choose", "count", "chosen"),
    [("varied", 2, "bd"), ("varied", 1, "d"), ("first", 2, "ab"), ("varied", 9, "abcd")],
)
def test_which_fields(tmp_path, choose, count, chosen):
    writer = Pictures(CLASSES, fields=count, choose=choose, size=256)
    (folder,) = writer.write(tmp_path, fields(), "")
    assert sorted(path.stem for path in folder.iterdir()) == list(chosen)
    assert sorted(tmp_path.iterdir()) == [folder]


def test_images_are_read_of_the_chosen_fields_alone_and_one_that_is_gone_stops_it(tmp_path):
    def gone():
        raise HpazooError("changed since")

    field = result({3: {"Nucleoli": 0.9}}, "a", pixels=gone)
    others = list(fields())[3:]
    assert Pictures(CLASSES, fields=1, size=256).write(tmp_path, [field, *others], "")
    with pytest.raises(HpazooError, match="changed since"):
        Pictures(CLASSES, fields=2, size=256).write(tmp_path, [field, *others], "")
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["d.png"]


def linear(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def screen(values):
    values = values.clip(0, 1)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


def test_colours_can_be_told_apart():
    colours = np.array([named(name) for name in CLASSES.names]) / 255

    def least(values):
        lab = rgb2lab(values[None])[0]
        return min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2))

    assert least(colours) >= 27
    for matrix in (NO_RED, NO_GREEN):
        assert least(screen(linear(colours) @ np.array(matrix).T)) >= 17


def test_lists_of_classes_share_their_colours_and_every_class_has_its_own():
    other = class_list("hpa-2018")
    colours = [colour_of(name, index) for index, name in enumerate(other.names)]
    assert len(set(colours)) == len(colours)
    for name in set(other.names) & set(CLASSES.names):
        assert colour_of(name, other.index(name)) == tuple(named(name))


def test_a_run_hands_over_the_images_that_were_predicted():
    """Read anew when asked for; others under the same name are refused."""
    config = {"type": "synthetic", "fields": 1, "size": 128}
    reader = Synthetic(Path(), fields=1, size=128)
    field = reader.read(reader.ids()[0])
    results = Results.__new__(Results)
    results.spec, results.data = SimpleNamespace(resolved={"images": config}), Path()
    record = FieldRecord(field.id, sha256=field.sha256)
    assert np.array_equal(results._pixels(record), field.pixels)
    with pytest.raises(HpazooError, match=f"'{field.id}' are not those that were predicted"):
        results._pixels(FieldRecord(field.id, sha256="0" * 64))
