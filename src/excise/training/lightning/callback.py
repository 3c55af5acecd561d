"""A Lightning callback that anchors any LightningModule.

The terms join the loss that `training_step` returns, inside it: so they are scaled with it under gradient
accumulation and mixed precision, and DistributedDataParallel sees all of the graph. Between `fit` and its end the
module has hooks on the layers and a `training_step` that adds the terms; nothing else of it is changed, and both are
taken away again, also after an error.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import wraps
from typing import Any, Literal

import pytorch_lightning as pl
from torch import Tensor, nn

from excise.activations import find_layer
from excise.anchoring import Anchoring, AttachedTerms
from excise.errors import CheckpointError, SettingError
from excise.training.history import Observer
from excise.training.lightning.checkpoint import (
    anchoring_state,
    differences,
    random_state,
    restore_random_state,
    timeline_of,
)
from excise.training.lightning.labels import LabelReader, labels_of
from excise.training.lightning.loader import StreamLoader
from excise.training.lightning.ranks import gather
from excise.training.lightning.telling import Teller
from excise.training.lightning.validating import ValidationTerms
from excise.training.plan import LEARNING_RATE
from excise.training.progress import SilentProgress

__all__ = ["AnchoringCallback"]

_KEY = "excise.anchoring"


class AnchoringCallback(pl.Callback):
    """Anchors the concepts of a LightningModule while Lightning trains it.

    The schedule counts optimiser steps, as `trainer.global_step` does: its column `lr` sets the learning rate of every
    optimiser, the others weigh the terms. Every `log_every_n_steps` of the trainer it logs `lr` and, by name,
    `term/...` (unweighted), `weight/...` and `label/...` (samples that carried the label since the training began); at
    the end of an epoch `label_epoch/...`; after validation `validation/...`, each term unweighted. Of several
    processes, terms are the mean over those that had one, and counts are sums.

    Args:
        anchoring: the terms and their schedule.
        model: where the layers that the terms name are looked up, as a path from the LightningModule, such as "model";
            empty for the LightningModule itself.
        labels: from a batch to its labels; by default `labels_of`, which finds them in the usual places. It may be
            absent from the batches of an anchoring whose terms need none.
        observers: told of every logged step as those of `fit` are; on the first process only.
        progress: excise's display of the training, instead of Lightning's.
        resume: from a checkpoint of another anchoring, "same" refuses to go on, "new" goes on with this one, and
            "saved" with these terms and the checkpoint's schedule.
        log: whether Lightning's loggers and `trainer.callback_metrics` get the numbers too, which costs Lightning a
            third of a millisecond each.

    Attributes:
        label_counts: how many samples carried each label since the training began, as of the last logged step.
        epoch_label_counts: the same since the epoch began; at its end, of the whole of it.

    Raises:
        SettingError: as the fit starts: the module optimises by hand, has a scheduler of its own for the learning
            rate that the schedule drives, or a second such callback is there.
        UnknownLayerError: as the fit starts: a layer or `model` is not there.
        CheckpointError: as a fit is resumed: the checkpoint is of another anchoring; the message says what differs.
    """

    def __init__(
        self,
        anchoring: Anchoring,
        *,
        model: str = "",
        labels: LabelReader | None = None,
        observers: Iterable[Observer] = (),
        progress: SilentProgress | None = None,
        resume: Literal["same", "new", "saved"] = "same",
        log: bool = True,
    ) -> None:
        if resume not in ("same", "new", "saved"):
            raise SettingError(f"resume is 'same', 'new' or 'saved'; {resume!r} came.")
        self.anchoring = anchoring
        self._model = model
        self._labels = labels
        self._resume = resume
        self._progress = progress
        self._log = log
        self._teller = Teller(tuple(observers) if progress is None else (*observers, progress), log=log)
        self._validation = ValidationTerms()
        self._attached = ExitStack()
        self._shown = ExitStack()
        self._random: dict[str, Any] | None = None
        self._within_epoch = False

    @property
    def label_counts(self) -> dict[str, int]:
        """How many samples carried each label since the training began, of all processes, at the last logged step."""
        return dict(self._teller.label_counts)

    @property
    def epoch_label_counts(self) -> dict[str, int]:
        """How many samples carried each label since the epoch began, of all processes, at the last logged step."""
        return dict(self._teller.epoch_label_counts)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse what cannot be anchored, before anything is spent on it; show the progress."""
        if not pl_module.automatic_optimization:
            raise SettingError(
                f"this {type(pl_module).__name__} optimises by hand, so that its loss never passes through Lightning. "
                f"In its training_step, use the anchoring itself: `with anchoring.attach(model) as terms` around the "
                f"training and `loss + terms.loss(labels, step)` in each step."
            )
        if sum(isinstance(callback, AnchoringCallback) for callback in trainer.callbacks) > 1:  # pyright: ignore[reportAttributeAccessIssue] - set in Trainer.__init__ by a connector
            raise SettingError("a trainer takes one AnchoringCallback; put all terms into one Anchoring.")
        with self.anchoring.attach(self._root(pl_module)):
            pass
        timeline = self.anchoring.timeline
        if timeline is not None and LEARNING_RATE in timeline.properties and trainer.lr_scheduler_configs:
            raise SettingError(
                f"the learning rate is driven twice: by the schedule's column {LEARNING_RATE!r} and by the scheduler "
                f"that configure_optimizers returns. Drop one."
            )
        if self._progress is not None and trainer.is_global_zero:
            if trainer.progress_bar_callback is not None:
                trainer.progress_bar_callback.disable()
            self._shown.enter_context(self._progress)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the hooks on the layers, and the terms into the loss."""
        loader = trainer.train_dataloader
        known = loader.stream.labels if isinstance(loader, StreamLoader) else None
        root = self._root(pl_module)
        terms = self._attached.enter_context(self.anchoring.attach(root, known))
        self._teller.begin(trainer, self.anchoring, terms)
        self._attached.callback(_add_terms(trainer, pl_module, terms, self._read, self._teller.step))
        if self._progress is not None:
            for note in self.anchoring.notes:
                self._progress.note(f"note: {note}")

    def _root(self, pl_module: pl.LightningModule) -> nn.Module:
        """The module whose layers the terms name; of a compiled one, what was compiled."""
        module = find_layer(pl_module, self._model) if self._model else pl_module
        return getattr(module, "_orig_mod", module)

    def _read(self, batch: object) -> Mapping[str, Tensor]:
        if self._labels is not None:
            return self._labels(batch)
        try:
            return labels_of(batch)
        except SettingError:
            if any(term.affinities for term in self.anchoring.terms):
                raise
            return {}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the labels of the epoch from 0."""
        self._teller.counts.begin_epoch()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Set the learning rate of the step."""
        if self._random is not None and self._within_epoch:
            restore_random_state(self._random)
        self._random = None
        self._teller.flush()
        rate = self._teller.rate(trainer.global_step)
        if rate is not None:
            for optimizer in trainer.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Log the step, where it is due."""
        self._teller.log_step(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log how many samples of each label the epoch had."""
        if self._random is not None:
            restore_random_state(self._random)
        self._teller.log_epoch(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to the layers while the model is validated."""
        self._validation.begin(self._root(pl_module), self.anchoring)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure the terms on a validation batch."""
        self._validation.measure(self._read(batch), outputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the mean of each term over the validation batches."""
        measured = self._validation.end(trainer)
        if trainer.sanity_checking:
            return
        if self._log and not trainer.barebones:
            pl_module.log_dict(
                {f"validation/{name}": value for name, value in measured.items()},
                sync_dist=True,
                batch_size=1,
            )
        self._teller.validated(trainer, measured)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the hooks and the terms away again."""
        self._teller.flush()
        self._detach()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Take the hooks and the terms away, whatever happened."""
        self._detach()
        self._shown.close()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the terminal in order."""
        self._detach()
        self._shown.close()

    def _detach(self) -> None:
        self._attached.close()
        self._validation.close()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put into the checkpoint what a resumed fit needs: the schedule, the counts, and each process's randomness."""
        ranks = gather(trainer, {"random": random_state(), "labels": self._teller.counts.state()})
        checkpoint[_KEY] = {
            **anchoring_state(self.anchoring),
            "ranks": ranks,
            "epoch_ended": trainer.is_last_batch,
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from a checkpoint, if it is of the same anchoring.

        Raises:
            CheckpointError: it is not, holds none at all, or one that cannot be read.
        """
        if trainer.state.fn != "fit":
            return
        saved = checkpoint.get(_KEY)
        if saved is None:
            if self._resume == "new":
                return
            raise CheckpointError(
                "the checkpoint was written without an AnchoringCallback, so it holds no schedule to go on with; "
                "AnchoringCallback(..., resume='new') goes on from it with this one."
            )
        try:
            self._restore(trainer, saved)
        except CheckpointError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"what AnchoringCallback wrote into the checkpoint is damaged, or of another version of excise "
                f"({type(error).__name__}: {error}). Start from another checkpoint, or anew."
            ) from error

    def _restore(self, trainer: pl.Trainer, saved: dict[str, Any]) -> None:
        """Go on from what `on_save_checkpoint` wrote."""
        if self._resume == "saved":
            self.anchoring = Anchoring(self.anchoring.terms, timeline_of(saved))
        elif self._resume == "same":
            found = differences(saved, anchoring_state(self.anchoring))
            if found:
                raise CheckpointError(
                    f"the checkpoint is of another anchoring: {'; '.join(found)}. Go on with this one by "
                    f"AnchoringCallback(..., resume='new'), or with the checkpoint's schedule by resume='saved'."
                )
        if len(saved["ranks"]) != trainer.world_size:
            raise CheckpointError(
                f"the checkpoint is of {len(saved['ranks'])} processes, and {trainer.world_size} are running: their "
                f"batches cannot go on where they stopped. Train with as many processes."
            )
        mine = saved["ranks"][trainer.global_rank]
        self._teller.counts.restore(mine["labels"])
        # Until training goes on others draw, such as a loader that is made ready. An epoch that had ended is ended once
        # more; a new one draws how it shuffles from here; one that was under way has drawn that already.
        restore_random_state(mine["random"])
        self._random = mine["random"]
        self._within_epoch = not saved["epoch_ended"]


def _add_terms(
    trainer: pl.Trainer,
    pl_module: pl.LightningModule,
    terms: AttachedTerms,
    read: LabelReader,
    tell: Callable[[int, Tensor, Tensor, Mapping[str, Tensor]], None],
) -> Callable[[], None]:
    """Let `training_step` return its loss with the terms, until the function that is returned is called."""
    name = "training_step"
    plain = pl_module.training_step
    before = vars(pl_module).get(name)

    @wraps(plain)
    def anchored(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the user's step takes and gives
        output = plain(*args, **kwargs)
        objective = output.get("loss") if isinstance(output, Mapping) else output
        if not isinstance(objective, Tensor):
            return output
        step = trainer.global_step
        labels = read(args[0] if args else next(iter(kwargs.values())))
        loss = objective + terms.loss(labels, step)
        tell(step, objective.detach(), loss.detach(), labels)
        return {**output, "loss": loss} if isinstance(output, Mapping) else loss

    # Lightning looks one wrapper deep for what a step takes.
    vars(anchored)["__wrapped__"] = getattr(plain, "__wrapped__", plain)
    setattr(pl_module, name, anchored)

    def remove() -> None:
        if before is None:
            vars(pl_module).pop(name, None)
        else:
            setattr(pl_module, name, before)

    return remove
