"""`docs/zoo.md`: every component and every card on one page, from the code and the cards."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping

from hpazoo.checkpoints.cards import Card, card_names, data_sets, find_card
from hpazoo.spec.catalog import Description
from hpazoo.spec.words import as_yaml, values_in_words

_HEAD = """\
# The zoo

Every component that a spec can name, and every set of weights that is known. Written from the code
and from `registry/checkpoints.yaml` by `make generate`; `hpazoo show KIND NAME` and
`hpazoo checkpoints` say the same. Packages of others add to it: `hpazoo list` shows theirs too.
"""

_STATUS = {
    "released": "can be fetched",
    "unavailable": "nobody offers it",
    "not-loadable": "known, but not loadable",
    "shipped": "comes with hpazoo",
}


def page(described: Mapping[str, Mapping[str, Description]]) -> str:
    """The whole page, as Markdown; `described` are the components by kind and name."""
    kinds = {kind: found for kind, found in described.items() if found}
    lines = [_HEAD, *_contents(kinds)]
    for kind, found in kinds.items():
        doc = importlib.import_module(f"hpazoo.{kind}").__doc__ or ""
        lines += [f"## {kind.capitalize()}\n", doc.partition("\n")[0] + "\n"]
        for name, component in found.items():
            lines += _component(kind, name, component)
    lines += _checkpoints()
    return "\n".join(lines).rstrip() + "\n"


def _contents(kinds: Mapping[str, Mapping[str, Description]]) -> Iterator[str]:
    for kind, found in kinds.items():
        yield f"- **{kind}**: {', '.join(f'[`{name}`](#{kind}-{name})' for name in found)}"
    yield "- **checkpoints**: [all cards](#checkpoints)\n"


def _component(kind: str, name: str, component: Description) -> Iterator[str]:
    yield f'### <a id="{kind}-{name}"></a>`{name}`\n'
    text = re.split(r"^Parameters\n-{3,}\n", component.doc, maxsplit=1, flags=re.M)[0]
    yield text.strip() + "\n"
    if component.parameters:
        yield "| parameter | takes | default | |"
        yield "|---|---|---|---|"
        for key, entry in component.parameters.items():
            default = "required" if entry.get("required") else f"`{as_yaml(entry['default'])}`"
            takes = _cell(values_in_words(entry["schema"]))
            yield f"| `{key}` | {takes} | {default} | {_cell(entry['doc'])} |"
        yield ""
    for word, marks in (("Needs", component.needs), ("Gives", component.gives)):
        if marks:
            yield f"{word} {', '.join(marks)}.\n"


def _checkpoints() -> Iterator[str]:
    yield "## Checkpoints\n"
    yield "Weights that are known, by card. `hpazoo checkpoints fetch NAME` gets what can be had;"
    yield "a file of your own takes a card's place with `hpazoo checkpoints add NAME FILE`.\n"
    cards = [card for name in card_names() if (card := find_card(name))]
    yield "| card | what | status | licence |"
    yield "|---|---|---|---|"
    for card in cards:
        link = f"[`{card.name}`](#card-{card.name})"
        yield f"| {link} | {_cell(card.title)} | {_STATUS[card.status]} | {_cell(card.licence)} |"
    yield ""
    for card in cards:
        yield from _card(card)
    yield "### What they were trained on\n"
    for name, text in data_sets().items():
        yield f"- `{name}`: {text}"


def _card(card: Card) -> Iterator[str]:
    yield f'### <a id="card-{card.name}"></a>`{card.name}`\n'
    yield f"{card.title}.\n"
    if card.note:
        yield f"{card.note.strip()}\n"
    if card.builds:
        parts = ", ".join(f"`{key}: {as_yaml(part)}`" for key, part in card.builds.items())
        yield f"- network: {parts}, `input: {as_yaml(card.input)}`"
        use = "to start a training from" if card.role == "backbone" else "embeddings only"
        yield f"- classes: {f'`{card.classes}`' if card.classes else f'none, {use}'}"
    yield f"- licence: {card.licence}"
    if card.citation:
        yield f"- cite: {card.citation}"
    if card.parent:
        yield f"- started from: [`{card.parent}`](#card-{card.parent})"
    yield f"- trained on: {', '.join(f'`{name}`' for name in card.trained_on)}"
    if card.thread:
        yield f"- more: <{card.thread}>"
    for file in card.files:
        digest = f"sha256 `{file.sha256}`" if file.sha256 else "no digest is published"
        none = "comes with hpazoo" if card.is_shipped else "no source"
        where = ", ".join(f"[source]({url})" for url in file.sources) or none
        yield f"- file: `{file.name}`, {where}, {digest}"
    yield ""


def _cell(text: str) -> str:
    """Text that does not end a cell of a table."""
    return text.replace("|", "\\|")
