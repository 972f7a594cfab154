"""`compile`, with compilers that need no GPU."""

import copy

import pytest
import torch
from torch import nn

from hpazoo.accelerators.compile import SIZES, Compile, Compiled, available, filled
from hpazoo.backbones import backbones
from hpazoo.errors import HpazooError, UsageError

torch.set_num_threads(1)


class Counting:
    """A compiler that leaves the graph as it is, and counts what it is given."""

    def __init__(self):
        self.shapes = []

    def __call__(self, graph, examples):
        (images,) = (
            example
            for example in examples
            if example.ndim == 4 and not isinstance(example, nn.Parameter)
        )
        self.shapes.append(tuple(images.shape))
        return graph.forward

    def __deepcopy__(self, _):
        return self


class Small(nn.Module):
    """A backbone of one layer."""

    gives = ("feature-map",)
    features, aux_features, min_size = 200, None, 2

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Conv2d(4, 200, 2, stride=2)

    def grid(self, height, width):
        return height // 2, width // 2

    def forward(self, images):
        return self.layer(images).relu()


def images_of(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def forget():
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"type": "densenet121", "large": True}, marks=pytest.mark.slow),
        {"type": "inception-v3"},
        {"type": "resnet18", "stem": "bestfitting"},
        {"type": "timm", "name": "test_efficientnet"},
        {"type": "timm", "name": "test_vit"},
    ],
    ids=lambda config: config.get("name", config["type"]),
)
def test_networks_are_compiled_as_a_whole(config):
    """No part of it runs uncompiled, which torch would do without a word."""
    backbone = backbones.build(config, 4).eval()
    images = images_of(2, 4, backbone.min_size + 64, backbone.min_size + 96)
    with torch.inference_mode():
        expected = backbone.to(memory_format=torch.channels_last)(images)
        counting = Counting()
        fast = Compiled(backbone, "cpu", backend=counting)
        found = fast(images)
    largest = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * largest)
    assert counting.shapes == [tuple(images.shape)]


class TestSizes:
    def test_batches_are_filled_up_to_few_sizes(self):
        assert [filled(batch) for batch in range(1, 14)] == [
            *(1, 2, 3, 4, 6, 6, 8, 8, 12, 12, 12, 12, 16),
        ]
        for batch in range(1, 5000):
            assert batch <= filled(batch) <= max(batch + 1, 1.5 * batch)
        assert len({filled(batch) for batch in range(1, 4097)}) == 24

    def test_what_fills_a_batch_does_not_show(self):
        counting = Counting()
        backbone, images = Small().eval(), images_of(5, 4, 8, 6)
        with torch.inference_mode():
            expected = backbone(images)
            found = Compiled(backbone, "cpu", backend=counting)(images)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
        assert counting.shapes == [(6, 4, 8, 6)]

    def test_each_size_is_compiled_once_however_many_there_are(self):
        """torch alone gives up at the ninth program for networks of one class."""
        counting = Counting()
        one, other = (Compiled(Small(seed).eval(), "cpu", backend=counting) for seed in (0, 1))
        with torch.inference_mode():
            for _ in range(2):
                for side in range(2, 2 + SIZES):
                    for fast in (one, other):
                        images = images_of(1, 4, side, side)
                        torch.testing.assert_close(fast(images), fast.original(images))
        assert sorted(counting.shapes) == sorted(
            2 * [(1, 4, side, side) for side in range(2, 2 + SIZES)]
        )

    def test_one_size_too_many_is_compiled_anew(self):
        counting = Counting()
        fast = Compiled(Small().eval(), "cpu", backend=counting)
        with torch.inference_mode():
            for side in [*range(2, 3 + SIZES), 2]:
                fast(images_of(1, 4, side, side))
        assert len(counting.shapes) == SIZES + 2
        assert len(fast.programs) == SIZES


class TestAnswers:
    def test_they_are_not_overwritten_by_the_next(self):
        fast = Compiled(Small().eval(), "cpu", backend="eager")
        with torch.inference_mode():
            first = fast(images_of(1, 4, 8, 8))
            kept = first.clone()
            fast(torch.zeros(1, 4, 8, 8))
        assert torch.equal(first, kept)

    def test_weights_that_are_loaded_later_count(self):
        fast = Compiled(Small().eval(), "cpu", backend="eager")
        images, other = images_of(1, 4, 8, 8), Small(1).eval()
        with torch.inference_mode():
            before = fast(images)
            fast.load_state_dict(other.state_dict())
            assert not torch.equal(fast(images), before)
            torch.testing.assert_close(fast(images), other(images))

    def test_other_precisions(self):
        fast = Compiled(Small().eval(), "cpu", backend="eager")
        images = images_of(1, 4, 8, 8)
        with torch.inference_mode():
            assert fast(images).dtype == torch.float32
            with torch.autocast("cpu", torch.bfloat16):
                assert fast(images).dtype == torch.bfloat16

    def test_a_copy_compiles_for_itself(self):
        fast = Compiled(Small().eval(), "cpu", backend="eager")
        images = images_of(1, 4, 8, 8)
        with torch.inference_mode():
            expected = fast(images)
            twin = copy.deepcopy(fast)
            assert len(twin.programs) == 0
            fast.original.layer.weight.zero_()
            assert torch.equal(twin(images), expected)


class TestRefusals:
    def test_a_network_that_falls_into_parts(self):
        class Broken(Small):
            def forward(self, images):
                if float(images.sum()) > 0:
                    return super().forward(images)
                return super().forward(-images)

        fast = Compiled(Broken().eval(), "cpu", backend="eager")
        with torch.inference_mode(), pytest.raises(HpazooError) as caught:
            fast(images_of(1, 4, 8, 8))
        assert "torch cannot compile the network Broken" in str(caught.value)
        assert "without an accelerator" in str(caught.value)
        assert len(fast.programs) == 0

    def test_a_compiler_that_fails(self):
        def fail(graph, examples):
            raise ValueError("no Triton here")

        fast = Compiled(Small().eval(), "cpu", backend=fail)
        with torch.inference_mode(), pytest.raises(HpazooError, match="no Triton here"):
            fast(images_of(1, 4, 8, 8))

    def test_memory_that_ran_out_is_told_elsewhere(self):
        def run_out(graph, examples):
            def run(*_):
                raise torch.OutOfMemoryError("out of memory")

            return run

        fast = Compiled(Small().eval(), "cpu", backend=run_out)
        with torch.inference_mode(), pytest.raises(torch.OutOfMemoryError):
            fast(images_of(1, 4, 8, 8))

    def test_the_cpu(self):
        with pytest.raises(UsageError, match=r"openvino\.cpu") as caught:
            Compile().accelerate(Small().eval(), "cpu")
        assert "for minutes and gains nothing" in str(caught.value)


def test_options_that_torch_does_not_have_are_left_out():
    wanted = {"triton.cudagraphs": True, "there.is.none": True}
    assert available(wanted) == {"triton.cudagraphs": True}
    fast = Compile().accelerate(Small().eval(), "cuda")
    assert fast.options["triton.cudagraphs"] is True
