"""One thread for every library, so that processor time is comparable; before they are imported."""

from __future__ import annotations

import os

VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "KINETO_LOG_LEVEL": "99",  # torch's profiler speaks of GPUs that are not there
}


def say_one_thread() -> None:
    """Before numpy, OpenCV and torch are imported."""
    os.environ.update(VARIABLES)


def set_one_thread() -> None:
    """After."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
