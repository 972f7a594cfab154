"""Weights from photographs -> a network for four channels, and where they come from."""

from __future__ import annotations

import hashlib
import importlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from torch import nn

from hpazoo.checkpoints.cache.add import add
from hpazoo.checkpoints.cache.fetch import fetch
from hpazoo.checkpoints.card_file import read_cards
from hpazoo.checkpoints.cards import OWN_CARDS, find_card
from hpazoo.checkpoints.imagenet import imagenet_card, imagenet_start, timm_card, without_imagenet
from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.errors import CheckpointError, ComponentError, HpazooError
from hpazoo.formats import formats
from hpazoo.models import build_model
from hpazoo.paths import data_folder
from tests.checkpoints.serving import PATIENCE, Server, whole

torch.set_num_threads(1)
MAKE: dict[str, Any] = {
    "densenet121": lambda: torchvision.models.densenet121(),
    "resnet18": lambda: torchvision.models.resnet18(),
    "resnet34": lambda: torchvision.models.resnet34(),
    "resnet50": lambda: torchvision.models.resnet50(),
    "inception-v3": lambda: torchvision.models.inception_v3(init_weights=False),
}
BACKBONES = [
    {"type": "densenet121", "large": False},
    {"type": "densenet121", "large": True},
    {"type": "resnet18", "stem": "torchvision"},
    {"type": "resnet34", "stem": "torchvision"},
    {"type": "resnet34", "stem": "bestfitting"},
    {"type": "resnet50", "stem": "torchvision"},
    {"type": "inception-v3"},
]


def model_of(backbone: Any, head: Any = "avg-max", seed: str = "") -> Any:
    config = {"backbone": backbone, "head": head, "input": {"size": 128, "normalize": "none"}}
    return build_model(config, "hpa-2021", seed=seed)


def trained(make: Any, seed: int = 3) -> Any:
    """A network whose every tensor differs from what another would begin with."""
    torch.manual_seed(seed)
    network = make().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked += 7
    return network


def published(kind: str, network: nn.Module) -> dict[str, torch.Tensor]:
    """As torchvision's files are; those of DenseNets have old names and no counters."""
    state = dict(network.state_dict())
    if kind == "densenet121":
        old = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])")
        state = {
            old.sub(r"\1.\2", key): value
            for key, value in state.items()
            if not key.endswith("num_batches_tracked")
        }
        assert "features.denseblock1.denselayer1.norm.1.weight" in state
    return state


def features_by_torchvision(backbone: dict[str, Any], network: Any, images: torch.Tensor) -> Any:
    """The last map, by torchvision's own forward pass, in the variant that is asked for."""
    found = []
    if backbone["type"] == "densenet121":
        if backbone["large"]:
            network.features.pool0 = nn.Sequential(network.features.pool0, nn.MaxPool2d(2, 2))
        return torch.relu(network.features(images))
    if backbone.get("stem") == "bestfitting":
        network.maxpool = nn.MaxPool2d(2, 2)
    if backbone["type"] == "inception-v3":
        network.transform_input = False
    last = network.Mixed_7c if backbone["type"] == "inception-v3" else network.layer4
    last.register_forward_hook(lambda *parts: found.append(parts[-1]))
    network(images)
    return found[0]


