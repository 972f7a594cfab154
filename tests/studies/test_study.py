"""A study from its spec to its files, with the network that travels with hpazoo."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import hpazoo
from hpazoo.errors import UsageError
from hpazoo.readers.synthetic import Synthetic
from hpazoo.runner.folder import RunFolder
from hpazoo.studies.study import Studied
from tests.docs.pages import cli

SPEC = """\
hpazoo: 1
name: seen
classes: hpa-2021
images: {type: synthetic, fields: 8, size: 256, seed: 40}
masks: provided
models:
  small: {checkpoint: drawn-small-resnet}
members:
  - {model: small, strategy: gap-mask, name: masked}
  - {model: small, strategy: whole-image, name: whole}
metrics: [cell-map, image-map]
study:
  repeats: 2
  group: well
  rounds: 100
  blends: {both: [masked, whole]}
  corrections:
    negative: [suppress-negative]
    image: [{type: blend-image, member: whole}]
  variants:
    strong: [images.heterogeneity=2.2]
    masked alone: ["members=[{model: small, strategy: gap-mask, name: masked}]"]
  comparisons:
    - {claim: it knows something, arm: masked, against: 0.15}
    - {claim: masks help, arm: masked, against: whole, variant: strong}
    - {claim: a variant is the same, arm: masked, against: masked, against_variant: masked alone}
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "seen.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def studied(spec: Path) -> Studied:
    return hpazoo.study(spec, out=spec.parent / "study", workers=0)


def test_the_same_run_alone_has_the_same_scores(spec: Path, studied: Studied) -> None:
    """An arm's score is that of a run with this blend; a repeat's, that of a run with its seed."""
    for repeat, seed in enumerate((40, 1040)):
        done = hpazoo.run(
            spec,
            out=spec.parent / f"alone-{repeat}",
            settings=[
                f"images.seed={seed}",
                "members=[{model: small, strategy: gap-mask}]",
                "postprocess=[suppress-negative]",
            ],
            workers=0,
        )
        (own,) = done.evaluations
        arms = studied.runs["as-written"][repeat].arms
        assert [score.name for score in own.scores] == list(arms) == ["cell-map", "image-map"]
        for score in own.scores:
            found = arms[score.name]["masked, negative"].value
            assert found == pytest.approx(score.value, abs=1e-12)


def test_arms_are_those_that_make_sense(studied: Studied) -> None:
    arms = studied.runs["as-written"][0].first
    assert list(arms) == [
        "",  # the spec's own blend
        *("masked", "masked, negative", "masked, image"),
        *("whole", "whole, negative"),
        *("both", "both, negative", "both, image"),
    ]
    assert arms[""].value == arms["both"].value
    assert arms["both, image"].value == arms["masked, image"].value  # the rest is kept for it
    assert set(studied.runs["masked alone"][0].first) == {"", "masked", "masked, negative"}


def test_what_is_found(studied: Studied) -> None:
    known, helped, same = studied.findings
    assert known.verdict == "confirmed"
    runs = studied.runs["strong"]
    each = [run.first["masked"].value - run.first["whole"].value for run in runs]
    assert helped.each == pytest.approx(each)
    assert (same.difference.value, same.verdict) == (0, "not confirmed")
    assert same.difference.interval == (0, 0)


