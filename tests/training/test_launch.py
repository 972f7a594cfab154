"""Trainings in processes of their own: killed, interrupted, several of them together."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hpazoo.checkpoints.reading.header import read_card
from hpazoo.errors import HpazooError, UsageError
from hpazoo.training.job import Job, read_left_out
from hpazoo.training.kept import LAST
from hpazoo.training.launch import Together, fitted, launch
from hpazoo.training.watching import Watch
from tests.training import jobs


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with jobs.plugin(tmp_path_factory.mktemp("plugin")) as file:
        yield str(file)


def written(folder: Path, made: Job, count: int = 24) -> Job:
    made.write(jobs.samples(folder / "images", count=count))
    return made


def silent(_: str) -> None:
    pass


def test_killed_and_begun_again(network: str, tmp_path: Path) -> None:
    """Once, after its first epoch; `test_fit` has all the other moments."""
    recipe = {"epochs": 3, "patience": 3}
    slow = {"pause": 0.15}
    made = jobs.job(tmp_path / "a", recipe=recipe, backbone=slow, plugins=(network,))
    child = jobs.process(written(tmp_path, made))
    while not (made.place / LAST).exists():
        assert child.poll() is None, made.log.read_text(encoding="utf-8")
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not fitted(made)
    lines: list[str] = []
    launch(made, lines.append)
    assert fitted(made)
    assert lines[0] == "m, fold 0: goes on after epoch 1"
    assert lines[-1].startswith("m, fold 0: epoch 3 of 3: loss 0.")
    assert not list(made.place.glob("*.ckpt")) and not list(made.place.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_random_moments(workers: int, network: str, tmp_path: Path) -> None:
    recipe = {"epochs": 5, "freeze": 1, "patience": 4, "sample": "rare"}
    recipe["augment"] = [{"type": "d4"}, {"type": "mixup"}]  # type: ignore[assignment]
    slow = {"pause": 0.1}
    made = [
        jobs.job(tmp_path / name, recipe=recipe, backbone=slow, plugins=(network,), workers=workers)
        for name in "ab"
    ]
    launch(written(tmp_path, made[0]), silent)
    moments = random.Random(workers)
    written(tmp_path, made[1])
    kills = 0
    while not fitted(made[1]):
        child = jobs.process(made[1])
        before = state_of(made[1])
        while child.poll() is None and state_of(made[1]) == before:
            time.sleep(0.05)
        try:  # after another epoch, somewhere in the next
            child.wait(moments.uniform(0, 2))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, moments.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
            kills += 1
            child.wait(60)
    assert kills > 1
    assert jobs.equal(*(jobs.weights(one) for one in made))
    assert read_card(made[0].file) == read_card(made[1].file)
    first, second = (read_left_out(one.left_out) for one in made)
    assert first[0] == second[0] and np.array_equal(first[1], second[1])


def state_of(made: Job) -> int:
    """Changes whenever the state of another epoch is written."""
    last = made.place / LAST
    return last.stat().st_ino if last.exists() else 0


@pytest.mark.slow
def test_a_death_without_a_word(network: str, tmp_path: Path) -> None:
    made = jobs.job(tmp_path, backbone={"fails": "death"}, plugins=(network,))
    with pytest.raises(HpazooError) as caught:
        launch(written(tmp_path, made), silent)
    said = str(caught.value)
    assert "the training of m, fold 0 was killed (signal 9); it may have needed more mem" in said
    assert "goes on at its last finished epoch" in said
    assert str(made.log) in said


@pytest.mark.parametrize("check", [True, False])
def test_killed_for_its_memory(
    check: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the system, so that torch has no say in it: the cure is said, and on trial no epoch."""
    made = written(tmp_path, jobs.job(tmp_path, recipe={"batch_size": 8, "accumulate": 4}))
    code = "import os; os.kill(os.getpid(), 9)"
    monkeypatch.setattr("hpazoo.training.launch._command", lambda *_: [sys.executable, "-c", code])
    with pytest.raises(HpazooError) as caught:
        launch(made, silent, check=check)
    said = str(caught.value)
    assert "'batch_size: 4' and 'accumulate: 8'" in said
    assert ("last finished epoch" in said) is not check
    assert said.endswith(f"It left no word in {made.log}")


