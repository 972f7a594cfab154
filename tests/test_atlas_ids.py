"""Ids of the atlas: what they say, on made-up ids and on all real ones."""

import csv

import pytest

from hpazoo.atlas_ids import AtlasId, antibodies, bare_id, keys, parse


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("17809_623_C10_2", ("17809", "623", "C10", "2")),
        ("1000_E11_2", (None, "1000", "E11", "2")),
        ("36228_1717_A7_17_cr57f520543a39a", ("36228", "1717", "A7", "17")),
        ("1717_A7_17_CR57F5", (None, "1717", "A7", "17")),
        ("32054_si3_C5_1", ("32054", "si3", "C5", "1")),
        ("Si3_c5_1", (None, "si3", "C5", "1")),
    ],
)
def test_parts(text, parts):
    assert parse(text) == AtlasId(*parts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00070df0-bbc3-11e8-b2bc-ac1f6b6435d0",
        "drawn_1_A1_1",
        "623_C10",
        "a_623_C10_2",
        "1_2_3_C10_2",
        "623_C10_2_red",
        "623_C10_2_cr",
        "623_C10_2\n",
        "٣_C10_2",
    ],
)
def test_other_ids(text):
    assert parse(text) is None


def test_drawn_fields_have_places_too():
    assert parse("synthetic_0-1_A1_2") == (None, "synthetic_0-1", "A1", "2")


def test_keys_go_from_exact_to_loose():
    assert list(keys("9_1718_A7_17_cr57f")) == [
        "9_1718_a7_17_cr57f",
        "9_1718_a7_17",
        "1718_a7_17",
    ]
    assert set(keys("1718_A7_17")) == {"1718_a7_17"}
    assert set(keys("ABC-def")) == {"abc-def"}


def test_bare_ids():
    assert bare_id("a/b\\800_A6_1_blue_red_green.jpg") == "800_A6_1"


def test_antibody_of_a_well():
    ids = ["7_20_A1_1", "20_a1_2", "20_A2_1", "8_30_A1_1", "9_30_A1_2", "30_A1_3", "no-id"]
    assert antibodies(ids) == ["7", "7", None, "8", "9", None, None]


@pytest.mark.parametrize(
    ("name", "column", "parsed", "with_antibody"),
    [
        ("hpa2018_external.csv", "Id", 74606, 74606),
        ("hpa_public_excl_0_16.csv", "ID", 27066, 0),
        ("hpa2021_train.csv", "ID", 0, 0),
    ],
)
def test_real_tables(shared, name, column, parsed, with_antibody):
    with (shared / "data" / "labels" / name).open(newline="") as file:
        ids = [row[column] for row in csv.DictReader(file)]
    places = [place for text in ids if (place := parse(text))]
    assert len(places) == parsed
    assert sum(place.antibody is not None for place in places) == with_antibody
    # no two images of a table are one image
    assert len({list(keys(text))[-1] for text in ids}) == len(ids)
    for text, place in zip(ids, places, strict=False):
        rebuilt = "_".join(part for part in place if part)
        assert text.partition("_cr")[0] == rebuilt


def test_a_fifth_part_is_known_in_every_table_that_has_one(shared):
    with (shared / "data" / "labels" / "hpa2018_external.csv").open(newline="") as file:
        ids = [row["Id"] for row in csv.DictReader(file)]
    assert sum(text.count("_") == 4 for text in ids) == 1406
    wells = {}
    for text in ids:
        place = parse(text)
        wells.setdefault((place.plate, place.well), set()).add(place.antibody)
    assert all(len(found) == 1 for found in wells.values()), "what `antibodies` relies on"
