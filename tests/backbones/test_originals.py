"""Every network of 2018, from a file as its team saved it, against its forward pass by hand."""

import importlib.util
import json
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import torch

from hpazoo.models import build_model
from tests.backbones import originals

torch.set_num_threads(1)

AVG_MAX = {"head": "avg-max", "input": {"size": 512, "normalize": "hpa-2018"}}
# The originals get normalised images; what normalises is tested elsewhere.
AS_IS = {"size": 512, "normalize": "none"}
INCEPTION = {"backbone": "inception-v3", "head": {"type": "attention", "grid": 30}, "input": AS_IS}
LARGE = {"type": "densenet121", "large": True}
NETWORKS = {
    "bf_densenet121_c28": ({"backbone": "densenet121", **AVG_MAX}, originals.bestfitting_densenet),
    "bf_densenet121_c19": ({"backbone": "densenet121", **AVG_MAX}, originals.bestfitting_densenet),
    "bf_densenet121_large_c19": (
        {"backbone": LARGE, **AVG_MAX},
        partial(originals.bestfitting_densenet, large=True),
    ),
    "bf_inceptionv3_c28": (
        {"backbone": "inception-v3", **AVG_MAX},
        originals.bestfitting_inception,
    ),
    "bf_resnet34_c28": (
        {"backbone": {"type": "resnet34", "stem": "bestfitting"}, **AVG_MAX},
        originals.bestfitting_resnet,
    ),
    "bf_resnet18_c28": (
        {"backbone": {"type": "resnet18", "stem": "bestfitting"}, **AVG_MAX},
        originals.bestfitting_resnet,
    ),
    "bf_resnet50_ml_c12815": (
        {
            "backbone": {"type": "resnet50", "stem": "torchvision"},
            "head": "arcface",
            "input": AS_IS,
        },
        originals.bestfitting_metric,
    ),
    "pudae_attention_inceptionv3_c28": (INCEPTION, originals.pudae_inception),
    "pudae_attention_inceptionv3_c19": (INCEPTION, originals.pudae_inception),
    "pudae_attention_se_resnext50_c28": (
        {
            "backbone": {"type": "timm", "name": "legacy_seresnext50_32x4d"},
            "head": {"type": "attention", "grid": 32},
            "input": AS_IS,
        },
        originals.pudae_se_resnext,
    ),
    "pudae_resnet34_c28": (
        {
            "backbone": {"type": "resnet34", "stem": "torchvision"},
            "head": "avg",
            "input": {"size": 512, "normalize": "centered"},
        },
        originals.pudae_resnet,
    ),
}
MEAN = torch.tensor([0.074598, 0.050630, 0.050891, 0.076287], dtype=torch.float64)
DEVIATION = torch.tensor([0.122813, 0.085745, 0.129882, 0.119411], dtype=torch.float64)
# What the original programs do to images in [0, 1] before the first layer.
NORMALISED = {
    "hpa-2018": lambda x: (x - MEAN[:, None, None]) / DEVIATION[:, None, None],
    "centered": lambda x: (255 * x - 127.5) / 255,
    "none": lambda x: x,
}


def saved(name, state, path):
    """Write a file as the team did."""
    if name.startswith("bf_"):
        payload = {
            "save_dir": "../models",
            "state_dict": state,
            "best_epoch": 20,
            "epoch": 24,
            "best_score": torch.tensor(0.5),
        }
        torch.save(payload, path, _use_new_zipfile_serialization=False)
    elif name.endswith("_c19"):
        epoch = OrderedDict((f"module.{key}", value) for key, value in state.items())
        torch.save({"state_dict": epoch, "optimizer_dict": {}, "epoch": 27, "step": 9}, path)
    else:
        averaged = {key: value for key, value in state.items() if "num_batches" not in key}
        torch.save({"state_dict": averaged}, path)


@pytest.fixture(scope="module")
def fill(shared):
    spec = importlib.util.spec_from_file_location("fill", shared / "oracle" / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, shared, fill, tmp_path_factory):
    """(name, state dict as it was saved, the model that was loaded from it)."""
    name = request.param
    state = fill.fill_state(json.loads((shared / f"checkpoints/keys/{name}.json").read_text()))
    path = tmp_path_factory.mktemp("originals") / "final.pth"
    saved(name, state, path)
    config = NETWORKS[name][0] | {"checkpoint": path}
    model = build_model(config, int(name.rsplit("_c", 1)[1]), seed="other")
    path.unlink()
    return name, state, model


def test_equal_to_the_original(network, fill):
    """In double precision, so that nothing but the same network can pass."""
    name, state, model = network
    config, original = NETWORKS[name]
    images = torch.from_numpy(fill.image(5, (2, 4, 128, 160))).double()
    given = NORMALISED[config["input"]["normalize"]](images)
    model.double()
    with torch.inference_mode():
        expected = original({key: value.double() for key, value in state.items()}, given)
        features = model.features(images)
        logits, _ = model.read(features)
    model.float()
    torch.testing.assert_close(features, expected[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, expected[1], rtol=1e-9, atol=1e-9)
    assert float(logits.std()) > 0.01


RECORDED = [name for name in NETWORKS if "resn" in name]
"""Those that tests/test_oracle.py does not compare with what was recorded of the original code."""


@pytest.mark.parametrize("network", RECORDED, indirect=True)
def test_largest_values_of_the_recordings(network, shared, fill):
    name, _, model = network
    entry = json.loads((shared / "oracle/models/index.json").read_text())[name]["inputs"][0]
    images = fill.image(entry["image_seed"], entry["shape"], entry["standardise"])
    if NETWORKS[name][0]["input"]["normalize"] == "centered":
        images = images + np.float32(0.5)  # the recording gave these images as they are
    with torch.inference_mode():
        features = model.features(torch.from_numpy(images))
        logits, embedding = model.read(features)
    found = {"fmap": features, "logits": logits, "cosine": logits, "feature": embedding}
    known = found.keys() & entry["shapes"].keys()
    assert len(known) >= 2
    for what in known:
        assert list(found[what].shape) == entry["shapes"][what]
        slack = 2 * entry["f32_vs_f64_max_abs"][what]
        largest = entry["max_abs"][what]
        assert float(found[what].abs().max()) == pytest.approx(largest, rel=1e-4, abs=slack)


def test_what_is_not_used(network, shared):
    """Exactly what the original's forward pass never touches; the training-only head is kept."""
    name, state, model = network
    facts = json.loads((shared / "checkpoints/checkpoints.json").read_text())["models"][name]
    unused = facts["parameters_not_used_by_eval_forward"]
    ignored = {part for part in unused if not part.startswith("aux_")}
    report = model.checkpoint
    expected = {key for key in state if key.startswith(tuple(ignored)) and not counter(key)}
    assert {key for key in report.ignored if not counter(key)} == expected
    assert report.disagreeing == report.reset == ()
    assert all(map(counter, report.missing))
    assert {key for key in model.state_dict() if not counter(key)} <= set(report.used)


def counter(key):
    """Averaged weights come without these."""
    return key.endswith("num_batches_tracked")
