"""The naive way of the bench gives the same numbers as hpazoo, on a small field."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bench import measure, naive, table, whole_run
from bench.__main__ import PAGE
from bench.gridify import snapped_boxes
from bench.masks import compare_boxes, strings
from bench.material import voronoi
from hpazoo.fields import CHANNELS, Field, Input
from hpazoo.geometry import cells_of
from hpazoo.gridding import grid_weights
from hpazoo.heads.attention import Attention
from hpazoo.heads.avg_max import AvgMax
from hpazoo.imageio import write_label_image
from hpazoo.models import build_model
from hpazoo.readers.hpa_files import HpaFiles
from hpazoo.regions import Regions
from hpazoo.rle import encode_cells
from hpazoo.strategies._resize import resize_planes
from hpazoo.strategies.gridify import Gridify

CELLS = 7
SIDE = 256


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return voronoi(CELLS, SIDE)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE), np.uint8)


@pytest.mark.parametrize("count", [1, 10, 30, 60, 150])
def test_label_images_have_as_many_cells_as_asked_for(count: int) -> None:
    made = voronoi(count, 512)
    assert np.unique(made).tolist() == list(range(count + 1))
    assert 0.5 < (made > 0).mean() < 0.95
    assert np.array_equal(made, voronoi(count, 512))
    assert count == 1 or not np.array_equal(made, voronoi(count, 512, seed=1))


@pytest.mark.parametrize("grid", [(8, 8), (7, 9)])
def test_grid_weights(labels: np.ndarray, grid: tuple[int, int]) -> None:
    ids, weights = grid_weights(labels, grid)
    assert ids.tolist() == naive.cell_ids(labels) == list(range(1, CELLS + 1))
    np.testing.assert_allclose(weights, naive.grid_weights(labels, grid), atol=1e-6)


@pytest.mark.parametrize("over", ["grid", "cell"])
@pytest.mark.parametrize(("kind", "slow"), [(AvgMax, naive.avg_max), (Attention, naive.attention)])
def test_heads(labels: np.ndarray, kind: type, slow: object, over: str) -> None:
    generator = torch.Generator().manual_seed(2)
    torch.manual_seed(2)
    head = kind(6, 5).eval()
    features = torch.randn((1, 6, 8, 8), generator=generator)
    regions = Regions.from_masks([labels], (8, 8), over)
    with torch.inference_mode():
        wanted = slow(head, features, regions.weights, over)  # type: ignore[operator]
        found = head(features, regions)[0]
    assert wanted.shape == (CELLS, 5)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("snap", [None, 8])
def test_gridify(labels: np.ndarray, pixels: np.ndarray, snap: int | None) -> None:
    """Bit by bit; cells at the border make crops that reach beyond the field."""
    field = Field("f", pixels, 0.08)
    boxes = cells_of(labels).boxes
    if snap:
        boxes = snapped_boxes(boxes)
    views = Gridify(snap=snap).views(field, labels, Input(768, "none"))
    found = np.stack([view.pixels for view in views])
    stacked = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    assert np.array_equal(found, naive.gridify(stacked, boxes.tolist(), 512, 384))


def test_masks(labels: np.ndarray) -> None:
    assert encode_cells(labels) == [naive.encode(labels == i) for i in naive.cell_ids(labels)]
    assert strings(labels) == naive.submission_strings(labels)


def test_boxes(labels: np.ndarray) -> None:
    wanted = naive.boxes(labels)
    assert any(one.touches_border for one in wanted) and len(wanted) == CELLS
    compare_boxes(cells_of(labels), wanted)
    moved = [wanted[0]._replace(area=wanted[0].area + 1), *wanted[1:]]
    with pytest.raises(measure.WrongAnswerError, match="areas"):
        compare_boxes(cells_of(labels), moved)


@pytest.mark.parametrize("read", [naive.read_pil, naive.read_opencv])
def test_reading(pixels: np.ndarray, tmp_path: Path, read: object) -> None:
    files = _channel_files(pixels, tmp_path)
    assert np.array_equal(read(files), HpaFiles(tmp_path, root=".").read("f").pixels)  # type: ignore[operator]


def _channel_files(pixels: np.ndarray, folder: Path) -> list[Path]:
    files = [folder / f"f_{name}.png" for name in CHANNELS]
    for file, plane in zip(files, pixels, strict=True):
        assert cv2.imwrite(str(file), plane)
    return files


def test_whole_field(labels: np.ndarray, pixels: np.ndarray, tmp_path: Path) -> None:
    """From files to probabilities and submission, through a whole network."""
    files = _channel_files(pixels, tmp_path)
    write_label_image(tmp_path / "masks" / "f.png", labels)
    config = {
        "backbone": "densenet121",
        "head": "avg-max",
        "input": {"size": 128, "normalize": "hpa-2018"},
    }
    model = build_model(config, 19, seed="test")
    with torch.inference_mode():
        answer = naive.answer_for_field(
            files, tmp_path / "masks" / "f.png", model.backbone, model.head, 128
        )
        images = torch.from_numpy(resize_planes(pixels, (128, 128))[None]).float() / 255
        regions = Regions.from_masks([labels], model.grid(128, 128), "grid")
        wanted = torch.sigmoid(model(images, regions)).numpy()
    np.testing.assert_allclose(answer.probabilities, wanted, atol=1e-5)
    words = answer.prediction.split(" ")
    assert words[0::3] == [str(i) for i in range(19)] * CELLS
    assert words[2::3] == [mask for mask in strings(labels) for _ in range(19)]


def test_same_tells_apart() -> None:
    one = np.array([1.0, 4.0])
    assert measure.same(one, one, "x") == "x equal"
    assert measure.same(one + 1e-7, one, "x", 1e-6).startswith("x within")
    for wrong in (one + 1e-3, one[:1], one * np.nan):
        with pytest.raises(measure.WrongAnswerError, match="x"):
            measure.same(wrong, one, "x", 1e-6)


def test_interleaved_takes_turns_and_tells_slow_from_fast() -> None:
    """By a clock that the ways themselves move."""
    now, order = [0.0], []

    def way(name: str, seconds: float) -> object:
        def call() -> None:
            order.append(name)
            now[0] += seconds

        return call

    ways = {"slow": way("s", 3.0), "fast": way("f", 0.5)}
    times = measure.interleaved(ways, 2, clock=lambda: now[0], least=1.0)  # type: ignore[arg-type]
    assert "".join(order) == "sf" + "sff" * 2
    assert times.median("slow") == 3 and times.median("fast") == 0.5
    assert times.ratio("slow", "fast") == measure.Spread(6, 6, 6)
    assert times.total_over("slow", "fast").value == pytest.approx(1 + 0.5 / 3)


@pytest.mark.slow
def test_rounds_are_fewer_where_a_way_takes_long() -> None:
    now = [0.0]

    def way() -> None:
        now[0] += 4.0

    for rounds, most, wanted in ((7, 20.0, 5), (7, 10.0, measure.FEWEST), (2, 10.0, 2)):
        times = measure.interleaved({"w": way}, rounds, clock=lambda: now[0], most=most)
        assert len(times.seconds["w"]) == wanted


def test_peak_memory_sees_torch_and_numpy() -> None:
    def way() -> None:
        torch.ones(1_000_000)  # 4 MB
        first = np.ones(1_000_000)  # 8 MB
        second = np.ones(1_000_000)
        del first, second
        np.ones(1_000_000)

    assert measure.peak_memory(way) == pytest.approx(20, abs=1)


def test_the_table_says_what_was_met_missed_wrong_and_skipped(tmp_path: Path) -> None:
    goal = measure.Goal(">=", 2)
    met = measure.Result("a", "one|two", 3, 1, None, measure.Spread(3, 2.9, 3.1), goal, "equal")
    results = [
        met,
        replace(met, ratio=measure.Spread(1.5, 1.5, 1.5)),
        measure.Result("b", "", wrong="x differs"),
        measure.Result("c", "", goal=goal, skipped="not there"),
    ]
    assert [table.cells(one)[7] for one in results] == ["yes", "NO", "WRONG", "skipped"]
    assert table.cells(met)[2:7] == ["3 s", "1 s", "", "3.0 (2.9 – 3.1)", "≥ 2x"]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", "utf-8")
    for _ in range(2):
        table.into_page(page, results, "a machine")
    text = page.read_text("utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert text.count("one\\|two") == 2 and text.count("a machine") == 1
    page.write_text("nothing", "utf-8")
    with pytest.raises(ValueError, match="has no"):
        table.into_page(page, results, "")
    assert '"met": false' in table.as_json(results, "")


def test_the_page_has_a_place_for_the_table() -> None:
    text = PAGE.read_text("utf-8")
    assert text.index(table.BEGIN) < text.index(table.END)


def test_a_run_that_fails_is_no_result(tmp_path: Path) -> None:
    code = "import sys; print('no such field', file=sys.stderr); sys.exit(3)"
    with pytest.raises(measure.WrongAnswerError, match="ended with 3: no such field"):
        whole_run.watch([sys.executable, "-c", code], tmp_path / "run" / "masks")


@pytest.mark.parametrize(("growth", "met"), [(1.0, True), (1.2, False)])
def test_memory_is_that_of_the_end_over_that_of_the_beginning(growth: float, met: bool) -> None:
    memory = [(at, 100.0 * (growth if at >= 75 else 1.0) + (at < 25) * 900) for at in range(100)]
    result = whole_run.memory(whole_run.Watched(100, 1.0, memory), "")
    assert result.met is met and result.ratio is not None
    assert result.ratio.value == pytest.approx(growth)
