"""The heads' linear layer says what torch's says."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from hpazoo.heads import _linear
from hpazoo.heads._linear import Linear

torch.set_num_threads(1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(37,), (1, 37), (0, 37), (150, 37), (2, 5, 37)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_predictions_are_those_of_torch(shape, bias, dtype):
    layer = Linear(37, 11, bias=bias).to(dtype)
    values = torch.randn(shape).to(dtype)
    expected = functional.linear(values, layer.weight, layer.bias)
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            found = layer(values)
            assert found.dtype == dtype
            torch.testing.assert_close(found, expected)
            turned = layer(torch.randn(37, 4).to(dtype).T)
            assert turned.shape == (4, 11)


def test_a_view_of_other_strides_is_read_right():
    layer, values = Linear(8, 3), torch.randn(8, 20)
    with torch.inference_mode():
        for view in (values.T, values.T[::2], torch.randn(20, 16)[:, ::2]):
            expected = functional.linear(view, layer.weight, layer.bias)
            torch.testing.assert_close(layer(view), expected)


def test_onednn_is_asked_only_to_predict_in_single_precision(monkeypatch):
    layer, values, asked = Linear(5, 2), torch.randn(3, 5), []
    monkeypatch.setattr(_linear, "_predicted", lambda *given: asked.append(given) or torch.ones(1))
    layer(values).sum().backward()
    assert layer.weight.grad is not None and not asked
    with torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(values).dtype == torch.bfloat16
        layer.double()(values.double())
        assert not asked
        layer.float()(values)
        assert len(asked) == _linear._HAS_ONEDNN
        monkeypatch.setattr(_linear, "_HAS_ONEDNN", False)
        assert layer(values).shape == (3, 2)


def test_it_has_the_tensors_and_the_trace_of_torchs():
    layer, other, values = Linear(5, 2), nn.Linear(5, 2), torch.randn(3, 5)
    other.load_state_dict(layer.state_dict())
    with torch.no_grad():
        exported = torch.export.export(layer, (values,))
        called = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
        assert called == {"aten.linear.default"}
        torch.testing.assert_close(exported.module()(values), other(values))
