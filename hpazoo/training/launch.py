"""Starting the process of a training, and telling how it went by the files it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hpazoo.errors import CheckpointError, HpazooError
from hpazoo.paths import PACKAGE, replacing
from hpazoo.training.job import Job

_END = "end"
_LINES = 15
"""Last lines of what a training said, shown where it ends without a word of its own."""


def fitted(job: Job) -> bool:
    """Whether the weights that this job makes are there."""
    from hpazoo.checkpoints.reading.header import read_card

    try:
        card = read_card(job.file) or {}
    except (CheckpointError, OSError):
        return False
    training = card.get("training")
    return isinstance(training, dict) and training.get("key") == job.key


def launch(job: Job, check: bool = False) -> None:
    """Train, or only try one step; HpazooError says why that did not work.

    A process that fails after its weights are written has not failed.
    """
    job.problem.unlink(missing_ok=True)
    command = [sys.executable, "-m", "hpazoo.training.fit", str(job.description)]
    log = job.place / "log.txt"
    with log.open("ab") as file:
        quiet = check or job.how["quiet"]
        process = subprocess.Popen(
            [*command, "--check"] if check else command,
            env=_environment(alone=check),
            stdout=file,
            stderr=file if quiet else None,
        )
        try:
            status = process.wait()
        except BaseException:
            # the terminal has interrupted it too; who else stops us stops it so
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    if job.problem.is_file():
        raise HpazooError(job.problem.read_text(encoding="utf-8"))
    if status == 130:
        raise KeyboardInterrupt
    if status and (check or not fitted(job)):
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:]
        killed = f"was killed (signal {-status})" if status < 0 else f"ended with status {status}"
        hint = "; it may have needed more memory than there is" if status == -9 else ""
        raise HpazooError(
            f"the training of {job.name} {killed}{hint}; the same command goes on at its last "
            f"finished epoch. The end of {log}:\n  " + "\n  ".join(said)
        )


def take_part(description: Path) -> None:
    """One of several processes of a training that another one leads and judges."""
    from hpazoo.training.job import read_job

    job = read_job(description)
    with (job.place / f"log-{os.environ.get('RANK', '')}.txt").open("ab") as file:
        command = [sys.executable, "-m", "hpazoo.training.fit", str(description)]
        subprocess.run(
            command, env=_environment(alone=False), stdout=file, stderr=file, check=False
        )


def _environment(alone: bool) -> dict[str, str]:
    """Of a process that imports nothing from the user's folder; `alone` it is one of no group."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(PACKAGE.parent)]))
    found = os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    if alone:
        group = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK")
        for name in [name for name in found if name in group or name.startswith("TORCHELASTIC")]:
            del found[name]
    return found


class Together:
    """Several processes that `torchrun` started with one command: the first leads, and the others
    do nothing but take their part in each training.
    """

    def __init__(self, folder: Path) -> None:
        run = os.environ.get("TORCHELASTIC_RUN_ID")
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self.processes = int(os.environ.get("WORLD_SIZE", "1")) if run else 1
        self.leads = self.processes == 1 or int(os.environ.get("RANK", "0")) == 0
        port = os.environ.get("MASTER_PORT", "")
        self.folder = folder / "together" / f"{run}-{port}-{again}"
        self._count = 0

    def begin(self, job: Job) -> None:
        """Tell the others which training comes next."""
        self._say(str(job.description))

    def end(self) -> None:
        """Tell the others that there is nothing left to do."""
        self._say(_END)

    def _say(self, text: str) -> None:
        if self.processes > 1:
            with replacing(self.folder / str(self._count)) as temporary:
                temporary.write_text(text, encoding="utf-8")
            self._count += 1

    def follow(self) -> Iterator[Path]:
        """Descriptions of jobs, as the leader names them."""
        while True:
            file = self.folder / str(self._count)
            while not file.is_file():
                time.sleep(0.2)
            text = file.read_text(encoding="utf-8")
            if text == _END:
                return
            self._count += 1
            yield Path(text)
