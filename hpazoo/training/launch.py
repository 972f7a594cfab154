"""Starting the process of a training, and telling how it went by the files it leaves."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hpazoo.errors import CheckpointError, HpazooError, UsageError
from hpazoo.paths import PACKAGE
from hpazoo.processes import end_with_parent, under_torchrun
from hpazoo.training.job import PARENT, Job, is_damaged, read_job
from hpazoo.training.watching import Say, Watch

_END = "end"
_LINES = 15
"""Last lines of what a training said, shown where it ends without a word of its own."""
_GROUP = {"RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE"}
_GROUP |= {"LOCAL_WORLD_SIZE", "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
_NOW_AND_THEN = 0.5
"""Seconds between two looks for the next training."""


def fitted(job: Job) -> bool:
    """Whether the weights that this job makes are there, as they were written."""
    from hpazoo.checkpoints.reading.header import read_card

    try:
        card = read_card(job.file) or {}
    except (CheckpointError, OSError):
        return False
    training = card.get("training")
    made = isinstance(training, dict) and training.get("key") == job.key
    return made and not is_damaged(job)


def launch(
    job: Job, say: Say, *, check: bool = False, environment: Mapping[str, str] | None = None
) -> None:
    """Train, or only try one step; HpazooError says why that did not work.

    A process that fails after its weights are written has not failed. One that is in the way of an
    interrupt is ended at once: it goes on at its last finished epoch.
    """
    job.problem.unlink(missing_ok=True)
    with job.log.open("ab") as log, Watch(job.name, say, check or job.how["quiet"]) as watch:
        process = subprocess.Popen(
            _command(job.description, *(["--check"] if check else [])),
            env=_environment(alone=environment is None) | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            # an interrupt of the terminal is for the run, which then ends its trainings
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    watch.hear(line)
            status = process.wait()
        except BaseException:
            _kill(process)
            raise
    if (status == 0) if check else fitted(job):
        return
    problem = watch.problem
    if not problem and job.problem.is_file():  # of another process of the same training
        problem = job.problem.read_text(encoding="utf-8")
    if problem:
        raise HpazooError(problem if job.name in problem else f"{job.name}: {problem}")
    raise HpazooError(_without_a_word(job, status, check))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With all that it started."""
    if hasattr(os, "killpg") and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _without_a_word(job: Job, status: int, check: bool) -> str:
    said = f"the training of {job.name} " + (
        f"was killed (signal {-status})" if status < 0 else f"ended with status {status}"
    )
    if status == -signal.SIGKILL:  # what Linux does where memory runs out; torch is not asked
        said += f"; it may have needed more memory than there is{_smaller(job.recipe)}"
    if not check:
        said += "; the same command goes on at its last finished epoch"
    lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:]
    if not lines:
        return f"{said}. It left no word in {job.log}"
    return f"{said}. The end of {job.log}:" + "".join(f"\n  {line}" for line in lines)


def _smaller(recipe: Mapping[str, Any]) -> str:
    """How to make do with less memory."""
    batch, accumulate = recipe.get("batch_size", 1), recipe.get("accumulate", 1)
    if batch < 2:
        return ": take a smaller crop ('augment') or a smaller input"
    return f": with 'batch_size: {batch // 2}' and 'accumulate: {accumulate * 2}' it needs less"


def _command(description: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "hpazoo.training.fit", str(description), *more]


def _environment(alone: bool) -> dict[str, str]:
    """Of a process that imports nothing from the user's folder; `alone` it is one of no group."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(PACKAGE.parent)]))
    found = os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", PARENT: str(os.getpid())}
    if alone:
        for name in [n for n in found if n in _GROUP or n.startswith("TORCHELASTIC")]:
            del found[name]
    return found


class Invitation(NamedTuple):
    """To a training that another process leads: its description, and where its processes meet."""

    description: Path
    environment: dict[str, str]


def take_part(invitation: Invitation) -> None:
    """One of several processes of a training that another one leads and judges."""
    job = read_job(invitation.description)
    log = job.place / f"log-{os.environ.get('RANK', '')}.txt"
    with log.open("ab") as file:
        subprocess.run(
            _command(invitation.description),
            env=_environment(alone=False) | invitation.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=False,
        )


class Together:
    """Several processes that `torchrun` started with one command: the first leads, and the others
    do nothing but take their part in each training.

    They talk through the store of torchrun's own agent, which no other launch shares and which is
    gone with it. However the leader ends, the others end too.
    """

    def __init__(self, folder: Path) -> None:
        self.processes = int(os.environ.get("WORLD_SIZE", "1")) if under_torchrun() else 1
        self.leads = self.processes == 1 or int(os.environ.get("RANK", "0")) == 0
        self.folder = folder
        self._count = 0
        self._store: Any = None  # torch.distributed.TCPStore
        if self.processes > 1:
            end_with_parent()
            self._store = self._meet()
            if self.leads:
                atexit.register(self.end)

    def check(self, processes: int) -> None:
        """UsageError unless a run is to have as many processes as there are."""
        if self.processes > 1 and processes != self.processes:
            raise UsageError(
                f"torchrun started {self.processes} processes, and --processes says {processes}; "
                "leave --processes out"
            )

    def begin(self, job: Job) -> dict[str, str] | None:
        """Tell the others which training comes next; the environment of one's own part in it.

        None where there are no others.
        """
        if self._store is None:
            return None
        # a store of its own for each training: what one left would confuse the next
        with socket.socket() as free:
            free.bind(("", 0))
            port = str(free.getsockname()[1])
        found = {"MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": "False"}
        self._say(json.dumps([str(job.description.resolve()), found]))
        return found

    def end(self) -> None:
        """Tell the others that there is nothing left to do."""
        self._say(_END)
        atexit.unregister(self.end)

    def follow(self) -> Iterator[Invitation]:
        """Trainings, as the leader names them; ends when it has none left, or is gone."""
        assert self._store is not None
        while True:
            text = self._heard(f"hpazoo/{self._key()}/{self._count}")
            if text == _END:
                return
            self._count += 1
            description, environment = json.loads(text)
            yield Invitation(Path(description), environment)

    def _heard(self, key: str) -> str:
        while True:
            try:
                # looked at now and then: a wait that is in vain is told on the screen
                if self._store.check([key]):
                    return str(self._store.get(key), "utf-8")
            except (RuntimeError, OSError):  # the store is gone, and who held it
                return _END
            time.sleep(_NOW_AND_THEN)

    def _say(self, text: str) -> None:
        if self._store is None:
            return
        try:
            self._store.set(f"hpazoo/{self._key()}/{self._count}", text)
        except (RuntimeError, OSError):
            return  # gone with the agent, as the others are
        self._count += 1

    def _key(self) -> str:
        """One run may hold another, for embeddings; a launch that begins again has a new count."""
        return f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{self.folder}"

    def _meet(self) -> Any:
        from torch import distributed

        agents = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        return distributed.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=self.leads and not agents,
            wait_for_workers=False,
        )
