"""What every accelerator keeps to."""

import pytest
import torch

from hpazoo.accelerators import accelerators
from hpazoo.backbones import backbones
from hpazoo.errors import UsageError
from hpazoo.parameters import parameters_of
from tests.contract.names import built_in

torch.set_num_threads(1)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return backbones.build({"type": "resnet18", "stem": "bestfitting"}, 4).eval()


@pytest.fixture(params=built_in(accelerators))
def accelerator(request):
    return accelerators.build(request.param)


@pytest.fixture
def images():
    return torch.randn(3, 4, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", built_in(accelerators))
def test_parameters_follow_the_grammar_and_are_documented(name):
    for parameter in parameters_of(accelerators.get(name)):
        assert parameter.doc, parameter.name


class TestAccelerators:
    def test_it_says_where_it_works(self, accelerator):
        assert accelerator.devices
        assert {*accelerator.devices} <= {"cpu", "cuda", "mps"}
        assert all(isinstance(name, str) for name in accelerator.packages)

    def test_other_devices_are_refused(self, accelerator, backbone):
        for device in {"cpu", "cuda", "cuda:1", "mps"}:
            if device.partition(":")[0] not in accelerator.devices:
                with pytest.raises(UsageError, match="without"):
                    accelerator.accelerate(backbone, device)

    def test_the_backbone_is_what_it_was(self, accelerator, backbone):
        tensors = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
        fast = accelerator.accelerate(backbone, accelerator.devices[0])
        assert isinstance(fast, torch.nn.Module)
        for name in ("gives", "features", "aux_features", "min_size", "centres", "silent", "stem"):
            assert getattr(fast, name) == getattr(backbone, name)
        for side in (fast.min_size, 64, 131):
            assert fast.grid(side, 77) == backbone.grid(side, 77)
        assert list(fast.state_dict()) == list(tensors)
        for name, tensor in fast.state_dict().items():
            assert torch.equal(tensor, tensors[name])
        assert [name for name, _ in fast.named_parameters()] == [
            name for name, _ in backbone.named_parameters()
        ]

    def test_it_evaluates_only(self, accelerator, backbone):
        fast = accelerator.accelerate(backbone, accelerator.devices[0])
        with pytest.raises(UsageError, match="evaluates only"):
            fast.train()
        assert fast.eval() is fast
        assert not fast.training
        with pytest.raises(UsageError, match=r"call eval\(\) first"):
            accelerator.accelerate(backbone.train(), accelerator.devices[0])

    def test_once_is_enough(self, accelerator, backbone):
        fast = accelerator.accelerate(backbone, accelerator.devices[0])
        with pytest.raises(UsageError, match="accelerated already"):
            accelerator.accelerate(fast, accelerator.devices[0])

    def test_a_network_without_a_map_is_refused(self, accelerator):
        program = backbones.build({"type": "torchscript", "outputs": 3}, 4).eval()
        with pytest.raises(UsageError, match="Torchscript gives no feature map"):
            accelerator.accelerate(program, accelerator.devices[0])

    def test_images_that_are_elsewhere_are_refused(self, accelerator, backbone, images):
        fast = accelerator.accelerate(backbone, accelerator.devices[0])
        with pytest.raises(UsageError, match="on 'meta'"):
            fast(images.to("meta"))

    @pytest.mark.gpu
    def test_the_map_is_the_same_on_a_gpu(self, accelerator, backbone, images):
        if "cuda" not in accelerator.devices or not torch.cuda.is_available():
            pytest.skip("needs a GPU")
        backbone.to("cuda")
        with torch.inference_mode():
            expected = backbone(images.to("cuda"))
            fast = accelerator.accelerate(backbone, "cuda")
            first, second = fast(images.to("cuda")), fast(images.to("cuda"))
        largest = float(expected.abs().max())
        torch.testing.assert_close(first, expected, rtol=0, atol=1e-3 * largest)
        assert torch.equal(first, second)
