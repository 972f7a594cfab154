"""Networks that come as a program: run only when trusted, and told apart by what they answer."""

import hashlib
import os
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from hpazoo.checkpoints import program as program_module
from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.checkpoints.program import load_program
from hpazoo.errors import CheckpointError, ComponentError, HpazooError, UsageError
from hpazoo.models import build_model
from hpazoo.regions import Regions

torch.set_num_threads(1)
CLASSES, WIDTH, SIZE = 19, 5, 16


class Net(nn.Module):
    """Scores and an embedding of 4-channel images, in one of the forms that programs have."""

    def __init__(self, form, classes=CLASSES, width=WIDTH):
        super().__init__()
        self.form = form
        self.scores = nn.Linear(4, classes)
        self.embedding = nn.Linear(4, width)

    def both(self, images):
        seen = images.mean((2, 3)) * 8
        return self.scores(seen).sigmoid(), self.embedding(seen)


class AsTuple(Net):
    def forward(self, images):
        return self.both(images)


class Turned(Net):
    def forward(self, images):
        scores, embedding = self.both(images)
        return [embedding, scores, images]


class AsDict(Net):
    def forward(self, images):
        scores, embedding = self.both(images)
        return {"classes": scores, "features": embedding[:, :, None, None]}


class Joined(Net):
    def forward(self, images):
        scores, embedding = self.both(images)
        return torch.cat([scores, embedding], dim=1)


FORMS = [AsTuple, Turned, AsDict, Joined]


