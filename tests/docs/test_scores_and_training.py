"""Every block of docs/scores.md and docs/training.md is run; numbers in outputs excepted."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hpazoo.cli.run_command import command as run_command
from hpazoo.spec import load
from tests.docs.pages import (
    DOCS,
    Block,
    blocks_of,
    cli,
    commands,
    files_of,
    labelled_images,
    shows,
    where,
)

PAGES = {name: blocks_of((DOCS / name).read_text("utf-8")) for name in ("scores.md", "training.md")}
BLOCKS = [(page, block) for page, blocks in PAGES.items() for block in blocks]
SPECS = [(page, block) for page, block in BLOCKS if block.language == "yaml"]
FAST, SLOW = (
    [
        (page, block)
        for page, block in BLOCKS
        if block.language == "console" and (block.mark == "slow") == slow
    ]
    for slow in (False, True)
)


def titled(value: object) -> str | None:
    return where(value) if isinstance(value, Block) else None


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per page, with its files and labelled images."""
    folders = {}
    for page, blocks in PAGES.items():
        folder = tmp_path_factory.mktemp(Path(page).stem)
        labelled_images(folder)
        for name, text in files_of(blocks).items():
            (folder / name).write_text(text, encoding="utf-8")
        folders[page] = folder
    return folders


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, before)
    torch.set_num_threads(threads)


def test_no_block_is_left_out() -> None:
    kinds = [len(SPECS), len(FAST), len(SLOW)]
    assert all(kinds)
    files = [block for _, block in BLOCKS if block.language == "csv"]
    assert all(block.mark.startswith("file: ") for block in files)
    assert sum(kinds) + len(files) == len(BLOCKS)
    for page, blocks in PAGES.items():
        assert (DOCS / page).read_text("utf-8").count("```") == 2 * len(blocks)


@pytest.mark.parametrize(("page", "block"), SPECS, ids=titled)
def test_specs_are_fine(page: str, block: Block, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(block.text, encoding="utf-8")
    load(str(tmp_path / "spec.yaml"))


@pytest.mark.parametrize(("page", "block"), FAST, ids=titled)
def test_commands(
    page: str, block: Block, homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(homes[page])
    walk(block)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "block"), SLOW, ids=titled)
def test_trainings(
    page: str, block: Block, homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(homes[page])
    walk(block)


def walk(block: Block) -> None:
    """Run what a block shows; of those that are not run, check that they could be."""
    code = 0
    for words, shown in commands(block):
        if words[0] == "echo":
            assert shown == f"{code}\n"
        elif block.mark == "not run":
            words = words[words.index("hpazoo") :]
            given = run_command.make_context("run", words[2:]).params
            load(given["spec"], settings=given["settings"], images=given["images"])
        else:
            assert words[0] == "hpazoo"
            code, said = cli(words)
            assert shows(said, shown), said