def photographs(side: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    """(images of three channels, the same with a yellow that is 0)."""
    torch.manual_seed(1)
    three = torch.rand(2, 3, side, side)
    return three, torch.cat([three, torch.zeros(2, 1, side, side)], dim=1)


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda one: "-".join(map(str, one.values())))
def test_a_network_of_torchvision(backbone: dict[str, Any], tmp_path: Path) -> None:
    network = trained(MAKE[backbone["type"]])
    path = tmp_path / "imagenet.pth"
    torch.save(published(backbone["type"], network), path)
    head = {"type": "attention", "grid": 2} if backbone["type"] == "inception-v3" else "avg-max"
    model = model_of(backbone, head)
    before = {key: value.clone() for key, value in model.head.state_dict().items()}
    report = load_checkpoint(model, path, start=True)
    three, four = photographs()
    with torch.inference_mode():
        expected = features_by_torchvision(backbone, network, three)
        torch.testing.assert_close(model.features(four), expected, rtol=1e-4, atol=1e-4)
    (stem,) = report.widened
    weights = model.state_dict()[stem]
    assert torch.equal(weights[:, 3], weights[:, 0]) and weights[:, 3].abs().sum() > 0
    assert report.format == "torchvision"
    assert {key for key in model.state_dict() if key.startswith("backbone.")} == {
        *report.used,
        *(key for key in report.missing if key.startswith("backbone.")),
    }
    assert all(torch.equal(value, before[key]) for key, value in model.head.state_dict().items())
    assert all(key.startswith(("fc.", "classifier.", "AuxLogits.")) for key in report.ignored)
    assert report.ignored and report.fresh == model.classes.names
    assert "not in the file, random: head." in report.summary()


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "resnet18"])
def test_a_network_of_timm(name: str, tmp_path: Path) -> None:
    """Also one whose names are torchvision's: the model decides."""
    timm = importlib.import_module("timm")
    network = trained(lambda: timm.create_model(name))
    path = tmp_path / "model.safetensors"
    importlib.import_module("safetensors.torch").save_file(network.state_dict(), path)
    side = timm.models.get_pretrained_cfg(name).input_size[1]
    model = model_of({"type": "timm", "name": name}, "avg")
    report = load_checkpoint(model, path, start=True)
    three, four = photographs(side)
    with torch.inference_mode():
        expected = network.forward_features(three)
        if expected.ndim == 3:  # tokens of a transformer, those of no place first
            tokens = expected[:, network.num_prefix_tokens :]
            expected = tokens.transpose(1, 2).unflatten(2, network.patch_embed.grid_size)
        torch.testing.assert_close(model.features(four), expected, rtol=1e-4, atol=1e-4)
    assert report.format == "timm" and len(report.widened) == 1
    assert report.ignored and not any(key.startswith("backbone.") for key in report.missing)


def test_an_earlier_map_of_timm_needs_a_part_of_the_file(tmp_path: Path) -> None:
    timm = importlib.import_module("timm")
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "a.pth")
    model = model_of({"type": "timm", "name": "resnet18", "level": 2}, "avg")
    report = load_checkpoint(model, tmp_path / "a.pth", start=True)
    assert {key.partition(".")[0] for key in report.ignored} == {"layer3", "layer4", "fc"}


def saved(tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    path = tmp_path / "a.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def resnet18() -> dict[str, torch.Tensor]:
    return dict(torchvision.models.resnet18().state_dict())


def test_no_model_without_a_head(resnet18: Any, tmp_path: Path) -> None:
    model = model_of({"type": "resnet18", "stem": "torchvision"}, "avg")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model, saved(tmp_path, resnet18))
    assert "holds ResNet-18" in str(caught.value)
    assert "no head for locations in it" in str(caught.value)
    assert "a training can start from it" in str(caught.value)


OWN = {"type": "resnet18", "stem": "torchvision"}


@pytest.mark.parametrize(
    ("backbone", "change", "message"),
    [
        (OWN | {"type": "resnet34"}, {}, r"holds ResNet-18 .* expected ResNet-34"),
        ("densenet121", {}, r"holds ResNet-18 .* expected DenseNet-121"),
        (OWN, {"layer4.2.conv1.weight": torch.ones(1)}, r"1 of its tensors are not the model's"),
        (OWN, {"layer2.0.bn1.weight": None}, r"1 tensors of the model are not in it: 'backbone"),
        (OWN, {"conv1.weight": torch.ones(64, 5, 7, 7)}, r"is \(64, 5, 7, 7\), not \(64, 4"),
        (OWN, {"bn1.weight": torch.full((64,), torch.nan)}, r"values that are not finite"),
        ({"type": "timm", "name": "resnet34"}, {}, r"tensors of the model are not in it: 'backb"),
        ({"type": "timm", "name": "resnet10t"}, {}, r"are not the model's: '(conv1|layer1.1)"),
    ],
)
def test_not_another_network_nor_a_damaged_one(
    backbone: Any, change: Any, message: str, resnet18: Any, tmp_path: Path
) -> None:
    state = {key: value for key, value in (resnet18 | change).items() if value is not None}
    model = model_of(backbone, "avg")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(model, saved(tmp_path, state), start=True)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_files_of_the_teams_stay_theirs() -> None:
    form = formats.build("torchvision")
    resnet = ["conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"]
    assert form.recognises(dict.fromkeys(resnet, 1))
    assert not form.recognises(dict.fromkeys([*resnet, "last_linear.weight"], 1))
    assert not form.recognises({f"resnet.{key}": 1 for key in resnet})
    assert not formats.build("timm").recognises(dict.fromkeys(resnet, 1))


