"""`hpazoo checkpoints`, and what a run says of weights that are not there."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hpazoo.checkpoints import cards
from hpazoo.checkpoints.cache import store, transfer
from hpazoo.cli import main
from hpazoo.cli.transfers import Transfers
from hpazoo.errors import HpazooError
from hpazoo.fields import Input
from hpazoo.runner.preflight import weights_of
from hpazoo.spec import Model
from tests.checkpoints.serving import PROGRAM, Server, card_of, status, whole

DATA = b"\x80weights" * 9000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPAZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer.Patience, "__init__", _impatient(transfer.Patience.__init__))
    return tmp_path / "cache"


def _impatient(init: Any) -> Any:
    def made(self: Any, **_: Any) -> None:
        init(self, connect=2, stall=1, attempts=2, pause=0.01, longest=1)

    return made


@pytest.fixture
def known(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, cards.Card]:
    """Four cards in place of those of the project."""
    served = server.url("/w", whole(DATA))
    made = [
        card_of({"name": "a.pth", "sha256": DIGEST, "sources": [served]}, name="pinned"),
        card_of({"name": "b.pth", "sources": [served], "bytes": len(DATA)}, name="open"),
        card_of(
            *({"name": f"{k}.pth", "fold": k} for k in range(2)),
            name="lost",
            status="unavailable",
            thread="https://example.org/1",
        ),
        card_of({"name": "c.pt", "sources": [served]}, name="cut", role="segmentation"),
    ]
    found = {card.name: card for card in made}
    monkeypatch.setattr(cards, "_cards", lambda: found)
    return found


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["checkpoints", *arguments])
        return (int(stop.value.code or 0), *capsys.readouterr())

    return run


def rows(text: str) -> dict[str, list[str]]:
    """Name -> status, in the cache, size, of a table."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[1:]]
    return {line[0]: line[1:] for line in lines if len(line) > 2}


@pytest.mark.usefixtures("known")
def test_list(call: Any, cache: Path, tmp_path: Path) -> None:
    code, out, err = call()
    assert (code, err) == (0, "") and call("list") == (0, out, "")
    assert rows(out) == {
        "pinned": ["released", "no", "A card"],
        "open": ["released", "no", "0.1 MB", "A card"],
        "lost": ["unavailable", "no", "A card"],
        "cut": ["released", "no", "A card"],
    }
    assert out.splitlines()[-1] == f"cache: {cache}"
    (tmp_path / "mine.pth").write_bytes(DATA)
    assert call("add", "lost", str(tmp_path / "mine.pth"), "--fold", "1")[0] == 0
    assert call("fetch", "pinned")[0] == 0
    found = rows(call("list")[1])
    assert found["lost"] == ["unavailable", "1 of 2", "A card"]
    assert found["pinned"] == ["released", "yes", "0.1 MB", "A card"]


def test_all_published_cards_are_listed_without_torch() -> None:
    """And without the libraries that only fetching needs."""
    code = (
        "import sys\nfrom hpazoo.cli import main\n"
        "try:\n    main(['checkpoints', *sys.argv[1:]])\nexcept SystemExit as stop:\n"
        "    assert not stop.code\n"
        "assert not {'torch', 'requests', 'urllib3', 'cv2'} & set(sys.modules)"
    )
    for arguments in (["list"], ["verify"], ["show", "hpa-segmentation-cells"]):
        command = [sys.executable, "-c", code, *arguments]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if arguments == ["list"]:
            assert set(rows(out)) == set(cards.card_names())


@pytest.mark.parametrize("name", cards.card_names())
def test_show_says_all_that_is_known(call: Any, name: str) -> None:
    code, out, err = call("show", name)
    assert (code, err) == (0, "")
    card = cards.find_card(name)
    assert card
    flat = " ".join(out.split())
    told = [card.title, card.licence, card.note, *card.trained_on]
    told += [card.thread] if card.thread else []
    for file in card.files:
        told += [file.name, file.sha256 or "none published", *file.sources]
    for text in told:
        assert " ".join(text.split()) in flat


@pytest.mark.usefixtures("known")
def test_fetch(call: Any, server: Server) -> None:
    code, out, err = call("fetch", "pinned", "open", "pinned")
    assert (code, out) == (0, "")
    assert err.count("fetched and verified") == 1 and err.count("is recorded") == 1
    assert "fetching a.pth from 127.0.0.1" in err
    assert len(server.asked) == 2
    code, out, err = call("fetch", "pinned")
    assert code == 0 and "pinned: there already, verified" in err
    assert call("fetch", "--quiet", "open") == (0, "", "")


