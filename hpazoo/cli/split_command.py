"""`hpazoo split`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpazoo.cli import options
from hpazoo.errors import HpazooError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from hpazoo.classes import ClassList
    from hpazoo.labels import LabelTable

_FILE = click.Path(path_type=Path, exists=True)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("split")
@click.argument("tables", nargs=-1, required=True, type=_FILE, metavar="TABLE...")
@click.option("--classes", "wanted", metavar="NAME", required=True, help="List of classes.")
@click.option(
    "--in",
    "written",
    metavar="NAME",
    multiple=True,
    help="List that the tables are written in; once, or once for each table [default: --classes].",
)
@click.option(
    "--splitter",
    "text",
    metavar="NAME|YAML",
    help="groups, or '{type: groups, by: well}' [default: groups by antibody, where ids tell it].",
)
@click.option("--folds", type=click.IntRange(min=2), help="How many folds.")
@click.option(
    "--embeddings",
    type=_FILE,
    help="Parquet file of the images' embeddings: for the splitter, and to measure leakage.",
)
@click.option("--out", type=_FOLDER, help="Folder of the split [default: splits/TABLE].")
@options.plugin
def command(
    tables: tuple[Path, ...],
    wanted: str,
    written: tuple[str, ...],
    text: str | None,
    folds: int | None,
    embeddings: Path | None,
    out: Path | None,
) -> None:
    """Divide the images of label tables into folds; needs no images.

    Writes folds.csv, which the splitter 'from-file' reads, and what the split is like: split.json,
    split.csv and split.png.
    """
    from hpazoo.classes import class_list

    classes = class_list(wanted)
    config = None if text is None else _splitter(text)
    folder = out or Path("splits") / "+".join(dict.fromkeys(path.stem for path in tables))
    table = _read(tables, classes, written)  # first: '.' and the like have no name for a folder
    _check_folder(folder)
    config = _completed(config or _default(table), folds, embeddings)
    _split(table, config, embeddings, folder)
    _show_spec(tables, written, wanted, config, folder)


def _split(table: LabelTable, config: Any, embeddings: Path | None, folder: Path) -> None:
    from hpazoo.cli.split_table import show
    from hpazoo.training.sources import samples_of
    from hpazoo.training.split_stage import run_split, write_split

    values, notes = _embeddings(config, embeddings, table.ids)
    samples = samples_of(table, values)
    division, report = run_split(samples, config, Path(), notes=[*table.notes, *notes])
    _retire(folder)
    paths = write_split(folder, samples.ids, division, report)
    show(report)
    for path in paths:
        click.echo(f"  {path}")


def _read(tables: Sequence[Path], classes: ClassList, written: Sequence[str]) -> LabelTable:
    from hpazoo.classes import class_list
    from hpazoo.labels import read_labels, union
    from hpazoo.training.sources import sorted_by_id

    if len(written) not in (0, 1, len(tables)):
        raise UsageError(
            f"--in is given {len(written)} times for {len(tables)} tables; give it once, or once "
            "for each table in their order"
        )
    lists = [class_list(name) for name in written] or [classes]
    if len(lists) == 1:
        lists *= len(tables)
    read = [
        read_labels(path, classes, written_in=one) for path, one in zip(tables, lists, strict=True)
    ]
    return sorted_by_id(union(read))


def _splitter(text: str) -> str | dict[str, Any]:
    from hpazoo.spec.from_text import component_from_text

    return component_from_text(
        "--splitter",
        "splitters",
        text,
        "{type: groups, by: antibody}",
        # what is missing may come from --embeddings
        lambda problem: problem.message.startswith("missing key 'embeddings'"),
    )


def _default(table: LabelTable) -> dict[str, Any]:
    """Groups by antibody where ids tell it; a way that leaks is never taken unasked."""
    from hpazoo.atlas_ids import antibodies, parse

    known = antibodies(table.ids)
    silent = [name for name, antibody in zip(table.ids, known, strict=True) if antibody is None]
    if not silent:
        return {"type": "groups", "by": "antibody"}
    ways = [
        "'{type: cosine-groups, embeddings: FILE}' or '{type: embedding-clusters, embeddings: "
        "FILE}' keeps like images together",
        *(
            f"'{{type: groups, column: {name}}}' keeps together what has one {name}"
            for name in table.columns
            if 1 < len(set(table.columns[name])) < len(table) and "label" not in name.casefold()
        ),
        "multilabel-stratified takes each image for itself: images of one antibody or well come "
        "into several folds, and scores come out too good",
    ]
    if len(silent) < len(table):
        ways.insert(
            0,
            "'{type: groups, by: antibody, others: alone}' keeps the images of an antibody "
            "together, the others by well where they tell it",
        )
    if all(parse(name) for name in silent):
        ways.insert(0, "'{type: groups, by: well}' keeps the fields of a well together")
    lines = "\n".join(f"  --splitter {way}" for way in ways)
    raise UsageError(
        f"{table.source}: {len(silent)} of {len(table)} ids do not tell the antibody "
        f"({', '.join(silent[:3])}), by which images would be grouped. Say how to split:\n{lines}"
    )


def _completed(
    config: str | dict[str, Any], folds: int | None, embeddings: Path | None
) -> str | dict[str, Any]:
    """The splitter with what other options say of it."""
    from hpazoo.registry import split_config
    from hpazoo.spec.catalog import description
    from hpazoo.spec.shapes import looks_like_path

    name, said = split_config(config)
    known = description("splitters", name).parameters
    given: dict[str, Any] = {}
    if folds is not None:
        if "folds" not in known:
            raise UsageError(f"--folds: splitter '{name}' has no number of folds")
        given["folds"] = folds
    where = [k for k, entry in known.items() if entry["schema"].get("x-reference") == "embeddings"]
    if where and embeddings is not None:
        text = str(embeddings)
        given[where[0]] = text if looks_like_path(text) else f"./{text}"
    for key, value in given.items():
        if said.get(key, value) != value:
            raise UsageError(f"--{key} {value} and --splitter, '{key}: {said[key]}', contradict")
    if where and (source := (said | given).get(where[0])) is None:
        if known[where[0]].get("required"):
            raise UsageError(f"splitter '{name}' needs --embeddings FILE")
    elif where and not looks_like_path(str(source)):
        raise UsageError(
            f"splitter '{name}': embeddings of '{source}' are made from images, of which a table "
            "has none; write them with the output 'embeddings' of a run, and give --embeddings FILE"
        )
    return {"type": name, **said, **given} if said or given else name


def _embeddings(
    config: Any, file: Path | None, ids: Sequence[str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    from hpazoo.training.embeddings import file_of_embeddings, read_embeddings

    path = file_of_embeddings(config, Path()) or file
    return (None, ()) if path is None else read_embeddings(path, ids)


def _check_folder(folder: Path) -> None:
    """Refuse to write among files that are not an earlier split's."""
    try:
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    except OSError as error:
        raise HpazooError(f"{folder} cannot be read: {error.strerror}") from error
    if there and not {"folds.csv", "split.json"} <= there:
        raise UsageError(
            f"{folder} is not empty and holds no split; choose another folder with --out"
        )


