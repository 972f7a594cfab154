import subprocess
import sys

import numpy as np
import pytest
import torch

from hpazoo.errors import UsageError
from hpazoo.normalize import NORMALIZATIONS, normalized

torch.set_num_threads(1)


def images(dtype=np.float32):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 4, 20, 30))
    return pixels, torch.from_numpy((pixels / 255).astype(dtype))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", lambda x: x / 255),
        ("centered", lambda x: (x - 127.5) / 255),
        (
            "hpa-2018",
            lambda x: (
                (x / 255 - np.array([0.074598, 0.050630, 0.050891, 0.076287])[:, None, None])
                / np.array([0.122813, 0.085745, 0.129882, 0.119411])[:, None, None]
            ),
        ),
        (
            "imagenet",
            lambda x: (
                (x / 255 - np.array([0.485, 0.456, 0.406, 0.485])[:, None, None])
                / np.array([0.229, 0.224, 0.225, 0.229])[:, None, None]
            ),
        ),
        (
            "per-image",
            lambda x: (x - x.mean((2, 3), keepdims=True)) / (x.std((2, 3), keepdims=True) + 1e-7),
        ),
    ],
)
def test_definitions(name, expected):
    pixels, given = images()
    np.testing.assert_allclose(normalized(given, name), expected(pixels), rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_images_stay_as_they_are(name):
    """The original normalised in place, so that a second call saw other images."""
    _, given = images()
    before = given.clone()
    first = normalized(given, name)
    assert torch.equal(given, before)
    assert torch.equal(normalized(given, name), first)
    assert normalized(given.half(), name).dtype == torch.float16


def test_statistics_of_a_field_for_its_view():
    _, field = images(np.float64)
    variance, mean = torch.var_mean(field, (2, 3), correction=0)
    statistics = torch.stack([mean, variance.sqrt()], 2)
    view = field[..., 3:9, 4:20]
    expected = normalized(field, "per-image")[..., 3:9, 4:20]
    torch.testing.assert_close(normalized(view, "per-image", statistics), expected)
    # Handed on by every run, used by this normalisation only.
    plain = normalized(view, "centered")
    assert torch.equal(normalized(view, "centered", statistics), plain)


@pytest.mark.parametrize("grey", [0, 13, 77, 255])
def test_a_constant_channel_becomes_zero(grey):
    """1e-7 on 0..255 would divide the rounding of a mean up to the size of a signal."""
    given = torch.full((1, 4, 37, 41), grey / 255)
    given[0, 0, 0, 0] = 0.5
    seen = normalized(given, "per-image")
    assert (seen[0, 1:] == 0).all()
    assert abs(seen[0, 0, 0, 0]) > 10
    statistics = torch.tensor([[[grey / 255 + 1e-8, 1e-9]] * 4])
    assert (normalized(given, "per-image", statistics) == 0).all()


def test_unknown_name_and_wrong_statistics():
    _, given = images()
    with pytest.raises(UsageError, match="did you mean 'hpa-2018'"):
        normalized(given, "hpa-2081")
    with pytest.raises(UsageError, match=r"\(2, 4, 2\)"):
        normalized(given, "per-image", torch.zeros(4, 2))


def test_names_need_no_torch():
    code = "import sys, hpazoo.normalize; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
