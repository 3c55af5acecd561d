import colorsys
from itertools import islice

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from excise.color import WeakLabel, hsv_stream
from excise.errors import SettingError
from excise.seeding import generator
from excise.stream import Stream

LABELS = {"red": WeakLabel("redness", 10.0, 0.5), "vibrant": WeakLabel("vibrancy", 100.0, 0.5)}


def the_3600():
    """Colours of the training set and their sampling weights, one scalar at a time."""
    for i in range(36):
        for j in range(10):
            for k in range(10):
                s, v = j / 9, k / 9
                weight = (1 - v) / (10 * 36) + (1 - s) * v / 36 + s * v
                yield colorsys.hsv_to_rgb(i / 36, s, v), weight


def weights_where(wanted: tuple[float, float, float]):
    """The sampling weights of all samples that are this colour."""
    stream = hsv_stream(LABELS)
    here = (stream.inputs - torch.tensor(wanted)).abs().amax(dim=1) < 1e-6
    return stream.weights[here]


def test_samples_and_weights_are_those_of_the_formula():
    stream = hsv_stream(LABELS)
    colors, weights = zip(*the_3600(), strict=True)
    assert len(stream) == 3_600
    assert_allclose(stream.inputs, colors, atol=1e-6)
    assert_allclose(stream.weights, weights, rtol=1e-6)
    assert stream.inputs.dtype == stream.weights.dtype == torch.float32
    assert stream.targets is stream.inputs


def test_the_weights_sum_to_what_the_formula_sums_to():
    # Over all hues: black 1 for each of 10 values' (1 - v), sum 5; grays (1 - s) v, 5 x 5; hues 36 s v, 36 x 5 x 5.
    assert float(hsv_stream(LABELS).weights.sum(dtype=torch.float64)) == pytest.approx(5 + 25 + 900, rel=1e-6)


@pytest.mark.parametrize(
    ("color", "copies"), [((0, 0, 0), 360), ((1, 1, 1), 36), ((1, 0, 0), 1), ((0, 1, 0), 1), ((0, 0.5, 1), 1)]
)
def test_black_white_and_each_pure_hue_weigh_1_in_all(color: tuple[float, float, float], copies: int):
    weights = weights_where(color)
    assert len(weights) == copies
    assert_allclose(weights, 1 / copies, rtol=1e-6)


def test_an_epoch_has_57_batches_of_64_and_the_last_of_16():
    batches = list(islice(hsv_stream(LABELS).batches(generator(0, "data")), 58))
    sizes = [len(batch.inputs) for batch in batches]
    assert sizes == [64] * 56 + [16] + [64]
    for batch in batches:
        assert batch.inputs.shape == batch.targets.shape == (len(batch.inputs), 3)
        assert {name: label.shape for name, label in batch.labels.items()} == {
            name: (len(batch.inputs),) for name in LABELS
        }


def test_label_probabilities_are_half_of_a_power_of_the_concept():
    stream = hsv_stream(LABELS)
    for (r, g, b), red, vibrant in zip(
        (color for color, _ in the_3600()), *stream.label_probabilities.values(), strict=True
    ):
        assert red == pytest.approx(0.5 * (r * (1 - g / 2 - b / 2)) ** 10, rel=1e-5, abs=1e-9)
        assert vibrant == pytest.approx(0.5 * (max(r, g, b) - min(r, g, b)) ** 100, rel=1e-4, abs=1e-9)


def test_colours_are_drawn_as_often_as_their_weights_say():
    """Of 36,000 draws, each share within 5 standard deviations; a uniform sampler would draw black 10 %."""
    drawn = torch.cat([b.inputs for b in islice(hsv_stream(LABELS).batches(generator(0, "data")), 570)])
    assert len(drawn) == 36_000
    for color in [(0, 0, 0), (1, 1, 1), (1, 0, 0)]:
        share = 1 / 930
        seen = int(((drawn - torch.tensor(color)).abs().amax(dim=1) < 1e-6).sum())
        assert seen == pytest.approx(36_000 * share, abs=5 * (36_000 * share) ** 0.5)


def test_a_label_is_drawn_anew_at_every_visit():
    batches = list(islice(hsv_stream(LABELS).batches(generator(0, "data")), 57 * 20))
    inputs = torch.cat([batch.inputs for batch in batches])
    red = torch.cat([batch.labels["red"] for batch in batches])
    visits = red[(inputs == torch.tensor([1.0, 0, 0])).all(dim=1)]
    assert len(visits) > 40
    assert set(visits.tolist()) == {0.0, 1.0}
    assert float(visits.mean()) == pytest.approx(0.5, abs=5 * 0.5 / len(visits) ** 0.5)
    assert float(red[inputs[:, 0] < 0.3].sum()) == 0


def test_one_seed_gives_one_stream_and_another_seed_another():
    def first(seed: int):
        return next(hsv_stream(LABELS).batches(generator(seed, "data")))

    assert torch.equal(first(0).inputs, first(0).inputs)
    assert torch.equal(first(0).labels["vibrant"], first(0).labels["vibrant"])
    assert not torch.equal(first(0).inputs, first(1).inputs)


def test_sizes_and_label_functions_of_ones_own():
    stream = hsv_stream(
        {"dark": lambda rgb: 1 - rgb.max(axis=-1)}, batch_size=5, hues=3, saturations=2, values=4
    )
    assert isinstance(stream, Stream)
    assert stream.labels == ("dark",)
    assert len(stream) == 24
    assert [len(batch.inputs) for batch in islice(stream.batches(generator(0, "data")), 5)] == [5, 5, 5, 5, 4]
    assert_allclose(stream.label_probabilities["dark"], 1 - stream.inputs.max(dim=-1).values, atol=1e-6)
    black = stream.inputs.amax(dim=1) == 0
    assert_allclose(stream.weights[black], 1 / 6, rtol=1e-6)


def test_a_probability_outside_0_to_1_an_empty_batch_and_an_empty_grid_are_refused():
    with pytest.raises(SettingError, match=r"probabilities of label 'red' lie in \[0, 1\]"):
        hsv_stream({"red": lambda rgb: 2 * rgb[..., 0]})
    with pytest.raises(SettingError, match="batch_size=0 came"):
        hsv_stream({}, batch_size=0)
    with pytest.raises(SettingError, match="at least 1 of its hues; 0 came"):
        hsv_stream({}, hues=0)


def test_a_stream_without_labels_is_a_stream():
    batch = next(hsv_stream({}).batches(generator(0, "data")))
    assert batch.labels == {}
    assert np.isfinite(batch.inputs.numpy()).all()
