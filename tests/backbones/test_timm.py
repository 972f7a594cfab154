"""`timm`: any of its networks gives a map as announced, from nothing but the name."""

import copy
import json
import pickle
import socket
import subprocess
import sys

import pytest
import torch

from hpazoo import Regions, build_model
from hpazoo.backbones import _timm, backbones
from hpazoo.errors import ComponentError, UsageError
from hpazoo.parameters import parameters_of

torch.set_num_threads(1)

FAST = ["test_convnext", "test_efficientnet", "test_mambaout", "test_vit"]
"""Convolutions, a convolution behind the last block, channels last, and tokens; small enough for
every run of the tests."""

NAMED = [
    "convnext_atto",
    "densenet121",
    "dla34",
    "efficientnet_b0",
    "hiera_tiny_224",
    "inception_v3",
    "legacy_seresnext50_32x4d",
    "mobilenetv3_small_050",
    "mvitv2_tiny",
    "regnetx_002",
    "resnet10t",
    "resnet18",
    "swin_tiny_patch4_window7_224",
    "test_vit3",
    "tresnet_m",
    "vit_small_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
    "vit_small_patch16_dinov3",
    "vit_tiny_patch16_224",
]
EVERY = [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMED)]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def build(name, channels=4, **said):
    torch.manual_seed(0)
    return backbones.build({"type": "timm", "name": name, **said}, channels).eval()


