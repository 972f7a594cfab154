"""`python -m hpazoo.training.fit JOB`: one training, in a process of its own.

Of its own, so that Lightning can start this same command once per device, a network's memory is
given back between two trainings, and what a library does as it ends (gloo's threads abort now and
then) cannot undo a training that is done: the files it leaves say whether it succeeded.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hpazoo.augmentations import Augmentation, Mixture, augmentations
from hpazoo.checkpoints.load import load_checkpoint
from hpazoo.checkpoints.save import save_checkpoint
from hpazoo.errors import HpazooError
from hpazoo.losses import Loss, losses
from hpazoo.metrics import Metric, metrics
from hpazoo.models import Model, build_model
from hpazoo.processes import end_with_parent, under_torchrun
from hpazoo.recipe import Recipe
from hpazoo.registry import load_file
from hpazoo.training.job import (
    PARENT,
    TRAIN,
    VALIDATE,
    How,
    Job,
    Material,
    read_job,
    read_material,
    write_left_out,
    write_record,
)
from hpazoo.training.loading import Batches, Images, Order, loader
from hpazoo.training.steps import share_of
from hpazoo.training.telling import Pace, Voice
from hpazoo.training.trial import in_words, try_step

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from hpazoo.training.kept import Kept

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def fit(job: Job, voice: Voice) -> None:
    """Train to the end, from the last finished epoch if there is one, and write what came out.

    HpazooError says what has to be mended.
    """
    from hpazoo.training.kept import Kept
    from hpazoo.training.learner import OURS

    kept = Kept(job.place, job.key)
    material = read_material(job)
    newest = kept.newest()
    if newest is None:
        for part in job.place.glob("*.ckpt"):
            voice.say(line=f"{part} cannot be read: the training begins anew")
    else:
        voice.say(line=f"goes on after epoch {newest[1]['epoch'] + 1}")
    if newest is None or not newest[1][OURS]["finished"]:
        _train(job, material, kept, newest, voice)
    if _leads():
        _write(job, kept, material.of(VALIDATE))


def _train(
    job: Job,
    material: Material,
    kept: Kept,
    newest: tuple[Path, dict[str, Any]] | None,
    voice: Voice,
) -> None:
    from hpazoo.training.learner import LearningModel

    recipe, how = job.settings()
    torch.set_num_threads(max(1, how.threads // how.processes))
    model, loss, begins = ready(job, recipe)
    if begins and newest is None:
        voice.say(line=f"begins from {begins}")
    batch, accumulate = share_of(recipe, how.processes)
    learn, check = material.of(TRAIN), material.of(VALIDATE)
    groups = material.targets.ndim == 1
    metric: Metric | None = None
    if not groups and check.ids:
        metric = metrics.build("image-map", job.class_list, Path())
    learner = LearningModel(
        model,
        loss,
        recipe,
        metric,
        job.curves,
        key=job.key,
        accumulate=accumulate,
    )
    trainer = _trainer(job, recipe, how, kept, voice, accumulate)
    rank, processes = trainer.global_rank, trainer.world_size
    size = job.model["input"]["size"]
    of_one, of_batch = augmented_by(job, recipe)
    order = Order(learn.targets, recipe.seed, recipe.sample, rank, processes, batch)
    # Lightning has the workers begin before it tells them which epoch it goes on with
    order.set_epoch(newest[1]["epoch"] + 1 if newest else 0)
    train = loader(
        Images(learn.files, learn.targets, size, recipe.seed, of_one),
        order,
        Batches(recipe.seed, of_batch, groups),
        batch,
        how.workers,
        train=True,
    )
    valid = loader(
        Images(check.files, check.targets, size, recipe.seed),
        Order(check.targets, recipe.seed, "in-order", rank, processes),
        Batches(recipe.seed, (), groups),
        batch,
        how.workers,
        train=False,
    )
    last = newest[0] if newest else None
    with in_words(job.name, recipe, size, min(batch, len(learn.ids))):
        trainer.fit(learner, train, valid if check.ids else None, ckpt_path=last, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _trainer(
    job: Job, recipe: Recipe, how: How, kept: Kept, voice: Voice, accumulate: int
) -> Trainer:
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
    from lightning.pytorch.loggers import TensorBoardLogger

    from hpazoo.training.averaging import Averaging
    from hpazoo.training.kept import LAST

    # Lightning sets its own level as it is imported
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    callbacks: list[Callback] = [Pace(voice, recipe.epochs), LearningRateMonitor("step")]
    if recipe.ema is not None:
        callbacks.append(Averaging(recipe.ema))
    callbacks.append(
        ModelCheckpoint(
            job.place,
            Path(LAST).stem,
            save_top_k=1,
            every_n_epochs=1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
    )
    nodes = _nodes()
    return pl.Trainer(
        accelerator="cpu" if how.device == "cpu" else how.device.partition(":")[0],
        devices=_devices(how, nodes),
        num_nodes=nodes,
        strategy=_strategy(how),
        precision=PRECISIONS[how.precision],  # type: ignore[arg-type]
        max_epochs=recipe.epochs,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=recipe.clip,
        callbacks=callbacks,
        logger=[TensorBoardLogger(job.place, name="", version="tensorboard")],
        plugins=[kept],
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=job.place,
    )


def ready(job: Job, recipe: Recipe) -> tuple[Model, Loss, str]:
    """The network with the weights it begins from, its loss, and what was loaded, in words.

    HpazooError where that fails.
    """
    classes = job.class_list
    model = build_model(job.model, classes, seed=f"{job.name} {recipe.seed}")
    begins = ""
    if job.start is not None:
        begins = load_checkpoint(model, Path(job.start), start=True).summary()
    return model.train(), losses.build(recipe.loss, len(classes)), begins


def check(job: Job, voice: Voice) -> None:
    """One step with a full batch of nothing: does it all fit, together and into memory?"""
    recipe, how = job.settings()
    torch.set_num_threads(how.threads)
    model, loss, begins = ready(job, recipe)
    if begins:
        voice.say(line=f"begins from {begins}")
    try_step(model, loss, recipe, how, job.name, augmented_by(job, recipe)[0])


def _write(job: Job, kept: Kept, check: Material) -> None:
    """Weights and answers from the state that counts: nothing is reckoned anew, so that a process
    that was killed here leaves the same.
    """
    from hpazoo.training.learner import OURS

    job.record.unlink(missing_ok=True)
    state = kept.result()
    ours = state[OURS]
    model = build_model(job.model, job.class_list)
    weights = {
        name.removeprefix("model."): value
        for name, value in state["state_dict"].items()
        if name.startswith("model.")
    }
    model.load_state_dict(weights)
    if ours["answers"] and check.targets.ndim > 1:
        logits = ours["answers"]["logits"].numpy().astype(np.float64)
        # by way of the tangent: an exponential of a large logit overflows
        probabilities = 0.5 * (1 + np.tanh(0.5 * logits))
        ids = [check.ids[index] for index in ours["answers"]["numbers"].tolist()]
        write_left_out(job.left_out, ids, probabilities, job.key)
    said = {"key": job.key, "epochs": len(ours["epochs"])}
    card: dict[str, Any] = {**job.card, "metrics": ours["scores"]}
    card["training"] = {**card.get("training", {}), **said}
    save_checkpoint(model, job.file, card)
    write_record(job)
    kept.tidy()


def augmented_by(job: Job, recipe: Recipe) -> tuple[tuple[Augmentation, ...], tuple[Mixture, ...]]:
    """Augmentations of one image, and those of a batch."""
    made = [augmentations.build(config, job.class_list) for config in recipe.augment or ()]
    mixtures = tuple(one for one in made if hasattr(one, "mix"))
    return tuple(one for one in made if not hasattr(one, "mix")), mixtures


def _strategy(how: How) -> str:
    # a frozen backbone, an auxiliary part, layers of other people's networks: not all is in use
    return "auto" if how.processes == 1 else "ddp_find_unused_parameters_true"


def _devices(how: How, nodes: int) -> int | list[int]:
    kind, _, number = how.device.partition(":")
    if kind == "cuda" and number and how.processes == 1:
        return [int(number)]
    return how.processes // nodes


def _nodes() -> int:
    """Machines that `torchrun` works on."""
    if not under_torchrun():
        return 1
    return int(os.environ["WORLD_SIZE"]) // int(os.environ["LOCAL_WORLD_SIZE"])


def _leads() -> bool:
    """Whether this process writes what came out: of several, the first."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def _is_orphan() -> bool:
    """Whether the process that waits for this one is gone already."""
    parent = os.environ.pop(PARENT, "")
    return bool(parent) and os.getppid() != int(parent)


def main(arguments: list[str]) -> int:
    """Exit status 0: done, 1: a message lies in the job's folder, 130: interrupted."""
    warnings.filterwarnings("ignore", module=r"(lightning|torch)\b.*")
    end_with_parent()
    if _is_orphan():
        return 1
    voice = Voice.take()
    job = read_job(Path(arguments[0]))
    try:
        for file in job.plugins:
            load_file(Path(file))
        check(job, voice) if "--check" in arguments else fit(job, voice)
    except HpazooError as error:
        text = _last_word(error)
        voice.say(problem=text)
        with contextlib.suppress(OSError):
            job.problem.write_text(text, encoding="utf-8")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _last_word(error: HpazooError) -> str:
    """The message; a loader's worker wraps it in a traceback of its own."""
    text = str(error)
    if "Original Traceback" not in text:
        return text
    return text.strip().rpartition("Error: ")[2]


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    # What libraries do as a process ends is not ours; everything is written.
    os._exit(status)
