"""`hpazoo checkpoints`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpazoo.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from hpazoo.checkpoints.cards import Card

_FOLDS = click.option(
    "--fold", "folds", multiple=True, type=click.IntRange(0), metavar="K", help="Only this fold."
)


@click.group("checkpoints", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Show, fetch and check published weights; without a word, show them.

    They lie in the cache: HPAZOO_CACHE, or the user's folder for caches. A run never fetches.
    """
    if context.invoked_subcommand is None:
        _list()


@command.command("list")
def list_cards() -> None:
    """Show the sets of weights that are known, and which are in the cache."""
    _list()


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show all that is known of one set of weights."""
    _show(_card(name))


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@_FOLDS
@click.option("--quiet", is_flag=True, help="No progress, only what went wrong.")
def fetch_cards(names: tuple[str, ...], folds: tuple[int, ...], quiet: bool) -> int:
    """Fetch sets of weights into the cache and verify them.

    Stopped at any moment, the same command goes on where it was.
    """
    from hpazoo.checkpoints.cache.fetch import FetchError, fetch
    from hpazoo.cli.transfers import Transfers

    cards = [_card(name) for name in dict.fromkeys(names)]
    failed = 0
    with Transfers(quiet) as watch:
        for card in cards:
            try:
                for done in fetch(card, folds, watch=watch):
                    state = "fetched and verified" if done.source else "there already, verified"
                    if done.source and done.recorded:
                        state = f"fetched; none is published, so sha256 {done.recorded} is recorded"
                    watch.say(f"{card.name}: {state}: {done.path}")
            except FetchError as error:
                click.echo(f"hpazoo: {error}", err=True)
                failed += 1
            else:
                if not card.is_loadable:
                    watch.say(f"{card.name}: {card.note}")
    return 1 if failed else 0


@command.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--fold", type=click.IntRange(0), metavar="K", help="The fold that the file is of.")
@click.option(
    "--trust-code",
    is_flag=True,
    help="Let the program (TorchScript) in FILE run from now on; NAME is a new one.",
)
def add_file(name: str, file: Path, fold: int | None, trust_code: bool) -> None:
    """File your own copy of a set of weights: FILE becomes that of the card NAME."""
    from hpazoo.checkpoints.cache.add import add, trust_program
    from hpazoo.checkpoints.cards import card_names, find_card
    from hpazoo.checkpoints.imagenet import timm_card

    card = find_card(name) or timm_card(name)
    if card is not None:
        if trust_code:
            raise UsageError(
                f"'{name}' is a card: what its file may do is settled there; to trust a program of "
                "your own, take another name"
            )
        click.echo(f"{name}: {add(card, file, fold)}")
    elif trust_code:
        if fold is not None:
            raise UsageError("--fold is for cards; leave it away")
        digest = trust_program(name, file)
        click.echo(f"{name}: the program with sha256 {digest} may run from now on")
        click.echo(f"say in a spec: checkpoint: {file.absolute()}")
    else:
        raise UsageError(
            f"there is no card '{name}'{did_you_mean(name, card_names())}; weights of your own "
            "need none: give their path in the spec (programs, TorchScript: with --trust-code here)"
        )


@command.command("verify")
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> int:
    """Check what is in the cache, or all files of the cards NAMES; exit 1 if any is wrong."""
    from hpazoo.checkpoints.cache.store import (
        REINSTALL,
        cache_folder,
        is_there,
        place_of,
        problem_of,
    )
    from hpazoo.checkpoints.cards import card_names

    checked = wrong = 0
    for name in names or card_names():
        card = _card(name)
        for file in card.files:
            if not names and not is_there(card, file):
                continue
            checked += 1
            problem = problem_of(card, file)
            wrong += problem is not None
            cure = f"; {REINSTALL}" if card.is_shipped else ""
            told = f"wrong: {name}: {problem}{cure}" if problem else f"fine: {place_of(card, file)}"
            click.echo(told)
    if not checked:
        click.echo(f"nothing is in the cache {cache_folder()} yet")
    elif wrong:
        click.echo(
            f"{wrong} of {checked} are wrong; 'hpazoo checkpoints fetch NAME' mends what can be had"
        )
    return 1 if wrong else 0


def _card(name: str) -> Card:
    from hpazoo.checkpoints.cards import card_names, find_card
    from hpazoo.checkpoints.imagenet import timm_card

    card = find_card(name) or timm_card(name)
    if card is None:
        raise UsageError(f"unknown card '{name}'{did_you_mean(name, card_names())}")
    return card


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from hpazoo.checkpoints.cache.store import cache_folder
    from hpazoo.checkpoints.cards import card_names

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("in the cache", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("title", overflow="fold")
    for name in card_names():
        card = _card(name)
        table.add_row(name, card.status, _there(card), _size(card), card.title)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=200)
    console.print(table)
    console.print(f"cache: {cache_folder()}", soft_wrap=True)


def _there(card: Card) -> str:
    from hpazoo.checkpoints.cache.store import is_there

    there = sum(is_there(card, file) for file in card.files)
    if card.is_shipped:
        return "came with hpazoo" if there else "no"
    if len(card.files) == 1:
        return "yes" if there else "no"
    return f"{there} of {len(card.files)}" if there else "no"


def _size(card: Card) -> str:
    """Of all files, as far as it is known: published, or on the disk."""
    from hpazoo.checkpoints.cache.store import is_there, place_of

    sizes = [
        file.bytes or (place_of(card, file).stat().st_size if is_there(card, file) else 0)
        for file in card.files
    ]
    return f"{sum(sizes) / 1e6:,.1f} MB" if all(sizes) else ""


def _show(card: Card) -> None:
    from hpazoo.checkpoints.cache.store import expected_digest, fold_name, is_there, place_of
    from hpazoo.checkpoints.cards import data_sets

    click.echo(f"{click.style(card.name, bold=True)}, {card.status}\n")
    known = data_sets()
    rows: list[tuple[str, object]] = [
        ("title", card.title),
        ("role", card.role),
        *((key, _flow(value)) for key, value in card.builds.items()),
        ("input", _flow(card.input)),
        ("classes", card.classes),
        ("format", card.format),
        ("licence", card.licence),
        ("citation", card.citation),
        ("parent", card.parent),
        *(("trained on", f"{name}: {known[name]}") for name in card.trained_on),
        ("note", card.note),
        ("thread", card.thread),
    ]
    _rows(rows)
    for file in card.files:
        expected = expected_digest(card, file)
        click.echo(f"\n  {fold_name(file)}")
        _rows(
            [
                ("sha256", f"{expected[0]} ({expected[1]})" if expected else "none published"),
                ("lies in", place_of(card, file).parent)
                if card.is_shipped
                else ("in the cache", "yes" if is_there(card, file) else "no"),
                *(("source", source) for source in file.sources),
            ]
        )


def _rows(rows: Iterable[tuple[str, object]]) -> None:
    for key, value in rows:
        if value:
            start = f"  {key:<13}"
            fill = textwrap.TextWrapper(
                100,
                initial_indent=start,
                subsequent_indent=" " * 15,
                break_long_words=False,
                break_on_hyphens=False,
            )
            click.echo(fill.fill(str(value)))


def _flow(value: object) -> str:
    import yaml

    if not value:
        return ""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return text.removesuffix("...\n").strip()
