"""Published names -> the model's, made here from the model's own names."""

import re

import pytest
import torch

from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.errors import CheckpointError
from hpazoo.models import build_model

torch.set_num_threads(1)
STAGES = {
    "conv0": "conv1.0",
    "norm0": "conv1.1",
    "denseblock1": "encoder2.0",
    "norm5": "encoder5.2",
    **{f"transition{i}": f"encoder{i + 2}.0" for i in (1, 2, 3)},
    **{f"denseblock{i}": f"encoder{i + 1}.1" for i in (2, 3, 4)},
}
STEM = {0: "1a_3x3", 1: "2a_3x3", 2: "2b_3x3", 4: "3b_1x1", 5: "4a_3x3"}
PLACES = {f"Conv2d_{name}": f"features_a.{i}" for i, name in STEM.items()}
MIXED = ["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e"]
PLACES |= {f"Mixed_{name}": f"features_a.{i}" for i, name in enumerate(MIXED, 7)}
PLACES |= {name: f"features_b.{i}" for i, name in enumerate(("Mixed_7a", "Mixed_7b", "Mixed_7c"))}
HEAD = {
    "head.auxiliary.logit": "aux_linear",
    "head.auxiliary.attention": "aux_attention",
    "head.logit": "last_linear",
    "head.attention": "attention",
}


def model_of(backbone, head, classes=28, seed=""):
    config = {"backbone": backbone, "head": head, "input": {"size": 512, "normalize": "none"}}
    return build_model(config, classes, seed=seed)


def published(kind, model, copies="both"):
    """State dict as the original would save it; `copies`: torchvision's names, stages', both."""
    first, second, head = {}, {}, {}
    for key, value in model.state_dict().items():
        match = re.match(r"backbone\.layers\.(\w+)\.(.+)", key)
        if match:
            layer, leaf = match.groups()
            prefix, names = {
                "densenet": ("backbone.features", STAGES),
                "inception": ("inception", None),
                "pudae": ("cnn", PLACES),
            }[kind]
            first[f"{prefix}.{layer}.{leaf}"] = value
            second[f"{names[layer] if names else layer}.{leaf}"] = value
        elif kind == "pudae":
            name, _, leaf = key.rpartition(".")
            head[f"{HEAD[name]}.{leaf}"] = value
        else:
            head[key.removeprefix("head.")] = value
    classifier = {"densenet": "backbone.classifier", "inception": "inception.fc", "pudae": "cnn.fc"}
    first[f"{classifier[kind]}.weight"] = torch.zeros(10, 3)
    return {"first": first, "second": second, "both": first | second}[copies] | head


KINDS = {
    "densenet": ("densenet121", "avg-max", "bestfitting"),
    "inception": ("inception-v3", "avg-max", "bestfitting"),
    "pudae": ("inception-v3", "attention", "pudae"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_published_names(kind, tmp_path):
    backbone, head, form = KINDS[kind]
    trained = model_of(backbone, head, seed="trained")
    path = tmp_path / "final.pth"
    model = model_of(backbone, head)
    for copies in ("both", "first", "second"):
        torch.save({"state_dict": published(kind, trained, copies)}, path)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        report = load_checkpoint(model, path)
        assert report.format == form
        assert len(report.ignored) == (copies != "second")
        assert report.missing == ()
        for key, value in trained.state_dict().items():
            assert torch.equal(model.state_dict()[key], value), (copies, key)


@pytest.mark.parametrize(
    ("kind", "backbone", "head", "message"),
    [
        (
            "pudae",
            "densenet121",
            "avg-max",
            "holds Inception v3 with the head attention and 28 classes, expected DenseNet-121 with "
            "the head avg-max and 28 classes.* say `backbone: inception-v3` and `head: attention`",
        ),
        ("densenet", "inception-v3", "avg-max", "say `backbone: densenet121` and `head: avg-max`"),
        ("inception", "inception-v3", "attention", "say .*inception-v3` and `head: avg-max`"),
    ],
)
def test_another_network(kind, backbone, head, message, tmp_path):
    path = tmp_path / "final.pth"
    torch.save(published(kind, model_of(*KINDS[kind][:2])), path)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(model_of(backbone, head), path)


@pytest.mark.parametrize("kind", KINDS)
def test_28_classes_into_19(kind, tmp_path):
    backbone, head, _ = KINDS[kind]
    path = tmp_path / "final.pth"
    torch.save(published(kind, model_of(backbone, head)), path)
    model = model_of(backbone, head, "hpa-2021")
    with pytest.raises(CheckpointError, match=r"28 classes, expected 19 .*`classes: hpa-2018` and"):
        load_checkpoint(model, path)
    report = load_checkpoint(model, path, new_classes=True)
    assert all(key.startswith("head.") for key in report.reset)


def test_own_state_dict(tmp_path):
    trained = model_of("densenet121", "attention", 5, "trained")
    path = tmp_path / "own.pth"
    torch.save(trained.state_dict(), path)
    model = model_of("densenet121", "attention", 5)
    assert load_checkpoint(model, path).format == "state-dict"
    assert torch.equal(model.head.logit.weight, trained.head.logit.weight)
