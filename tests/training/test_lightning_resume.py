"""A fit that is resumed in Lightning goes on to the bits of one that was never interrupted, or is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn
from torch.utils.data import DataLoader

from anchored import LIGHTNING_TELLS, STEPS, Autoencoder, anchoring, net, stream, trainer
from excise.anchoring import Anchor, Anchoring, Term
from excise.compute import suited_to
from excise.errors import CheckpointError
from excise.training.lightning import AnchoringCallback, FixedBatches, StreamLoader

pytestmark = [pytest.mark.filterwarnings(told) for told in LIGHTNING_TELLS]


class Fitted(Autoencoder):
    """A module with the callback that anchored it."""

    def __init__(self, callback: AnchoringCallback) -> None:
        super().__init__(net(dropout=0.2))
        self.callback = callback


def fitted(
    folder: Path, loader: object = None, ckpt: Path | None = None, every: int = 4, **options: Any
) -> Fitted:
    """The module after a fit that leaves a checkpoint after so many steps (0 for the end of each epoch)."""
    saving = ModelCheckpoint(
        folder,
        filename="{step}",
        save_top_k=-1,
        every_n_train_steps=every or None,
        every_n_epochs=0 if every else 1,
    )
    validated = options.pop("validated", True)
    resume = options.pop("resume", "same")
    terms = options.pop("anchoring", None) or anchoring()
    callback = AnchoringCallback(terms, model="model", resume=resume)
    made = Fitted(callback)
    running = trainer(folder, callback, saving, **options)
    held_out = FixedBatches(next(iter(StreamLoader(stream(), seed=9)))) if validated else None
    torch.manual_seed(0 if ckpt is None else 99)
    with suited_to(made):
        running.fit(made, loader or StreamLoader(stream()), held_out, ckpt_path=ckpt, weights_only=True)
    return made


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


# An epoch has six batches: after 4 and 20 steps one is under way, after 12 it has ended, with its validation.
@pytest.mark.parametrize("step", [4, 12, 20])
def test_a_resumed_fit_goes_on_to_the_bits_of_an_uninterrupted_one(tmp_path: Path, step: int):
    whole = fitted(tmp_path / "whole")
    resumed = fitted(tmp_path / "resumed", ckpt=tmp_path / "whole" / f"step={step}.ckpt")
    assert same_weights(resumed, whole)
    assert resumed.callback.label_counts == whole.callback.label_counts
    timeline = anchoring().timeline
    assert timeline is not None
    assert resumed.rates == timeline.table["lr"][step:].tolist()


def test_without_its_randomness_a_resumed_fit_would_end_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = fitted(tmp_path / "whole")
    monkeypatch.setattr("excise.training.lightning.callback.restore_random_state", lambda _: None)
    assert not same_weights(fitted(tmp_path / "resumed", ckpt=tmp_path / "whole" / "step=4.ckpt"), whole)


@pytest.mark.parametrize("validated", [True, False])
def test_a_loader_that_shuffles_goes_on_to_the_same_bits_from_the_end_of_an_epoch(
    tmp_path: Path, validated: bool
):
    def shuffled() -> DataLoader:
        inputs = stream().inputs
        rows = [(x, x, {"warm": (x[0] > 0.67).float()}) for x in inputs]
        return DataLoader(rows, batch_size=8, shuffle=True)  # pyright: ignore[reportArgumentType] - a list of rows is a dataset

    # In epochs: counting steps alone, Lightning resumes the epoch that has ended for one batch more.
    settings = {"every": 0, "validated": validated, "max_epochs": 4, "max_steps": -1}
    whole = fitted(tmp_path / "whole", shuffled(), **settings)
    resumed = fitted(tmp_path / "resumed", shuffled(), tmp_path / "whole" / "step=12.ckpt", **settings)
    assert same_weights(resumed, whole)


def test_a_fit_is_resumed_under_gradient_accumulation(tmp_path: Path):
    whole = fitted(tmp_path / "whole", accumulate_grad_batches=2, max_steps=10, every=4)
    checkpoint = tmp_path / "whole" / "step=4.ckpt"
    resumed = fitted(tmp_path / "resumed", None, checkpoint, accumulate_grad_batches=2, max_steps=10, every=4)
    assert same_weights(resumed, whole)


def test_a_checkpoint_of_another_schedule_is_refused_with_what_differs(tmp_path: Path):
    fitted(tmp_path)
    checkpoint = tmp_path / "step=4.ckpt"
    other = anchoring(pull={0: 0.5, 12: 2.0})
    with pytest.raises(CheckpointError, match=r"'pull' differs from step 1 on: 0\.5\d* there, 0\.5\d* here"):
        fitted(tmp_path, ckpt=checkpoint, anchoring=other)
    longer = anchoring(push={0: 0.1, 30: 0.0})
    with pytest.raises(CheckpointError, match="had 24 steps and has 31"):
        fitted(tmp_path, ckpt=checkpoint, anchoring=longer)
    terms = [Term("pull", Anchor([0, 1, 0]), layer="outside"), *anchoring().terms[1:]]
    with pytest.raises(CheckpointError, match="the layer of 'pull' was latent and is outside"):
        fitted(tmp_path, ckpt=checkpoint, anchoring=Anchoring(terms, anchoring().timeline))
    with pytest.raises(CheckpointError, match="the schedule is gone"):
        fitted(tmp_path, ckpt=checkpoint, anchoring=Anchoring(anchoring().terms))


def test_asked_for_a_fit_goes_on_with_the_new_schedule(tmp_path: Path):
    whole = fitted(tmp_path)
    checkpoint = tmp_path / "step=4.ckpt"
    other = anchoring(lr={0: 0.01, STEPS - 1: 0.02})
    resumed = fitted(tmp_path / "resumed", ckpt=checkpoint, anchoring=other, resume="new")
    assert other.timeline is not None
    assert resumed.rates == other.timeline.table["lr"][4:].tolist()
    assert not same_weights(resumed, whole)


def test_asked_for_a_fit_goes_on_with_the_schedule_of_the_checkpoint(tmp_path: Path):
    timeline = anchoring().timeline
    assert timeline is not None
    turned = timeline.retarget("pull", step=2, value=0.1, arrive=9)
    whole = fitted(tmp_path, anchoring=Anchoring(anchoring().terms, turned))
    resumed = fitted(tmp_path / "resumed", ckpt=tmp_path / "step=4.ckpt", resume="saved")
    assert same_weights(resumed, whole)
    restored = resumed.callback.anchoring.timeline
    assert restored is not None
    assert restored.tracks == turned.tracks
    again = [way.retarget("push", step=9, value=1.0, arrive=12).table["push"] for way in (restored, turned)]
    assert again[0].tolist() == again[1].tolist()


def test_a_checkpoint_written_without_us_is_refused_unless_asked_for(tmp_path: Path):
    plain = Autoencoder()
    saving = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=4, save_top_k=-1)
    trainer(tmp_path, saving, max_steps=4).fit(plain, StreamLoader(stream()))
    with pytest.raises(CheckpointError, match="without an AnchoringCallback"):
        fitted(tmp_path, ckpt=tmp_path / "step=4.ckpt")
    fitted(tmp_path / "resumed", ckpt=tmp_path / "step=4.ckpt", resume="new")


@pytest.mark.parametrize("held", [{}, [1], "text", {"terms": {}, "timeline": 3}])
@pytest.mark.parametrize("resume", ["same", "new", "saved"])
def test_a_checkpoint_whose_part_of_ours_is_damaged_is_refused(held: object, resume: Any):
    resumed = trainer(Path())
    resumed.state.fn = TrainerFn.FITTING
    callback = AnchoringCallback(anchoring(), resume=resume)
    with pytest.raises(CheckpointError, match="is damaged, or of another version"):
        callback.on_load_checkpoint(resumed, Autoencoder(), {"excise.anchoring": held})


def test_batches_of_another_seed_are_refused(tmp_path: Path):
    fitted(tmp_path)
    with pytest.raises(CheckpointError, match="seed 0, these are with seed 1"):
        fitted(tmp_path, StreamLoader(stream(), seed=1), tmp_path / "step=4.ckpt")


def test_a_loader_goes_on_within_an_epoch_and_over_its_end():
    loader, resumed = StreamLoader(stream()), StreamLoader(stream())
    iterator = iter(loader)
    for _ in range(4):
        next(iterator)
    resumed.load_state_dict(loader.state_dict())
    expected = [*iterator, *loader]
    assert len(expected) == 2 + 6
    for one, other in zip(expected, [*resumed, *resumed], strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.labels["warm"], other.labels["warm"])
