"""Readers of one's own that do not keep to their contract: said early, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpazoo import register
from hpazoo.classes import class_list
from hpazoo.errors import FieldError, HpazooError
from hpazoo.fields import Field
from hpazoo.labels import LabelTable
from hpazoo.readers import readers
from hpazoo.runner.preflight import MissingError
from hpazoo.runner.run import Run
from hpazoo.segmenters import segmenters
from hpazoo.segmenters.provided import Provided
from hpazoo.segmenters.whole_field import WholeField
from hpazoo.training.filling import fill
from hpazoo.training.image_store import ImageStore
from hpazoo.training.sources import gather
from tests.runner.test_run import run

SPEC = """\
hpazoo: 1
name: odd
classes: hpa-2021
images: test.odd
masks: provided
models:
  net:
    backbone: {type: resnet18, stem: torchvision}
    head: avg
    input: {size: 64, normalize: none}
members: [{model: net, strategy: gap-mask}]
metrics: [cell-map]
outputs: [table]
"""


class Odd:
    """Two fields with two cells each, as they should be."""

    gives = ("masks", "truth", "labels")

    def __init__(self, data: Path) -> None:
        """Takes no options."""

    def ids(self) -> Any:
        return ["one", "two"]

    def stamp(self, field_id: str) -> str:
        return field_id

    def read(self, field_id: str) -> Any:
        pixels = np.random.default_rng(len(field_id)).integers(0, 256, (4, 64, 64), np.uint8)
        masks = np.zeros((64, 64), np.int32)
        masks[:30, :30], masks[34:, 34:] = 1, 2
        known: dict[int, tuple[str, ...]] = {1: ("Cytosol",), 2: ("Nucleoli",)}
        return Field(field_id, pixels, sha256=field_id, masks=masks, truth=known)

    def labels(self, classes: Any) -> LabelTable:
        return LabelTable(classes, ("one", "two"), np.eye(2, len(classes), dtype=bool), {})


Use = Callable[..., type[Odd]]


@pytest.fixture
def use() -> Iterator[Use]:
    """Register the reader `test.odd` with some methods replaced."""

    def with_methods(**methods: Any) -> type[Odd]:
        odd = type("Odd", (Odd,), methods)
        register("readers", "test.odd")(odd)
        return odd

    yield with_methods
    readers._added.pop("test.odd", None)
    readers._components = None


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "odd.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def giving(**changes: Any) -> Callable[[Odd, str], Any]:
    """A `read` whose field 'one' is changed."""

    def read(self: Odd, field_id: str) -> Any:
        field = Odd.read(self, field_id)
        return replace(field, **changes) if field_id == "one" else field

    return read


def reasons(done: Run) -> dict[str, str]:
    return {record.id: record.set_aside for record in done.set_aside}


def test_a_reader_as_it_should_be(use: Use, spec_file: Path, tmp_path: Path) -> None:
    numpy_ids = {np.int64(1): ["Cytosol"], np.int64(2): {"Nucleoli"}}
    use(ids=lambda self: (name for name in ("one", "two")), read=giving(truth=numpy_ids))
    done = run(spec_file, tmp_path / "out")
    assert (done.exit_code, done.cells, done.set_aside) == (0, 4, ())


@pytest.mark.parametrize("cached", [False, True])
def test_a_field_of_another_id_is_set_aside(
    use: Use, spec_file: Path, tmp_path: Path, cached: bool
) -> None:
    """And never kept: from a cache it would come back under the id that was asked for."""
    use(gives=("labels",), read=giving(id="other", masks=None, truth={}))
    settings = ["masks=watershed", "metrics=[]"]
    cache = tmp_path / "cache" if cached else None
    for out in ("first", "second"):
        done = run(spec_file, tmp_path / out, settings=settings, cache=cache)
        assert reasons(done) == {"one": "reader 'test.odd' gave field 'other' when asked for 'one'"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "gives the truth None; a dict is expected"),
        ([("Cytosol",)], "gives the truth [('Cytosol',)]; a dict is expected"),
        ({"1": ("Cytosol",)}, "gives the truth of a cell '1'; the id of a cell of its masks"),
        ({1.0: ("Cytosol",)}, "gives the truth of a cell 1.0; the id of a cell of its masks"),
        ({True: ("Cytosol",)}, "gives the truth of a cell True; the id of a cell of its masks"),
        ({2: None}, "says None of cell 2; a tuple of names of locations is expected"),
        ({2: "Cytosol"}, "says 'Cytosol' of cell 2; a tuple of names of locations is expected"),
        ({2: (3, 4)}, "says (3, 4) of cell 2; a tuple of names of locations is expected"),
    ],
)
def test_truth_of_a_wrong_kind_is_said_at_once(
    use: Use, spec_file: Path, tmp_path: Path, given: Any, words: str
) -> None:
    use(read=giving(truth=given))
    done = run(spec_file, tmp_path / "out")
    assert done.exit_code == 3
    assert list(done.predictions["field"].unique()) == ["two"]
    assert reasons(done)["one"].startswith(f"one: reader 'test.odd' {words}")


def test_truth_that_is_none_of_the_readers_business(
    use: Use, spec_file: Path, tmp_path: Path
) -> None:
    use(gives=("masks",), read=giving(truth=None))
    assert run(spec_file, tmp_path / "out").set_aside == ()


def test_no_field_at_all_is_set_aside_with_its_kind(
    use: Use, spec_file: Path, tmp_path: Path
) -> None:
    use(read=lambda self, name: None if name == "one" else Odd.read(self, name))
    assert reasons(run(spec_file, tmp_path / "out")) == {
        "one": "reader 'test.odd' gave None when asked for 'one'; a Field is expected"
    }


def test_a_field_without_a_stamp_is_set_aside(use: Use, spec_file: Path, tmp_path: Path) -> None:
    """It could be predicted, but nobody could tell later whether it is still the same."""

    def stamp(self: Odd, field_id: str) -> str:
        if field_id == "one":
            raise RuntimeError("no disk")
        return field_id

    odd = use(stamp=stamp)
    out = tmp_path / "out"
    assert reasons(run(spec_file, out)) == {"one": "unexpected RuntimeError: no disk"}
    assert "Traceback" in (out / "log.txt").read_text(encoding="utf-8")
    odd.stamp = Odd.stamp  # type: ignore[method-assign]
    assert run(spec_file, out).set_aside == ()


def test_cells_without_a_stamp(use: Use, spec_file: Path, tmp_path: Path) -> None:
    """The same of a segmenter of one's own; where it has none at all, nothing starts."""

    class Unsure(WholeField):
        broken: tuple[str, ...] = ("one", "two")

        def stamp(self, field_id: str) -> str:
            if field_id in self.broken:
                raise RuntimeError("no disk")
            return ""

    use()
    register("segmenters", "test.unsure")(Unsure)
    settings = ["masks=test.unsure", "metrics=[]"]
    try:
        with pytest.raises(MissingError, match=r"none of the 2 fields .* RuntimeError: no disk"):
            run(spec_file, tmp_path / "out", settings=settings)
        Unsure.broken = ("one",)
        done = run(spec_file, tmp_path / "out", settings=settings)
        assert reasons(done) == {"one": "unexpected RuntimeError: no disk"}
    finally:
        del segmenters._added["test.unsure"]
        segmenters._components = None


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([], "images: reader 'test.odd' has no fields; check its options"),
        (["one", "two", "one"], "images: reader 'test.odd' lists the field 'one' twice; ids must"),
        ([1, 2], "images: reader 'test.odd' calls a field 1; an id is a text"),
        ([["one"]], "images: reader 'test.odd' calls a field ['one']; an id is a text"),
        (["a/b"], "images: reader 'test.odd' calls a field 'a/b', and files are to be named after"),
        (None, "images: reader 'test.odd' lists its fields as None; a list of ids is expected"),
        ("one", "images: reader 'test.odd' lists its fields as 'one'; a list of ids is expected"),
    ],
)
def test_ids_are_looked_at_before_the_start(
    use: Use, spec_file: Path, tmp_path: Path, ids: Any, words: str
) -> None:
    use(ids=lambda self: ids)
    with pytest.raises(MissingError) as caught:
        run(spec_file, tmp_path / "out")
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_nothing_is_scored_where_all_fields_were_set_aside(
    use: Use, spec_file: Path, tmp_path: Path
) -> None:
    use(read=lambda self, name: replace(Odd.read(self, name), masks=None))
    with pytest.raises(HpazooError) as caught:
        run(spec_file, tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path / 'out'}: all 2 fields were set aside (the first, 'one': its reader gives no "
        "label image; find cells with 'watershed', or give files with 'label-images'): nothing can "
        "be scored"
    )


