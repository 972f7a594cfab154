import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import hpazoo_openvino
import numpy as np
import pytest
import torch
from hpazoo_openvino import library, network
from hpazoo_openvino.cpu import Cpu
from hpazoo_openvino.network import SIZES
from torch import nn

from hpazoo import Regions, build_model
from hpazoo.accelerators import accelerators
from hpazoo.backbones import backbones
from hpazoo.errors import ComponentError, HpazooError, UsageError
from hpazoo.spec.catalog import describe

torch.set_num_threads(1)
PACKAGE = Path(hpazoo_openvino.__file__).parent


class Small(nn.Module):
    """A backbone of two layers, converted in a moment."""

    gives = ("feature-map", "centres")
    features, aux_features, min_size = 6, None, 2
    centres = (1.0, 2.0)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(4, 6, 2, stride=2)
        self.norm = nn.BatchNorm2d(6)

    def grid(self, height, width):
        return height // 2, width // 2

    def forward(self, images):
        return self.norm(self.layer(images)).relu()


def images_of(*shape, seed=1):
    images = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return images.contiguous(memory_format=torch.channels_last)


def build(config):
    torch.manual_seed(0)
    backbone = backbones.build(config, 4).eval()
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d):  # as if it had seen images
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.8, 1.2)
    return backbone.to(memory_format=torch.channels_last)


@pytest.fixture
def small():
    return Cpu().accelerate(Small().eval(), "cpu")