def _retire(folder: Path) -> None:
    """Move an earlier split to `old/`: it may have taken long, and networks may stand on it."""
    before = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if not before:
        return
    number = 1
    while (old := folder / "old" / str(number)).exists():
        number += 1
    old.mkdir(parents=True)
    for path in before:
        path.replace(old / path.name)
    click.echo(f"the earlier split of {folder} is now in {old}", err=True)


def _show_spec(
    tables: Sequence[Path], written: Sequence[str], classes: str, config: Any, folder: Path
) -> None:
    """What to write into a spec for these folds."""
    lists = list(written) * (len(tables) if len(written) == 1 else 1) or [classes] * len(tables)
    click.echo("\nin a spec:\n  training:\n    images:")
    for path, one in zip(tables, lists, strict=True):
        reader = {"type": "hpa-files", "root": "FOLDER", "labels": str(path)}
        click.echo(f"      - {_flow(reader | ({'labels_in': one} if one != classes else {}))}")
    folds = {"type": "from-file", "file": str(folder / "folds.csv")}
    click.echo(f"    splitter: {_flow(folds)}")
    click.echo(f"or, to divide the images that are there anew: splitter: {_flow(config)}")


def _flow(value: Any) -> str:
    """As a spec writes it, on one line, with quotes where they are needed."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