def test_published_cards_are_what_torchvision_says() -> None:
    weights = {
        "densenet121": torchvision.models.DenseNet121_Weights,
        "resnet18": torchvision.models.ResNet18_Weights,
        "resnet34": torchvision.models.ResNet34_Weights,
        "resnet50": torchvision.models.ResNet50_Weights,
        "inception-v3": torchvision.models.Inception_V3_Weights,
    }
    for name, known in weights.items():
        card = imagenet_card({"type": name})
        assert card.name == f"imagenet-{name}" and card.role == "backbone"
        assert card.builds.keys() == {"backbone"} and card.classes is None
        assert card.files[0].sources == (known.IMAGENET1K_V1.url,)
        assert known.IMAGENET1K_V1.url.endswith("/" + card.files[0].name)
        assert card.input["size"] == known.IMAGENET1K_V1.transforms().crop_size[0]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPAZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def offered(server: Server, data: bytes, name: str, path: Path) -> None:
    """A file of cards in which `imagenet-resnet18` is this file, on this computer."""
    text = (data_folder("registry") / "checkpoints.yaml").read_text(encoding="utf-8")
    entry = yaml.safe_load(text)["cards"]["imagenet-resnet18"]
    entry["files"] = [{"name": name, "sources": [server.url(f"/{name}", whole(data))]}]
    path.write_text(yaml.safe_dump({"cards": {"imagenet-resnet18": entry}}), encoding="utf-8")


