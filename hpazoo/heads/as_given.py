"""The answers of a network that classifies by itself, split into logits and embedding."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from hpazoo.errors import ComponentError
from hpazoo.heads import heads
from hpazoo.regions import Regions


@heads.register
class AsGiven(nn.Module):
    """Take logits and embedding as the backbone gives them; for `torchscript`.

    The first columns of the backbone's answers are the logits, a column per class, the others the
    embedding, which may have none. There is nothing to train, and no answer for parts of an image.
    """

    needs: ClassVar[tuple[str, ...]] = ("answers",)
    gives: ClassVar[tuple[str, ...]] = ()

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        if classes > features:
            raise ComponentError(
                f"the head 'as-given' has to answer for {classes} classes, but the backbone gives "
                f"{features} columns; take the class list that the network was trained for"
            )
        self.classes = classes

    def forward(self, features: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
        """Answers (B, F, 1, 1), whole images -> logits (B, classes), embedding (B, F - classes)."""
        regions.check(features)
        answers = features[:, :, 0, 0]
        if not regions.is_whole:
            answers = answers[regions.image]
        return answers[:, : self.classes], answers[:, self.classes :]