def test_the_files(studied: Studied) -> None:
    page = (studied.folder / "study.md").read_text(encoding="utf-8")
    assert "| it knows something | masked" in page
    assert re.search(r"^\| chance \| 0\.\d+ \| 0\.\d+ \|", page, re.MULTILINE)
    assert (studied.folder / "study.png").read_bytes().startswith(b"\x89PNG")
    with (studied.folder / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {(row["variant"], row["metric"], row["arm"]): row for row in rows}
    row = found["strong", "cell-map", "masked"]
    assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
    assert len(row["repeats"].split()) == 2
    assert float(row["ms_per_field"]) > 0
    with (studied.folder / "comparisons.csv").open(encoding="utf-8") as file:
        assert [row["verdict"] for row in csv.DictReader(file)][::2] == [
            "confirmed",
            "not confirmed",
        ]


def test_it_goes_on_where_it_was(spec: Path, studied: Studied) -> None:
    """The second time nothing is predicted, and all is found again to the byte."""
    before = {path: path.read_bytes() for path in studied.files}
    parts = sorted((studied.folder / "repeat-1").rglob("*.parquet"))
    times = [path.stat().st_mtime_ns for path in parts]
    hpazoo.study(spec, out=studied.folder, workers=0)
    assert [path.stat().st_mtime_ns for path in parts] == times
    assert {path: path.read_bytes() for path in studied.files} == before


def test_repeats_that_would_be_the_same(spec: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    settings = [
        "images={type: hpa-files, root: images, labels: t.csv}",
        *("masks=watershed", "study.group=null"),
    ]
    with pytest.raises(UsageError, match=r"would be one and the same; give --set study\.repeats=1"):
        hpazoo.study(
            spec,
            data=tmp_path,
            settings=[*settings, "study.variants={}", "study.comparisons=[]"],
            workers=0,
        )


def test_one_group_tells_nothing_of_others(spec: Path, tmp_path: Path) -> None:
    """No interval of no width, and no verdict."""
    settings = ["images.fields=2", "study.repeats=1", "study.variants={}"]
    settings.append("study.comparisons=[{claim: it knows something, arm: masked, against: 0}]")
    done = hpazoo.study(spec, out=tmp_path / "study", settings=settings, workers=0)
    (found,) = done.findings
    assert found.difference.value > 0 and found.verdict == "not confirmed"
    page = (tmp_path / "study" / "study.md").read_text(encoding="utf-8")
    assert "One group of fields alone tells nothing of others: no intervals, and" in page


def test_a_field_without_cells_is_scored_too(spec: Path, tmp_path: Path) -> None:
    """Its image has labels, and no cell that could have been told."""
    masks = tmp_path / "masks"
    masks.mkdir()
    for number, name in enumerate(Synthetic(Path(), fields=2, size=256, seed=40).ids()):
        labels = np.zeros((256, 256), np.uint16)
        labels[100:150, 100:150] = number  # the first field has none
        cv2.imwrite(str(masks / f"{name}.png"), labels)
    settings = [
        *("images.fields=2", f"masks={{type: label-images, root: {masks}}}"),
        *("metrics=[image-map, cell-map]", "study.repeats=1", "study.variants={}"),
        *("study.comparisons=[]", "study.group=null"),
    ]
    done = hpazoo.study(spec, out=tmp_path / "study", settings=settings, workers=0)
    (run,) = done.runs["as-written"]
    assert len(run.ids) == 2 and np.isfinite(run.first["masked"].value)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("outputs=[kaggle-submission]", "put 'table' among the 'outputs'"),
        ("ensemble=tuned", "ensemble 'tuned' learns its weights"),
        ("study.group=plat", "no column of the labels .* plate, well, antibody"),
        ('study.variants.strong=["metrics=[image-map]"]', "image-map in strong"),
        (
            "study.corrections.negative=[{type: threshold, file: nope.csv}]",
            "(?<=studied:)\n  correction 'negative': [^\n]*nope.csv[^\n]*$",
        ),
        (
            'study.variants.strong=["images.fields=4"]',
            r"4 of whose fields are among those it is compared on in as-written \(synthetic_40-",
        ),
    ],
)
def test_what_cannot_be_studied_is_said_first(
    spec: Path, tmp_path: Path, setting: str, why: str
) -> None:
    claims = "{claim: one, arm: masked, against: masked, against_variant: strong}"
    if "fields" in setting:
        claims = "{claim: one, arm: [masked, both], against: whole}"
    settings = [setting, f"study.comparisons=[{claims}]", "study.choose_on=strong"]
    with pytest.raises(UsageError, match=f"(?s)this cannot be studied:.*{why}"):
        hpazoo.study(spec, out=tmp_path / "study", settings=settings, workers=0)
    assert not (tmp_path / "study").exists()


