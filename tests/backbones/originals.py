"""The networks of 2018 written down the long way, from the names in their own files.

Nothing of hpazoo is used: a state dict, torch's functions, and the layers as the teams chained
them (CellProfiling/HPA-competition-solutions, pudae/kaggle-hpa). Every function takes the state
dict and normalised images (B, 4, H, W), and returns (feature map, last values), the latter being
the logits, or the cosines of the metric learning.
"""

import torch
from torch.nn import functional as f


def conv(s, name, x, stride=1, padding=0, groups=1):
    return f.conv2d(x, s[f"{name}.weight"], s.get(f"{name}.bias"), stride, padding, 1, groups)


def norm(s, name, x, eps=1e-5):
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean, variance, weight, bias = (
        s[f"{name}.{part}"].view(shape)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


def linear(s, name, x):
    return x @ s[f"{name}.weight"].T + s[f"{name}.bias"]


# ------------------------------------------------------------------------------------------ heads


def both(x):
    return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


def avg_max(s, x):
    hidden = torch.relu(linear(s, "fc1", norm(s, "bn1", both(x))))
    return linear(s, "logit", norm(s, "bn2", hidden))


def cosines(s, x):
    hidden = torch.relu(linear(s, "fc1", norm(s, "bn1", both(x))))
    embedding = norm(s, "bn3", linear(s, "fc2", norm(s, "bn2", hidden)))
    centres = s["arc_margin_product.weight"]
    lengths = embedding.norm(dim=1)[:, None] * centres.norm(dim=1)
    return embedding @ centres.T / lengths


def attention(s, x, size):
    x = f.adaptive_avg_pool2d(x, size)
    share = conv(s, "attention", x).flatten(2).softmax(2)
    return (conv(s, "last_linear", x).flatten(2) * share).sum(2)


# ---------------------------------------------------------------------------------------- resnets


def block(s, name, x, stride, groups=1):
    """Basic or bottleneck, the latter with the stride in the middle; squeezed where it says so."""
    if f"{name}.conv3.weight" in s:
        y = torch.relu(norm(s, f"{name}.bn1", conv(s, f"{name}.conv1", x)))
        y = norm(s, f"{name}.bn2", conv(s, f"{name}.conv2", y, stride, 1, groups))
        y = norm(s, f"{name}.bn3", conv(s, f"{name}.conv3", torch.relu(y)))
    else:
        y = torch.relu(norm(s, f"{name}.bn1", conv(s, f"{name}.conv1", x, stride, 1)))
        y = norm(s, f"{name}.bn2", conv(s, f"{name}.conv2", y, 1, 1))
    if f"{name}.se_module.fc1.weight" in s:
        z = torch.relu(conv(s, f"{name}.se_module.fc1", y.mean((2, 3), keepdim=True)))
        y = y * torch.sigmoid(conv(s, f"{name}.se_module.fc2", z))
    if f"{name}.downsample.0.weight" in s:
        x = norm(s, f"{name}.downsample.1", conv(s, f"{name}.downsample.0", x, stride))
    return torch.relu(x + y)


def stages(s, names, x, groups=1):
    for number, name in enumerate(names):
        index = 0
        while f"{name}.{index}.conv1.weight" in s:
            x = block(s, f"{name}.{index}", x, 2 if number and not index else 1, groups)
            index += 1
    return x


def bestfitting_resnet(s, x):
    x = torch.relu(norm(s, "encoder1.1", conv(s, "encoder1.0", x, 2, 3)))
    x = stages(s, [f"encoder{i}" for i in (2, 3, 4, 5)], f.max_pool2d(x, 2, 2))
    return x, avg_max(s, x)


def bestfitting_metric(s, x):
    x = torch.relu(norm(s, "encoder1.1", conv(s, "encoder1.0", x, 2, 3)))
    x = stages(s, [f"encoder{i}" for i in (2, 3, 4, 5)], f.max_pool2d(x, 3, 2, 1))
    return x, cosines(s, x)


def pudae_resnet(s, x):
    x = torch.relu(norm(s, "bn1", conv(s, "conv1", x, 2, 3)))
    x = stages(s, [f"layer{i}" for i in (1, 2, 3, 4)], f.max_pool2d(x, 3, 2, 1))
    return x, linear(s, "last_linear", x.mean((2, 3)))


def pudae_se_resnext(s, x):
    x = torch.relu(norm(s, "cnn.layer0.bn1", conv(s, "cnn.layer0.conv1", x, 2, 3)))
    x = f.max_pool2d(x, 3, 2, ceil_mode=True)
    x = stages(s, [f"cnn.layer{i}" for i in (1, 2, 3, 4)], x, groups=32)
    return x, attention(s, x, 32)


# --------------------------------------------------------------------------------------- densenet


def bestfitting_densenet(s, x, large=False):
    x = torch.relu(norm(s, "conv1.1", conv(s, "conv1.0", x, 2, 3)))
    x = f.max_pool2d(x, 3, 2, 1)
    if large:
        x = f.max_pool2d(x, 2, 2)
    for name, layers in (("2.0", 6), ("3.1", 12), ("4.1", 24), ("5.1", 16)):
        if name != "2.0":
            before = f"encoder{name[0]}.0"
            x = conv(s, f"{before}.conv", torch.relu(norm(s, f"{before}.norm", x)))
            x = f.avg_pool2d(x, 2)
        for i in range(1, layers + 1):
            layer = f"encoder{name}.denselayer{i}"
            y = conv(s, f"{layer}.conv1", torch.relu(norm(s, f"{layer}.norm1", x)))
            y = conv(s, f"{layer}.conv2", torch.relu(norm(s, f"{layer}.norm2", y)), 1, 1)
            x = torch.cat([x, y], 1)
    x = torch.relu(norm(s, "encoder5.2", x))
    return x, avg_max(s, x)


# -------------------------------------------------------------------------------------- inception


class Inception:
    """Its blocks, by the names of one of the two teams."""

    def __init__(self, s):
        self.s = s

    def unit(self, name, x, stride=1, padding=0):
        y = conv(self.s, f"{name}.conv", x, stride, padding)
        return torch.relu(norm(self.s, f"{name}.bn", y, 1e-3))

    def chain(self, name, x, *units):
        """Units (name, padding), after one another."""
        for unit, padding in units:
            x = self.unit(f"{name}.{unit}", x, 1, padding)
        return x

    def pool(self, name, x):
        return self.unit(f"{name}.branch_pool", f.avg_pool2d(x, 3, 1, 1))

    def a(self, name, x):
        five = self.chain(name, x, ("branch5x5_1", 0), ("branch5x5_2", 2))
        three = [(f"branch3x3dbl_{i}", padding) for i, padding in ((1, 0), (2, 1), (3, 1))]
        ends = [self.unit(f"{name}.branch1x1", x), five, self.chain(name, x, *three)]
        return torch.cat([*ends, self.pool(name, x)], 1)

    def b(self, name, x):
        three = self.chain(name, x, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1))
        three = self.unit(f"{name}.branch3x3dbl_3", three, 2)
        return torch.cat([self.unit(f"{name}.branch3x3", x, 2), three, f.max_pool2d(x, 3, 2)], 1)

    def c(self, name, x):
        wide, tall = (0, 3), (3, 0)
        seven = [("branch7x7_1", 0), ("branch7x7_2", wide), ("branch7x7_3", tall)]
        paddings = enumerate((0, tall, wide, tall, wide), 1)
        double = [(f"branch7x7dbl_{i}", padding) for i, padding in paddings]
        ends = [self.unit(f"{name}.branch1x1", x), self.chain(name, x, *seven)]
        return torch.cat([*ends, self.chain(name, x, *double), self.pool(name, x)], 1)

    def d(self, name, x):
        three = self.unit(f"{name}.branch3x3_2", self.unit(f"{name}.branch3x3_1", x), 2)
        seven = [("branch7x7x3_1", 0), ("branch7x7x3_2", (0, 3)), ("branch7x7x3_3", (3, 0))]
        seven = self.unit(f"{name}.branch7x7x3_4", self.chain(name, x, *seven), 2)
        return torch.cat([three, seven, f.max_pool2d(x, 3, 2)], 1)

    def e(self, name, x):
        def fork(branch, y):
            return [
                self.unit(f"{name}.{branch}a", y, 1, (0, 1)),
                self.unit(f"{name}.{branch}b", y, 1, (1, 0)),
            ]

        three = fork("branch3x3_2", self.unit(f"{name}.branch3x3_1", x))
        double = self.chain(name, x, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1))
        ends = [self.unit(f"{name}.branch1x1", x), *three, *fork("branch3x3dbl_3", double)]
        return torch.cat([*ends, self.pool(name, x)], 1)

    def map(self, x, names):
        """`names`: of the five units of the stem, then of the eleven blocks."""
        x = self.unit(names[0], x, 2)
        x = self.unit(names[2], self.unit(names[1], x), 1, 1)
        x = self.unit(names[3], f.max_pool2d(x, 3, 2))
        x = f.max_pool2d(self.unit(names[4], x), 3, 2)
        for kind, name in zip("aaabccccdee", names[5:], strict=True):
            x = getattr(self, kind)(name, x)
        return x


def bestfitting_inception(s, x):
    names = [f"Conv2d_{name}" for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")]
    blocks = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
    x = Inception(s).map(x, names + [f"Mixed_{name}" for name in blocks])
    return x, avg_max(s, x)


def pudae_inception(s, x):
    # 3 and 6 of the first sequence are pooling.
    names = [f"features_a.{i}" for i in (0, 1, 2, 4, 5, *range(7, 15))]
    x = Inception(s).map(x, names + [f"features_b.{i}" for i in range(3)])
    return x, attention(s, x, 30)