def saved(net, path, freeze=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images = torch.rand(2, 4, SIZE, SIZE)
        script = torch.jit.trace(net.eval(), images, strict=False)
        torch.jit.save(torch.jit.freeze(script) if freeze else script, path)
    return path


def model_of(classes="hpa-2021", seed="", head="as-given", backbone=None, **options):
    said = {"type": "torchscript", "outputs": CLASSES, "embedding": WIDTH} | options
    config = {
        "backbone": backbone or said,
        "head": head,
        "input": {"size": SIZE, "normalize": "none"},
    }
    return build_model(config, classes, seed=seed)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt"


@pytest.fixture
def trusted(monkeypatch):
    """Digests that are trusted; a test adds to them."""
    digests = set()
    monkeypatch.setattr(program_module, "is_trusted", digests.__contains__)
    return digests


def trust(trusted, path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    trusted.add(digest)
    return digest


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_answers(path, trusted, form, freeze):
    torch.manual_seed(3)
    net = form("x")
    digest = trust(trusted, saved(net, path, freeze))
    model = model_of()
    report = load_checkpoint(model, path)
    assert (report.format, report.sha256, report.missing) == ("program", digest, ())
    assert report.summary() == f"net.pt: TorchScript program, sha256 {digest}"
    images = torch.rand(3, 4, SIZE, SIZE)
    with torch.inference_mode():
        logits = model(images)
        scores, embedding = net.both(images)
        assert torch.allclose(logits.sigmoid(), scores, atol=1e-6)
        assert torch.allclose(model.embed(images), embedding, atol=1e-6)
        assert model.features(images).shape == (3, CLASSES + WIDTH, 1, 1)
    assert model.grid(*images.shape[2:]) == (1, 1)
    # in every way that a run and a training handle a model
    model.to(memory_format=torch.channels_last)
    model.train()
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(model(images), logits, atol=1e-5)


class Extreme(nn.Module):
    def __init__(self, values):
        super().__init__()
        self.register_buffer("values", torch.tensor(values))

    def forward(self, images):
        return self.values.expand(len(images), -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_sigmoid_gives_probabilities_back(dtype):
    values = torch.tensor([0, 1e-7, 1e-4, 0.5, 0.9, 1 - 1e-4, 1]).to(dtype)
    model = model_of(7, outputs=7, embedding=0)
    model.backbone.load_program(Extreme(values.tolist()).to(dtype))
    logits = model(torch.rand(2, 4, SIZE, SIZE))
    assert torch.isfinite(logits).all()
    assert torch.allclose(logits.sigmoid(), values.float().expand(2, 7), atol=1.2e-7, rtol=0)
    assert model.embed(torch.rand(2, 4, SIZE, SIZE)).shape == (2, 0)
    as_logits = model_of(7, outputs=7, embedding=0, probabilities=False)
    as_logits.backbone.load_program(Extreme([-3.0, 0, 1, 2, 3, 40, 5]))
    assert as_logits(torch.rand(1, 4, SIZE, SIZE)).tolist() == [[-3, 0, 1, 2, 3, 40, 5]]


@pytest.mark.parametrize("value", [-0.5, 1.5, float("nan")])
def test_scores_that_are_no_probabilities(value):
    model = model_of(3, outputs=3, embedding=0)
    model.backbone.load_program(Extreme([0.5, value, 0.1]))
    with pytest.raises(HpazooError, match="no probabilities; say `probabilities: false`"):
        model(torch.rand(1, 4, SIZE, SIZE))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "options", [{"outputs": CLASSES, "embedding": 7}, {"outputs": CLASSES, "embedding": CLASSES}]
)
def test_other_widths_are_refused_at_once_and_the_model_stays(path, trusted, form, options):
    trust(trusted, saved(form("x"), path))
    model = model_of(**options)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(model, path)
    assert re.search(
        r"net.pt does not fit: the TorchScript program gives .*\(1, \d+.* expected one tensor with "
        rf"19 columns of scores and one with {options['embedding']} columns of embedding",
        str(caught.value),
    )
    assert model.backbone.program is None


def test_equal_widths_are_told_apart_by_order(path, trusted):
    net = AsTuple("x", classes=6, width=6)
    trust(trusted, saved(net, path))
    model = model_of(6, outputs=6, embedding=6)
    load_checkpoint(model, path)
    images = torch.rand(2, 4, SIZE, SIZE)
    assert torch.allclose(model(images).sigmoid(), net.both(images)[0], atol=1e-6)
    assert torch.allclose(model.embed(images), net.both(images)[1], atol=1e-6)


def test_an_unknown_program_is_not_interpreted(path, trusted, monkeypatch):
    saved(AsTuple("x"), path)
    trusted.add("0" * 64)
    monkeypatch.setattr(torch.jit, "load", None)
    for attempt in (load_program, lambda file: load_checkpoint(model_of(), file)):
        with pytest.raises(CheckpointError) as caught:
            attempt(path)
        text = str(caught.value)
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
        assert f"hpazoo checkpoints add NAME {path} --trust-code" in text


def test_what_is_hashed_is_what_runs(path, trusted, monkeypatch):
    """The file is exchanged between the two readings, or after them."""
    good = saved(AsTuple("x"), path).read_bytes()
    trust(trusted, path)
    evil = saved(Joined("x"), path.with_name("evil.pt")).read_bytes()
    path.write_bytes(good)
    real = program_module.open_file

    def swapped(name):
        Path(name).write_bytes(evil)
        return real(name)

    monkeypatch.setattr(program_module, "open_file", swapped)
    with pytest.raises(CheckpointError, match="it changed while it was read"):
        load_program(path)
    monkeypatch.setattr(program_module, "open_file", real)
    path.write_bytes(good)
    load, seen = torch.jit.load, []

    def late(file, **options):
        path.write_bytes(evil)
        seen.append(file.getvalue())
        return load(file, **options)

    monkeypatch.setattr(torch.jit, "load", late)
    load_program(path)
    assert seen == [good]


def test_trust_is_asked_of_the_store(path, monkeypatch, tmp_path):
    """Without a card or a word of the user no digest is trusted."""
    monkeypatch.setenv("HPAZOO_CACHE", str(tmp_path / "cache"))
    with pytest.raises(CheckpointError, match="was not opened: it is a TorchScript archive"):
        load_program(saved(AsTuple("x"), path))


def test_a_trusted_file_that_is_damaged(path, trusted):
    whole = saved(AsTuple("x"), path).read_bytes()
    for data in (whole[: len(whole) // 2], b"PK\x03\x04", b"text"):
        path.write_bytes(data)
        trust(trusted, path)
        with pytest.raises(CheckpointError, match="is trusted but cannot be loaded as TorchScript"):
            load_program(path)


def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="is a pipe, not a file"):
        load_program(path)


@pytest.mark.parametrize("freeze", [False, True])
def test_a_frozen_program_is_loaded_anew_for_another_device(path, trusted, freeze):
    """Its weights are constants, which do not move with the module; others do."""
    net = AsTuple("x")
    trust(trusted, saved(net, path, freeze))
    model, images = model_of(), torch.rand(2, 4, SIZE, SIZE)
    load_checkpoint(model, path)
    before, asked = model.backbone.program, []
    assert (model.backbone.elsewhere is not None) == freeze
    path.unlink()  # from memory, where it was verified
    if freeze:
        real = model.backbone.elsewhere
        model.backbone.elsewhere = lambda device: asked.append(device) or real(device)
    model.backbone._device = "cuda:0"  # as if it had run there
    for _ in range(2):
        assert torch.allclose(model(images).sigmoid(), net.both(images)[0], atol=1e-6)
    assert asked == (["cpu"] if freeze else [])
    assert (model.backbone.program is before) != freeze


def test_a_program_for_other_images(path, trusted):
    class Three(AsTuple):
        def forward(self, images):
            return self.both(nn.functional.conv2d(images, torch.ones(4, 3, 1, 1)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Three("x"), torch.rand(1, 3, SIZE, SIZE)), path)
    trust(trusted, path)
    with pytest.raises(CheckpointError, match=r"does not take images of shape \(1, 4, 16, 16\)"):
        load_checkpoint(model_of(), path)


def test_wrong_files_and_wrong_models(path, trusted):
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(CheckpointError, match="holds weights without a program, but the backbone"):
        load_checkpoint(model_of(), path)
    path.write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match="is a web page"):
        load_checkpoint(model_of(), path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(model_of(), path.with_name("none.pt"))
    trust(trusted, saved(AsTuple("x"), path))
    with pytest.raises(CheckpointError, match=r"to answer for 19 classes .* the model for 7"):
        model = model_of(19)
        model.classes = type(model.classes)("mine", tuple("abcdefg"))
        load_checkpoint(model, path)
    other = {"backbone": "densenet121", "head": "avg-max"}
    small = build_model(other | {"input": {"size": 64, "normalize": "none"}}, 3)
    with pytest.raises(CheckpointError, match=r"is a TorchScript archive.*backbone 'torchscript'"):
        load_checkpoint(small, path)


def test_without_a_program():
    model, images = model_of(seed="a"), torch.rand(2, 4, SIZE, SIZE)
    with pytest.raises(UsageError, match=r"none is loaded; name its card or file .* --random-weig"):
        model(images)
    for one in (model, again := model_of(seed="a"), other := model_of(seed="b")):
        one.backbone.answer_at_random()
    assert torch.equal(model(images), again(images))
    assert not torch.equal(model(images), other(images))
    assert not torch.equal(model(images)[0], model(images)[1])
    assert model(images).shape == (2, CLASSES)
    assert model.embed(images).shape == (2, WIDTH)


def test_what_does_not_fit_together():
    with pytest.raises(ComponentError, match="answers nothing with 'outputs' and 'embedding' of 0"):
        model_of(0, outputs=0, embedding=0)
    with pytest.raises(ComponentError, match=r"has to answer for 28 classes, .* gives 24 columns"):
        model_of("hpa-2018")
    with pytest.raises(ComponentError, match="outputs"):
        build_model(
            {
                "backbone": "torchscript",
                "head": "as-given",
                "input": {"size": 9, "normalize": "none"},
            },
            3,
        )
    for head in ("avg-max", "attention"):
        with pytest.raises(ComponentError, match="needs a backbone that gives 'feature-map'"):
            model_of(head=head)
    model = model_of()
    model.backbone.answer_at_random()
    parts = Regions(torch.ones(2, 1, 1), [0, 0])
    with pytest.raises(UsageError, match="answers for whole images only"):
        model(torch.rand(1, 4, SIZE, SIZE), parts)


def test_embeddings_alone():
    model = model_of(0, outputs=0, embedding=7)
    model.backbone.load_program(Extreme([1.0, 2, 3, 4, 5, 6, 7]))
    images = torch.rand(2, 4, SIZE, SIZE)
    assert model(images).shape == (2, 0)
    assert model.embed(images)[0].tolist() == [1, 2, 3, 4, 5, 6, 7]
