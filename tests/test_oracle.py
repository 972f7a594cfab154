"""Against recorded outputs of the original code, through real checkpoint files.

Networks in double precision are compared with recordings in double precision: Inception's float32
recordings are themselves up to 5e-4 off, by the oracle's index.
"""

import functools
import importlib.util
import json

import numpy as np
import pytest
import torch

from hpazoo.models import build_model
from hpazoo.regions import Regions

torch.set_num_threads(1)

BESTFITTING = {"head": "avg-max", "input": {"size": 768, "normalize": "hpa-2018"}}
NETWORKS = {
    "bf_densenet121_c28": {"backbone": "densenet121", **BESTFITTING},
    "bf_densenet121_c19": {"backbone": "densenet121", **BESTFITTING},
    "bf_densenet121_large_c19": {
        "backbone": {"type": "densenet121", "large": True},
        **BESTFITTING,
    },
    "bf_inceptionv3_c28": {"backbone": "inception-v3", **BESTFITTING},
    # The oracle standardised these inputs itself.
    "pudae_attention_inceptionv3_c28": {
        "backbone": "inception-v3",
        "head": {"type": "attention", "grid": 30},
        "input": {"size": 1024, "normalize": "none"},
    },
}
NETWORKS["pudae_attention_inceptionv3_c19"] = NETWORKS["pudae_attention_inceptionv3_c28"]


class Oracle:
    def __init__(self, folder, scratch):
        spec = importlib.util.spec_from_file_location("fill", folder / "oracle" / "fill.py")
        self.fill = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.fill)
        self.folder, self.scratch = folder, scratch
        self.index = json.loads((folder / "oracle/models/index.json").read_text())

    def state(self, name):
        keys = json.loads((self.folder / f"checkpoints/keys/{name}.json").read_text())
        return self.fill.fill_state(keys)

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def model(self, name):
        path = self.scratch / f"{name}.pth"
        torch.save({"state_dict": self.state(name), "epoch": 1}, path)
        model = build_model(NETWORKS[name] | {"checkpoint": path}, int(name.rsplit("_c", 1)[1]))
        path.unlink()
        return model

    def image(self, entry):
        return torch.from_numpy(
            self.fill.image(entry["image_seed"], entry["shape"], entry["standardise"])
        )


@pytest.fixture(scope="module")
def oracle(shared, tmp_path_factory):
    return Oracle(shared, tmp_path_factory.mktemp("oracle"))


@pytest.mark.parametrize("tag", ["2x256", "1x384"])
def test_arrays_of_the_densenet(oracle, tag):
    model = oracle.model("bf_densenet121_c28")
    entry = next(e for e in oracle.index["bf_densenet121_c28"]["inputs"] if e["tag"] == tag)
    recorded = np.load(oracle.folder / "oracle/models/bf_densenet121_c28.npz")
    images = oracle.image(entry)
    before = images.clone()
    with torch.inference_mode():
        features = model.features(images)
        logits, embedding = model.read(features)
        whole = Regions.whole(len(features), features.shape[2:])
        found = {
            "fmap": features,
            "pooled": torch.cat([whole.mean(features), whole.max(features)], 1),
            "penultimate": embedding,
            "logits": logits,
            "logits_f64": logits,
        }
        again = model(images)
    assert torch.equal(images, before)
    assert torch.equal(again, logits)
    for name, values in found.items():
        np.testing.assert_allclose(values, recorded[f"{tag}/{name}"], rtol=0, atol=1e-4)


CASES = [
    pytest.param(name, tag, marks=marks)
    for name in NETWORKS
    for tag, marks in (("2x256", ()), ("1x384", ()), ("1x768", ()), ("1x1024", ()))
    if not (tag == "1x768" and "large" not in name)
    and not (tag == "1x1024" and "pudae" not in name)
]


@pytest.mark.parametrize(("name", "tag"), CASES)
def test_shapes_and_largest_values(oracle, name, tag):
    model = oracle.model(name)
    entry = next(e for e in oracle.index[name]["inputs"] if e["tag"] == tag)
    with torch.inference_mode():
        features = model.features(oracle.image(entry))
        logits, embedding = model.read(features)
        found = {"fmap": features, "logits": logits}
        if model.head.gives == ("regions",):
            whole = Regions.whole(len(features), features.shape[2:])
            found["pooled"] = torch.cat([whole.mean(features), whole.max(features)], 1)
            found["penultimate"] = embedding
        else:
            maps = [torch.nn.functional.adaptive_avg_pool2d(features, 30)]
            maps += [model.head.logit(maps[0]), model.head.attention(maps[0])]
            names = ("attention_input", "cell_logits", "cell_attention")
            found |= dict(zip(names, maps, strict=True))
    for what, shape in entry["shapes"].items():
        assert list(found[what].shape) == shape, what
        slack = 1e-4 + 2 * entry["f32_vs_f64_max_abs"][what]
        expected = entry["max_abs"][what]
        assert float(found[what].abs().max()) == pytest.approx(expected, abs=slack), what


GAP_MASK = [
    ("bf_densenet121_c19_384", "variant_area_normalised"),
    ("pudae_attention_inceptionv3_c19_1024", "variant_masked_softmax"),
    ("pudae_attention_inceptionv3_c19_384", None),
]


@functools.lru_cache(maxsize=1)
def double_features(oracle, case):
    entry = json.loads((oracle.folder / "oracle/gapmask/index.json").read_text())[case]
    model = oracle.model(entry["model"]).double()
    image = oracle.image(entry | {"shape": entry["image_shape"]}).double()
    with torch.inference_mode():
        features = model.features(image)
    return model, features, np.load(oracle.folder / f"oracle/gapmask/{case}.npz")


