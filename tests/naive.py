"""The definitions written down the long way: copy the map for every region, multiply, pool, head.

Nothing of hpazoo is used here but the parameters of the heads.
"""

import torch
from torch.nn import functional


def copies(features, weights, image):
    return features[image] * weights[:, None]


def avg_max(head, features, weights, image, over):
    """(logits, embedding) of hpazoo's `avg-max` head in evaluation."""
    product = copies(features, weights, image)
    mean = product.mean((2, 3))
    if over == "cell":
        area = weights.sum((1, 2))[:, None]
        mean = product.sum((2, 3)) / area.clamp(min=1e-300)
    values = torch.cat([mean, product.amax((2, 3))], 1)
    for norm, layer in ((head.bn1, head.fc1), (head.bn2, head.logit)):
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        values = (values - norm.running_mean) * scale + norm.bias
        if layer is head.logit:
            return values @ layer.weight.T + layer.bias, values
        values = torch.relu(values @ layer.weight.T + layer.bias)


def attention(head, features, weights, image, over):
    """(logits, embedding) of hpazoo's `attention` head."""
    product = copies(features, weights, image)
    embedding = product.mean((2, 3))
    if over == "cell":
        area = weights.sum((1, 2))[:, None]
        embedding = product.sum((2, 3)) / area.clamp(min=1e-300)

    def pool(maps):
        if head.grid is None or tuple(maps.shape[2:]) == (head.grid, head.grid):
            return maps
        return functional.adaptive_avg_pool2d(maps, head.grid)

    def conv(layer, maps):
        return torch.einsum("nfhw,cf->nchw", maps, layer.weight[:, :, 0, 0]) + layer.bias.view(
            1, -1, 1, 1
        )

    if over == "grid":
        maps = pool(product)
        share = conv(head.attention, maps).flatten(2).softmax(2)
        return (conv(head.logit, maps).flatten(2) * share).sum(2), embedding
    maps = pool(features)
    share = conv(head.attention, maps).flatten(2).softmax(2)[image]
    share = share * pool(weights[:, None]).flatten(2)
    whole = share.sum(2)
    mean = (conv(head.logit, maps).flatten(2)[image] * share).sum(2) / whole.clamp(min=1e-300)
    return torch.where(whole > 0, mean, head.logit.bias.expand_as(mean)), embedding


def area_fractions(labels, grid):
    """{id: (h, w)} by cutting every pixel with every position."""
    height, width = grid
    rows, columns = labels.shape

    def overlap(pixels, positions):
        return [
            [
                max(
                    0.0, min((i + 1) / pixels, (j + 1) / positions) - max(i / pixels, j / positions)
                )
                * positions
                for i in range(pixels)
            ]
            for j in range(positions)
        ]

    down = torch.tensor(overlap(rows, height), dtype=torch.float64)
    across = torch.tensor(overlap(columns, width), dtype=torch.float64)
    masks = {int(k): torch.from_numpy((labels == k).astype("float64")) for k in set(labels.flat)}
    return {k: down @ mask @ across.T for k, mask in masks.items() if k}
