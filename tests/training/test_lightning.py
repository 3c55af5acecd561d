"""The Lightning callback: what it adds to the loss, when, what it tells, and that it leaves nothing behind."""

import csv
import importlib
import io
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn

from anchored import LIGHTNING_TELLS, STEPS, Autoencoder, anchoring, net, stream, trainer
from excise.anchoring import Anchoring
from excise.compute import suited_to
from excise.errors import MissingExtraError, NonFiniteError, SettingError, UnknownLayerError
from excise.stream import Batch
from excise.training import Snapshot, Validation, fit
from excise.training.lightning import (
    AnchoringCallback,
    FixedBatches,
    StreamLoader,
    fit_in_lightning,
    labels_of,
)
from excise.training.progress import PlainProgress

pytestmark = [pytest.mark.filterwarnings(told) for told in LIGHTNING_TELLS]


def hooks_of(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def fitted(*, seed: int = 0, **settings: Any) -> tuple[Autoencoder, list[Snapshot]]:
    """The module after a fit in Lightning, and what its observer was told."""
    module, seen = Autoencoder(), []
    callback = AnchoringCallback(anchoring(), model="model", observers=[seen.append])
    with suited_to(module):
        trainer(None, callback, **settings).fit(module, StreamLoader(stream(), seed=seed))
    return module, seen


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_the_callback_trains_to_the_bits_of_fit():
    module, seen = fitted()
    model, expected = net(), []
    fit(model, stream(), anchoring(), seed=0, observers=[expected.append], log_every=1)
    assert same_weights(module.model, model)
    assert [{**row.row()} for row in seen] == [{**row.row()} for row in expected]
    alone = net()
    fit(alone, stream(), None, seed=0, steps=STEPS, lr=0.01)
    assert not same_weights(alone, model)


def test_the_schedule_drives_the_learning_rate_by_optimiser_steps():
    module, _ = fitted(accumulate_grad_batches=2, max_steps=8)
    timeline = anchoring().timeline
    assert timeline is not None
    assert module.rates == [float(rate) for rate in timeline.table["lr"][:8] for _ in range(2)]


def test_accumulated_batches_train_as_one_batch_whose_terms_are_means():
    module, seen = fitted(accumulate_grad_batches=2, max_steps=3)
    model = net()
    batches = iter(StreamLoader(stream(), seed=0))
    timeline = anchoring().timeline
    assert timeline is not None
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0, fused=True)
    with suited_to(model), anchoring().attach(model) as terms:
        for step in range(3):
            optimizer.param_groups[0]["lr"] = float(timeline.table["lr"][step])
            optimizer.zero_grad()
            for _ in range(2):
                batch = next(batches)
                value = nn.functional.mse_loss(model(batch.inputs), batch.targets)
                ((value + terms.loss(batch.labels, step)) / 2).backward()
            optimizer.step()
    assert [snapshot.step for snapshot in seen] == [0, 1, 2]
    assert same_weights(module.model, model)


def test_terms_weights_and_counts_are_logged_when_the_trainer_logs(tmp_path: Path):
    callback = AnchoringCallback(anchoring(), model="model")
    logger = CSVLogger(tmp_path, name="", version="")
    trainer(tmp_path, callback, logger=logger, log_every_n_steps=4).fit(Autoencoder(), StreamLoader(stream()))
    with (tmp_path / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["lr"]]
    assert [int(row["step"]) for row in rows] == [3, 7, 11, 15, 19, 23]
    timeline = anchoring().timeline
    assert timeline is not None
    for row in rows:
        now = timeline.at(int(row["step"]))
        assert float(row["lr"]) == pytest.approx(now["lr"])
        assert float(row["weight/pull"]) == pytest.approx(now["pull"])
        assert float(row["term/push"] or 0) >= 0
    batches = iter(StreamLoader(stream(), batches=STEPS))
    warm = sum(int(next(batches).labels["warm"].sum()) for _ in range(STEPS))
    assert float(rows[-1]["label/warm"]) == warm > 0
    assert callback.label_counts == {"warm": warm}