def as_bytes(state: dict[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def test_from_the_server_to_the_network(
    resnet18: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = as_bytes(resnet18)
    digest = hashlib.sha256(data).hexdigest()
    backbone = {"type": "resnet18", "stem": "bestfitting"}
    monkeypatch.setenv(OWN_CARDS, str(tmp_path / "cards.yaml"))
    with Server() as server:
        offered(server, data, f"resnet18-{digest[:8]}.pth", tmp_path / "cards.yaml")
        with pytest.raises(CheckpointError) as caught:
            imagenet_start(backbone)
        for text in (
            "start: imagenet of the backbone 'resnet18'",
            "is not in the cache",
            "hpazoo checkpoints fetch imagenet-resnet18",
            "hpazoo checkpoints add imagenet-resnet18 FILE",
        ):
            assert text in str(caught.value)
        (done,) = fetch(imagenet_card(backbone), patience=PATIENCE)
    start = imagenet_start(backbone)
    assert start.path == done.path and done.recorded == digest
    assert start.note.endswith(
        "trained with stem: torchvision, here bestfitting, with the same tensors"
    )
    assert "trained with" not in imagenet_start(backbone | {"stem": "torchvision"}).note
    report = load_checkpoint(model_of(backbone), start.path, start=True)
    assert "so as the spec says: stem: bestfitting" in report.summary()
    start.path.write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="was changed or is damaged"):
        imagenet_start(backbone)


def test_a_file_that_is_not_what_its_name_says(resnet18: Any, cache: Path, tmp_path: Path) -> None:
    """Of a digest torchvision publishes the first digits, in the name; that much is checked."""
    card = imagenet_card("resnet18")
    place = add(card, saved(tmp_path, resnet18))
    with pytest.raises(CheckpointError) as caught:
        imagenet_start("resnet18")
    assert re.search(r"its sha256 begins with [0-9a-f]{8}, expected f37072fd", str(caught.value))
    assert str(place) in str(caught.value) and f"{place.name}.json" in str(caught.value)


def test_timms_weights_from_its_hub(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = importlib.import_module("timm")
    network = timm.create_model("test_convnext")
    path = tmp_path / "model.safetensors"
    importlib.import_module("safetensors.torch").save_file(network.state_dict(), path)
    backbone = {"type": "timm", "name": "test_convnext", "level": None, "options": None}
    card = imagenet_card(backbone)
    assert card.files[0].sources == (
        "https://huggingface.co/timm/test_convnext.r160_in1k/resolve/main/model.safetensors",
    )
    assert card.name == "timm.test_convnext.r160_in1k" and card.format == "timm"
    assert card.licence == "apache-2.0" and "mean 0.5, 0.5, 0.5" in card.note
    assert timm_card("timm.test_convnext") == timm_card(card.name) == card
    assert timm_card("test_convnext") is None
    with pytest.raises(CheckpointError, match=f"hpazoo checkpoints fetch {re.escape(card.name)}"):
        imagenet_start(backbone)
    with Server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address + "/")
        where = "/timm/test_convnext.r160_in1k/resolve/main/model.safetensors"
        server.url(where, whole(path.read_bytes()))
        (done,) = fetch(imagenet_card(backbone), patience=PATIENCE)
    assert done.recorded == hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.delenv("HF_ENDPOINT")
    model = model_of({"type": "timm", "name": "test_convnext"}, "avg")
    assert load_checkpoint(model, imagenet_start(backbone).path, start=True).format == "timm"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "timm.vit_small_patch14_dinov2",
            r"no ImageNet .* only lvd142m; .*fetch timm\.vit",
        ),
        ("timm.resnet10t.nobody", "no weights 'nobody' of 'resnet10t'; there are: c3_in1k"),
        (
            "timm.convnext_tinny",
            "no network 'convnext_tinny'; did you mean 'convnext_tiny'",
        ),
        ("timm.vit_base_patch16_224.mae", ""),
        ("timm.legacy_seresnext50_32x4d", ""),
    ],
)
def test_weights_that_timm_names(name: str, message: str) -> None:
    if message:
        with pytest.raises((CheckpointError, ComponentError), match=message):
            timm_card(name)
    else:
        card = timm_card(name)
        assert card is not None and card.files[0].sources[0].startswith("https://")


def test_backbones_that_have_none() -> None:
    assert without_imagenet({"type": "densenet121", "large": True}) == ""
    assert without_imagenet({"type": "timm", "name": "resnet34"}) == ""
    told = without_imagenet({"type": "torchscript", "outputs": 19})
    assert "'torchscript'; there are some for densenet121, " in told and "timm" in told
    with pytest.raises(CheckpointError, match=r"are known for the backbone 'v\.mine'"):
        imagenet_start("v.mine")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"builds": {"backbone": "resnet18", "head": "avg"}}, "'builds' needs backbone$"),
        ({"classes": "hpa-2021"}, "a classifier has 'classes', other roles have none"),
        ({"builds": None}, "'builds' needs backbone$"),
        ({"role": "classifier", "classes": "hpa-2021"}, "'builds' needs backbone and head"),
        (
            {"files": [{"name": n, "fold": int(n), "sources": ["https://a.b/"]} for n in "01"]},
            "a training starts from one file",
        ),
    ],
)
def test_cards_of_backbones(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    text = (data_folder("registry") / "checkpoints.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    cards = {"mine": data["cards"]["imagenet-resnet18"] | change}
    path = tmp_path / "cards.yaml"
    path.write_text(yaml.safe_dump({"datasets": data["datasets"], "cards": cards}))
    with pytest.raises(HpazooError, match=message):
        read_cards(path)


def test_asking_needs_no_network_library() -> None:
    code = (
        "import sys; from hpazoo.checkpoints.imagenet import imagenet_card, without_imagenet;"
        "imagenet_card('resnet18'); without_imagenet({'type': 'timm', 'name': 'resnet18'});"
        "assert not {'torch', 'timm', 'numpy', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_card_is_known_by_name() -> None:
    assert find_card("imagenet-resnet18") == imagenet_card({"type": "resnet18"})