@pytest.mark.parametrize(
    "config",
    [
        {"type": "resnet18", "stem": "bestfitting"},
        {"type": "densenet121", "large": True},
        {"type": "inception-v3"},
        {"type": "timm", "name": "test_convnext"},
        pytest.param({"type": "resnet50", "stem": "torchvision"}, marks=pytest.mark.slow),
        pytest.param({"type": "densenet121"}, marks=pytest.mark.slow),
        pytest.param({"type": "timm", "name": "tf_efficientnet_b0"}, marks=pytest.mark.slow),
        pytest.param({"type": "timm", "name": "convnext_tiny"}, marks=pytest.mark.slow),
        pytest.param(
            {"type": "timm", "name": "swin_tiny_patch4_window7_224"}, marks=pytest.mark.slow
        ),
    ],
    ids=lambda config: "-".join(map(str, config.values())),
)
def test_maps_are_those_of_torch(config):
    backbone = build(config)
    images = images_of(2, 4, backbone.min_size + 83, backbone.min_size + 160)
    with torch.inference_mode():
        expected = backbone(images)
        found = Cpu().accelerate(backbone, "cpu")(images)
    assert found.shape == (2, backbone.features, *backbone.grid(*images.shape[2:]))
    assert found.dtype == torch.float32
    largest = float(expected.abs().max())
    assert largest > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-5 * largest)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "head", "size", "normalize"),
    [
        ("densenet121", "avg-max", 768, "hpa-2018"),
        ({"type": "densenet121", "large": True}, "avg-max", 1536, "hpa-2018"),
        ("inception-v3", {"type": "attention", "grid": 30}, 1024, "per-image"),
    ],
)
def test_logits_at_the_sizes_of_the_6th_place(config, head, size, normalize):
    model = build_model(
        {"backbone": config, "head": head, "input": {"size": size, "normalize": normalize}},
        classes="hpa-2021",
        seed="6th",
    )
    images = torch.rand(1, 4, size, size, generator=torch.Generator().manual_seed(0))
    quarters = torch.arange(1, 5).reshape(2, 2).repeat_interleave(size // 2, 0)
    labels = quarters.repeat_interleave(size // 2, 1).numpy()
    with torch.inference_mode():
        regions = Regions.from_masks([labels], grid=model.grid(size, size), over="cell")
        expected = model(images, regions)
        model.backbone = Cpu().accelerate(model.backbone, "cpu")
        found = model(images, regions)
    assert expected.shape == (4, 19)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


class TestBytes:
    def test_they_are_the_same_each_time(self, small):
        images = images_of(3, 4, 32, 24)
        with torch.inference_mode():
            first = small(images)
            again = copy.deepcopy(small)(images)
            assert torch.equal(small(images), first)
        assert torch.equal(again, first)

    def test_they_do_not_depend_on_the_batch_or_the_layout(self, small):
        images = images_of(3, 4, 32, 24)
        with torch.inference_mode():
            together = small(images)
            apart = torch.cat([small(images[i : i + 1].contiguous()) for i in range(3)])
        assert torch.equal(together, apart)
        assert len(small.programs.made) == 1

    def test_the_map_lies_in_memory_as_that_of_torch(self, small):
        """Channels last, so that heads take the way they take without an accelerator."""
        images = images_of(2, 4, 32, 24)
        with torch.inference_mode():
            assert small(images).stride() == small.original(images).stride()

    def test_an_answer_is_not_overwritten_by_the_next(self, small):
        with torch.inference_mode():
            first = small(images_of(1, 4, 16, 16))
            kept = first.clone()
            small(images_of(1, 4, 16, 16, seed=2))
        assert torch.equal(first, kept)

    def test_images_and_the_generator_of_torch_stay_as_they_were(self, small):
        images = images_of(2, 4, 16, 16)
        before, state = images.clone(), torch.random.get_rng_state()
        small(images)
        assert torch.equal(images, before)
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_several_threads_of_a_program_may_ask(self, small):
        images = [images_of(1, 4, 64, 64, seed=seed) for seed in range(4)]
        expected = [small(one) for one in images]
        found = [[] for _ in images]

        def ask(number):
            found[number] = [small(images[number]) for _ in range(20)]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, answers in enumerate(found):
            assert len(answers) == 20
            assert all(torch.equal(answer, expected[number]) for answer in answers)


class TestPrograms:
    @pytest.fixture
    def counted(self, monkeypatch):
        """Sizes that were compiled, with the number of threads."""
        made = []
        real = network.compiled

        def counting(backbone, shape, threads):
            made.append((shape, threads))
            return real(backbone, shape, threads)

        monkeypatch.setattr(network, "compiled", counting)
        return made

    def test_one_is_compiled_for_each_size_and_few_are_kept(self, small, counted):
        sides = [*range(2, 3 + SIZES), 2]
        for side in sides:
            small(images_of(1, 4, side, 6))
            small(images_of(2, 4, side, 6))
        assert counted == [((4, side, 6), 1) for side in sides]
        assert len(small.programs.made) == SIZES

    def test_each_is_exact_and_has_as_many_threads_as_torch_has(self, small, counted, monkeypatch):
        asked = []
        real = library.core()

        class Core:
            def compile_model(self, graph, device, settings):
                asked.append(settings["INFERENCE_NUM_THREADS"])
                assert settings["INFERENCE_PRECISION_HINT"] == "f32"
                return real.compile_model(graph, device, settings)

        monkeypatch.setattr(network, "core", Core)
        images = images_of(1, 4, 16, 16)
        small(images)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
        small(images)
        assert counted == [((4, 16, 16), 1), ((4, 16, 16), 2)]
        assert asked == [1, 2]

    def test_weights_that_are_loaded_later_count(self, small, counted):
        images = images_of(1, 4, 16, 16)
        before = small(images)
        small(images)
        assert len(counted) == 1
        state = small.state_dict()
        with torch.inference_mode():
            small.load_state_dict({name: 2 * tensor for name, tensor in state.items()})
            found, expected = small(images), small.original(images)
        assert len(counted) == 2
        assert not torch.equal(found, before)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)

    def test_weights_that_are_put_elsewhere_count(self, small, counted):
        images = images_of(1, 4, 16, 16)
        small(images)
        small.layer.weight = nn.Parameter(torch.zeros_like(small.layer.weight))
        torch.testing.assert_close(small(images), small.original(images))
        assert len(counted) == 2

    def test_weights_without_a_count_of_changes(self):
        with torch.inference_mode():
            backbone = Small().eval()
            images = images_of(1, 4, 16, 16)
            found = Cpu().accelerate(backbone, "cpu")(images)
            torch.testing.assert_close(found, backbone(images), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
    def test_copies_compile_for_themselves(self, small, again):
        images = images_of(1, 4, 16, 16)
        expected = small(images)
        twin = again(small)
        assert len(twin.programs.made) == 0
        with torch.no_grad():
            small.layer.weight.zero_()
        assert torch.equal(twin(images), expected)


class TestRefusals:
    @pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
    def test_other_devices(self, device):
        with pytest.raises(UsageError, match=f"not on '{device}'"):
            Cpu().accelerate(Small().eval(), device)

    def test_other_precisions(self, small):
        images = images_of(1, 4, 16, 16)
        with torch.autocast("cpu", torch.bfloat16), pytest.raises(UsageError, match="bfloat16"):
            small(images)
        with pytest.raises(UsageError, match=r"not in torch\.float64; use --precision 32"):
            small(images.double())
        with pytest.raises(UsageError, match=r"'layer\.weight' is torch\.float16"):
            Cpu().accelerate(Small().eval().half(), "cpu")

    def test_training(self, small):
        with pytest.raises(UsageError, match="OpenVINO evaluates only"):
            small.train()
        with pytest.raises(UsageError, match="no gradients"):
            small(images_of(1, 4, 16, 16).requires_grad_())
        with pytest.raises(UsageError, match=r"call eval\(\) first"):
            Cpu().accelerate(Small().train(), "cpu")

    def test_a_layer_that_openvino_does_not_know(self):
        """Traced, it would become another one, and the map be off by thousandths."""
        backbone = build({"type": "timm", "name": "test_vit"})
        with pytest.raises(HpazooError) as caught:
            Cpu().accelerate(backbone, "cpu")(images_of(1, 4, 96, 64))
        message = str(caught.value)
        assert "OpenVINO cannot run the network Timm for images of 96 x 64 pixels" in message
        assert "upsample_bicubic2d_aa" in message
        assert "without an accelerator" in message

    def test_a_network_that_decides_by_what_it_sees(self):
        class Moody(Small):
            def forward(self, images):
                return super().forward(images if float(images.sum()) > 0 else -images)

        fast = Cpu().accelerate(Moody().eval(), "cpu")
        for _ in range(2):
            with pytest.raises(HpazooError, match="OpenVINO cannot run the network Moody"):
                fast(images_of(1, 4, 16, 16))

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (lambda found: found[..., :-1], r"its map \(1, h, w, F\) is \(1, 8, 8, 5\), torch's"),
            (lambda found: found + 2e-4 * found.max(), "its map is off by up to"),
            (lambda found: found * np.nan, "its map is off by up to"),
        ],
        ids=["shape", "values", "nan"],
    )
    def test_another_map_than_that_of_torch(self, small, monkeypatch, wrong, words):
        real = network._program

        def program(*given):
            run = real(*given)
            return lambda image: wrong(run(image))

        monkeypatch.setattr(network, "_program", program)
        with pytest.raises(HpazooError, match=words):
            small(images_of(1, 4, 16, 16))
        assert len(small.programs.made) == 0

    def test_values_that_are_no_numbers(self, small):
        """Of OpenVINO's they would come out as 0."""
        images = images_of(1, 4, 16, 16)
        for value in (torch.nan, torch.inf):
            images[0, 1, 2, 3] = value
            with pytest.raises(UsageError, match="not finite numbers"):
                small(images)
        with torch.no_grad():
            small.layer.bias[0] = torch.nan
        with pytest.raises(HpazooError, match="weights are damaged"):
            small(images_of(1, 4, 16, 16))

    def test_a_library_that_does_not_import(self, monkeypatch):
        for cached in (library.openvino, library.core):
            monkeypatch.setattr(library, cached.__name__, cached.__wrapped__)
        monkeypatch.setitem(sys.modules, "openvino", None)
        with pytest.raises(ComponentError, match="OpenVINO cannot be imported"):
            library.openvino()


