"""The competition's score and its relatives in loops, one detection at a time."""

from __future__ import annotations

import numpy as np


def hpa_map(fields, classes, least=0.6, labelled=False, ties=None):
    """AP per class; equal scores in the order `ties` draws, or, without, wrong ones first."""
    values = np.full(classes, np.nan)
    for c in range(classes):
        answers, truths = [], 0
        for one in fields:
            cells = [m for m in range(len(one.truth)) if one.truth[m, c]]
            truths += len(cells)
            named = bool(cells) or (one.labels is not None and one.labels[c])
            if labelled and not named:
                continue
            answers += right_or_wrong(one.scores[:, c], one.iou, cells, least)
        if truths:
            values[c] = area(ordered(answers, ties), truths)
    return values


def right_or_wrong(scores, iou, cells, least):
    found, claimed = [], set()
    rows = [n for n in range(len(scores)) if not np.isnan(scores[n])]
    for n in sorted(rows, key=lambda n: -scores[n]):
        best = None
        for m in cells:
            if best is None or iou[n, m] > iou[n, best]:
                best = m
        right = best is not None and iou[n, best] >= least and best not in claimed
        if right:
            claimed.add(best)
        found.append((scores[n], right))
    return found


def ordered(answers, ties):
    if ties is None:
        return [right for _, right in sorted(answers, key=lambda a: (-a[0], a[1]))]
    drawn = ties.permutation(len(answers))
    return [answers[i][1] for i in sorted(drawn, key=lambda i: -answers[i][0])]


def area(answers, truths):
    """Under the envelope, as in the description of the Pascal challenge from 2010 on."""
    recall, precision, found = [0.0], [0.0], 0
    for number, right in enumerate(answers, start=1):
        found += right
        recall.append(found / truths)
        precision.append(found / number)
    recall.append(1.0)
    precision.append(0.0)
    for i in reversed(range(len(precision) - 1)):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def pairs(iou):
    """The largest IoU that is left, again and again."""
    left, found = iou.copy(), []
    while left.size and left.max() > 0:
        n, m = np.unravel_index(left.argmax(), left.shape)
        found.append((int(n), int(m)))
        left[n, :] = left[:, m] = 0
    return found