def test_labels_are_counted_anew_in_each_epoch():
    callback = AnchoringCallback(anchoring(), model="model")
    trainer(None, callback, max_epochs=2, max_steps=-1).fit(Autoencoder(), StreamLoader(stream()))
    loader = StreamLoader(stream())
    first, second = (sum(int(batch.labels["warm"].sum()) for batch in loader) for _ in range(2))
    assert callback.epoch_label_counts == {"warm": second}
    assert callback.label_counts == {"warm": first + second}


def test_validation_measures_the_terms_without_their_weights(tmp_path: Path):
    held_out = next(iter(StreamLoader(stream(), seed=9)))
    module, model, seen, expected = Autoencoder(), net(), [], []
    callback = AnchoringCallback(anchoring(), model="model", observers=[seen.append])
    running = trainer(tmp_path, callback, val_check_interval=6, check_val_every_n_epoch=None)
    with suited_to(module):
        running.fit(module, StreamLoader(stream()), FixedBatches(held_out))
    fit(model, stream(), anchoring(), validation=Validation(held_out, every=6), observers=[expected.append])
    ours = {row.step: row.validation for row in seen if row.validation}
    theirs = {row.step: row.validation for row in expected if row.validation}
    assert list(ours) == [5, 11, 17, 23] == list(theirs)
    for step, values in ours.items():
        assert values == pytest.approx(theirs[step], rel=1e-6)
    assert running.callback_metrics["validation/pull"] == pytest.approx(ours[23]["pull"])
    assert hooks_of(module) == 0


def test_a_fit_leaves_neither_hooks_nor_terms_behind():
    module, _ = fitted()
    assert hooks_of(module) == 0
    assert "training_step" not in vars(module)


def test_an_error_in_training_leaves_neither_hooks_nor_terms_behind():
    class Breaks(Autoencoder):
        def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
            loss = super().training_step(batch, batch_idx)
            assert hooks_of(self) == 1
            if batch_idx == 3:
                raise RuntimeError("the disk is full")
            return loss

    module = Breaks()
    with pytest.raises(RuntimeError, match="the disk is full"):
        trainer(None, AnchoringCallback(anchoring(), model="model")).fit(module, StreamLoader(stream()))
    assert hooks_of(module) == 0
    assert "training_step" not in vars(module)


def test_a_term_that_becomes_infinite_is_named_with_its_step():
    module = Autoencoder()
    with torch.no_grad():
        module.model.get_submodule("latent").get_parameter("weight").fill_(torch.inf)
    with pytest.raises(NonFiniteError, match="step 0"):
        trainer(None, AnchoringCallback(anchoring(), model="model")).fit(module, StreamLoader(stream()))


def test_a_step_that_returns_a_table_keeps_the_rest_of_it():
    class Tabular(Autoencoder):
        def training_step(self, batch: Batch, batch_idx: int) -> Any:
            return {"loss": super().training_step(batch, batch_idx), "note": "kept"}

        def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
            assert outputs["note"] == "kept"

    module = Tabular()
    with suited_to(module):
        trainer(None, AnchoringCallback(anchoring(), model="model")).fit(module, StreamLoader(stream()))
    assert same_weights(module.model, fitted()[0].model)


# torch's compiler looks at the gradient of everything that the type checker of the tests hands on.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_a_compiled_module_is_anchored_too():
    module = Autoencoder()
    module.model.compile(backend="eager")
    compiled = Autoencoder(torch.compile(net(), backend="eager"))  # pyright: ignore[reportArgumentType] - looser than the annotation
    for one in (module, compiled):
        with suited_to(one):
            trainer(None, AnchoringCallback(anchoring(), model="model")).fit(one, StreamLoader(stream()))
    expected = fitted()[0].model
    assert same_weights(module.model, expected)
    assert same_weights(compiled.model, expected)