@pytest.mark.usefixtures("known")
def test_fetch_goes_on_after_a_failure(call: Any, server: Server) -> None:
    server.url("/w", status(404), whole(DATA))
    code, _, err = call("fetch", "--quiet", "open", "lost", "pinned")
    assert code == 1
    assert "b.pth of card 'open' could not be fetched" in err and "answers 404" in err
    assert "nobody offers these files of card 'lost'" in err
    assert err.count("Mine. (https://example.org/1)") == 1
    assert rows(call()[1])["pinned"][1] == "yes"


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "pind"], "unknown card 'pind'; did you mean 'pinned'?"),
        (["fetch", "pinned", "opn"], "unknown card 'opn'; did you mean 'open'?"),
        (["fetch"], "NAMES"),
        (["fetch", "lost", "--fold", "7"], "card 'lost' has no fold 7; its folds: 0, 1"),
        (["fetch", "open", "--fold", "0"], "card 'open' has no fold 0; it has one file"),
        (["verify", "nobody"], "unknown card 'nobody'"),
        (["show", "nobody"], "unknown card 'nobody'"),
        (["add", "lost", "FILE"], "each of the folds 0, 1; say which one this is with --fold"),
        (["add", "pinned", "FILE", "--trust-code"], "'pinned' is a card: what its file may do is"),
        (["add", "opn", "FILE"], "no card 'opn'; did you mean 'open'?; weights of your own need"),
        (["add", "x", "FILE", "--trust-code", "--fold", "0"], "--fold is for cards"),
        (["ad"], "ad"),
    ],
)
def test_wrong_words(
    call: Any, tmp_path: Path, server: Server, arguments: list[str], message: str
) -> None:
    file = tmp_path / "mine.pth"
    file.write_bytes(DATA)
    code, out, err = call(*(str(file) if word == "FILE" else word for word in arguments))
    assert (code, out) == (2, "") and message in err
    assert not server.asked


@pytest.mark.usefixtures("known")
def test_add_and_verify(call: Any, tmp_path: Path, cache: Path) -> None:
    assert call("verify") == (0, f"nothing is in the cache {cache} yet\n", "")
    file = tmp_path / "mine.pth"
    file.write_bytes(DATA)
    place = cache / "lost" / "1.pth"
    assert call("add", "lost", str(file), "--fold", "1") == (0, f"lost: {place}\n", "")
    assert call("verify") == (0, f"fine: {place}\n", "")
    code, out, _ = call("verify", "lost")
    assert code == 1 and "wrong: lost: 0.pth (fold 0) is not in the cache" in out
    place.write_bytes(DATA[::-1])
    code, out, _ = call("verify")
    assert code == 1 and DIGEST in out and "1 of 1 are wrong" in out
    code, _, err = call("add", "pinned", str(place))
    assert code == 1 and f"{DIGEST} was published" in err
    code, _, err = call("add", "open", str(tmp_path / "none.pth"))
    assert code == 1 and "none.pth does not exist" in err


@pytest.mark.usefixtures("known")
def test_trust(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    file.write_bytes(PROGRAM)
    digest = hashlib.sha256(PROGRAM).hexdigest()
    code, out, _ = call("add", "my-own", str(file), "--trust-code")
    assert code == 0 and digest in out and f"checkpoint: {file}" in out
    assert store.is_trusted(digest)


def test_the_bar_is_for_terminals() -> None:
    """Elsewhere lines, and those not when quiet."""
    shown = []
    for terminal, quiet in ((True, False), (False, False), (True, True)):
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=100)
        with Transfers(quiet, console) as watch:
            watch.say("fetching [bold]x")
            for done in (0, 500, 1000):
                watch.moved("a-very-long-name-" * 5 + ".pth", done, 1000)
        shown.append(text.getvalue())
    assert "━" in shown[0] and "1.0/1.0 kB" in shown[0]
    assert shown[1:] == ["fetching [bold]x\n", ""]


def model(checkpoint: str) -> Model:
    parts: dict[str, Any] = {
        "name": "dense",
        "backbone": {"type": "densenet121"},
        "head": {"type": "avg-max"},
        "input": Input(64, "none"),
        "classes": "hpa-2018",
        "checkpoint": checkpoint,
        "map_classes": None,
    }
    return Model(**parts)


def test_weights_of_a_card(
    call: Any, known: dict[str, cards.Card], server: Server, tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(HpazooError) as caught:
        weights_of(model("pinned"), tmp_path)
    text = str(caught.value)
    assert text.startswith("weights of model 'dense': card 'pinned' cannot be used")
    assert "hpazoo checkpoints fetch pinned" in text
    assert "--set models.dense.checkpoint=FILE" in text and "--random-weights" in text
    # a run never fetches
    assert not server.asked
    call("fetch", "pinned")
    assert weights_of(model("pinned"), tmp_path) == [cache / "pinned" / "a.pth"]
    with pytest.raises(HpazooError, match="card 'cut' is for a segmenter, not for a model"):
        weights_of(model("cut"), tmp_path)


def test_all_that_is_missing_at_once(tmp_path: Path) -> None:
    """A spec of three models by card: three commands, before the first field."""
    import hpazoo

    with pytest.raises(HpazooError) as caught:
        hpazoo.run("hpa2021-6th", settings=["images=synthetic"], out=tmp_path / "out")
    text = str(caught.value)
    for name in ("densenet121-768", "densenet121-1536", "inception-1024"):
        assert f"hpazoo checkpoints add hpa2021-6th-{name} FILE" in text
