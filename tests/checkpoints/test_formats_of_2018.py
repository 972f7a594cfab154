"""Published names -> the model's, made here from the model's own names."""

import re

import pytest
import torch

from hpazoo.backbones import backbones
from hpazoo.checkpoints.describe import cure, describe, other_variant, unsaid
from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.errors import CheckpointError
from hpazoo.formats import formats
from hpazoo.models import build_model

torch.set_num_threads(1)
DENSENET = {
    "conv0": "conv1.0",
    "norm0": "conv1.1",
    "denseblock1": "encoder2.0",
    "norm5": "encoder5.2",
    **{f"transition{i}": f"encoder{i + 2}.0" for i in (1, 2, 3)},
    **{f"denseblock{i}": f"encoder{i + 1}.1" for i in (2, 3, 4)},
}
RESNET = {
    "conv1": "encoder1.0",
    "bn1": "encoder1.1",
    **{f"layer{i}": f"encoder{i + 1}" for i in (1, 2, 3, 4)},
}
STEM = {0: "1a_3x3", 1: "2a_3x3", 2: "2b_3x3", 4: "3b_1x1", 5: "4a_3x3"}
PLACES = {f"Conv2d_{name}": f"features_a.{i}" for i, name in STEM.items()}
MIXED = ["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e"]
PLACES |= {f"Mixed_{name}": f"features_a.{i}" for i, name in enumerate(MIXED, 7)}
PLACES |= {name: f"features_b.{i}" for i, name in enumerate(("Mixed_7a", "Mixed_7b", "Mixed_7c"))}
SAME = None
ATTENTION = {
    "auxiliary.logit": "aux_linear",
    "auxiliary.attention": "aux_attention",
    "logit": "last_linear",
}
SE_RESNEXT = {"type": "timm", "name": "legacy_seresnext50_32x4d"}

# backbone, head, format, torchvision's prefix, names of the stages, names in the head, unused parts
KINDS = {
    "densenet": (
        *("densenet121", "avg-max", "bestfitting"),
        *("backbone.features", DENSENET, {}, ["backbone.classifier.weight"]),
    ),
    "inception": (
        *("inception-v3", "avg-max", "bestfitting"),
        *("inception", SAME, {}, ["inception.fc.weight"]),
    ),
    "resnet18": (
        *({"type": "resnet18", "stem": "bestfitting"}, "avg-max", "bestfitting"),
        *("resnet", RESNET, {}, ["resnet.fc.weight"]),
    ),
    "metric": (
        *({"type": "resnet50", "stem": "torchvision"}, "arcface", "bestfitting-metric"),
        *("resnet", RESNET, {"weight": "arc_margin_product.weight"}, ["logit.bias"]),
    ),
    "pudae": (
        *("inception-v3", "attention", "pudae"),
        *("cnn", PLACES, ATTENTION, ["cnn.fc.weight"]),
    ),
    "se-resnext": (SE_RESNEXT, "attention", "pudae", "cnn", SAME, ATTENTION, []),
    "pudae-resnet34": (
        *({"type": "resnet34", "stem": "torchvision"}, "avg", "pudae"),
        *("", SAME, {"logit": "last_linear"}, []),
    ),
}
TWICE = [kind for kind, parts in KINDS.items() if parts[3] and parts[0] is not SE_RESNEXT]
"""Kinds that save the tensors of their backbone under two names."""


def model_of(backbone, head, classes=28, seed=""):
    config = {"backbone": backbone, "head": head, "input": {"size": 512, "normalize": "none"}}
    return build_model(config, classes, seed=seed)


def published(kind, model):
    """(torchvision's names, the stages' names, names of the head) -> tensors, as saved."""
    _, _, _, prefix, stages, ends, unused = KINDS[kind]
    first, second, head = {}, {}, {}
    for key, value in model.state_dict().items():
        match = re.match(r"backbone\.(?:layers|network)\.(\w+)\.(.+)", key)
        if match:
            layer, leaf = match.groups()
            first[f"{prefix}.{layer}.{leaf}".lstrip(".")] = value
            if kind in TWICE:
                second[f"{stages[layer] if stages else layer}.{leaf}"] = value
        else:
            whole = key.removeprefix("head.")
            name, _, leaf = whole.rpartition(".")
            head[ends.get(whole) or f"{ends.get(name, name)}.{leaf}"] = value
    return first | {name: torch.zeros(10) for name in unused}, second, head


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def trained(kind):
    return model_of(*KINDS[kind][:2], seed="trained")


