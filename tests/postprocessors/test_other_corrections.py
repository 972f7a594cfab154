import numpy as np
import pytest

from hpazoo.classes import ClassList
from hpazoo.errors import HpazooError, UsageError
from hpazoo.postprocessors.blend_image import BlendImage
from hpazoo.postprocessors.suppress_border import SuppressBorder
from hpazoo.postprocessors.threshold import Threshold
from tests.postprocessors.conftest import seen

CLASSES = ClassList("mine", ("a", "b", "c"))


def kept(cells, data, **options):
    """The factor each cell's probabilities get."""
    ones = np.ones((len(cells.cells), 3), np.float32)
    return SuppressBorder(CLASSES, data, **options).correct(ones, cells)[:, 0]


def test_a_cell_loses_what_its_nucleus_misses_beyond_the_share(nowhere):
    nuclei, border = [80, 100, 120, 100, 50, 25, 0], [0, 0, 0, 1, 1, 1, 1]
    field = seen(7, nuclei=nuclei, border=np.array(border, bool))
    assert kept(field, nowhere) == pytest.approx([1, 1, 1, 1, 1, 0.5, 0])
    assert kept(field, nowhere, outside=0.0) == pytest.approx([1, 1, 1, 1, 0.5, 0.25, 0])


def test_a_cell_loses_what_its_area_misses(nowhere):
    field = seen(5, areas=[100, 100, 100, 10, 10], border=np.array([0, 0, 0, 1, 0], bool))
    assert kept(field, nowhere) == pytest.approx([1, 1, 1, 0.4, 1])
    assert kept(field, nowhere, area=0.0) == pytest.approx(np.ones(5))


def test_where_all_cells_touch_the_border_they_are_compared_with_each_other(nowhere):
    field = seen(3, nuclei=[100, 100, 10], border=np.ones(3, bool))
    assert kept(field, nowhere) == pytest.approx([1, 1, 0.2])
    assert kept(seen(2, nuclei=[0, 0], border=np.ones(2, bool)), nowhere) == pytest.approx([1, 1])


def test_blend_image(nowhere):
    cells, image = np.array([[0.2, 0.0, 1.0]], np.float32), np.array([[0.6, 0.5, 1.0]], np.float32)
    field = seen(1, members={"field": image})
    found = BlendImage(CLASSES, nowhere, member="field", weight=0.25).correct(cells, field)
    assert found == pytest.approx(0.75 * cells + 0.25 * image)
    geometric = BlendImage(CLASSES, nowhere, member="field", weight=0.5, mean="geometric")
    found = geometric.correct(cells, field)
    assert found[0, [0, 2]] == pytest.approx(np.sqrt(cells * image)[0, [0, 2]])
    assert 0 < found[0, 1] < 1e-3


def table(tmp_path, column, text):
    path = tmp_path / f"{column}.csv"
    path.write_text(f"class,{column}\n{text}", encoding="utf-8")
    return path.name


def test_each_class_is_called_at_its_own_threshold(tmp_path):
    name = table(tmp_path, "threshold", "a,0.3\nc,0.9\n")
    values = np.random.default_rng(0).random((500, 3), np.float32)
    found = Threshold(CLASSES, tmp_path, file=name).correct(values, seen(500))
    called = values >= np.float32([0.3, 0.5, 0.9])
    clear = np.abs(values - np.float32([0.3, 0.5, 0.9])) > 1e-6
    assert np.array_equal((found >= 0.5)[clear], called[clear])
    assert np.array_equal(found[:, 1], values[:, 1])
    assert np.array_equal(found.argsort(axis=0), values.argsort(axis=0))


def test_so_many_cells_are_called_as_the_ratio_says(tmp_path):
    name = table(tmp_path, "ratio", "a,0.1\nb,0.75\n")
    fields = [np.random.default_rng(seed).random((40, 3), np.float32) ** 4 for seed in range(50)]
    correction = Threshold(CLASSES, tmp_path, ratio=name)
    with pytest.raises(UsageError, match="must see all fields first"):
        correction.correct(fields[0], seen(40))
    correction.fit(iter(fields))
    found = np.concatenate([correction.correct(field, seen(40)) for field in fields])
    assert (found[:, :2] >= 0.5).mean(axis=0) == pytest.approx([0.1, 0.75], abs=0.002)
    assert np.array_equal(found[:, 2], np.concatenate(fields)[:, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "class,threshold\nd,0.3\n",
            r"threshold.csv:2: 'd' is no class of mine; there are: a, b, c",
        ),
        ("class,threshold\na,0.3\na,0.4\n", r"threshold.csv:3: class 'a' stands here twice"),
        ("class,threshold\na,1\n", r"threshold.csv:2: .* above 0 and below 1, not '1'"),
        ("class,threshold\na\n", r"threshold.csv:2: .* above 0 and below 1, not ''"),
        ("class,threshold\na,nan\n", r"threshold.csv:2: .*, not 'nan'"),
        ("name,threshold\na,.5\n", r"columns 'class' and 'threshold', found name, threshold"),
        ("", r"columns 'class' and 'threshold', found none"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "threshold.csv").write_text(text, encoding="utf-8")
    with pytest.raises(HpazooError, match=message):
        Threshold(CLASSES, tmp_path, file="threshold.csv")


def test_a_threshold_needs_one_file(tmp_path):
    with pytest.raises(HpazooError, match=r"missing.csv cannot be read as a table: No such file"):
        Threshold(CLASSES, tmp_path, file="missing.csv")
    with pytest.raises(UsageError, match="give one of 'file'"):
        Threshold(CLASSES, tmp_path)
    with pytest.raises(UsageError, match="give one of 'file'"):
        Threshold(CLASSES, tmp_path, file="a.csv", ratio="b.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01" * 10)
    with pytest.raises(HpazooError, match="cannot be read as a table"):
        Threshold(CLASSES, tmp_path, file="binary.csv")
