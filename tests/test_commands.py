"""`list`, `show` and the words around them."""

from __future__ import annotations

import pytest

from hpazoo.cli import main


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_list_is_in_natural_order_and_takes_wildcards(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list", "strategies")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines()[1:]]
    assert names == sorted(names)
    assert "gap-mask" in names
    assert call(capsys, "list", "strategy") == (0, out, "")
    _, out, _ = call(capsys, "list", "strategies", "g*")
    assert [line.split()[0] for line in out.splitlines()] == [
        "strategies",
        "gap-mask",
        "gridify",
        "gridify-paste",
    ]
    _, out, _ = call(capsys, "list", "*-mask")
    assert [line.split()[0] for line in out.splitlines()] == ["strategies", "gap-mask"]


def test_show_says_all_that_a_spec_may_set(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "show", "strategy", "gridify")
    assert code == 0
    assert "crop: whole number (>= 1), default 512" in out
    assert "background: keep | zero, default keep" in out
    path, _, line = out.rpartition("Code: ")[2].strip().rpartition(":")
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        assert "@strategies.register" in file.readlines()[int(line) - 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "strategy", "gapmask"], "did you mean 'gap-mask'?"),
        (["show", "strateg", "gridify"], "did you mean 'strategy'?"),
        (["list", "heads", "x*"], "nothing in heads is called 'x*'"),
        (["run", "no-such-spec"], "no spec 'no-such-spec'"),
        (["new", "plugin", "Bad Name"], "cannot name a plugin"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert message in err
