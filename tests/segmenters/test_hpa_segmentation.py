"""HPA's networks are stood in for by programs whose answer to a drawn field is known."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.transform import rescale, resize

from hpazoo.errors import CheckpointError, FieldError
from hpazoo.fields import Field
from hpazoo.geometry import cells_of
from hpazoo.segmenters.hpa_segmentation import HpaSegmentation, _to_field

HERE = Path()
MEAN, STD = (124 / 255, 117 / 255, 104 / 255), 1 / (0.0167 * 255)


class Reads(torch.nn.Module):
    """Logits of the three maps from grey levels: `inside` and `border` are channels of the image,
    and what is bright in neither is background.
    """

    def __init__(self, inside: int, border: int | None, *, softmax: bool = False):
        super().__init__()
        self.inside, self.border, self.softmax = inside, -1 if border is None else border, softmax
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        grey = image * 0.23482446870963955 + self.mean
        inside = 20 * (grey[:, self.inside] - 0.5)
        border = torch.full_like(inside, -10.0)
        if self.border >= 0:
            border = 20 * (grey[:, self.border] - 0.5)
        maps = torch.stack([torch.zeros_like(inside), border, inside], dim=1)
        return maps.softmax(dim=1) if self.softmax else maps


class Shelf:
    """Weights with these programs, and what was asked of them."""

    device = "cpu"

    def __init__(self, cells, nuclei):
        self.programs = {"hpa-segmentation-cells": cells, "hpa-segmentation-nuclei": nuclei}
        self.asked, self.seen = [], []

    def program(self, card):
        if card not in self.programs:
            raise CheckpointError(f"no card '{card}'")
        self.asked.append(card)

        def call(image):
            self.seen.append(image.clone())
            return self.programs[card](image)

        return call


def scripted(module):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.script", DeprecationWarning)
        return torch.jit.script(module.eval())


@pytest.fixture(scope="module")
def programs():
    """Nuclei where blue is bright; cells where yellow is, borders where red is."""
    return scripted(Reads(1, 0)), scripted(Reads(2, None))


@pytest.fixture
def segmenter(programs):
    return HpaSegmentation(HERE, Shelf(*programs))


@pytest.fixture(scope="module")
def scene():
    """(pixels (4, 1024, 768) uint8 at 0.08 µm, cells (1024, 768)): 12 cells and a nuclear speck."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:1024, :768]
    centres = [
        (128 + 256 * i + rng.integers(-20, 20), 128 + 256 * j + rng.integers(-20, 20))
        for i in range(4)
        for j in range(3)
    ]
    away = np.stack([np.hypot(rows - y, columns - x) for y, x in centres])
    nearest = np.sort(away, axis=0)
    foreground = (nearest[0] < 150) & ~((rows - 512) ** 2 + (columns - 384) ** 2 < 18**2)
    line = nearest[1] - nearest[0] < 14
    pixels = np.zeros((4, 1024, 768), np.uint8)
    pixels[0][foreground & line] = 250
    pixels[3][foreground & ~line] = 250
    pixels[2][nearest[0] < 45] = 250
    pixels[2, 2:20, 2:20] = 250
    pixels[1] = rng.integers(0, 255, pixels[1].shape)  # the protein must not matter
    return pixels, np.where(foreground, away.argmin(axis=0) + 1, 0)


def overlaps(truth, found):
    """IoU (T, F) of all pairs of ids but 0."""
    width = int(found.max()) + 1
    pairs = np.bincount(
        (truth.astype(np.int64) * width + found).ravel(), minlength=(int(truth.max()) + 1) * width
    ).reshape(-1, width)
    iou = pairs / (pairs.sum(1, keepdims=True) + pairs.sum(0, keepdims=True) - pairs)
    return iou[1:, 1:]


def problem(segmenter, field, kind=FieldError):
    with pytest.raises(kind) as caught:
        segmenter.segment(field)
    return str(caught.value)