@pytest.mark.slow
def test_weights_that_are_there_are_no_failure(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when gloo aborts in a process that has done its work."""
    made = written(tmp_path, jobs.job(tmp_path, recipe={"epochs": 1}, plugins=(network,)))
    code = (
        "import sys, os; from hpazoo.training.fit import main; "
        "main(sys.argv[1:]); os.kill(os.getpid(), 6)"
    )
    monkeypatch.setattr(
        "hpazoo.training.launch._command", lambda d, *more: [sys.executable, "-c", code, str(d)]
    )
    launch(made, silent)
    assert fitted(made)
    with pytest.raises(HpazooError, match=r"was killed \(signal 6\)"):
        launch(replace(made, key="of another training"), silent)


@pytest.mark.slow
def test_two_processes_do_what_one_does(network: str, tmp_path: Path) -> None:
    """The same batches make the same steps; only the norms' statistics are of half as many."""
    recipe = {"epochs": 2, "accumulate": 2, "ema": None, "freeze": 1}
    made = []
    for processes in (1, 2):
        one = jobs.job(
            tmp_path / str(processes), recipe=recipe, plugins=(network,), processes=processes
        )
        launch(written(tmp_path, one), silent)
        made.append(one)
    alone, both = (jobs.weights(one) for one in made)
    for name, value in alone.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(value, both[name], atol=1e-5), name
    scores = [(read_card(one.file) or {})["metrics"] for one in made]
    assert abs(scores[0]["map"] - scores[1]["map"]) < 0.15
    assert abs(scores[0]["loss"] - scores[1]["loss"]) < 0.1
    rows = [read_left_out(one.left_out)[0] for one in made]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_one_of_two_processes_fails(network: str, tmp_path: Path) -> None:
    """What it says reaches the user, and the other one ends."""
    made = jobs.job(tmp_path, backbone={"fails": "nan"}, plugins=(network,), processes=2)
    with pytest.raises(HpazooError, match="the training has diverged"):
        launch(written(tmp_path, made), silent)


@pytest.mark.slow
def test_a_training_ends_with_the_run(network: str, tmp_path: Path) -> None:
    """Also one whose run is gone before it has begun to listen."""
    made = jobs.job(tmp_path, backbone={"pause": 60.0}, plugins=(network,))
    written(tmp_path, made)
    code = """
        import sys, pathlib
        from hpazoo.training import launch
        from hpazoo.training.job import read_job
        launch.launch(read_job(pathlib.Path(sys.argv[1])), print)
    """
    run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(made.description)])
    deadline = time.monotonic() + 60
    while not (found := children(run.pid)):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    run.kill()
    run.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in found):
        assert time.monotonic() < deadline, "it goes on without anybody to tell"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except OSError:
        pytest.skip("needs Linux")
    return [int(word) for word in text.split()]


def test_words_of_a_training(tmp_path: Path) -> None:
    lines: list[str] = []
    watch = Watch("m, fold 0", lines.append, quiet=True)
    with watch:
        for line in (b'{"line": "epoch 1"}', b"chatter", b'{"done": 1, "of": 2}', b'["x"]', b'{"l'):
            watch.hear(line)
        watch.hear(b'{"problem": "too big"}')
    assert lines == ["m, fold 0: epoch 1"] and watch.problem == "too big"


def test_together_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # of something else
    together = Together(tmp_path)
    assert together.leads and together.processes == 1
    assert together.begin(jobs.job(tmp_path)) is None
    together.end()


FOLLOW = """
    import sys, pathlib, dataclasses
    from hpazoo.training.launch import Together
    from tests.training import jobs
    together = Together(pathlib.Path(sys.argv[1]))
    if together.leads:
        try:
            together.check(3)
        except Exception as error:
            print(error)
        for name in ("a", "b"):
            found = together.begin(jobs.job(pathlib.Path(sys.argv[1]) / name))
            print("leads", found["TORCHELASTIC_USE_AGENT_STORE"])
        sys.exit(0)  # without a word of the end
    for description, environment in together.follow():
        print("follows", description.parts[-5], environment["TORCHELASTIC_USE_AGENT_STORE"])
    print("ends")
"""


@pytest.mark.slow
def test_who_follows_ends_when_the_leader_does(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "follow.py"
    file.write_text(textwrap.dedent(FOLLOW), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(file)]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    for _ in range(2):  # what one launch said is nothing to the next
        done = subprocess.run(
            [*command, str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        said = sorted(done.stdout.splitlines())
        assert said[:3] == ["ends", "follows a False", "follows b False"]
        assert said[3:5] == ["leads False", "leads False"]
        assert said[5].startswith("torchrun started 2 processes, and --processes says 3")


def test_processes_that_share_no_step(tmp_path: Path) -> None:
    from hpazoo.recipe import Recipe
    from hpazoo.training.steps import share_of

    recipe = Recipe(batch_size=8, accumulate=4)
    assert [share_of(recipe, n) for n in (1, 2, 4, 8, 16)] == [
        (8, 4),
        (8, 2),
        (8, 1),
        (4, 1),
        (2, 1),
    ]
    assert share_of(Recipe(batch_size=6, accumulate=1), 2) == (3, 1)
    with pytest.raises(UsageError, match=r"3 processes .* 32 images .* give --processes 2, or"):
        share_of(recipe, 3)