def original(name, **said):
    """The network as timm makes it."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, in_chans=4, **said).eval()


def built_for(backbone):
    return _timm.twin_of(backbone._request).size


def pool(features):
    return features.mean((2, 3))


class TestEveryNetwork:
    @pytest.mark.parametrize("name", EVERY)
    def test_the_map_is_as_announced(self, name):
        backbone = build(name)
        least, (height, width) = backbone.min_size, built_for(backbone)
        fixed = backbone._way.step == 0
        others = [(least, least), (least + 45, least + 31), (least, 97 + least), (160, 131)]
        for size in [(height, width)] if fixed else others:
            images = torch.rand(2, 4, *size)
            before = images.clone()
            with torch.inference_mode():
                features = backbone(images)
                again, auxiliary = backbone.with_aux(images)
            assert features.shape == (2, backbone.features, *backbone.grid(*size))
            assert torch.isfinite(features).all()
            assert torch.equal(images, before)
            assert torch.equal(features, again)
            assert auxiliary is None

    @pytest.mark.parametrize("name", EVERY)
    def test_the_shortest_side_is_exact(self, name):
        backbone = build(name)
        least = backbone.min_size
        assert min(backbone.grid(least, least)) >= 1
        if least > 1 and backbone._way.step:  # what takes one size only may do with a little less
            assert backbone.grid(least - 1, least) == (0, backbone.grid(least, least)[1])
            with pytest.raises(UsageError, match=rf"{least - 1} x {least} .*{name}.*needs {least}"):
                backbone(torch.rand(1, 4, least - 1, least))

    @pytest.mark.parametrize("name", EVERY)
    def test_the_grid_is_that_of_the_real_map_at_any_size(self, name):
        with torch.device("meta"):
            backbone = build(name)
            if backbone._way.step == 0:
                pytest.skip("takes images of one size only")
            for extra in range(0, 70, 11):
                size = backbone.min_size + extra, backbone.min_size + 69 - extra
                assert backbone(torch.empty(1, 4, *size)).shape[2:] == backbone.grid(*size)

    @pytest.mark.parametrize("name", EVERY)
    def test_its_tensors_are_timms_without_the_classifier(self, name):
        mine = build(name).state_dict()
        theirs = original(name).state_dict()
        for key, value in mine.items():
            assert key.startswith("network.")
            assert value.shape == theirs[key.removeprefix("network.")].shape, key
        left_out = [key for key in theirs if f"network.{key}" not in mine]
        ends = ("head", "fc", "classifier", "last_linear", "attn_pool")
        assert not any(key.startswith(tuple(f"network.{end}" for end in ends)) for key in mine)
        # MobileNet v3 has a convolution between pooling and classifier.
        assert all(key.startswith((*ends, "conv_head")) for key in left_out)
        assert ("conv_head.weight" in left_out) == name.startswith("mobilenetv3")

    @pytest.mark.parametrize("name", EVERY)
    def test_it_is_what_timm_gives_its_classifier(self, name):
        backbone, theirs = build(name), original(name)
        theirs.load_state_dict(
            {k.removeprefix("network."): v for k, v in backbone.state_dict().items()}, strict=False
        )
        images = torch.rand(1, 4, *built_for(backbone))
        with torch.inference_mode():
            features, given = backbone(images), theirs.forward_features(images)
        if given.ndim == 3:
            tokens = features.flatten(2).transpose(1, 2)
            assert torch.equal(given[:, getattr(theirs, "num_prefix_tokens", 0) :], tokens)
        elif given.shape == features.shape:
            assert torch.equal(given, features)
        else:
            assert torch.equal(given, features.permute(0, 2, 3, 1))

    @pytest.mark.parametrize("name", EVERY)
    def test_torch_seeds_the_weights_and_nothing_else_draws(self, name):
        """The first network of its kind is looked at closely; later ones are just made."""
        _timm.twin_of.cache_clear()
        _timm._plain.cache_clear()
        first, after = build(name).state_dict(), torch.rand(())
        second = build(name).state_dict()
        assert torch.equal(torch.rand(()), after)
        for key, value in first.items():
            assert torch.equal(value, second[key]), key
            assert not value.is_floating_point() or value.data_ptr() != second[key].data_ptr()

    @pytest.mark.parametrize("name", EVERY)
    def test_every_parameter_trains(self, name):
        backbone = build(name).train()
        size = built_for(backbone)
        backbone(torch.rand(2, 4, *(min(side, 224) for side in size))).square().mean().backward()
        assert [key for key, p in backbone.named_parameters() if p.grad is None] == []


def test_a_network_that_reads_numbers_while_it_is_made():
    """As the Transformers of timm 1.0.15 do: `linspace(...).item()` for stochastic depth."""

    def make():
        layer = torch.nn.Linear(3, 3)
        layer.weight.sum().item()
        return layer

    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    assert _timm._without_numbers(make).weight.is_meta
    assert torch.equal(torch.rand(()), expected)


class TestSizes:
    def test_patches_are_filled_up_with_zeros_below_and_on_the_right(self):
        backbone = build("test_vit")
        images = torch.rand(1, 4, 50, 67)
        filled = torch.zeros(1, 4, 64, 80)
        filled[:, :, :50, :67] = images
        with torch.inference_mode():
            assert torch.equal(backbone(images), backbone(filled))
        assert backbone.grid(50, 67) == (4, 5)
        assert backbone.min_size == 1

    def test_a_network_of_one_size_says_so_and_takes_another(self):
        backbone = build("test_vit_relpos")
        assert backbone.min_size == 160
        for ask in (lambda: backbone.grid(192, 192), lambda: backbone(torch.rand(1, 4, 192, 192))):
            with pytest.raises(UsageError, match=r"no images of 192 x 192 .*160 x 160.*img_size"):
                ask()
        other = build("test_vit_relpos", options={"img_size": 192})
        assert other.grid(192, 192) == (12, 12)
        with torch.inference_mode():
            assert other(torch.rand(1, 4, 192, 192)).shape == (1, other.features, 12, 12)
        oblong = build("test_vit_relpos", options={"img_size": [96, 160]})
        assert oblong.grid(96, 160) == (6, 10)

    def test_an_error_that_is_not_about_the_size_stays_itself(self):
        with pytest.raises(RuntimeError, match="channels"):
            build("test_resnet")(torch.rand(1, 3, 64, 64))


class TestLevels:
    @pytest.mark.parametrize(
        "name",
        [
            "test_resnet",
            pytest.param("test_convnext", marks=pytest.mark.slow),
            pytest.param("test_mambaout", marks=pytest.mark.slow),
        ],
    )
    def test_they_are_those_of_timm(self, name):
        whole = build(name)
        theirs = original(name)
        theirs.load_state_dict(
            {k.removeprefix("network."): v for k, v in whole.state_dict().items()}, strict=False
        )
        images = torch.rand(1, 4, 160, 192)
        with torch.inference_mode():
            maps = theirs.forward_intermediates(images, output_fmt="NCHW", intermediates_only=True)
        sides = []
        for level, expected in enumerate(maps):
            backbone = build(name, level=level)
            backbone.load_state_dict(whole.state_dict(), strict=False)
            with torch.inference_mode():
                features = backbone(images)
            assert torch.equal(features, expected)
            assert features.shape[1:] == (backbone.features, *backbone.grid(160, 192))
            sides.append(features.shape[2])
        assert sides == sorted(sides, reverse=True)
        assert sides[0] > sides[-1]

    def test_stages_behind_the_level_are_left_out(self):
        parts = [len(build("test_resnet", level=level).state_dict()) for level in range(1, 5)]
        assert parts == sorted(set(parts))
        early = build("test_resnet", level=2).train()
        early(torch.rand(2, 4, 64, 64)).mean().backward()
        assert all(parameter.grad is not None for parameter in early.parameters())

    def test_the_last_block_of_a_transformer_is_the_map_without_a_level(self):
        images = torch.rand(1, 4, 80, 64)
        last = build("test_vit")
        depth = len(last.network.blocks)
        with torch.inference_mode():
            assert torch.equal(build("test_vit", level=depth - 1)(images), last(images))
            assert not torch.equal(build("test_vit", level=0)(images), last(images))

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("test_resnet", r"no level 12; .*160 x 160, are 0: 80 x 80, 1: 40 x 40, .*4: 5 x 5"),
            ("test_vit", r"no level 12; .*are 0 to 5, each 10 x 10"),
        ],
    )
    def test_one_that_is_not_there(self, name, message):
        with pytest.raises(ComponentError, match=message):
            build(name, level=12)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("resnet5O", "no network 'resnet5O'; did you mean 'resnet50'"),
            ("ConvNeXt_Tiny", "did you mean 'convnext_tiny'"),
            ("resnet5O.a1_in1k", "did you mean 'resnet50'"),
            ("xyzzy", r"timm.list_models\(\) lists the \d+ names"),
            ("", "no network ''"),
            ("resnet50.a1_in1k", "'a1_in1k' in .* names weights; say 'resnet50'.*`checkpoint`"),
            ("resnet50.", "say 'resnet50'"),
            ("hf-hub:timm/resnet18.a1_in1k", "names a place with weights"),
            ("hf_hub:timm/resnet18", "names a place with weights"),
            ("local-dir:/tmp", "names a place with weights"),
            ("timm/resnet18", "names a place with weights"),
            ("vit_small_patch16_224_in21k", "is called 'vit_small_patch16_224' now"),
        ],
    )
    def test_what_is_no_architecture_is_refused(self, name, message):
        with pytest.raises(ComponentError, match=message):
            build(name)

    def test_a_network_for_other_channels(self):
        with pytest.raises(ComponentError, match=r"'csatv2' of timm gives no .*4 channels"):
            build("csatv2")

    @pytest.mark.parametrize("channels", [1, 2, 3, 7])
    def test_any_number_of_channels(self, channels):
        backbone = build("test_resnet", channels)
        with torch.inference_mode():
            assert backbone(torch.rand(1, channels, 64, 64)).shape[2:] == backbone.grid(64, 64)

    def test_timm_that_does_not_import(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "timm", None)
        with pytest.raises(ComponentError, match="timm cannot be imported"):
            build("resnet18")


class TestOptions:
    def test_they_reach_the_network(self):
        assert len(build("test_vit", options={"depth": 2}).network.blocks) == 2
        assert build("test_convnext", options={"dims": [8, 8, 16, 24]}).features == 24
        coarse = build("test_resnet", options={"output_stride": 8})
        assert coarse.grid(64, 64) == (8, 8)

    def test_a_file_of_weights_does_not_tell_them(self):
        said = build("test_resnet", options={"output_stride": 8})
        assert [getattr(said, name) for name in said.silent] == ['{"output_stride": 8}']
        assert build("test_resnet").silent == build("test_resnet", options={}).silent == ()
        assert said.state_dict().keys() == build("test_resnet").state_dict().keys()

    def test_they_are_left_as_they_were(self):
        options = {"img_size": [96, 160], "depth": 1}
        before = copy.deepcopy(options)
        build("test_vit", options=options)
        assert options == before

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("pretrained", True, "'pretrained' of timm cannot be used: .*`checkpoint`.*nothing is"),
            ("pretrained", False, "'pretrained'"),
            ("pretrained_cfg", {"file": "/etc/hostname"}, "'pretrained_cfg'"),
            ("pretrained_cfg_overlay", {"url": "http://localhost/x"}, "'pretrained_cfg_overlay'"),
            ("checkpoint_path", "/etc/hostname", "'checkpoint_path'.*`checkpoint`"),
            ("cache_dir", "/tmp", "'cache_dir'"),
            ("in_chans", 3, "'in_chans'.*images decide"),
            ("num_classes", 10, "'num_classes'.*`head`"),
            ("global_pool", "max", "'global_pool'.*`head`"),
            ("features_only", True, "'features_only'.*`level`"),
            ("device", "cuda", "'device'.*command line"),
        ],
    )
    def test_those_that_load_or_take_the_map_away_are_refused(self, option, value, message):
        with pytest.raises(ComponentError, match=message):
            build("test_resnet", options={option: value})

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            (
                "test_resnet",
                {"drop_pth_rate": 0.1},
                "no option 'drop_pth_rate'; did you mean 'drop_p",
            ),
            ("test_resnet", {"xyzzy": 1}, "no option 'xyzzy'; there are: .*block_args.*stem_width"),
            ("test_vit", {"depth": 2, "xyzzy": 1}, "no option 'xyzzy'; there are: .*qkv_bias"),
            (
                "test_convnext",
                {"depths": [1]},
                r"cannot be built with the options .*\"depths\": \[1",
            ),
            ("test_vit", {"img_size": "large"}, "cannot be built with the options .*large"),
            ("test_vit", {"act_layer": print}, "numbers, text, and lists or mappings"),
            ("test_vit", {"depth": float("nan")}, "numbers, text, and lists or mappings"),
        ],
    )
    def test_those_that_a_network_does_not_take(self, name, options, message):
        with pytest.raises(ComponentError, match=message):
            build(name, options=options)

    def test_the_grammar_has_a_mapping_for_them_and_only_for_them(self):
        found = {p.name: p for p in parameters_of(backbones.get("timm"))}
        assert found["options"].schema == {"type": ["object", "null"]}
        assert found["name"].required
        assert all(parameter.doc for parameter in found.values())

        def other(*, mapping: dict):
            """Nothing of a known form."""

        with pytest.raises(ComponentError, match="outside the grammar"):
            parameters_of(other)


class TestInAModel:
    def test_cells_of_a_field(self):
        model = build_model(
            {
                "backbone": {"type": "timm", "name": "test_vit", "options": {"depth": 2}},
                "head": {"type": "gem", "dropout": 0.1},
                "input": {"size": 96, "normalize": "none"},
            },
            classes="hpa-2021",
        )
        labels = torch.zeros(96, 80, dtype=torch.int64)
        labels[:40, :30], labels[50:, 20:] = 4, 9
        with torch.inference_mode():
            images = torch.rand(1, 4, 96, 80)
            regions = Regions.from_masks([labels], grid=model.grid(96, 80), over="cell")
            assert model(images, regions).shape == (2, 19)

    def test_a_copy_and_a_pickle_are_of_their_own(self):
        backbone = build("test_vit")
        images = torch.rand(1, 4, 64, 64)
        with torch.inference_mode():
            expected = backbone(images)
            others = copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))
            for parameter in backbone.parameters():
                parameter.zero_()
            for other in others:
                assert torch.equal(other(images), expected)

    @pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
    def test_halves(self, name):
        backbone, images = build(name), torch.rand(1, 4, 64, 64)
        with torch.inference_mode():
            expected = backbone(images)
            features = backbone.bfloat16()(images.bfloat16())
        assert features.dtype == torch.bfloat16
        scale = expected.abs().max()
        torch.testing.assert_close(
            features / scale, expected / scale, atol=0.1, rtol=0, check_dtype=False
        )

    def test_timm_is_not_imported_before_it_is_used(self):
        code = (
            "import sys; from hpazoo.backbones import backbones; backbones.get('timm')\n"
            "assert 'timm' not in sys.modules"
        )
        subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)

    @pytest.mark.slow
    def test_the_first_network_of_a_process_has_the_weights_of_later_ones(self):
        code = (
            "import torch; from hpazoo.backbones.timm import Timm\n"
            "for _ in range(2):\n"
            "    torch.manual_seed(0)\n"
            "    network = Timm(4, name='test_vit')\n"
            "    print(sum(p.double().sum() for p in network.parameters()).item(), torch.rand(()))"
        )
        command = [sys.executable, "-W", "error", "-c", code]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        first, second = told.stdout.splitlines()
        assert first == second
        assert told.stderr == ""


class TestSeResnext:
    """pudae's network: pretrainedmodels' se_resnext50_32x4d is timm's legacy_seresnext50_32x4d."""

    def test_its_tensors_are_those_of_pudaes_file(self, shared):
        text = (shared / "checkpoints/keys/pudae_attention_se_resnext50_c28.json").read_text()
        shapes = {
            entry["key"].removeprefix("cnn."): tuple(entry["shape"])
            for entry in json.loads(text)["entries"]
            if entry["key"].startswith("cnn.") and "last_linear" not in entry["key"]
        }
        with torch.device("meta"):
            mine = build("legacy_seresnext50_32x4d").state_dict()
        assert {k.removeprefix("network."): tuple(v.shape) for k, v in mine.items()} == shapes

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [(128, 128), (131, 160)])
    def test_its_maps_equal_those_of_pretrainedmodels(self, size):
        pytest.importorskip("hpazoo_pretrainedmodels")
        config = {"type": "pretrainedmodels.network", "name": "se_resnext50_32x4d"}
        theirs = backbones.build(config, 4).eval()
        for part in theirs.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(part.running_mean, -0.2, 0.2)
                torch.nn.init.uniform_(part.running_var, 0.8, 1.2)
        mine = build("legacy_seresnext50_32x4d")
        mine.load_state_dict(theirs.state_dict())
        images = torch.rand(2, 4, *size)
        with torch.inference_mode():
            expected, found = theirs(images), mine(images)
        assert mine.grid(*size) == theirs.grid(*size)
        scale = expected.abs().max()
        torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)
