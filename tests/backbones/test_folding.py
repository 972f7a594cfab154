import copy

import pytest
import torch
from torch import nn

from hpazoo.backbones import backbones

torch.set_num_threads(1)
NETWORKS = {
    "densenet121": {"type": "densenet121"},
    "large": {"type": "densenet121", "large": True},
    "inception-v3": {"type": "inception-v3"},
    "resnet18": {"type": "resnet18", "stem": "bestfitting"},
    "resnet50": {"type": "resnet50", "stem": "torchvision"},
}
NORMS_LEFT = {"densenet121": 62, "large": 62, "inception-v3": 0, "resnet18": 0, "resnet50": 0}
"""Those that stand before their convolution: norm1 of 58 layers, 3 transitions, the last norm."""


def statistics_of_a_trained_one(network):
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_map_stays(name):
    torch.manual_seed(0)
    network = backbones.build(NETWORKS[name], 4).eval().double()
    statistics_of_a_trained_one(network)
    folded = copy.deepcopy(network)
    folded.fold_norms()
    assert sum(isinstance(m, nn.BatchNorm2d) for m in folded.modules()) == NORMS_LEFT[name]
    images = torch.rand(1, 4, 100, 132, dtype=torch.float64)
    with torch.inference_mode():
        expected, found = network(images), folded(images)
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.max()))


def test_not_while_it_is_trained():
    network = backbones.build({"type": "resnet18", "stem": "bestfitting"}, 4).train()
    with pytest.raises(RuntimeError, match="eval"):
        network.fold_norms()
