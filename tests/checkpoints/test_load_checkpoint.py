"""Files of weights, good and bad, on a network of a few numbers."""

import hashlib
import io
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.classes import ClassList, class_list
from hpazoo.errors import CheckpointError

torch.set_num_threads(1)


class Small(nn.Module):
    """Names and parts of a Model, in the format `state-dict`."""

    def __init__(self, classes=3, listed=None):
        super().__init__()
        self.backbone = nn.ModuleDict(
            {"layers": nn.Sequential(nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))}
        )
        self.head = nn.ModuleDict({"logit": nn.Linear(2, classes)})
        self.head["auxiliary"] = nn.Linear(2, classes)
        self.classes = listed or ClassList("mine", tuple(map(str, range(classes))))


def state_of(classes=3):
    torch.manual_seed(7)
    return Small(classes).state_dict()


def write(path, payload, **options):
    torch.save(payload, path, **options)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "final.pth"


def assert_loads(path, **expected):
    model = Small()
    report = load_checkpoint(model, path)
    for key, value in state_of().items():
        if key in report.used:
            assert torch.equal(model.state_dict()[key], value), key
    assert report.format == "state-dict"
    for name, value in expected.items():
        assert getattr(report, name) == value
    return report


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s},
        lambda s: {"state_dict": OrderedDict(s), "epoch": 3, "best_score": torch.tensor(0.5)},
        lambda s: {"model_state_dict": s, "optimizer": {"state": {}, "param_groups": []}},
        lambda s: {"model": s, "history": [1.5, None, "text"]},
        lambda s: {"state_dict": s, "best_score": np.float64(0.5), "epoch": np.int64(3)},
        lambda s: {"state_dict": s, "scores": np.arange(3.0), "best": np.float32(1)},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {k: nn.Parameter(v, requires_grad=v.is_floating_point()) for k, v in s.items()},
        lambda s: {k: v.double() if v.is_floating_point() else v for k, v in s.items()},
    ],
)
def test_containers(path, wrap, as_zip):
    write(path, wrap(state_of()), _use_new_zipfile_serialization=as_zip)
    report = assert_loads(path, ignored=(), missing=(), reset=(), disagreeing=())
    assert len(report.used) == len(state_of())
    assert report.summary() == "final.pth: 11 tensors from the format 'state-dict'"