ALONE = """
import os, socket, sys, time
asked = []
def refuse(*arguments):
    asked.append(arguments)
    raise OSError("no connections")
socket.socket.connect = socket.getaddrinfo = refuse
import torch
from hpazoo.accelerators import accelerators
class Backbone(torch.nn.Conv2d):
    gives, features, aux_features, min_size = ("feature-map",), 6, None, 1
    def grid(self, height, width):
        return height, width
accelerator = accelerators.build("openvino.cpu")
accelerator.accelerate(Backbone(4, 6, 1).eval(), "cpu")(torch.rand(1, 4, 64, 64))
time.sleep(1)  # reports are sent by a thread
print(len(asked), "openvino_telemetry" in sys.modules, os.listdir(os.environ["HOME"]))
"""


def test_nothing_is_reported_to_anybody(tmp_path):
    """Without a connection, without a file in the user's folder, and without a word."""
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("0 False []\n", "")


def test_a_plugin_that_nothing_is_asked_of_imports_nothing():
    code = (
        "import sys; from hpazoo.accelerators import accelerators\n"
        "from hpazoo.spec.catalog import description\n"
        "assert description('accelerators', 'openvino.cpu').summary\n"
        "assert not {'torch', 'openvino'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_is_found_by_its_name():
    found = accelerators.build("openvino.cpu")
    assert isinstance(found, Cpu)
    assert found.devices == ("cpu",)


def test_the_manifest_is_up_to_date():
    """Stale: hpazoo plugins --manifest hpazoo-openvino > PACKAGE/hpazoo.json"""
    manifest = json.loads((PACKAGE / "hpazoo.json").read_text(encoding="utf-8"))
    assert manifest == {"accelerators": {"openvino.cpu": describe(Cpu).as_json()}}
