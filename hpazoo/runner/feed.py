"""Messages of fields in order, prepared ahead by worker processes."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType

from hpazoo.errors import HpazooError
from hpazoo.paths import PACKAGE
from hpazoo.runner.worker import Aside, Done, Job, Message, Task, Workshop, receive, send

_MAIN = (
    f"import sys; sys.path.append({str(PACKAGE.parent)!r}); "
    "from hpazoo.runner.worker import main; main()"
)
"""Not -m: messages of a module that runs as __main__ could not be read here. And -P: no file of the
user's current folder is imported in place of a library."""

AHEAD = 8
"""Messages (mostly views, some 10 MB each) that a worker may be ahead of the network."""


class Feed:
    """Serves the messages of each task, in the order of the tasks whatever the number of workers.

    Worker k takes the tasks k, k + workers, ...; without workers all happens in this process. The
    processes start with the feed and import what they need while the networks are still loading.
    """

    def __init__(self, workers: int) -> None:
        self._workers = [_Worker() for _ in range(workers)]

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            worker.stop()

    def serve(self, job: Job, tasks: Sequence[Task]) -> Iterator[tuple[Task, Iterator[Message]]]:
        """Pairs (task, its messages); the messages of a task are to be used up before the next."""
        if not self._workers:
            workshop = Workshop(job)
            for task in tasks:
                yield task, workshop.work(task)
            return
        count = len(self._workers)
        for k, worker in enumerate(self._workers):
            worker.begin(job, tasks[k::count])
        for number, task in enumerate(tasks):
            yield task, self._workers[number % count].messages(task)


class _Worker:
    """One process, and the thread that drains its pipe into a bounded queue."""

    def __init__(self) -> None:
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(threads, "1")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # an interrupt of the terminal is for the run, which then stops its workers
            start_new_session=True,
        )
        self._messages: queue.Queue[Message | BaseException | None] = queue.Queue(AHEAD)
        self._todo: deque[Job | Task] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._drain, daemon=True)

    def begin(self, job: Job, tasks: Sequence[Task]) -> None:
        self._todo.extend((job, *tasks))
        self._thread.start()

    def messages(self, task: Task) -> Iterator[Message]:
        while True:
            message = self._messages.get()
            if message is None:
                raise HpazooError(self._death(task))
            if isinstance(message, BaseException):
                raise message
            yield message
            if isinstance(message, Done | Aside):
                return

    def stop(self) -> None:
        self._stopping.set()
        self._process.kill()
        self._process.wait()
        if self._thread.ident is not None:
            self._thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _drain(self) -> None:
        """Hand out one task at a time, so that neither pipe can fill up and block both sides."""
        outgoing, incoming = self._process.stdin, self._process.stdout
        assert outgoing is not None and incoming is not None
        try:
            send(outgoing, self._todo.popleft())
            while self._todo and not self._stopping.is_set():
                send(outgoing, self._todo.popleft())
                message: Message | None = None
                while not isinstance(message, Done | Aside):
                    message = receive(incoming)
                    self._put(message)
        except (EOFError, OSError):
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, message: Message | BaseException | None) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Full):
                self._messages.put(message, timeout=0.2)
                return

    def _death(self, task: Task) -> str:
        code = self._process.wait()
        why = f"exit status {code}"
        if code < 0:
            why = f"signal {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                why += ", as the system does when memory runs out"
        return (
            f"a reading worker stopped at field '{task.field}' ({why}). What is done is kept: "
            "run the same command again, with fewer --workers if it was memory"
        )
