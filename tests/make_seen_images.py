"""Write `registry/seen-images.bin` from the published tables of images.

`python tests/make_seen_images.py FOLDER`: FOLDER holds the tables named below. For who maintains
the registry; `test_seen_images.py` compares the file with the tables where they are there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from hpazoo.paths import data_folder, replacing
from hpazoo.seen_images import BYTES, FILE, MAGIC, image_hash

TABLES = {  # data set of registry/checkpoints.yaml -> table, its column of ids
    "hpa2018-train": ("hpa2018_train.csv", "Id"),
    "hpa2018-external": ("hpa2018_external.csv", "Id"),
    "hpa2021-train": ("hpa2021_train.csv", "ID"),
    "hpa-public-without-0-and-16": ("hpa_public_excl_0_16.csv", "ID"),
}


def ids_in(content: bytes, column: str) -> list[str]:
    return [row[column] for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig")))]


def encode(tables: Mapping[str, tuple[str, bytes, Iterable[str]]]) -> bytes:
    """The file, of the table's name, its content and its ids for each data set; at most eight."""
    sets, members = [], dict[int, int]()
    for place, (name, (table, content, ids)) in enumerate(tables.items()):
        hashes = set(map(image_hash, ids))
        digest = hashlib.sha256(content).hexdigest()
        sets.append({"name": name, "table": table, "sha256": digest, "images": len(hashes)})
        for one in hashes:
            members[one] = members.get(one, 0) | 1 << place
    rising = np.array(sorted(members), np.uint64)
    steps = np.diff(rising, prepend=np.uint64(0))
    planes = [(steps >> np.uint64(8 * place)).astype(np.uint8) for place in reversed(range(BYTES))]
    planes.append(np.array([members[int(one)] for one in rising], np.uint8))
    packed = zlib.compress(np.stack(planes).tobytes(), 9)
    digest = hashlib.sha256(packed).hexdigest()
    header = {"images": len(members), "sha256": digest, "sets": sets}
    return MAGIC + json.dumps(header).encode() + b"\n" + packed


def main(folder: Path) -> None:
    tables = {}
    for name, (table, column) in TABLES.items():
        content = (folder / table).read_bytes()
        tables[name] = (table, content, ids_in(content, column))
    with replacing(data_folder("registry") / FILE) as temporary:
        temporary.write_bytes(encode(tables))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