@pytest.mark.parametrize("as_zip", [True, False])
def test_weights_from_a_gpu(path, as_zip):
    """The location of each storage is text in the pickle: 'cpu' becomes 'cuda:0'."""
    write(path, {"state_dict": state_of()}, _use_new_zipfile_serialization=as_zip)
    on_cpu, on_gpu = (b"X" + len(w).to_bytes(4, "little") + w for w in (b"cpu", b"cuda:0"))
    if as_zip:
        moved = io.BytesIO()
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(moved, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                if name.endswith("data.pkl"):
                    assert on_cpu in data
                    data = data.replace(on_cpu, on_gpu)
                new.writestr(name, data)
        path.write_bytes(moved.getvalue())
    else:
        data = path.read_bytes()
        assert on_cpu in data
        path.write_bytes(data.replace(on_cpu, on_gpu))
    assert_loads(path, missing=())


def test_safetensors(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "fold-0.safetensors"
    save_file(state_of(), path)
    assert_loads(path, missing=())


def test_batch_counters_and_the_training_head_may_be_absent(path):
    state = {k: v for k, v in state_of().items() if "auxiliary" not in k and "num_batches" not in k}
    write(path, state)
    report = assert_loads(path)
    assert set(report.missing) == set(state_of()) - set(state)
    assert "without batch counters" in report.summary()
    assert "not in the file, random: head.auxiliary (2)" in report.summary()


def test_a_training_head_that_the_model_lacks_is_ignored(path):
    write(path, state_of())
    model = Small()
    del model.head["auxiliary"]
    report = load_checkpoint(model, path)
    assert set(report.ignored) == {"head.auxiliary.weight", "head.auxiliary.bias"}
    assert "not used: head.auxiliary (2)" in report.summary()


def test_entries_that_are_no_tensors_are_ignored(path):
    write(path, dict(state_of()) | {"head.note": "best of three"})
    assert assert_loads(path).ignored == ("head.note",)


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def bad_files():
    good = io.BytesIO()
    torch.save({"state_dict": state_of()}, good)
    good = good.getvalue()
    old = io.BytesIO()
    torch.save({"state_dict": state_of()}, old, _use_new_zipfile_serialization=False)
    old = old.getvalue()
    flipped = bytearray(good)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        info = next(i for i in archive.infolist() if i.filename.endswith("data/0"))
    flipped[info.header_offset + 200] ^= 255
    script = io.BytesIO()
    with zipfile.ZipFile(script, "w") as archive:
        archive.writestr("model/data.pkl", b"")
        archive.writestr("model/constants.pkl", b"")
        archive.writestr("model/code/a.py", b"")
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("weights/final.pth", b"")
    return {
        "empty": (b"", r"is empty \(0 bytes\); fetch it again"),
        "html": (b"\n<!DOCTYPE html><html>Sign in</html>", "web page .* login; open it in a brow"),
        "text": (b"Not Found", "text file that begins with 'not found'"),
        "json": (b'{"error": 404}', "text file that begins with"),
        "lfs": (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "Git LFS pointer.*git lfs pull",
        ),
        "truncated": (
            good[: len(good) // 2],
            "is damaged or not a file of weights.*fetch it again",
        ),
        "truncated-end": (good[:-30], "is damaged"),
        "truncated-old": (old[: len(old) // 2], "is damaged"),
        "flipped": (bytes(flipped), "is damaged.*the checksum of .*data/0 is wrong"),
        "noise": (bytes(range(256)) * 9, "is damaged or not a file of weights"),
        "png": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is damaged or not a file of weights"),
        "script": (script.getvalue(), "TorchScript archive"),
        "zip": (other.getvalue(), "zip archive of weights/final.pth, not weights; unpack it"),
        "list": (pickled([1, 2]), "holds a list; expected a state dict"),
        "none": (
            pickled({"epoch": 3, "loss": 0.5}),
            "no weights: .* found the keys 'epoch', 'loss'",
        ),
        "optimizer": (pickled({"optimizer": {"state": {}}}), "state of an optimizer"),
        "nothing": (pickled({}), "found the keys none"),
        "safetensors": (b"\x04" + bytes(7) + b"{  }", None),
    }


def pickled(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", bad_files())
def test_what_is_no_file_of_weights(path, kind):
    data, message = bad_files()[kind]
    path.write_bytes(data)
    model = Small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(model, path)
    assert str(path) in str(caught.value)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("make", [Evil, lambda _: nn.Linear(1, 1)])
def test_code_is_not_run(path, as_zip, make):
    thing = make(path.with_name("made"))
    write(path, {"state_dict": state_of(), "x": thing}, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(CheckpointError, match=r"was not opened.*(mkdir|Linear).*tensors only"):
        load_checkpoint(Small(), path)
    path.write_bytes(pickle.dumps({"x": thing}))
    with pytest.raises(CheckpointError):
        load_checkpoint(Small(), path)
    assert not path.with_name("made").exists()


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(Small(), tmp_path / "final.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint(Small(), tmp_path)


def test_missing_and_unexpected_names(path):
    state = dict(state_of())
    del state["head.logit.bias"]
    write(path, state | {"head.other": torch.ones(1)})
    with pytest.raises(
        CheckpointError,
        match=r"1 tensors of the model are not in it: 'head.logit.bias'; "
        r"1 of its tensors are not the model's: 'head.other'\. To mend it, the file is incomplete",
    ):
        load_checkpoint(Small(), path)


def test_other_shapes(path):
    state = dict(state_of())
    state["backbone.layers.0.weight"] = torch.zeros(2, 3, 3, 3)
    write(path, state)
    message = r"'backbone.layers.0.weight' is \(2, 3, 3, 3\), not \(2, 4, 3, 3\)"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(Small(), path)


def test_other_classes(path):
    """28 classes of 2018 into a model of the 19 of 2021."""
    write(path, state_of(28))
    model = Small(19, class_list("hpa-2021"))
    with pytest.raises(
        CheckpointError,
        match=r"answers for 28 classes, expected 19 \(hpa-2021\); say `classes: hpa-2018` and "
        r"`map_classes: max` for this model or start a training of 19 classes",
    ):
        load_checkpoint(model, path)
    kept = model.head["logit"].weight.clone()
    report = load_checkpoint(model, path, start=True, class_map=False)
    assert len(report.reset) == 4
    assert torch.equal(model.head["logit"].weight, kept)
    expected = state_of(28)["backbone.layers.0.weight"]
    assert torch.equal(model.backbone["layers"][0].weight, expected)
    assert "for other classes, random: head.logit (2)" in report.summary()


def test_rows_of_other_classes_start_a_training(path):
    """By the map of 2018 to 2021; several sources are averaged, Negative has none."""
    write(path, state_of(28))
    classes = class_list("hpa-2021")
    model = Small(19, classes)
    kept = model.head["auxiliary"].bias.clone()
    report = load_checkpoint(model, path, start=True)
    assert report.mapped == classes.names[:18]
    assert report.fresh == ("Negative",)
    assert set(report.reset) == {key for key in state_of() if key.startswith("head.")}
    for name in ("logit", "auxiliary"):
        given = state_of(28)[f"head.{name}.weight"]
        found = model.head[name].weight
        assert torch.equal(found[:8], given[:8])
        torch.testing.assert_close(found[9], (given[12] + given[13]) / 2)
        torch.testing.assert_close(found[17], given[[8, 9, 10, 20, 26]].mean(0))
    assert torch.equal(model.head["auxiliary"].bias[18], kept[18])
    assert "rows of 18 taken over, random for Negative" in report.summary()


def test_a_model_without_classes_ignores_those_of_the_file(path):
    write(path, state_of(28))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch remarks that there is nothing to draw
        model = Small(0, ClassList("none", ()))
    report = load_checkpoint(model, path)
    assert set(report.ignored) == {key for key in state_of() if key.startswith("head.")}
    assert "not used: head.logit (2), head.auxiliary (2)" in report.summary()
    assert report.reset == report.missing == ()


@pytest.mark.parametrize("channels", [4, 6])
def test_a_first_layer_for_photographs(path, channels):
    state = dict(state_of(28))
    stem = torch.rand(2, 3, 3, 3)
    state["backbone.layers.0.weight"] = stem
    write(path, state)
    model = Small(28)
    model.backbone["layers"][0] = nn.Conv2d(channels, 2, 3)
    with pytest.raises(
        CheckpointError,
        match=r"for images of 3 channels \('backbone.layers.0.weight' is \(2, 3, 3, 3\), not "
        rf"\(2, {channels}, 3, 3\)\), expected {channels} \(red, .*; it can only start a training",
    ):
        load_checkpoint(model, path)
    report = load_checkpoint(model, path, start=True)
    assert report.widened == ("backbone.layers.0.weight",)
    found = model.backbone["layers"][0].weight
    assert torch.equal(found[:, :3], stem)
    for further in range(3, channels):
        assert torch.equal(found[:, further], stem[:, 0])
    assert "for 3 channels, the others begin as red: backbone.layers.0.weight" in report.summary()


def test_starting_does_not_excuse_another_network(path):
    state = dict(state_of())
    state["backbone.layers.0.weight"] = torch.zeros(2, 3, 5, 5)
    write(path, state)
    message = r"'backbone.layers.0.weight' is \(2, 3, 5, 5\), not \(2, 4, 3, 3\)"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(Small(), path, start=True)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool])
def test_whole_numbers_for_weights(path, dtype):
    write(path, dict(state_of()) | {"head.logit.weight": torch.zeros(3, 2, dtype=dtype)})
    with pytest.raises(CheckpointError, match=rf"'head.logit.weight' holds {dtype}, expected"):
        load_checkpoint(Small(), path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_other_precisions(path, dtype):
    write(path, {k: v.to(dtype) if v.is_floating_point() else v for k, v in state_of().items()})
    model = Small()
    load_checkpoint(model, path)
    expected = state_of()["head.logit.weight"].to(dtype).float()
    assert torch.equal(model.head["logit"].weight, expected)


def test_a_number_beyond_the_model_s_precision(path):
    state = dict(state_of())
    state["head.logit.bias"] = torch.tensor([0, 1e300, 0], dtype=torch.float64)
    write(path, state)
    with pytest.raises(CheckpointError, match=r"'head.logit.bias' holds values that are not fini"):
        load_checkpoint(Small(), path)


@pytest.mark.parametrize("value", ["text", torch.tensor(1.0)])
def test_entries_of_strange_kinds_under_known_names(path, value):
    """They must not trip up the message that describes the file."""
    write(path, {"fc.weight": value, "head.logit.weight": value, "x": torch.ones(2)})
    with pytest.raises(CheckpointError, match="in none of the formats"):
        load_checkpoint(Small(), path)


def test_classes_of_no_known_list(path):
    write(path, state_of(5))
    with pytest.raises(CheckpointError, match=r"for 5 classes, expected 3 \(mine\); start a train"):
        load_checkpoint(Small(), path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite(path, value):
    state = dict(state_of())
    state["head.logit.bias"] = torch.tensor([0, value, 0])
    write(path, state)
    with pytest.raises(CheckpointError, match=r"'head.logit.bias' holds values that are not fini"):
        load_checkpoint(Small(), path)


def test_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"hpazoo" * 100_000)
    assert sha256(path) == hashlib.sha256(b"hpazoo" * 100_000).hexdigest()


def test_a_broken_format_of_another_package_is_passed_over(path, monkeypatch):
    from hpazoo.formats import formats
    from hpazoo.registry import Component

    known = formats.components()
    broken = Component("formats", "vendor.x", "vendor 1.0", "no_such_module_of_vendor", "X")
    monkeypatch.setattr(formats, "components", lambda: {"vendor.x": broken} | known)
    write(path, state_of())
    assert_loads(path)
