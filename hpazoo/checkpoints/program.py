"""TorchScript: networks that come as a program, which is run only when its bytes are trusted."""

from __future__ import annotations

import hashlib
import io
import shlex
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from hpazoo.checkpoints import open_file, sha256
from hpazoo.checkpoints.cache.store import is_trusted
from hpazoo.errors import CheckpointError


def load_program(path: Path | str, device: str = "cpu") -> torch.jit.ScriptModule:
    """Load a TorchScript archive whose digest is trusted, frozen and in evaluation mode.

    A TorchScript archive is a program, and loading it is trusting who made it. The bytes that are
    hashed are the bytes that are run: they are read into memory, so that nobody can exchange the
    file in between.

    Raises
    ------
    CheckpointError
        If the digest is neither pinned by a card nor trusted by the user, in which case nothing
        of the file was interpreted; or if the archive is damaged.
    """
    return read_program(Path(path)).on(device)


@dataclass(frozen=True)
class Program:
    """A trusted TorchScript archive in memory."""

    path: Path
    content: bytes
    sha256: str

    def on(self, device: str) -> torch.jit.ScriptModule:
        """Load it for a device, frozen and in evaluation mode; CheckpointError if it is damaged."""
        try:
            # torch warns that TorchScript will go; the published files are of no other kind.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load = cast(Any, torch.jit.load)
                program: torch.jit.ScriptModule = load(
                    io.BytesIO(self.content), map_location=device
                )
        except (RuntimeError, ValueError, EOFError) as error:
            cause = (str(error).strip().splitlines() or [""])[0][:160]
            raise CheckpointError(
                f"{self.path} ({len(self.content)} bytes, sha256 {self.sha256}) is trusted but "
                f"cannot be loaded as TorchScript: {cause}; expected what torch.jit.save writes: "
                "fetch it again, or try another version of torch"
            ) from error
        for parameter in program.parameters():
            parameter.requires_grad = False
        return program.eval()


def read_program(path: Path) -> Program:
    """The bytes of a trusted archive, not yet interpreted; CheckpointError as `load_program`."""
    # Piece by piece first: what is not trusted must not fill the memory either.
    digest = sha256(path)
    _check_trust(path, digest)
    with open_file(path) as file:
        try:
            content = file.read()
        except (OSError, MemoryError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise CheckpointError(
            f"{path} was not opened: it changed while it was read; let whatever writes it finish"
        )
    return Program(path, content, digest)


def _check_trust(path: Path, digest: str) -> None:
    if is_trusted(digest):
        return
    raise CheckpointError(
        f"{path} was not opened: it is a TorchScript archive, a program that can run any code, "
        f"and no card pins its sha256 {digest}; if you trust who made it, say so with 'hpazoo "
        f"checkpoints add NAME {shlex.quote(str(path))} --trust-code', or take the file of a card: "
        "'hpazoo checkpoints list' names them"
    )
