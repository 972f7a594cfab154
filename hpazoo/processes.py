"""Processes that work for another one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys


def end_with_parent() -> None:
    """Linux ends this process with its parent, even in the middle of a read that hangs.

    Elsewhere it ends when it next sends or receives.
    """
    if not sys.platform.startswith("linux"):
        return
    end_of_parent = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(end_of_parent, signal.SIGKILL)


def under_torchrun() -> bool:
    """Whether `torchrun` started this process, maybe as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ
