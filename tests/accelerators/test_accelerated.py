"""The base of accelerated backbones."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch

from hpazoo import Regions, build_model
from hpazoo.accelerators import Accelerated, Recent
from hpazoo.errors import UsageError

torch.set_num_threads(1)


class Same(Accelerated):
    """Works out nothing in another way, but counts."""

    by = "nobody"
    times = 0

    def evaluate(self, images):
        self.times += 1
        return self.original(images)


def make_model(backbone="inception-v3", size=96):
    said = {"normalize": "hpa-2018", "size": size}
    return build_model({"backbone": backbone, "head": "avg-max", "input": said}, classes="hpa-2021")


@pytest.fixture
def model():
    return make_model({"type": "resnet18", "stem": "bestfitting"})


class TestInAModel:
    def test_it_takes_the_place_of_the_backbone(self, model):
        images = torch.rand(2, 4, 96, 64)
        regions = Regions.from_masks(torch.ones(2, 96, 64).long().numpy(), grid=model.grid(96, 64))
        names = list(model.state_dict())
        with torch.inference_mode():
            expected, embedded = model(images, regions), model.embed(images)
            model.backbone = Same(model.backbone, "cpu")
            assert torch.equal(model(images, regions), expected)
            assert torch.equal(model.embed(images), embedded)
        assert model.backbone.times == 2
        assert model.grid(96, 64) == (3, 2)
        assert list(model.state_dict()) == names
        assert sum(1 for _ in model.backbone.modules()) == 1 + sum(
            1 for part in model.backbone.original.children() for _ in part.modules()
        )

    def test_weights_that_are_loaded_later_count(self, model):
        other = build_model(
            {
                "backbone": {"type": "resnet18", "stem": "bestfitting"},
                "head": "avg-max",
                "input": {"normalize": "hpa-2018", "size": 96},
            },
            classes="hpa-2021",
            seed="another",
        )
        images = torch.rand(1, 4, 96, 96)
        model.backbone = Same(model.backbone, "cpu")
        model.load_state_dict(other.state_dict())
        with torch.inference_mode():
            assert torch.equal(model(images), other(images))

    def test_a_copy_is_of_its_own(self, model):
        model.backbone = Same(model.backbone, "cpu")
        twin = copy.deepcopy(model)
        images = torch.rand(1, 4, 96, 96)
        with torch.inference_mode():
            expected = model(images)
            for parameter in model.parameters():
                parameter.zero_()
            assert torch.equal(twin(images), expected)
            assert not torch.equal(model(images), expected)

    def test_it_moves_and_changes_type_with_the_model(self, model):
        model.backbone = Same(model.backbone, "cpu")
        model.double()
        assert {p.dtype for p in model.backbone.original.parameters()} == {torch.float64}
        with torch.inference_mode():
            assert model(torch.rand(1, 4, 96, 96).double()).dtype == torch.float64

    def test_training_it_is_refused(self, model):
        model.backbone = Same(model.backbone, "cpu")
        assert not model.eval().training
        with pytest.raises(UsageError, match="nobody evaluates only"):
            model.train()


class TestImages:
    def test_none(self, model):
        fast = Same(model.backbone, "cpu")
        assert fast(torch.rand(0, 4, 96, 64)).shape == (0, 512, 3, 2)
        assert fast.times == 0

    @pytest.mark.parametrize(
        ("shape", "words"),
        [((4, 96, 96), r"these are \(4, 96, 96\)"), ((1, 4, 96, 1), "96 x 1 pixels")],
    )
    def test_shapes(self, shape, words):
        fast = Same(make_model().backbone, "cpu")
        with pytest.raises(UsageError, match=words):
            fast(torch.rand(shape))

    def test_gradients(self, model):
        fast = Same(model.backbone, "cpu")
        with pytest.raises(UsageError, match="no gradients"):
            fast(torch.rand(1, 4, 96, 96).requires_grad_())

    def test_the_auxiliary_map_is_for_training(self, model):
        images = torch.rand(1, 4, 96, 96)
        with torch.inference_mode():
            features, auxiliary = Same(model.backbone, "cpu").with_aux(images)
        assert features.shape == (1, 512, 3, 3)
        assert auxiliary is None
        with pytest.raises(UsageError, match="auxiliary map is for training"):
            Same(make_model().backbone, "cpu").with_aux(images)


def test_attributes_that_nobody_has():
    fast = Same(make_model("densenet121").backbone, "cpu")
    assert fast.large is False
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fast.nonsense
    with pytest.raises(AttributeError, match="original"):
        _ = Same.__new__(Same).original


class TestRecent:
    def test_the_one_unused_for_longest_goes(self):
        recent, made = Recent(2), []

        def make(key):
            made.append(key)
            return key.upper()

        for key in "abacab":
            assert recent.get(key, lambda key=key: make(key)) == key.upper()
        assert made == ["a", "b", "c", "b"]
        assert len(recent) == 2
        assert "a" in recent
        assert "c" not in recent

    def test_what_cannot_be_made_is_not_kept(self):
        recent = Recent(2)
        with pytest.raises(ZeroDivisionError):
            recent.get("a", lambda: 1 // 0)
        assert recent.get("a", lambda: 1) == 1

    @pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
    def test_copies_are_empty(self, again):
        recent = Recent(3)
        recent.get("a", lambda: sys.stdout)
        twin = again(recent)
        assert (len(twin), twin.most) == (0, 3)


def test_the_kind_itself_needs_no_torch():
    code = (
        "import sys; from hpazoo.accelerators import accelerators\n"
        "assert 'compile' in accelerators.components()\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
