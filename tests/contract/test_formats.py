"""What every format keeps to."""

import pytest
import torch

from hpazoo.formats import formats
from tests.contract.names import built_in


class Network(torch.nn.Module):
    """A backbone that wraps a network with the names of its own files."""

    def __init__(self):
        super().__init__()
        self.network = torch.nn.ModuleDict({"a": torch.nn.Linear(1, 1)})


@pytest.mark.parametrize("name", built_in(formats))
class TestFormats:
    def test_strangers_are_not_recognised(self, name):
        form = formats.build(name)
        for keys in ({}, {"a.weight": 1}, {"bn1.weight": 1, "encoder.bias": 1}):
            assert not form.recognises(keys)

    def test_a_name_it_does_not_know_stays_and_is_so_reported(self, name):
        assert formats.build(name).rename("nobody.knows.this") == "nobody.knows.this"

    def test_what_it_met_leaves_no_trace_in_the_next(self, name):
        """A format may look at the model first (`meet`); each file gets a new one."""
        first = formats.build(name)
        if hasattr(first, "meet"):
            first.meet(torch.nn.ModuleDict({"backbone": Network()}))
            assert first.recognises({"a.weight": 1})
            assert first.rename("a.weight") == "backbone.network.a.weight"
            assert first.rename("nobody.knows.this") == "nobody.knows.this"
        assert not formats.build(name).recognises({"a.weight": 1})