@pytest.fixture(scope="module")
def names(kind, trained):
    """Everything under the original's names, of tensors only the first axis."""
    first, second, head = published(kind, trained)
    return {key: torch.zeros(value.shape[:1]) for key, value in (first | second | head).items()}


def test_published_names(kind, trained):
    """Each set of names alone leads to every tensor of the model."""
    form, unused = formats.build(KINDS[kind][2]), KINDS[kind][-1]
    first, second, head = published(kind, trained)
    for names in filter(None, (first, second)):
        found = {form.rename(key): value for key, value in (names | head).items()}
        assert found.keys() - {None} == trained.state_dict().keys()
        for key, value in trained.state_dict().items():
            assert found[key].data_ptr() == value.data_ptr(), key
    assert {key for key in first if form.rename(key) is None} == set(unused)


def test_copies_that_differ(kind, trained, tmp_path):
    """The names of the stages win, also in a file that was written anew in alphabetical order."""
    backbone, head, form, *_, unused = KINDS[kind]
    first, second, ends = published(kind, trained)
    if kind in TWICE:
        first = {key: value + 1 for key, value in first.items()}
    path = tmp_path / "final.pth"
    torch.save({"state_dict": dict(sorted((first | second | ends).items()))}, path)
    model = model_of(backbone, head)
    report = load_checkpoint(model, path)
    assert report.format == form
    assert list(report.ignored) == unused
    assert report.missing == ()
    assert len(report.disagreeing) == (len(second) if kind in TWICE else 0)
    for key, value in trained.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_no_other_format_claims_the_file(kind, names):
    claims = [name for name in formats.components() if formats.build(name).recognises(names)]
    assert claims == [KINDS[kind][2]]


def test_a_network_is_described_alike_by_its_own_names_and_by_the_published(trained, names):
    assert describe(trained.state_dict()) == describe(names)


R18 = {"type": "resnet18", "stem": "torchvision"}
OTHERS = {
    "pudae": (
        "densenet121",
        "holds Inception v3 with the head attention and 28 classes, expected DenseNet-121 with "
        "the head avg-max and 28 classes.* say `backbone: inception-v3` and `head: attention`",
    ),
    "densenet": (
        "inception-v3",
        "say `backbone: densenet121` and `head: avg-max`, with `large: true` if it was trained",
    ),
    "inception": (R18, "say `backbone: inception-v3` and `head: avg-max`"),
    "resnet18": (
        {"type": "resnet34", "stem": "bestfitting"},
        "holds ResNet-18 with the head avg-max and 28 classes, expected ResNet-34 with .* say "
        "`backbone: {type: resnet18, stem: bestfitting}` and `head: avg-max`",
    ),
    "metric": (
        R18,
        "holds ResNet-50 with the head arcface and 28 classes, .* say `backbone: {type: resnet50, "
        "stem: torchvision}` and `head: arcface`",
    ),
    "se-resnext": (
        R18,
        "holds SE-ResNeXt-50 with the head attention .* say `backbone: {type: timm, name: "
        "legacy_seresnext50_32x4d}` and `head: attention`",
    ),
    "pudae-resnet34": (
        {"type": "resnet34", "stem": "torchvision"},
        "holds ResNet-34 with a linear head and 28 classes, expected ResNet-34 with the head "
        "avg-max .* say `backbone: {type: resnet34, stem: torchvision}` and `head: avg`",
    ),
}


def test_another_network(kind, names, tmp_path):
    backbone, message = OTHERS[kind]
    path = tmp_path / "final.pth"
    torch.save(names, path)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(model_of(backbone, "avg-max"), path)