def test_excise_shows_the_progress_instead_of_lightning(capfd: pytest.CaptureFixture[str]):
    out = io.StringIO()
    callback = AnchoringCallback(anchoring(), model="model", progress=PlainProgress(out))
    trainer(None, callback, enable_progress_bar=True).fit(Autoencoder(), StreamLoader(stream()))
    assert f"step {STEPS}/{STEPS}" in out.getvalue()
    assert "pull" in out.getvalue()
    assert "it/s" not in capfd.readouterr().err


def test_fit_in_lightning_validates_after_the_last_step_as_fit_does():
    held_out = Validation(next(iter(StreamLoader(stream(), seed=9))), every=10)
    ours, expected = [], []
    fit_in_lightning(net(), stream(), anchoring(), validation=held_out, observers=[ours.append], log_every=1)
    fit(net(), stream(), anchoring(), validation=held_out, observers=[expected.append], log_every=1)
    assert [row.step for row in ours if row.validation] == [9, 19, 23]
    assert ours[-1].validation == pytest.approx(expected[-1].validation, rel=1e-6)


def test_an_interrupt_stays_one_and_the_next_is_heard():
    def interrupt(snapshot: Snapshot) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    model = net()
    with pytest.raises(KeyboardInterrupt):
        fit_in_lightning(model, stream(), anchoring(), observers=[interrupt], log_every=1)
    assert signal.getsignal(signal.SIGINT) is before
    assert hooks_of(model) == 0


@pytest.mark.parametrize("place", ["mapping", "tuple"])
def test_labels_are_found_in_the_usual_places(place: str):
    labels = {"warm": torch.ones(2)}
    batch = {"x": torch.zeros(2, 4), "labels": labels} if place == "mapping" else (torch.zeros(2, 4), labels)
    assert labels_of(batch) is labels
    with pytest.raises(SettingError, match="Pass labels="):
        labels_of({"x": torch.zeros(2), "labels": torch.zeros(2)})


def test_a_function_of_the_users_finds_the_labels():
    module = Autoencoder()
    inputs = stream().inputs
    data = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, inputs, (inputs[:, 0] > 0.67).float()), batch_size=8
    )
    callback = AnchoringCallback(anchoring(), model="model", labels=lambda batch: {"warm": batch[2]})  # pyright: ignore[reportIndexIssue] - looser than the annotation
    trainer(None, callback).fit(module, data)
    assert callback.label_counts["warm"] == 4 * int((inputs[:, 0] > 0.67).sum())
    with pytest.raises(SettingError, match="this list does not"):
        trainer(None, AnchoringCallback(anchoring(), model="model")).fit(Autoencoder(), data)


def test_what_cannot_be_anchored_is_refused_before_it_is_trained():
    class ByHand(Autoencoder):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

    class Scheduled(Autoencoder):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.Adam(self.parameters())
            return [optimizer], [torch.optim.lr_scheduler.ConstantLR(optimizer)]

    def start(module: Autoencoder, *callbacks: AnchoringCallback) -> None:
        trainer(None, *callbacks).fit(module, StreamLoader(stream()))

    whole = AnchoringCallback(anchoring(), model="model")
    with pytest.raises(SettingError, match=r"anchoring\.attach\(model\)"):
        start(ByHand(), whole)
    with pytest.raises(SettingError, match="driven twice"):
        start(Scheduled(), whole)
    with pytest.raises(SettingError, match="one AnchoringCallback"):
        start(Autoencoder(), whole, AnchoringCallback(Anchoring([])))
    with pytest.raises(UnknownLayerError, match="Did you mean 'model'"):
        start(Autoencoder(), AnchoringCallback(anchoring(), model="modle"))


def test_without_lightning_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.startswith("excise.training.lightning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'excise\[lightning\]'"):
        importlib.import_module("excise.training.lightning")
