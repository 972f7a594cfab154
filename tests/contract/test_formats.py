"""What every format keeps to."""

import pytest

from hpazoo.formats import formats
from tests.contract.names import built_in


@pytest.mark.parametrize("name", built_in(formats))
class TestFormats:
    def test_strangers_are_not_recognised(self, name):
        form = formats.build(name)
        for keys in ({}, {"a.weight": 1}, {"bn1.weight": 1, "encoder.bias": 1}):
            assert not form.recognises(keys)

    def test_a_name_it_does_not_know_stays_and_is_so_reported(self, name):
        assert formats.build(name).rename("nobody.knows.this") == "nobody.knows.this"