def test_the_stem_of_the_original(kind, trained):
    """The tensors fit both stems, so that the names have to tell them apart."""
    config = KINDS[kind][0]
    first, second, head = published(kind, trained)
    if "stem" not in config:
        other = backbones.build(R18, 4)
        assert other_variant(first | head, other) == ""
        return
    right = config["stem"]
    wrong = {"bestfitting": "torchvision", "torchvision": "bestfitting"}[right]
    other = backbones.build(config | {"stem": wrong}, 4)
    for backbone in filter(None, (first, second)):
        assert other_variant(backbone | head, trained.backbone) == ""
        message = other_variant(backbone | head, other)
        assert f"trained with the stem '{right}'" in message
        assert f"built with '{wrong}'" in message
        assert message.endswith(f"say `stem: {right}`")
    # Of its own names nothing is known: that is for the spec to say.
    assert other_variant(trained.state_dict(), other) == ""
    assert "or `stem: bestfitting` if it was trained so" in cure(trained.state_dict())


@pytest.mark.parametrize("kind", ["densenet", "pudae", "pudae-resnet34"], indirect=True)
def test_28_classes_into_19(kind, trained, tmp_path):
    path = tmp_path / "final.pth"
    first, second, head = published(kind, trained)
    torch.save(first | second | head, path)
    with pytest.raises(CheckpointError, match=r"28 classes, expected 19 .*`classes: hpa-2018` and"):
        load_checkpoint(model_of(*KINDS[kind][:2], "hpa-2021"), path)


def test_depths_that_no_backbone_has():
    def state(*names):
        return {name: torch.zeros(64, 4) for name in names}

    deep = state("layer3.22.conv3.weight", "layer3.22.conv1.weight", "fc.weight")
    assert describe(deep) == "ResNet-101 with a linear head and 64 classes"
    assert describe(state("layer3.7.conv1.weight")) == "a ResNet"
    larger = state("features.denseblock4.denselayer17.conv1.weight", "logit.weight")
    assert describe(larger) == "a DenseNet larger than 121 with a linear head and 64 classes"
    plain = state("layer1.0.conv1.weight", "layer3.5.conv1.weight", "layer3.5.conv3.weight")
    squeezed = plain | state("layer1.0.se_module.fc1.weight", "attention.weight")
    assert describe(squeezed) == "an SE-ResNet with the head attention"
    for network in (deep, larger, plain, squeezed):
        assert cure(network) == ""
    assert describe({"a": 1}) == "an unknown network (a, ...)"
    assert describe({"Mixed_7c.x": 1, "logit.weight": "text"}) == "Inception v3 with a linear head"


def test_own_heads_of_one_layer():
    own = {"backbone.layers.layer3.1.conv1.weight": 1, "head.logit.weight": torch.zeros(5, 4)}
    assert describe(own) == "ResNet-18 with a linear head and 5 classes"
    assert cure(own).endswith("(or `head: max`, whose tensors are the same)")
    gem = own | {"head.p": torch.ones(1)}
    assert describe(gem) == "ResNet-18 with the head gem and 5 classes"
    assert "`head: gem`" in cure(gem) and "max" not in cure(gem)


def test_what_a_file_does_not_tell():
    own, theirs = "backbone.layers.layer3.5.conv1.weight", "encoder1.0.weight"
    files = [dict.fromkeys(names, torch.ones(1)) for names in ([own], [own, theirs])]

    def said(config):
        backbone = backbones.build(config, 4)
        return [unsaid(state, backbone) for state in files]

    assert said("densenet121") == [("large: false",)] * 2
    assert said({"type": "densenet121", "large": True}) == [("large: true",)] * 2
    assert said(R18) == [("stem: torchvision",), ()]
    assert said("inception-v3") == [()] * 2


def test_own_state_dict(tmp_path):
    trained = model_of("densenet121", "attention", 5, "trained")
    path = tmp_path / "own.pth"
    torch.save(trained.state_dict(), path)
    model = model_of("densenet121", "attention", 5)
    assert load_checkpoint(model, path).format == "state-dict"
    assert torch.equal(model.head.logit.weight, trained.head.logit.weight)
