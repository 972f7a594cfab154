"""Make the small network that comes with hpazoo, and its card, anew.

`python -m tests.make_drawn_weights [RUN]`: runs the quickstart as it is shipped, in the folder RUN
(default: a new one), takes the weights that it trains, and scores them on drawn fields that nothing
was chosen by. Then `make generate`, since the zoo's page shows cards. For who maintains the
registry, on a machine with nothing else to do: about four minutes on two cores.

The same versions on the same kind of machine give the same bytes; others train anew, to about the
same scores.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hpazoo
from hpazoo.checkpoints import sha256
from hpazoo.checkpoints.reading.header import read_card
from hpazoo.paths import data_folder, replacing

NAME, SPEC = "drawn-small-resnet", "drawn-cells"
FRESH = ("images.fields=192", "images.seed=11")
"""Of the fields that it is scored on: 1 was learned from, 2 and 4 are shown, 3 was chosen by."""

_CARD = """\
  {name}:
    title: Small residual network for drawn cells, trained by the quickstart; comes with hpazoo
    role: classifier
    builds: {{backbone: small-resnet, head: attention}}
    input: {{size: 192, normalize: hpa-2018}}
    classes: hpa-2021
    files:
      - name: {name}.safetensors
        sha256: {sha256}
        bytes: {bytes}
    format: hpazoo
    licence: MIT
    trained_on: [drawn-fields]
    status: shipped
    note: >-
{note}
"""


def command(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "hpazoo", *words], check=True)


def write_card(weights: Path, note: str) -> None:
    """Put the entry in place of the one in the registry."""
    path = data_folder("registry") / "checkpoints.yaml"
    text = path.read_text(encoding="utf-8")
    lines = textwrap.fill(note, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    card = _CARD.format(name=NAME, sha256=sha256(weights), bytes=weights.stat().st_size, note=lines)
    pattern = re.compile(rf"^  {NAME}:\n(?:    .*\n)+", re.M)
    changed, found = pattern.subn(lambda _: card, text)
    if found != 1:
        raise SystemExit(f"{path}: expected one entry '{NAME}', found {found}")
    with replacing(path) as temporary:
        temporary.write_text(changed, encoding="utf-8")


def note_of(header: dict[str, Any], metrics: dict[str, Any]) -> str:
    """How it was made, and what it is worth."""
    by_name = {one["name"]: one for one in metrics["metrics"]}
    said = []
    for name in ("cell-map", "image-map"):
        one = by_name[name]
        low, high = one["interval"]
        said.append(
            f"{name} {one['value']:.3f} (95 % {low:.3f} to {high:.3f}), by chance "
            f"{one['chance']:.3f}"
        )
    whole = next(
        one["value"]
        for one in metrics["members_alone"]
        if (one["member"], one["metric"]) == ("whole", "cell-map")
    )
    changes = " ".join(f"--set {one}" for one in FRESH)
    return (
        f"Made by `hpazoo run quickstart` (hpazoo {hpazoo.__version__}, torch {version('torch')}, "
        f"on a processor) from {header['trained_on']['images']} drawn fields of seed 1 with labels "
        f"of whole fields, with training seed {header['training']['recipe']['seed']}; the file's "
        "header has the recipe and the fields. On fields that nothing was chosen by, "
        f"`hpazoo run {SPEC} {changes}` gave {said[0]}, answers for whole fields alone "
        f"{whole:.3f}; {said[1]}. It knows drawn cells only, and nothing of real ones."
    )


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    command("run", "quickstart", "--out", str(folder / "made"))
    weights = data_folder("registry") / f"{NAME}.safetensors"
    made = folder / "made" / "models" / "small" / "fold-0.safetensors"
    with replacing(weights) as temporary:
        shutil.copyfile(made, temporary)
    write_card(weights, "Not scored yet.")
    out = folder / "scored"
    changes = [word for one in FRESH for word in ("--set", one)]
    command("run", SPEC, *changes, "--out", str(out), "--fresh")
    metrics = out / "evaluation" / "own-images" / "metrics.json"
    header = read_card(weights)
    assert header is not None
    note = note_of(header, json.loads(metrics.read_text(encoding="utf-8")))
    write_card(weights, note)
    print(note)


if __name__ == "__main__":
    main()
