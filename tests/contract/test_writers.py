"""What every writer keeps to, run over all that are registered."""

import numpy as np
import pytest

from hpazoo.classes import class_list
from hpazoo.geometry import cells_of
from hpazoo.parameters import parameters_of
from hpazoo.writers import FieldResult, writers
from tests.contract.names import built_in

CLASSES = class_list("hpa-2021")


@pytest.fixture(params=built_in(writers))
def writer(request):
    factory = writers.get(request.param)
    if any(parameter.required for parameter in parameters_of(factory)):
        pytest.skip("cannot be built without options")
    return factory(CLASSES)


def results():
    noise = np.random.default_rng(0)
    for name, count in (("a", 3), ('b, "quoted"\nid', 0), ("c", 1)):
        masks = np.zeros((40, 50), np.int32)
        for cell in range(count):
            masks[10 * cell : 10 * cell + 8, :20] = 2 * cell + 1
        probabilities = noise.random((count, len(CLASSES)), np.float32)
        cells = cells_of(masks)
        said = {"member": (cells.ids, noise.random((count, 6), np.float32))}
        pixels = noise.integers(0, 256, (4, 40, 50), np.uint8)
        yield FieldResult(
            name, 40, 50, None, "0" * 64, ("a, note",), cells, probabilities, masks.copy, said,
            pixels.copy,
        )  # fmt: skip


def files_of(paths):
    """Files, and those in the folders."""
    return sorted(f for path in paths for f in (path.iterdir() if path.is_dir() else [path]))


class TestWriter:
    @pytest.mark.parametrize("stamp", ["", "random weights"])
    def test_writes_what_it_says_and_repeats_itself(self, writer, tmp_path, stamp):
        first = writer.write(tmp_path / "first", results(), stamp)
        second = writer.write(tmp_path / "second", results(), stamp)
        assert first
        written = files_of(first)
        assert written == sorted(p for p in (tmp_path / "first").rglob("*") if p.is_file())
        for one, other in zip(written, files_of(second), strict=True):
            assert one.read_bytes() == other.read_bytes()

    def test_takes_no_fields(self, writer, tmp_path):
        assert all(path.exists() for path in writer.write(tmp_path, iter(()), ""))

    def test_leaves_nothing_behind_when_a_field_fails(self, writer, tmp_path):
        def broken():
            yield from results()
            raise RuntimeError("the disk is gone")

        with pytest.raises(RuntimeError, match="the disk is gone"):
            writer.write(tmp_path, broken(), "")
        assert list(tmp_path.rglob("*.*")) == []