@pytest.mark.parametrize("mode", ["nearest", "nearest_exact", "area"])
@pytest.mark.parametrize(("case", "variant"), GAP_MASK)
def test_gap_mask(oracle, case, variant, mode):
    model, features, recorded = double_features(oracle, case)
    np.testing.assert_allclose(
        features.sum((2, 3)), recorded["feature_channel_sums"], rtol=1e-4, atol=1e-2
    )
    masks = torch.from_numpy(recorded[f"mask_{mode}"]).double()
    with torch.inference_mode():
        grid, _ = model.read(features, Regions(masks, [0] * len(masks)))
        cell, _ = model.read(features, Regions(masks, [0] * len(masks), over="cell"))
        plain, _ = model.read(features)
        nothing, _ = model.read(torch.zeros_like(features))
    np.testing.assert_allclose(grid, recorded[f"logits_{mode}_f64"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(grid[-1:], plain, rtol=0, atol=1e-9)
    np.testing.assert_allclose(plain, recorded["plain_logits"], rtol=0, atol=1e-3)
    if variant is None:
        return
    # For an empty mask the recording of the masked softmax is 0; what is promised, and what the
    # other recordings have, is the head's answer to a map of zeros.
    empty = masks.sum((1, 2)) == 0
    expected = recorded[f"{variant}_{mode}_f64"]
    np.testing.assert_allclose(cell[~empty], expected[~empty.numpy()], rtol=0, atol=1e-5)
    for row in (*grid[empty], *cell[empty]):
        np.testing.assert_allclose(row, nothing[0], rtol=0, atol=1e-9)


def test_label_map_to_area_masks(oracle):
    """Every cell of the recorded label images is found, and weighs what the recording has."""
    for case, _ in GAP_MASK:
        recorded = np.load(oracle.folder / f"oracle/gapmask/{case}.npz")
        masks = recorded["mask_area"]
        regions = Regions.from_masks([recorded["label_map"]], masks.shape[1:])
        assert regions.cell.tolist() == list(range(1, 9))
        np.testing.assert_allclose(
            regions.weights.sum((1, 2)), masks[:-1].sum((1, 2)), rtol=0.05, atol=0.01
        )


def test_containers_and_quirks_of_the_published_files(oracle, tmp_path):
    """The same weights in every container give the same logits, bit by bit."""
    name = "pudae_attention_inceptionv3_c28"
    state = oracle.state(name)
    bare = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
    score = np.float64(0.5)
    files = {
        "bare": (state, True),
        "swa": ({"state_dict": bare}, True),
        "epoch": (
            {
                "state_dict": {f"module.{k}": v for k, v in state.items()},
                "optimizer_dict": {"state": {}, "param_groups": [{"lr": 0.1}]},
                "epoch": 27,
                "step": 100,
                "best_score": score,
            },
            True,
        ),
        "old": ({"state_dict": state, "epoch": 27, "best_score": score}, False),
    }
    image = torch.from_numpy(oracle.fill.image(3, (1, 4, 96, 96), True))
    answers, reports = [], {}
    for stem, (payload, as_zip) in files.items():
        path = tmp_path / f"{stem}.pth"
        torch.save(payload, path, _use_new_zipfile_serialization=as_zip)
        model = build_model(NETWORKS[name] | {"checkpoint": path}, 28, seed=stem)
        path.unlink()
        reports[stem] = model.checkpoint
        with torch.inference_mode():
            answers.append(model(image))
    assert all(torch.equal(answers[0], answer) for answer in answers[1:])
    for stem, report in reports.items():
        assert report.format == "pudae"
        assert "cnn.AuxLogits" in report.summary(), stem
        assert "cnn.fc (2)" in report.summary()
        assert report.disagreeing == ()
        assert "head.auxiliary.logit.weight" in report.used
    assert "without batch counters" in reports["swa"].summary()


WINNERS = {
    "bf_densenet121_c28": ("conv1.0.weight", "backbone.layers.conv0.weight"),
    "bf_inceptionv3_c28": (
        "Conv2d_1a_3x3.conv.weight",
        "backbone.layers.Conv2d_1a_3x3.conv.weight",
    ),
    "pudae_attention_inceptionv3_c28": (
        "features_a.0.conv.weight",
        "backbone.layers.Conv2d_1a_3x3.conv.weight",
    ),
}


@pytest.mark.parametrize("name", WINNERS)
@pytest.mark.parametrize("in_order", [True, False])
def test_the_later_of_two_copies_wins(oracle, tmp_path, name, in_order):
    """Also in a file that was written anew in alphabetical order."""
    facts = json.loads((oracle.folder / "checkpoints/checkpoints.json").read_text())
    winner, ours = WINNERS[name]
    assert facts["models"][name]["if_aliases_disagree_the_winner_is"] == winner
    state = oracle.state(name)
    state[winner] = state[winner] + 1
    if not in_order:
        state = dict(sorted(state.items()))
    path = tmp_path / "disagreeing.pth"
    torch.save({"state_dict": state}, path)
    model = build_model(NETWORKS[name] | {"checkpoint": path}, 28)
    path.unlink()
    assert torch.equal(model.state_dict()[ours], state[winner])
    assert model.checkpoint.disagreeing == (ours,)
    assert "1 copies differ" in model.checkpoint.summary()


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_not_used_is_what_the_original_does_not_use(oracle, name):
    facts = json.loads((oracle.folder / "checkpoints/checkpoints.json").read_text())
    unused = facts["models"][name]["parameters_not_used_by_eval_forward"]
    # The auxiliary head is loaded: training goes on with it.
    unused = [part for part in unused if not part.startswith("aux_")]
    ignored = oracle.model(name).checkpoint.ignored
    assert {".".join(key.split(".")[:2]) for key in ignored} == set(unused)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("bf_resnet34_c28", "ResNet-34 with the head avg-max and 28 classes"),
        ("bf_resnet50_ml_c12815", "ResNet-50 with the head arcface"),
        ("pudae_attention_se_resnext50_c28", "SE-ResNeXt-50 with the head attention"),
        ("pudae_resnet34_c28", "ResNet-34 with a linear head and 28 classes"),
    ],
)
def test_networks_that_do_not_fit_are_named(oracle, tmp_path, name, holds):
    from hpazoo.checkpoints.load import load_checkpoint
    from hpazoo.errors import CheckpointError

    keys = json.loads((oracle.folder / f"checkpoints/keys/{name}.json").read_text())["entries"]
    path = tmp_path / "other.pth"
    torch.save({e["key"]: torch.zeros(e["shape"][:1]) for e in keys}, path)
    with pytest.raises(CheckpointError, match=holds):
        load_checkpoint(torch.nn.Linear(1, 1), path)
