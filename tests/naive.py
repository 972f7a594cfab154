"""The definitions written down the long way: copy the map for every region, multiply, pool, head.

Nothing of hpazoo is used here but the parameters of the heads.
"""

import torch
from torch.nn import functional


def copies(features, weights, image):
    return features[image] * weights[:, None]


def averages(features, weights, image, over):
    product = copies(features, weights, image)
    if over == "grid":
        return product.mean((2, 3))
    area = weights.sum((1, 2))[:, None]
    return product.sum((2, 3)) / area.clamp(min=1e-300)


def maxima(features, weights, image):
    return copies(features, weights, image).amax((2, 3))


def batch_norm(norm, values):
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return (values - norm.running_mean) * scale + norm.bias


def linear(layer, values):
    return values @ layer.weight.T + layer.bias


def avg(head, features, weights, image, over):
    """(logits, embedding) of hpazoo's `avg` head in evaluation."""
    values = averages(features, weights, image, over)
    return linear(head.logit, values), values


def largest(head, features, weights, image, over):
    """(logits, embedding) of hpazoo's `max` head in evaluation."""
    values = maxima(features, weights, image)
    return linear(head.logit, values), values


def gem(head, features, weights, image, over):
    """(logits, embedding) of hpazoo's `gem` head in evaluation."""
    power = head.power if head.p is None else head.p
    if over == "grid":
        product = copies(features, weights, image).clamp(min=head.eps)
        values = (product**power).mean((2, 3)) ** (1 / power)
    else:
        rows = []
        for i, weight in zip(image.tolist(), weights, strict=True):
            x = features[i].clamp(min=head.eps)
            if weight.sum() == 0:  # the mean of a map of zeros
                x, weight = torch.full_like(x, head.eps), torch.ones_like(weight)
            rows.append(((weight * x**power).sum((1, 2)) / weight.sum()) ** (1 / power))
        values = torch.stack(rows) if rows else features.new_zeros(0, features.shape[1])
    return linear(head.logit, values), values


def arcface(head, features, weights, image, over):
    """(logits, embedding) of hpazoo's `arcface` head in evaluation."""
    values = [averages(features, weights, image, over), maxima(features, weights, image)]
    values = linear(head.fc1, batch_norm(head.bn1, torch.cat(values, 1)))
    values = batch_norm(head.bn2, torch.relu(values))
    values = batch_norm(head.bn3, linear(head.fc2, values))
    inner = torch.einsum("nd,cd->nc", values, head.weight)
    lengths = values.square().sum(1).sqrt()[:, None] * head.weight.square().sum(1).sqrt()
    return inner / lengths, values


def avg_max(head, features, weights, image, over):
    """(logits, embedding) of hpazoo's `avg-max` head in evaluation."""
    values = [averages(features, weights, image, over), maxima(features, weights, image)]
    values = torch.relu(linear(head.fc1, batch_norm(head.bn1, torch.cat(values, 1))))
    values = batch_norm(head.bn2, values)
    return linear(head.logit, values), values


def attention(head, features, weights, image, over):
    """(logits, embedding) of hpazoo's `attention` head."""
    embedding = averages(features, weights, image, over)

    def pool(maps):
        if head.grid is None or tuple(maps.shape[2:]) == (head.grid, head.grid):
            return maps
        return functional.adaptive_avg_pool2d(maps, head.grid)

    def conv(layer, maps):
        return torch.einsum("nfhw,cf->nchw", maps, layer.weight[:, :, 0, 0]) + layer.bias.view(
            1, -1, 1, 1
        )

    if over == "grid":
        maps = pool(copies(features, weights, image))
        share = conv(head.attention, maps).flatten(2).softmax(2)
        return (conv(head.logit, maps).flatten(2) * share).sum(2), embedding
    maps = pool(features)
    share = conv(head.attention, maps).flatten(2).softmax(2)[image]
    share = share * pool(weights[:, None]).flatten(2)
    whole = share.sum(2)
    mean = (conv(head.logit, maps).flatten(2)[image] * share).sum(2) / whole.clamp(min=1e-300)
    return torch.where(whole > 0, mean, head.logit.bias.expand_as(mean)), embedding


HEADS = {
    "arcface": arcface,
    "attention": attention,
    "avg": avg,
    "avg-max": avg_max,
    "gem": gem,
    "max": largest,
}


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