def ids_of_kind(kind: Any, last: Any) -> np.ndarray:
    masks = np.zeros((64, 64), kind)
    masks[:9], masks[20:30] = 1, last
    return masks


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (ids_of_kind(np.int64, 2**40), "its reader's masks hold the id 1099511627776; ids are"),
        (ids_of_kind(np.uint64, 2**63 + 5), "masks hold the id 9223372036854775813; ids are whole"),
        (ids_of_kind(np.uint32, 2**31), "its reader's masks hold the id 2147483648; ids are"),
        (
            ids_of_kind(np.int32, -2),
            "its reader's masks hold the id -2; ids are whole numbers from",
        ),
        (ids_of_kind(np.float64, 1.4), "gives masks of the kind float64; ids are whole numbers"),
        (ids_of_kind(np.float32, 2), "gives masks of the kind float32; ids are whole numbers"),
        (ids_of_kind(np.float32, np.nan), "gives masks of the kind float32; ids are whole numbers"),
        (ids_of_kind(np.uint8, 2).tolist(), "gives masks of the kind list; ids are whole numbers"),
    ],
)
def test_masks_whose_ids_would_change_are_refused(masks: Any, words: str) -> None:
    field = Field("one", np.zeros((4, 64, 64), np.uint8), masks=masks)
    with pytest.raises(FieldError) as caught:
        Provided(Path()).segment(field)
    assert str(caught.value).startswith("one: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.int32, ">i4", np.uint64])
def test_masks_keep_their_ids(kind: Any) -> None:
    masks = ids_of_kind(kind, 1 if kind is bool else 3)
    field = Field("one", np.zeros((4, 64, 64), np.uint8), masks=masks)
    labels = Provided(Path()).segment(field)
    assert labels.dtype == np.int32
    assert np.array_equal(labels, masks)
    assert (labels is masks) == (kind is np.int32)


def test_masks_that_cannot_be_kept_cost_their_field_alone(
    use: Use, spec_file: Path, tmp_path: Path
) -> None:
    use(read=giving(masks=ids_of_kind(np.int64, 2**40), truth={1: ("Cytosol",)}))
    done = run(spec_file, tmp_path / "out")
    assert done.exit_code == 3
    assert list(reasons(done)) == ["one"]


def test_images_to_learn_from(use: Use, tmp_path: Path) -> None:
    """Of those that cannot be believed none comes into the store."""

    def stamp(self: Odd, field_id: str) -> str:
        if field_id == "two":
            raise RuntimeError("no disk")
        return field_id

    use(read=giving(id="other"), stamp=stamp)
    sources = gather(["test.odd"], class_list("hpa-2021"), tmp_path)
    store = ImageStore(tmp_path / "store", 32)
    told: list[str] = []
    found, aside = fill(
        store,
        sources,
        [{"type": "test.odd"}],
        1,
        lambda count: None,
        lambda name, _: told.append(name),
    )
    assert found == {}
    assert told == ["one", "two"]
    assert aside == {
        "one": "reader 'test.odd' gave field 'other' when asked for 'one'",
        "two": "its reader cannot tell whether it changed: unexpected RuntimeError: no disk",
    }
    use(ids=lambda self: ["one", "two", "two"])
    with pytest.raises(HpazooError, match=r"reader 'test.odd' lists the field 'two' twice"):
        gather(["test.odd"], class_list("hpa-2021"), tmp_path)
    use(ids=lambda self: [])
    with pytest.raises(HpazooError, match=r"reader 'test.odd' has no fields; check its options"):
        gather(["test.odd"], class_list("hpa-2021"), tmp_path)