class TestCells:
    def test_those_that_were_drawn(self, segmenter, scene):
        pixels, truth = scene
        labels = segmenter.segment(Field("drawn", pixels, 0.08))
        assert (labels.shape, labels.dtype) == (truth.shape, np.int32)
        assert labels.max() == 12, "the speck is too small for a nucleus"
        iou = overlaps(truth, labels)
        assert iou.max(axis=1).min() > 0.95
        boxes = cells_of(labels).boxes
        assert boxes[:, 0].tolist() == sorted(boxes[:, 0].tolist())
        assert segmenter.weights.asked == ["hpa-segmentation-nuclei", "hpa-segmentation-cells"]

    @pytest.mark.parametrize("shrink", [2, 4, 8])
    def test_at_any_pixel_size(self, segmenter, scene, shrink):
        pixels, _ = scene
        shape = (4, 1024 // shrink, 768 // shrink)
        coarse = pixels.reshape(4, shape[1], shrink, shape[2], shrink).mean(axis=(2, 4))
        large = segmenter.segment(Field("fine", pixels, 0.08))
        small = segmenter.segment(Field("coarse", coarse.astype(np.uint8), 0.08 * shrink))
        assert small.shape == shape[1:]
        assert small.max() == large.max() == 12
        start = shrink // 2
        iou = overlaps(large[start::shrink, start::shrink], small)
        assert iou.max(axis=1).min() > (0.9 if shrink < 8 else 0.85)

    def test_assumed_pixel_size_is_that_of_an_atlas_field(self, segmenter, scene):
        pixels = np.pad(scene[0], ((0, 0), (0, 0), (0, 256)))
        known = segmenter.segment(Field("known", pixels, 0.16))
        assert known.max() == 12
        assert np.array_equal(segmenter.segment(Field("unknown", pixels)), known)

    def test_16_bit(self, segmenter, scene):
        pixels = scene[0]
        labels = segmenter.segment(Field("8", pixels, 0.08))
        deep = segmenter.segment(Field("16", pixels.astype(np.uint16) * 257, 0.08))
        assert np.array_equal(labels, deep)

    def test_a_program_may_end_with_softmax(self, segmenter, scene):
        shelf = Shelf(scripted(Reads(1, 0, softmax=True)), scripted(Reads(2, None, softmax=True)))
        field = Field("drawn", scene[0], 0.08)
        labels = HpaSegmentation(HERE, shelf).segment(field)
        assert np.array_equal(labels, segmenter.segment(field))

    def test_sizes_matter(self, programs, scene):
        field = Field("drawn", scene[0], 0.08)

        def found(**options):
            return HpaSegmentation(HERE, Shelf(*programs), **options).segment(field).max()

        assert found(min_nucleus=45) == 0  # 0.0064 µm² x 45² pi = 40.7 µm²
        assert found(min_nucleus=36) == 12
        without_border = scene[1][scene[0][3] > 0]
        areas = np.sort(np.bincount(without_border)[1:]) * 0.0064
        widest = int(np.diff(areas).argmax())
        assert found(min_cell=float(areas[widest : widest + 2].mean())) == 11 - widest

    def test_cards_of_ones_own(self, programs, scene):
        shelf = Shelf(*programs)
        shelf.programs = {"mine": programs[0], "theirs": programs[1]}
        segmenter = HpaSegmentation(HERE, shelf, cells="mine", nuclei="theirs")
        assert segmenter.segment(Field("drawn", scene[0], 0.08)).max() == 12
        assert shelf.asked == ["theirs", "mine"]

    def test_numbered_by_cells_not_by_nuclei(self, segmenter):
        pixels = np.zeros((4, 120, 120), np.uint8)
        pixels[3, 2:100, 5:50] = pixels[3, 30:110, 60:110] = 255
        pixels[2, 70:90, 15:35] = pixels[2, 40:60, 70:90] = 255
        labels = segmenter.segment(Field("order", pixels, 0.32))
        assert (labels[50, 20], labels[50, 80], labels.max()) == (1, 2, 2)

    def test_no_id_is_left_out(self, segmenter):
        """The nucleus lies over two pieces, and the upper one is too small to be a cell."""
        pixels = np.zeros((4, 120, 120), np.uint8)
        pixels[3, 4:20, 50:66] = pixels[3, 30:110, 20:100] = 255
        pixels[2, 5:70, 50:66] = 255
        labels = segmenter.segment(Field("pieces", pixels, 0.32))
        assert np.unique(labels).tolist() == [0, 1]
        assert (labels[10, 58], labels[100, 58]) == (0, 1)

    def test_coarse_fields_are_sampled_at_their_pixels(self, segmenter):
        pixels = np.zeros((4, 60, 60), np.uint8)
        pixels[3, 10:50, 12:48] = pixels[2, 25:35, 25:35] = 255
        labels = segmenter.segment(Field("coarse", pixels, 0.96))
        assert 1300 < labels.sum() < 1600
        small = np.arange(81, dtype=np.int32).reshape(9, 9)
        assert _to_field(small, (3, 9)).tolist() == small[1::3].tolist()

    def test_one_cell_fills_the_field(self, segmenter):
        pixels = np.zeros((4, 301, 222), np.uint8)
        pixels[3] = 255
        pixels[2, 100:200, 60:160] = 255
        assert (segmenter.segment(Field("huge", pixels, 0.08)) == 1).all()

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("shape", [(1, 1), (3, 200), (31, 33), (333, 257)])
    def test_without_nuclei_none(self, segmenter, shape, dtype):
        pixels = np.zeros((4, *shape), dtype)
        pixels[3] = np.iinfo(dtype).max
        labels = segmenter.segment(Field("none", pixels, 0.08))
        assert (labels.shape, labels.dtype, labels.max()) == (shape, np.int32, 0)
        assert segmenter.weights.asked == ["hpa-segmentation-nuclei"]

    def test_a_nucleus_of_one_pixel(self, programs):
        segmenter = HpaSegmentation(HERE, Shelf(*programs), min_nucleus=0, min_cell=0)
        labels = segmenter.segment(Field("one", np.full((4, 1, 1), 255, np.uint8), 0.08))
        assert labels.tolist() == [[0]]  # a seed has 3.2 µm²

    def test_a_small_field_without_pixel_size(self, segmenter):
        pixels = np.zeros((4, 40, 60), np.uint8)
        pixels[3, 5:35, 5:55] = pixels[2, 15:25, 20:40] = 255
        known = segmenter.segment(Field("known", pixels, 1.28))
        assert known.max() == 1
        assert np.array_equal(segmenter.segment(Field("unknown", pixels)), known)

    def test_nothing_is_read_for_a_field(self, segmenter):
        assert segmenter.stamp("x") == ""
        assert segmenter.weights.asked == []


class TestNetworkInput:
    @pytest.mark.parametrize(
        ("shape", "pixel_size"),
        [
            ((1728, 1728), 0.08),
            ((333, 257), 0.08),
            ((1, 1), 0.08),
            ((3, 200), 0.08),
            ((95, 64), 0.32),
            ((50, 41), 0.5),
            ((300, 511), 0.1),
        ],
    )
    def test_is_that_of_the_original(self, shape, pixel_size):
        """skimage's anti-aliased rescale, fixed normalisation, reflection to multiples of 32."""
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
        shelf = Shelf(scripted(Reads(1, 0)), lambda image: 20 * image)
        HpaSegmentation(HERE, shelf, min_cell=0).segment(Field("x", pixels, pixel_size))
        size = [max(round(n * pixel_size / 0.32), 1) for n in shape]
        for image, order in zip(shelf.seen, ([2, 2, 2], [0, 3, 2]), strict=False):
            assert image.dtype == torch.float32
            assert image.shape[0] == 1
            assert all(n % 32 == 0 for n in image.shape[2:])
            pad = [(32, 32 - n % 32) for n in size]
            for seen, channel, mean in zip(image[0], order, MEAN, strict=True):
                # Enlarged, its outermost pixels would be mixed with mirrored ones.
                edge = "reflect" if pixel_size < 0.32 else "edge"
                small = resize(pixels[channel], size, mode=edge)
                wanted = (np.pad(small, pad, mode="symmetric") - mean) / STD
                assert np.abs(seen.numpy() - wanted).max() < 1e-5
        assert len(shelf.seen) == 2 or shape == (1, 1)

    def test_is_the_named_function_s(self):
        """For the sides that the original halves its way to, `resize` above is its `rescale`."""
        image = np.random.default_rng(0).integers(0, 256, (1728, 333), dtype=np.uint8)
        assert np.allclose(rescale(image, 0.25), resize(image, (432, 83)))

    @pytest.mark.parametrize("shape", [(64, 64), (96, 33), (1, 1), (95, 130)])
    def test_answers_are_cut_back_to_the_pixel(self, shape):
        rng = np.random.default_rng(0)
        image = rng.random((*shape, 3), np.float32)
        segmenter = HpaSegmentation(HERE, Shelf(lambda image: 3 * image, None))
        maps = segmenter._maps("hpa-segmentation-cells", image, Field("x", np.zeros((4, *shape))))
        logits = 3 * (image.transpose(2, 0, 1) - np.reshape(MEAN, (3, 1, 1))) / STD
        wanted = np.exp(logits) / np.exp(logits).sum(axis=0) * 255
        assert maps.shape == (3, *shape)
        assert maps.dtype == np.uint8
        assert np.abs(maps - wanted).max() < 0.501


class TestTrouble:
    def test_too_coarse(self, segmenter):
        text = problem(segmenter, Field("1_A1_1", np.zeros((4, 9, 9), np.uint8), 80.0))
        assert text.startswith("1_A1_1: 80 µm per pixel are too coarse for 'hpa-segmentation'")
        assert "correct the pixel size" in text

    @pytest.mark.parametrize(
        ("program", "what"),
        [
            (lambda image: image[:, :1], "answers (1, 1, 64, 96) to an image (1, 3, 64, 96)"),
            (lambda image: image[0], "answers (3, 64, 96)"),
            (lambda image: image[..., 1:], "answers (1, 3, 64, 95)"),
            (lambda image: (image, image), "answers tuple to an image"),
            (lambda image: None, "answers NoneType"),
        ],
    )
    def test_another_network(self, programs, program, what):
        field = Field("1_A1_1", np.zeros((4, 9, 200), np.uint8), 0.08)
        text = problem(HpaSegmentation(HERE, Shelf(None, program)), field, CheckpointError)
        assert "card 'hpa-segmentation-nuclei'" in text
        assert what in text
        assert "name another card under 'masks'" in text

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_not_a_number(self, programs, scene, value):
        shelf = Shelf(lambda image: torch.where(image > 1, value, image), programs[1])
        text = problem(HpaSegmentation(HERE, shelf), Field("1_A1_1", scene[0], 0.08))
        assert text.startswith("1_A1_1: the network of card 'hpa-segmentation-cells' answers with")

    def test_a_program_that_fails(self, segmenter, programs, scene):
        class Fails(torch.nn.Module):
            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return image.reshape(7, 7)

        shelf = Shelf(scripted(Fails()), programs[1])
        text = problem(HpaSegmentation(HERE, shelf), Field("1_A1_1", scene[0], 0.08))
        assert text.startswith(
            "1_A1_1: the network of card 'hpa-segmentation-cells' fails on its image of 256 x 192"
        )
        assert "shape '[7, 7]' is invalid" in text
        assert "\n" not in text

    def test_a_card_that_is_not_there(self, programs):
        segmenter = HpaSegmentation(HERE, Shelf(*programs), nuclei="lost")
        field = Field("x", np.zeros((4, 9, 9), np.uint8), 0.08)
        assert problem(segmenter, field, CheckpointError) == "no card 'lost'"
