"""A network that comes as a program and answers for whole views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from hpazoo.backbones import backbones
from hpazoo.errors import ComponentError, HpazooError, UsageError
from hpazoo.parameters import Range

_LEAST = 1e-7
"""Nearest that a probability comes to 0 and 1, so that its logit is finite."""


@backbones.register
class Torchscript(nn.Module):
    """A frozen TorchScript network that gives class scores, and perhaps an embedding, per view.

    What it gives is no feature map but its answers: logits, then the embedding, as a map of one
    position, to be split by the head `as-given`. Strategies that look into the feature map, such
    as `gap-mask`, cannot use it. The program may return one tensor, or tensors in a tuple, list or
    dict; scores and embedding are told apart by their widths, by order where both are as wide. It
    runs in the precision it was saved in, whatever that of the run.

    So comes the single-cell Inception v3 of the first place of 2021, zenodo.org/records/6539073.

    Parameters
    ----------
    outputs
        Columns of the class scores.
    embedding
        Columns of the embedding; 0 where the program gives none.
    probabilities
        Whether the scores are probabilities already (a sigmoid is inside the program). They are
        turned back into logits, from within 1e-7 of 0 and 1.
    """

    gives: ClassVar[tuple[str, ...]] = ("answers",)
    aux_features: int | None = None
    min_size: int = 1

    def __init__(
        self,
        channels: int,
        *,
        outputs: Annotated[int, Range(ge=0)],
        embedding: Annotated[int, Range(ge=0)] = 0,
        probabilities: bool = True,
    ) -> None:
        super().__init__()
        if outputs + embedding < 1:
            raise ComponentError(
                "the backbone 'torchscript' answers nothing with 'outputs' and 'embedding' of 0; "
                "say how many columns its scores have"
            )
        self.outputs = outputs
        self.embedding = embedding
        self.probabilities = probabilities
        self.features = outputs + embedding
        self.program: torch.jit.ScriptModule | None = None
        self.elsewhere: Callable[[str], torch.jit.ScriptModule] | None = None
        self._device = "cpu"
        self.at_random = False
        # For trying shapes; kept with a program too, as a model needs a parameter to know its type.
        self.stand_in = nn.Linear(2 * channels, self.features).requires_grad_(False)

    def load_program(
        self,
        program: torch.jit.ScriptModule | None,
        elsewhere: Callable[[str], torch.jit.ScriptModule] | None = None,
    ) -> None:
        """Answer by this program from now on; None: by none.

        `elsewhere` loads it for another device. A frozen program needs that: its weights are
        constants, which do not follow the module that it is part of.
        """
        self.program = program
        moves = program is None or any(True for _ in cast(nn.Module, program).parameters())
        self.elsewhere = None if moves else elsewhere
        self._device = "cpu"

    def answer_at_random(self) -> None:
        """Without a program, make up answers instead of refusing to: for trying shapes.

        They are a fixed function of each view, drawn from torch's generator when the backbone was
        built: the same seed and view give the same values.
        """
        self.at_random = True

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """One position, whatever the size."""
        return 1, 1

    def train(self, mode: bool = True) -> Torchscript:
        """Set the mode of the module; the program itself stays as it is used, in evaluation."""
        super().train(mode)
        if self.program is not None:
            self.program.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> logits and embedding (B, outputs + embedding, 1, 1).

        UsageError without a program; HpazooError if the program fails or answers otherwise than
        the parameters say.
        """
        if self.program is None:
            return self._made_up(images)[:, :, None, None]
        tensors = list(_tensors(self._run(images)))
        scores, embedding = self._told_apart(tensors, len(images))
        if self.probabilities and self.outputs:
            if len(scores) and not bool(((scores >= 0) & (scores <= 1)).all()):
                raise HpazooError(
                    f"the TorchScript program gives scores from {float(scores.min()):g} to "
                    f"{float(scores.max()):g}, which are no probabilities; say "
                    "`probabilities: false` for the backbone if they are logits"
                )
            scores = torch.logit(scores, eps=_LEAST)
        return torch.cat([scores, embedding], dim=1)[:, :, None, None]

    def with_aux(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The answers, and no auxiliary map."""
        return self.forward(images), None

    def _run(self, images: Tensor) -> Any:
        device = str(images.device)
        if self.elsewhere is not None and device != self._device:
            self.program, self._device = self.elsewhere(device), device
        program = cast(nn.Module, self.program)
        dtype = next((p.dtype for p in program.parameters() if p.is_floating_point()), images.dtype)
        try:
            with torch.autocast(images.device.type, enabled=False):
                return program(images.to(dtype))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            cause = (str(error).strip().splitlines() or [""])[-1][:200]
            raise HpazooError(
                f"the TorchScript program does not take images of shape {tuple(images.shape)} on "
                f"{images.device}: {cause}; give the model the input size that it was made for"
            ) from error

    def _told_apart(self, tensors: list[Tensor], batch: int) -> tuple[Tensor, Tensor]:
        """Scores (B, outputs) and embedding (B, embedding) in single precision."""
        rows = [
            tensor.flatten(1).float()
            for tensor in tensors
            if tensor.ndim >= 2 and len(tensor) == batch
        ]
        whole = [row for row in rows if row.shape[1] == self.features]
        if len(rows) == len(whole) == 1:
            return whole[0][:, : self.outputs], whole[0][:, self.outputs :]
        found: list[Tensor] = []
        left = rows
        for width in (self.outputs, self.embedding):
            fits = [row for row in left if row.shape[1] == width]
            same = 2 if self.outputs == self.embedding and not found else 1
            if not rows or (width and len(fits) != same):
                raise HpazooError(self._other_answers(tensors))
            found.append(fits[0] if width else rows[0][:, :0])
            left = [row for row in left if row is not found[-1]]
        return found[0], found[1]

    def _other_answers(self, tensors: list[Tensor]) -> str:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or "no tensor"
        widths = {"scores": self.outputs, "embedding": self.embedding}
        wanted = [f"{width} columns of {name}" for name, width in widths.items() if width]
        return (
            f"the TorchScript program gives {shapes}, expected one tensor with "
            f"{' and one with '.join(wanted)} and a row per image; say its widths as 'outputs' and "
            "'embedding' of the backbone"
        )

    def _made_up(self, images: Tensor) -> Tensor:
        if not self.at_random:
            raise UsageError(
                "the backbone 'torchscript' is a program that comes with a file, and none is "
                "loaded; name its card or file as the model's 'checkpoint', or try shapes with "
                "--random-weights"
            )
        flat = images.flatten(2)
        seen = torch.cat([flat.mean(2), flat.std(2, correction=0)], dim=1)
        answers: Tensor = self.stand_in(seen)
        return answers


def _tensors(answer: Any, depth: int = 0) -> Iterator[Tensor]:
    """All tensors in a tensor, tuple, list or dict, in order."""
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping | tuple | list) and depth < 4:
        for item in answer.values() if isinstance(answer, Mapping) else answer:
            yield from _tensors(item, depth + 1)
