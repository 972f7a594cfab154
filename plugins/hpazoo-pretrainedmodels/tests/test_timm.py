"""Where timm has the same network, the feature maps are equal."""

import pytest
import torch
from hpazoo_pretrainedmodels.network import Network

timm = pytest.importorskip("timm")
torch.set_num_threads(1)
SAME = {
    "densenet121": "densenet121",
    "inceptionv3": "inception_v3",
    "resnet34": "resnet34",
    "se_resnext50_32x4d": "legacy_seresnext50_32x4d",
    "xception": "legacy_xception",
}


@pytest.mark.parametrize(("name", "timms"), SAME.items())
@pytest.mark.parametrize("size", [(128, 128), (131, 160)])
def test_maps_are_equal(name, timms, size):
    torch.manual_seed(0)
    mine = Network(4, name=name).eval()
    for part in mine.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(part.running_var, 0.8, 1.2)
    theirs = timm.create_model(timms, pretrained=False, in_chans=4, num_classes=0).eval()
    theirs.load_state_dict(mine.network.state_dict())
    images = torch.rand(2, 4, *size)
    with torch.inference_mode():
        expected = theirs.forward_features(images)
        found = mine(images)
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)
