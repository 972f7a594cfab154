import copy
import importlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import hpazoo_pretrainedmodels
import pytest
import torch
from hpazoo_pretrainedmodels import sizes
from hpazoo_pretrainedmodels.network import Name, Network

from hpazoo import build_model
from hpazoo.backbones import backbones
from hpazoo.errors import ComponentError
from hpazoo.parameters import parameters_of
from hpazoo.spec import problems_of
from hpazoo.spec.catalog import describe

torch.set_num_threads(1)
NAMES = get_args(Name)
SMALL = ["densenet121", "dpn68", "resnet18", "se_resnet50", "squeezenet1_1", "xception"]
"""One of every family that is built in a moment."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def build(name, channels=4):
    torch.manual_seed(0)
    return backbones.build({"type": "pretrainedmodels.network", "name": name}, channels).eval()


def shapes_only(name, channels=4):
    """The network without numbers: its maps have a shape and cost nothing."""
    with torch.device("meta"):
        return build(name, channels).to("meta")


def map_of(network, height, width):
    with torch.device("meta"):
        return network(torch.empty(2, 4, height, width)).shape


def test_the_list_is_closed_and_every_name_has_its_steps():
    assert tuple(sizes.STEPS) == NAMES
    library = importlib.import_module("pretrainedmodels")
    flattened = {name for name in library.model_names if name.startswith(("alexnet", "vgg"))}
    refused = {"bninception", "nasnetalarge", "nasnetamobile", "pnasnet5large"}
    assert set(library.model_names) - flattened - refused == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_grid_is_that_of_the_real_map(name):
    network = shapes_only(name)
    least = network.min_size
    assert least >= Network.min_size
    assert network.grid(least, least) == (1, 1)
    assert min(network.grid(least - 1, 512)) < 1
    for height, width in [(least, least + 1), (least + 34, least + 71), (299, 512)]:
        shape = map_of(network, height, width)
        assert shape == (2, network.features, *network.grid(height, width))
    with pytest.raises(RuntimeError):
        map_of(network, least - 1, 512)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_grid_all_over_a_period(name):
    network = shapes_only(name)
    for side in range(network.min_size, network.min_size + 66, 5):
        height, width = side, 2 * network.min_size + 66 - side
        assert map_of(network, height, width)[2:] == network.grid(height, width)


@pytest.mark.parametrize(
    "name",
    [name if name in SMALL else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_number_of_channels(name, channels):
    network = build(name, channels)
    images = torch.rand(2, channels, network.min_size + 40, network.min_size)
    before = images.clone()
    with torch.inference_mode():
        features = network(images)
        again, auxiliary = network.with_aux(images)
    assert torch.equal(images, before)
    assert torch.equal(features, again)
    assert auxiliary is None
    assert features.shape == (2, network.features, *network.grid(*images.shape[2:]))
    assert torch.isfinite(features).all()
    assert (features >= 0).all()


@pytest.mark.parametrize("name", [*SMALL, "resnext101_32x4d"])
def test_torch_seeds_the_weights(name):
    first, second = build(name), build(name)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert one.data_ptr() != other.data_ptr()


def test_the_first_network_of_a_process_has_the_weights_of_later_ones():
    code = (
        "import torch; from hpazoo_pretrainedmodels.network import Network\n"
        "for _ in range(2):\n"
        "    torch.manual_seed(0)\n"
        "    print(sum(p.double().sum() for p in Network(4, name='resnet18').parameters()).item())"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = told.stdout.split()
    assert first == second
    assert told.stderr == ""


@pytest.mark.parametrize("name", [*SMALL, "inceptionv3"])
def test_every_parameter_trains(name):
    network = build(name).train()
    side = network.min_size + 64
    network(torch.rand(2, 4, side, side)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_network_without_numbers_leaves_later_ones_alone():
    code = (
        "import torch; from hpazoo_pretrainedmodels.network import Network\n"
        "with torch.device('meta'):\n"
        "    Network(4, name='resnext101_32x4d')\n"
        "network = Network(4, name='resnext101_32x4d')\n"
        "assert {p.device.type for p in network.parameters()} == {'cpu'}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_copy_is_of_its_own():
    network = build("resnet18")
    other = copy.deepcopy(network)
    images = torch.rand(1, 4, 64, 64)
    with torch.inference_mode():
        expected = network(images)
        for parameter in network.parameters():
            parameter.zero_()
        assert torch.equal(other(images), expected)


@pytest.mark.parametrize("name", ["vgg16", "resnet35"])
def test_other_networks_are_refused(name):
    with pytest.raises(ComponentError, match=f"unknown network '{name}'"):
        Network(4, name=name)


def test_a_library_that_does_not_import_is_a_message(monkeypatch):
    monkeypatch.setitem(sys.modules, "pretrainedmodels", None)
    with pytest.raises(ComponentError, match="pretrainedmodels cannot be imported"):
        Network(4, name="resnet18")


SPEC = """\
hpazoo: 1
name: old
classes: hpa-2021
images: {{type: synthetic, fields: 1}}
masks: watershed
models:
  net:
    backbone: {{type: pretrainedmodels.network, name: {name}}}
    head: avg-max
    input: {{size: 128, normalize: hpa-2018}}
members:
  - {{model: net, strategy: gap-mask}}
ensemble: mean
outputs: [table]
"""


class TestSpec:
    def test_it_is_valid_and_its_model_is_built(self, tmp_path):
        file = tmp_path / "old.yaml"
        file.write_text(SPEC.format(name="resnet18"))
        assert problems_of(file) == []
        model = build_model(
            {
                "backbone": {"type": "pretrainedmodels.network", "name": "resnet18"},
                "head": "avg-max",
                "input": {"size": 128, "normalize": "hpa-2018"},
            },
            classes="hpa-2021",
        )
        with torch.inference_mode():
            assert model(torch.rand(1, 4, 128, 96)).shape == (1, 19)
        assert model.grid(128, 96) == (4, 3)

    @pytest.mark.parametrize("name", ["vgg16", "resnet35"])
    def test_a_network_that_is_not_there_is_a_problem(self, tmp_path, name):
        file = tmp_path / "old.yaml"
        file.write_text(SPEC.format(name=name))
        (problem,) = problems_of(file)
        assert problem.place.line == 8
        assert name in problem.message

    def test_checking_does_not_import_the_library(self, tmp_path):
        file = tmp_path / "old.yaml"
        file.write_text(SPEC.format(name="resnet18"))
        code = (
            f"import sys; from hpazoo.spec import problems_of; assert problems_of({str(file)!r}) "
            "== []; assert not {'torch', 'pretrainedmodels'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


def test_parameters_are_documented():
    assert all(parameter.doc for parameter in parameters_of(Network))


def test_the_manifest_is_up_to_date():
    """Stale: hpazoo plugins --manifest hpazoo-pretrainedmodels > PACKAGE/hpazoo.json"""
    file = Path(hpazoo_pretrainedmodels.__file__).with_name("hpazoo.json")
    manifest = json.loads(file.read_text(encoding="utf-8"))
    assert manifest == {"backbones": {"pretrainedmodels.network": describe(Network).as_json()}}
