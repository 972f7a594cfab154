"""`python -m bench`: measure, compare, show."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.threads import say_one_thread, set_one_thread

if TYPE_CHECKING:
    from bench.material import Material
    from bench.measure import Effort, Result

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
ROWS = {
    "gap-mask": "Gap-Mask over its backbone alone, and its memory",
    "attention-head": "the attention head over 30 cells",
    "grid-weights": "weights on the feature grid from a label image",
    "gridify": "Gridify's views",
    "submission": "submission strings of a field",
    "boxes": "boxes, areas, border flags",
    "scores": "scores of a competition: masks, average precision, bootstrap",
    "splits": "groups of images into folds: how even, how fast",
    "reading": "reading a field",
    "training": "images to learn from, the network that learns, epochs reckoned",
    "end-to-end": "a field from its files to probabilities and submission",
    "whole-run": "`hpazoo run` on 200 drawn fields",
}
ROUNDS, QUICK_ROUNDS = 7, 3
PIPE_WIDTH = 170
INTERRUPTED = 130


def main() -> int:
    """Exit status 1 when a way gave another answer than the naive one, or a row failed; 130 when
    stopped from the keyboard.
    """
    asked = _arguments()
    # Before numpy and torch, which read it when they are imported.
    say_one_thread()
    from rich.console import Console

    from bench import table
    from bench.machine import machine
    from bench.material import Material
    from bench.measure import Effort

    set_one_thread()
    effort = Effort(QUICK_ROUNDS if asked.quick else ROUNDS, asked.quick)
    # A file or a pipe has no width; the table needs some.
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    aside = Console(stderr=True)
    results: list[Result] = []
    line, stopped = machine(), False
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hpazoo-bench-") as folder:
        material = Material(Path(folder))
        try:
            for name in asked.rows or ROWS:
                aside.print(f"{time.perf_counter() - begin:4.0f} s  {name} ...", highlight=False)
                results += _measured(name, material, effort)
                if asked.json:  # now, so that a bench that is stopped leaves what it has
                    asked.json.write_text(table.as_json(results, line), "utf-8")
        except KeyboardInterrupt:
            stopped = True
            aside.print("stopped; what was measured so far:", highlight=False)
    if asked.quick:
        aside.print("--quick: few rounds; do not quote these numbers", highlight=False)
    table.show(results, line, console)
    if asked.markdown and not stopped:
        table.into_page(asked.markdown, results, line)
    missed = sum(result.met is False for result in results)
    wrong = sum(bool(result.wrong) for result in results)
    aside.print(f"{missed} goals missed, {wrong} wrong answers", highlight=False)
    return INTERRUPTED if stopped else 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    rows = "\n".join(f"  {name:15} {what}" for name, what in ROWS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="hpazoo's speed beside the naive way and the floor, in ratios of one run.",
        epilog=f"rows:\n{rows}\n\ndocs/benchmarks.md says what the columns mean.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these rows [default: all]")
    parser.add_argument("--quick", action="store_true", help="few rounds, small cases: two minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers")
    parser.add_argument(
        "--markdown",
        type=Path,
        nargs="?",
        const=PAGE,
        metavar="PAGE",
        help=f"also put the table into a page [{PAGE.relative_to(ROOT)}]",
    )
    asked = parser.parse_args()
    unknown = [name for name in asked.rows if name not in ROWS]
    if unknown:
        parser.error(f"unknown row '{unknown[0]}'; there are {', '.join(ROWS)}")
    return asked


def _measured(name: str, material: Material, effort: Effort) -> list[Result]:
    """Results of a row; one that fails says so and does not stop the others."""
    from bench.measure import Result, WrongAnswerError

    results: list[Result] = []
    try:
        results.extend(_work(name)(material, effort))
    except WrongAnswerError as error:
        results.append(Result(name, "", wrong=str(error)))
    except Exception as error:
        traceback.print_exc()
        results.append(Result(name, "", wrong=f"failed: {type(error).__name__}: {error}"))
    return results


def _work(name: str) -> Callable[[Material, Effort], Iterator[Result]]:
    """What measures a row; imported late, after threads are set."""
    from bench import (
        end_to_end,
        gap_mask,
        gridify,
        masks,
        reading,
        scores,
        splits,
        training,
        whole_run,
    )

    return {
        "gap-mask": gap_mask.whole,
        "attention-head": gap_mask.attention_head,
        "grid-weights": gap_mask.weights,
        "gridify": gridify.views,
        "submission": masks.submission,
        "boxes": masks.boxes,
        "scores": scores.scores,
        "splits": splits.splits,
        "reading": reading.fields,
        "training": training.training,
        "end-to-end": end_to_end.field,
        "whole-run": whole_run.run,
    }[name]


if __name__ == "__main__":
    sys.exit(main())
