"""`python -m hpazoo.training.fit JOB`: one training, in a process of its own.

Of its own, so that Lightning can start this same command once per device, a network's memory is
given back between two trainings, and what a library does as it ends (gloo's threads abort now and
then) cannot undo a training that is done: the files it leaves say whether it succeeded.
"""

from __future__ import annotations

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
from hpazoo.processes import end_with_parent
from hpazoo.recipe import Recipe
from hpazoo.registry import load_file
from hpazoo.training.job import TRAIN, VALIDATE, How, Job, Samples, read_job, read_samples
from hpazoo.training.job import write_left_out as write_answers
from hpazoo.training.loading import Batches, Images, Order, loader

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from lightning.pytorch.callbacks import Callback

    from hpazoo.training.learner import Learner

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
LAST = "last.ckpt"


def fit(job: Job) -> None:
    """Train to the end, from the last finished epoch if there is one, and write what came out.

    HpazooError says what has to be mended.
    """
    import lightning.pytorch as pl

    from hpazoo.training.learner import Learner

    # Lightning sets its own level as it is imported
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    recipe, how = job.settings()
    torch.set_num_threads(how.threads)
    samples = read_samples(job)
    model, loss = ready(job, recipe)
    learn, check = samples.of(TRAIN), samples.of(VALIDATE)
    groups = samples.targets.ndim == 1
    metric: Metric | None = None
    if not groups and check.ids:
        metric = metrics.build("image-map", job.class_list, Path())
    learner = Learner(model, loss, recipe, metric, job.curves)
    last = job.place / LAST
    trainer = pl.Trainer(
        accelerator="cpu" if how.device == "cpu" else how.device.partition(":")[0],
        devices=_devices(how),
        strategy=_strategy(recipe, how),
        precision=PRECISIONS[how.precision],  # type: ignore[arg-type]
        max_epochs=recipe.epochs,
        accumulate_grad_batches=max(1, recipe.accumulate // how.processes),
        gradient_clip_val=recipe.clip,
        callbacks=_callbacks(job, recipe, how, bool(check.ids)),
        logger=_loggers(job),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=not how.quiet,
        default_root_dir=job.place,
    )
    rank, processes = trainer.global_rank, trainer.world_size
    train = loader(
        Images(learn.files, learn.targets, _size(job), recipe.seed, _steps(job, recipe)),
        Order(learn.targets, recipe.seed, recipe.sample, rank, processes),
        Batches(recipe.seed, _mixtures(job, recipe), groups),
        recipe.batch_size,
        how.workers,
        train=True,
    )
    valid = loader(
        Images(check.files, check.targets, _size(job), recipe.seed),
        Order(check.targets, recipe.seed, "in-order", rank, processes),
        Batches(recipe.seed, (), groups),
        recipe.batch_size,
        how.workers,
        train=False,
    )
    try:
        trainer.fit(
            learner,
            train,
            valid if check.ids else None,
            ckpt_path=last if last.is_file() else None,
            weights_only=True,
        )
    except torch.OutOfMemoryError as error:
        raise HpazooError(_too_big(job, recipe)) from error
    if trainer.interrupted:
        raise KeyboardInterrupt
    if trainer.is_global_zero:
        _write(job, trainer, learner, check)


def ready(job: Job, recipe: Recipe) -> tuple[Model, Loss]:
    """The network with the weights it begins from, and its loss; HpazooError where that fails."""
    classes = job.class_list
    model = build_model(job.model, classes, seed=f"{job.name} {recipe.seed}")
    if job.start is not None:
        report = load_checkpoint(model, job.start, start=True)
        print(f"{job.name}: begins from {report.summary()}", file=sys.stderr)
    return model.train(), losses.build(recipe.loss, len(classes))


def check(job: Job) -> None:
    """One step with a full batch of nothing: does it all fit, together and into memory?"""
    recipe, how = job.settings()
    torch.set_num_threads(how.threads)
    model, loss = ready(job, recipe)
    batch = job_batch(job, recipe)
    device = torch.device(how.device)
    model.to(device)
    try:
        with torch.autocast(device.type, _half(how), enabled=how.precision != "32"):
            features = model.backbone(model.prepare(batch.to(device)))
            logits, _ = model.read(features)
        targets = torch.zeros(logits.shape, device=device)
        if "groups" in loss.needs:
            targets = torch.zeros(len(logits), dtype=torch.int64, device=device)
        loss(logits.float(), targets).backward()  # type: ignore[no-untyped-call]
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if "memory" not in str(error):
            raise
        raise HpazooError(_too_big(job, recipe)) from error


def job_batch(job: Job, recipe: Recipe) -> torch.Tensor:
    """Zeros of the shape that a batch has after augmentation."""
    from hpazoo.augmentations import Example

    size = _size(job)
    example = Example(
        np.zeros((4, size, size), np.uint8), np.zeros(len(job.classes[1]), np.float32)
    )
    rng = np.random.default_rng(0)
    for step in _steps(job, recipe):
        example = step.apply(example, rng)
    return torch.zeros(recipe.batch_size, *example.pixels.shape)


def _write(job: Job, trainer: Trainer, learner: Learner, check: Samples) -> None:
    from lightning.pytorch.callbacks import ModelCheckpoint

    recipe, _ = job.settings()
    scores = {
        name.replace("valid/", ""): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith("valid/")
    }
    if recipe.patience is not None:
        best = next(c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint))
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
        learner.load_state_dict(state["state_dict"])
        trainer.validate(learner, verbose=False)
    model = learner.model.eval().to("cpu")
    if learner.validated is not None and check.ids and not _grouped(check):
        probabilities = 1 / (1 + np.exp(-learner.validated.logits.astype(np.float64)))
        ids = [check.ids[index] for index in learner.validated.numbers]
        write_answers(job.left_out, ids, probabilities, job.key)
    card = dict(job.card)
    card["training"] = {**card.get("training", {}), "key": job.key, "epochs": trainer.current_epoch}
    save_checkpoint(model, job.file, {**card, "metrics": scores})