def test_a_variant_of_one_field_has_no_interval(spec: Path, tmp_path: Path) -> None:
    """Beside one of many fields: neither has the difference."""
    claim = "{claim: one is as good, arm: masked, against: masked, against_variant: strong}"
    settings = [
        *('study.variants={strong: ["images.fields=2"]}', "study.repeats=1"),
        f"study.comparisons=[{claim}]",
    ]
    done = hpazoo.study(spec, out=tmp_path / "study", settings=settings, workers=0)
    (found,) = done.findings
    assert np.isnan(found.difference.interval).all() and found.verdict == "not confirmed"


def test_one_process_a_study(spec: Path, studied: Studied, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    folder = tmp_path / "study"
    shutil.copytree(studied.folder, folder)
    before = (folder / "study.json").read_bytes()
    held = RunFolder(folder)
    held.claim()
    with pytest.raises(UsageError, match="another hpazoo is working on"):
        hpazoo.study(spec, out=folder, settings=["study.rounds=150"], workers=0)
    held.release()
    assert (folder / "study.json").read_bytes() == before and (folder / "scores.csv").is_file()


def test_what_was_noted_beside_the_scores_may_be_lost(
    spec: Path, studied: Studied, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(studied.folder, folder)
    (folder / "repeat-0" / "as-written" / "profile.json").write_bytes(b"\xff{")
    (folder / "study.json").write_bytes(b"\xff")
    again = hpazoo.study(spec, out=folder, workers=0)
    assert [one.each for one in again.findings] == [one.each for one in studied.findings]


def test_it_is_one_process(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    with pytest.raises(UsageError, match="without torchrun, with --processes"):
        hpazoo.study(spec, out=tmp_path / "study", workers=0)
    assert not (tmp_path / "study").exists()


def test_a_variant_may_train_where_the_spec_does_not(spec: Path, tmp_path: Path) -> None:
    """Nothing is there to be taken from the first run, and the weights of others have no card."""
    trained = (
        "models.small={backbone: small-resnet, head: attention, input: {size: 48, normalize: "
        "hpa-2018}, train: {epochs: 1, batch_size: 8, folds: 1}}"
    )
    learned = "{images: [{type: synthetic, fields: 96, size: 128, seed: 5}], splitter: holdout}"
    (tmp_path / "variants.yaml").write_text(
        spec.read_text(encoding="utf-8").split("study:")[0]
        + "study:\n  repeats: 1\n  variants:\n    trained:\n"
        + f"      - '{trained}'\n      - 'training={learned}'\n",
        encoding="utf-8",
    )
    done = hpazoo.study(tmp_path / "variants.yaml", out=tmp_path / "study", workers=0)
    assert {name: len(runs) for name, runs in done.runs.items()} == {"as-written": 1, "trained": 1}


def test_the_folder_is_a_studys_own(spec: Path, studied: Studied, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.md").write_text("my notes", encoding="utf-8")
    with pytest.raises(UsageError, match="holds files, but no study"):
        hpazoo.study(spec, out=tmp_path / "mine", workers=0)
    # another study in the same folder: what was found before is kept
    before = (studied.folder / "study.md").read_bytes()
    folder = tmp_path / "again"
    shutil.copytree(studied.folder, folder)
    settings = ["study.repeats=1", "study.rounds=150"]
    hpazoo.study(spec, out=folder, settings=settings, workers=0)
    assert (folder / "old" / "1" / "study.md").read_bytes() == before
    page = (folder / "study.md").read_text(encoding="utf-8")
    assert "--set 'study.repeats=1' --set 'study.rounds=150'`, repeat 0." in page


def test_the_command(spec: Path, studied: Studied) -> None:
    code, said = cli(["hpazoo", "study", str(spec), "--out", str(studied.folder), "--workers", "0"])
    assert code == 0
    assert re.search(r"it knows something .* confirmed", said)
    assert str(studied.folder / "study.png") in said
    # how long the rest takes is said once each variant has shown it
    left = re.findall(
        r"^run \d of 6: repeat \d, [a-z -]+(, about \d+ min left)?$", said, re.MULTILINE
    )
    assert list(map(bool, left)) == [False, False, False, True, True, True]
