"""Batches: who sees which images, in which order, and how they look."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from hpazoo.augmentations import Augmentation, Example
from hpazoo.training import loading
from hpazoo.training.loading import MOST_EPOCHS, Batches, Images, Order, loader, rare_shares

SIZE = 16


class Noise:
    """Shows what chance an image is given."""

    def apply(self, example: Example, rng: np.random.Generator) -> Example:
        pixels = example.pixels.copy()
        pixels[0, 0, :4] = rng.integers(0, 256, 4)
        return example._replace(pixels=pixels)


def images(
    folder: Path, count: int, augment: tuple[Augmentation, ...] = (), groups: bool = False
) -> Images:
    files = [folder / f"{index}.npy" for index in range(count)]
    for index, file in enumerate(files):
        np.save(file, np.full((4, SIZE, SIZE), index, np.uint8))
    targets = np.eye(count, 5, dtype=np.float32)
    return Images(files, np.arange(count) * 1000 if groups else targets, SIZE, 7, augment)


def drawn(order: Order, epoch: int = 0) -> list[int]:
    order.set_epoch(epoch)
    found = [index for _, index in order]
    assert len(found) == len(order)
    return found


def labels(count: int) -> np.ndarray:
    return np.ones((count, 2), np.float32)


def test_an_epoch_shows_each_image_once() -> None:
    order = Order(labels(10), 0, "all")
    first = drawn(order)
    assert sorted(first) == list(range(10))
    assert first == drawn(order) and first != drawn(order, 1)
    assert first != drawn(Order(labels(10), 1, "all"))
    assert drawn(Order(labels(10), 0, "in-order")) == list(range(10))


@pytest.mark.parametrize("processes", [2, 3, 8])
@pytest.mark.parametrize("count", [40, 43, 21, 5, 3])
def test_processes_share_the_batches_of_one(count: int, processes: int) -> None:
    batch = 4
    alone = drawn(Order(labels(count), 0, "all", batch=batch))
    size = min(batch, count)
    batches = [alone[start : start + size] for start in range(0, len(alone), size)]
    shares = [drawn(Order(labels(count), 0, "all", r, processes, batch)) for r in range(processes)]
    assert len({len(share) for share in shares}) == 1
    seen = [
        share[start : start + size] for start in range(0, len(shares[0]), size) for share in shares
    ]
    assert seen[: len(batches)] == batches
    assert all(one in batches for one in seen[len(batches) :])
    assert len(seen) - len(batches) < processes


@pytest.mark.parametrize(("count", "processes"), [(7, 2), (1, 4), (8, 2), (0, 2)])
def test_every_image_is_validated(count: int, processes: int) -> None:
    shares = [drawn(Order(labels(count), 0, "in-order", r, processes)) for r in range(processes)]
    assert len({len(share) for share in shares}) == 1
    assert {index for share in shares for index in share} == set(range(count))


def test_rare_ones_are_shown_more_often() -> None:
    many = np.zeros((1000, 2), np.float32)
    many[:, 0] = 1
    many[:10, 1] = 1
    shares = rare_shares(many)
    assert shares[:10] == pytest.approx(10 * shares[10:20])
    assert shares.sum() == pytest.approx(1)
    order = Order(many, 0, "rare")
    assert 60 < sum(index < 10 for index in drawn(order)) < 130
    # of groups the rarest one; an image without any location counts as one of the commonest
    assert rare_shares(np.array([0, 0, 0, 0, 1])) == pytest.approx([1 / 6] * 4 + [1 / 3])
    none = np.array([[0, 0], [1, 0], [1, 0], [1, 1]], np.float32)
    assert rare_shares(none)[0] == pytest.approx(rare_shares(none)[1])


def test_an_image_that_is_drawn_again_looks_different(tmp_path: Path) -> None:
    few = np.zeros((6, 2), np.float32)
    few[:, 0], few[0] = 1, [0, 1]
    order = Order(few, 0, "rare")
    made = images(tmp_path, 6, (Noise(),))
    places = [place for epoch in range(30) for place in (order.set_epoch(epoch), *order)[1:]]
    again = [place for place in places if place[0] >= MOST_EPOCHS]
    assert again and len(set(places)) == len(places)
    turn, index = again[0]
    one, other = made[turn, index], made[turn % MOST_EPOCHS, index]
    assert not np.array_equal(one[1].pixels, other[1].pixels)
    assert np.array_equal(one[1].pixels, made[turn, index][1].pixels)


@pytest.mark.parametrize("arrays", [False, True])
def test_batches_are_the_same_whoever_makes_them(
    arrays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if arrays:  # as in a container
        monkeypatch.setattr(loading, "_room", lambda: 1000)
    made, batches = images(tmp_path, 11, (Noise(),)), Batches(7)
    found = []
    for workers in (0, 2):
        order = Order(made.targets, 7, "all", batch=4)
        order.set_epoch(3)
        found.append(list(loader(made, order, batches, 4, workers, train=True)))
    assert len(found[0]) == len(found[1]) == 2
    for one, other in zip(*found, strict=True):
        for part, same in zip(one, other, strict=True):
            assert isinstance(same, np.ndarray) == arrays
            assert torch.equal(torch.as_tensor(part), torch.as_tensor(same))
    pixels, targets, numbers = map(torch.as_tensor, found[0][0])
    assert pixels.dtype == torch.uint8 and pixels.shape == (4, 4, SIZE, SIZE)
    assert (pixels[:, 1, 0, 0] == numbers).all() and targets.dtype == torch.float32


def test_fewer_images_than_a_batch(tmp_path: Path) -> None:
    made = images(tmp_path, 3)
    order = Order(made.targets, 0, "all", batch=8)
    (batch,) = loader(made, order, Batches(0), 8, 0, train=True)
    assert len(batch[0]) == 3


def test_groups_are_numbers(tmp_path: Path) -> None:
    made = images(tmp_path, 3, groups=True)
    _, targets, _ = Batches(0, groups=True)([made[0, index] for index in (2, 0)])
    assert targets.tolist() == [2000, 0] and targets.dtype == torch.int64


def test_a_field_that_is_not_square(tmp_path: Path) -> None:
    made = images(tmp_path, 1)
    np.save(made.files[0], np.full((4, 10, SIZE), 9, np.uint8))
    pixels = made[0, 0][1].pixels
    assert pixels.shape == (4, SIZE, SIZE)
    assert (pixels[:, :10] == 9).all() and not pixels[:, 10:].any()


def test_workers_beside_threads_of_opencv(tmp_path: Path) -> None:
    """A forked worker has none of them, and would wait for them for ever."""
    images(tmp_path, 4)
    program = f"""
        import cv2, numpy as np
        from pathlib import Path
        from hpazoo.training.loading import Batches, Images, Order, loader
        cv2.setNumThreads(4)
        cv2.GaussianBlur(np.zeros((2000, 2000), np.uint8), (31, 31), 0)
        files = [Path({str(tmp_path)!r}) / f"{{index}}.npy" for index in range(4)]
        made = Images(files, np.eye(4, 5, dtype=np.float32), {SIZE}, 7)
        batches = loader(made, Order(made.targets, 0, "all"), Batches(0), 2, 2, train=True)
        print(len(list(batches)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "2\n"
