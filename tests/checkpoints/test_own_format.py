"""hpazoo's own files: weights and what they are of, compared before they are loaded."""

import json
import struct
import subprocess
import sys

import pytest
import torch
from torch import nn

import hpazoo
from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.checkpoints.save import ids_digest, save_checkpoint
from hpazoo.classes import ClassList, class_list
from hpazoo.errors import CheckpointError, HpazooError, UsageError
from hpazoo.fields import Input

torch.set_num_threads(1)
BUILDS = {"backbone": "densenet121", "head": {"type": "attention", "grid": 30}}
CARD = {"parent": "bestfitting-densenet121-768", "metrics": {"hpa-map": 0.5}, "licence": "MIT"}


class Small(nn.Module):
    """The parts of a Model that count here, with a few numbers for a network."""

    def __init__(self, classes="hpa-2021", builds=BUILDS, size=768, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.classes = class_list(classes) if isinstance(classes, str) else classes
        self.backbone = nn.Sequential(nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))
        self.head = nn.ModuleDict({"logit": nn.Linear(2, len(self.classes))})
        self.input = Input(size, "hpa-2018")
        self.builds = builds


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fold-0.safetensors"


@pytest.fixture
def trained(path):
    model = Small(seed=7)
    save_checkpoint(model, path, CARD | {"trained_on": ids_digest(["b", "a", "b"])})
    return model


def test_there_and_back(path, trained):
    model = Small()
    report = load_checkpoint(model, path)
    assert report.format == "hpazoo"
    assert set(report.used) == set(trained.state_dict())
    assert report.ignored == report.missing == report.reset == ()
    for key, value in trained.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    assert report.card == read_card(path)


def test_the_card(path, trained):
    assert read_card(path) == {
        "builds": {
            "backbone": {"type": "densenet121", "large": False},
            "head": {"type": "attention", "grid": 30},
        },
        "input": {"size": 768, "normalize": "hpa-2018"},
        "classes": {"name": "hpa-2021", "names": list(class_list("hpa-2021").names)},
        "hpazoo": hpazoo.__version__,
        "parent": "bestfitting-densenet121-768",
        "metrics": {"hpa-map": 0.5},
        "licence": "MIT",
        "trained_on": ids_digest(["a", "b"]),
    }
    assert ids_digest(["a", "b"])["images"] == 2
    assert ids_digest(["a", "b"]) != ids_digest(["ab"])


def test_reading_the_card_needs_no_torch(path, trained):
    code = (
        "import sys; from hpazoo.checkpoints.reading.header import read_card; "
        f"assert read_card({str(path)!r})['licence'] == 'MIT'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_same_weights_give_the_same_bytes(path, trained):
    before = path.read_bytes()
    save_checkpoint(trained, path, CARD | {"trained_on": ids_digest(["a", "b"])})
    assert path.read_bytes() == before
    from safetensors.torch import load_file

    assert torch.equal(load_file(path)["head.logit.bias"], trained.head["logit"].bias)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"builds": BUILDS | {"backbone": {"type": "densenet121", "large": True}}},
            r"backbone: \{type: densenet121, large: false\} in the file, "
            r"\{type: densenet121, large: true\} in the model",
        ),
        (
            {"builds": BUILDS | {"head": "attention"}},
            r"head: \{type: attention, grid: 30\} in the file, \{type: attention, grid: null\} in",
        ),
        (
            {"builds": BUILDS | {"backbone": "inception-v3"}},
            r"\{type: densenet121, large: false\} in the file, \{type: inception-v3\} in the model",
        ),
        (
            {"size": 512},
            r"input: \{size: 768, normalize: hpa-2018\} in the file, \{size: 512, normalize",
        ),
        ({"classes": "hpa-2018"}, "classes: 19 of hpa-2021 in the file, 28 of hpa-2018 in the mo"),
        (
            {"classes": ClassList("mine", tuple(f"c{i}" for i in range(19)))},
            "classes: 19 of hpa-2021 in the file, 19 of mine in the model",
        ),
    ],
)
def test_another_model_is_refused_though_the_tensors_may_fit(path, trained, options, message):
    model = Small(**options)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=rf"fold-0.safetensors does not fit, .*{message}"):
        load_checkpoint(model, path)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_all_differences_come_at_once(path, trained):
    with pytest.raises(CheckpointError, match=r"backbone: .*; input: .*; classes: "):
        load_checkpoint(
            Small("hpa-2018", BUILDS | {"backbone": {"type": "densenet121", "large": True}}, 9),
            path,
        )


def test_defaults_may_be_said_or_left_out(path, trained):
    load_checkpoint(
        Small(builds=BUILDS | {"backbone": {"type": "densenet121", "large": False}}), path
    )