def _grouped(samples: Samples) -> bool:
    return samples.targets.ndim == 1


def _callbacks(job: Job, recipe: Recipe, how: How, validates: bool) -> list[Callback]:
    from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

    from hpazoo.training.averaging import Averaging

    found: list[Callback] = [LearningRateMonitor("step")]
    if recipe.ema is not None:
        found.append(Averaging(recipe.ema))
    if recipe.patience is not None and validates:
        found.append(EarlyStopping("valid/map", mode="max", patience=recipe.patience))
        found.append(
            ModelCheckpoint(job.place, "best", monitor="valid/map", mode="max", save_last=False)
        )
    found.append(
        ModelCheckpoint(
            job.place,
            Path(LAST).stem,
            save_top_k=1,
            every_n_epochs=1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
    )
    if not how.quiet and sys.stderr.isatty():
        from lightning.pytorch.callbacks import RichProgressBar

        found.append(RichProgressBar())
    return found


def _loggers(job: Job) -> list[Any]:
    """Step by step for TensorBoard; a table of epochs is written by the learner."""
    from lightning.pytorch.loggers import TensorBoardLogger

    return [TensorBoardLogger(job.place, name="", version="tensorboard")]


def _strategy(recipe: Recipe, how: How) -> str:
    if how.processes == 1:
        return "auto"
    return "ddp_find_unused_parameters_true" if recipe.freeze else "ddp"


def _devices(how: How) -> int | list[int]:
    kind, _, number = how.device.partition(":")
    if kind == "cuda" and number and how.processes == 1:
        return [int(number)]
    return how.processes


def _size(job: Job) -> int:
    return int(job.model["input"]["size"])


def _steps(job: Job, recipe: Recipe) -> tuple[Augmentation, ...]:
    made = [augmentations.build(config, job.class_list) for config in recipe.augment or ()]
    return tuple(one for one in made if not hasattr(one, "mix"))


def _mixtures(job: Job, recipe: Recipe) -> tuple[Mixture, ...]:
    made = [augmentations.build(config, job.class_list) for config in recipe.augment or ()]
    return tuple(one for one in made if hasattr(one, "mix"))


def _half(how: How) -> torch.dtype:
    return torch.float16 if how.precision == "16" else torch.bfloat16


def _too_big(job: Job, recipe: Recipe) -> str:
    return (
        f"{job.name}: a batch of {recipe.batch_size} images of {_size(job)} px does not fit into "
        f"memory; with 'batch_size: {max(1, recipe.batch_size // 2)}' and 'accumulate: "
        f"{recipe.accumulate * 2}' the steps stay the same"
    )


def main(arguments: list[str]) -> int:
    """Exit status 0: done, 1: a message lies in the job's folder, 130: interrupted."""
    warnings.filterwarnings("ignore", module=r"(lightning|torch)\b.*")
    end_with_parent()
    job = read_job(Path(arguments[0]))
    try:
        for file in job.plugins:
            load_file(Path(file))
        check(job) if "--check" in arguments else fit(job)
    except HpazooError as error:
        job.problem.write_text(str(error), encoding="utf-8")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    # What libraries do as a process ends is not ours; everything is written.
    os._exit(status)
