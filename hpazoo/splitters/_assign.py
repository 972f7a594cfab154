"""Groups of images into folds, so that every class, and the images, are divided evenly."""

from __future__ import annotations

import numpy as np
from hpazoo.splitters._search import Aim, Division, improve, _EXACT, _HEAVIEST

POWER=1.0
def assign(labels, group, parts, seed):
    rng = np.random.default_rng(seed)
    groups = int(group.max()) + 1
    counts = count_by_group(labels, group, groups)
    kinds, kind = unique_rows(counts)
    numbers = np.bincount(kind)
    parts = np.asarray(parts, float); whole = parts.sum()
    total = counts.sum(axis=0).astype(float)
    # even part
    even = np.floor(numbers[:, None] * parts / whole)
    if (parts==parts[0]).all(): pass
    division = Division(kinds.astype(float), even, parts)
    left = numbers - even.sum(1).astype(int)
    bound = _HEAVIEST * whole * (total.sum() * 4)
    base = _EXACT / bound
    weights = np.maximum(1, np.round(base / total.clip(1)**POWER * total.max()**(POWER-1)))
    # greedy
    order = np.repeat(np.arange(len(kinds)), left)
    order = order[rng.permutation(len(order))]
    size = (kinds**2*weights).sum(1)
    order = order[np.argsort(-size[order], kind='stable')]
    target = np.outer(parts, total)
    off = whole*(even.T@kinds)-target
    for t in order:
        v=kinds[t]; f=int((off@(v*weights)).argmin())
        off[f]+=whole*v; division.numbers[t,f]+=1
    division.__post_init__()
    largest = counts.max(axis=0)
    exact = np.outer(parts,total)/whole
    up = np.ceil(exact-1e-9)-exact; down=exact-np.floor(exact+1e-9)
    free=np.maximum(up,down).max(axis=0)
    free=np.maximum(free, largest-exact.max(axis=0))
    scale=np.sqrt(total.clip(1))
    aim=Aim(weights,free,scale)
    improve(division,aim,rng)
    # out
    fold_of_group=np.empty(groups,int)
    order=rng.permutation(groups); order=order[np.argsort(kind[order],kind='stable')]
    fold_of_group[order]=np.repeat(np.tile(np.arange(len(parts)),len(kinds)), division.numbers.astype(int).ravel())
    return fold_of_group[group], aim.missed(division)

def count_by_group(labels,group,groups):
    n=len(labels)
    cols=[np.bincount(group,minlength=groups)]
    cols+=[np.bincount(group[labels[:,c]],minlength=groups) for c in range(labels.shape[1])]
    none=~labels.any(1)
    if none.any(): cols.append(np.bincount(group[none],minlength=groups))
    return np.stack(cols,1)
def unique_rows(rows):
    k,i=np.unique(rows,axis=0,return_inverse=True); return k,i.ravel()