def test_parts_of_a_package_that_is_not_installed(path):
    """Their defaults are not known, so that they have to be written as they were."""
    builds = {"backbone": {"type": "vendor.net", "depth": 3}, "head": "avg-max"}
    save_checkpoint(Small(builds=builds), path, {})
    load_checkpoint(Small(builds=builds), path)
    other = builds | {"backbone": {"type": "vendor.net", "depth": 4}}
    with pytest.raises(CheckpointError, match=r"\{type: vendor.net, depth: 3\} in the file"):
        load_checkpoint(Small(builds=other), path)


def test_classes_of_which_only_the_number_is_known(path, trained):
    load_checkpoint(Small(ClassList("unnamed", tuple(map(str, range(19))))), path)


def test_a_training_may_start_from_another_input_and_other_classes(path, trained):
    names = class_list("hpa-2021").names
    mine = ClassList("mine", (*reversed(names[:10]), *(f"c{i}" for i in range(9))))
    model = Small(mine, size=512, seed=3)
    kept = model.head["logit"].weight.clone()
    report = load_checkpoint(model, path, start=True)
    assert report.mapped == mine.names[:10]
    assert report.fresh == mine.names[10:]
    given = trained.head["logit"].weight
    assert torch.equal(model.head["logit"].weight[:10], given[:10].flip(0))
    assert torch.equal(model.head["logit"].weight[10:], kept[10:])
    assert torch.equal(model.backbone[0].weight, trained.backbone[0].weight)
    with pytest.raises(CheckpointError, match="backbone: "):
        load_checkpoint(Small(builds=BUILDS | {"backbone": "inception-v3"}), path, start=True)


def test_safetensors_of_others_have_no_card(path, trained):
    from safetensors.torch import save_file

    save_file(trained.state_dict(), path, metadata={"format": "pt"})
    assert read_card(path) is None
    assert load_checkpoint(Small(builds=BUILDS | {"head": "avg-max"}), path).format == "state-dict"
    torch.save(trained.state_dict(), path)
    assert read_card(path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: "no json", "is damaged; expected"),
        (lambda card: "[1]", "is damaged; expected"),
        (lambda card: "[" * 99_999, "is damaged; expected"),
        (lambda card: json.dumps(card | {"builds": 3}), r"is damaged \(no 'builds'\)"),
        (
            lambda card: json.dumps(card | {"builds": {"backbone": "densenet121"}}),
            r"is damaged \(no 'backbone' in 'builds'\)",
        ),
        (
            lambda card: json.dumps(card | {"classes": {"name": "x", "names": [1]}}),
            r"is damaged \(no 'names' in 'classes'\)",
        ),
    ],
)
def test_a_damaged_card(path, trained, change, message):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    card = json.loads(header["__metadata__"]["hpazoo.card"])
    header["__metadata__"]["hpazoo.card"] = change(card)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    for read in (read_card, lambda file: load_checkpoint(Small(), file)):
        with pytest.raises(CheckpointError, match=rf"the card in the header of .*{message}"):
            read(path)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"metric": {}}, "unknown key 'metric' for a card; did you mean 'metrics'"),
        ({"builds": {}}, "the card's 'builds' comes from the model"),
        ({"note": torch.ones(1)}, "its card is no plain data"),
        ({"metrics": {"a": float("nan")}}, "its card is no plain data"),
    ],
)
def test_cards_that_cannot_be_written(path, card, message):
    with pytest.raises(UsageError, match=message):
        save_checkpoint(Small(), path, card)
    assert list(path.parent.iterdir()) == []


def test_weights_that_would_not_load_again(path, trained):
    before = path.read_bytes()
    with torch.no_grad():
        trained.head["logit"].bias[3] = torch.inf
    with pytest.raises(CheckpointError, match=r"'head.logit.bias' holds values that are not fini"):
        save_checkpoint(trained, path, CARD)
    assert path.read_bytes() == before


def test_a_model_that_does_not_know_how_it_was_built(path):
    model = Small()
    model.builds = None
    with pytest.raises(UsageError, match=r"make it with hpazoo\.build_model"):
        save_checkpoint(model, path, CARD)


def test_a_file_that_cannot_be_replaced_stays(path, trained, monkeypatch):
    before = path.read_bytes()

    def full(*_, **__):
        path.with_name(f".{path.stem}.part").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    import safetensors.torch

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(HpazooError, match="cannot be written: No space left"):
        save_checkpoint(Small(), path, CARD)
    assert path.read_bytes() == before


def test_tensors_that_share_memory(path):
    model = Small()
    model.head["copy"] = nn.Linear(2, 19)
    model.head["copy"].weight = model.head["logit"].weight
    save_checkpoint(model, path, {})
    assert len(load_checkpoint(model, path).used) == len(model.state_dict())
