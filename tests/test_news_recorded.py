"""Steps of news models on padded batches are those on the batches as they are, and something a CUDA graph can hold."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from small_news import SMALL
from tape import CUDA, EMULATED, Operators, Rerun, Tape, TapeRecorder

from pyrec.data.generated_news import GeneratedNews, generate_news
from pyrec.errors import StoppedError
from pyrec.models.news import NRMS
from pyrec.nn.reader import CandidateAttention, CandidateSelfAttention, ClickPooling, Interests, LongShort
from pyrec.nn.tensors import mapped, tensors_of
from pyrec.nn.text import CNN, Transformer, WordPooling
from pyrec.store.arrays import State
from pyrec.train.loss import BPR, Softmax
from pyrec.train.negatives import Shown
from pyrec.train.news.batches import TrainingBatch
from pyrec.train.news.buckets import Buckets, sizes_of
from pyrec.train.news.trainer import NewsTrainer
from pyrec.train.recorded import MOST_RECORDED, WARM_UP, CudaRecorder, ReplayedBuckets

BATCH = 24
STEPS: dict[str, dict[str, Any]] = {
    "nrms": {},
    "content": {"popularity": None},
    "four negatives": {"loss": Softmax(temperature=1.0, score="inner", negatives=Shown(4))},
    "bpr": {"loss": BPR(negatives=Shown(2))},
    "without in-batch": {"auxiliary": ()},
    "naml": {"text": CNN(8, 3, 8), "reader": ClickPooling(8), "views": "title,abstract,category,subcategory"},
    "pooled words": {"text": WordPooling(8, 8), "merge": "sum", "views": "title,category"},
    "transformer": {"text": Transformer(heads=2, head_size=4, layers=1, hidden=8), "views": "title"},
    "tags alone": {"views": "category,subcategory"},
    "candidate": {"reader": CandidateAttention(8)},
    "interests": {"reader": Interests(2, 8)},
}
step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
PLAYED = ("nrms", "four negatives", "naml", "transformer", "interests")
some_steps = pytest.mark.parametrize("step", [STEPS[name] for name in ("nrms", "naml")], ids=str)


@cache
def tiny_news() -> GeneratedNews:
    return generate_news(20, 64, 160, 4, num_topics=3, seed=3)


def trainer_on(device: Any, step: dict[str, Any], **options: Any) -> NewsTrainer:
    """One whose steps are not recorded; its learning rates are in memory, as on a CUDA device."""
    model = NRMS(**SMALL | {"learning_rate": 0.02, "batch_size": BATCH} | step | options)
    trainer = model._begin(model._prepare(tiny_news().train, device.torch), None, None)
    trainer.replayed = None
    for group in trainer.optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], device=device.torch)
    return trainer


def state_of(trainer: NewsTrainer) -> list[torch.Tensor]:
    """Everything that steps change and later steps read."""
    moments = [value for state in trainer.optimizer.state.values() for value in state.values()]
    return [tensor.detach() for tensor in [*trainer.network.parameters(), *moments]]


def assert_same(one: NewsTrainer, other: NewsTrainer) -> None:
    for mine, theirs in zip(state_of(one), state_of(other), strict=True):
        assert torch.equal(mine, theirs)


def history(trainer: NewsTrainer, epochs: int = 2) -> list[float]:
    return [trainer.epoch(epoch) for epoch in range(epochs)]


class Padding:
    """In place of recordings, steps on batches that are as large as those of a recording."""

    def __init__(self, trainer: NewsTrainer) -> None:
        self.total = torch.zeros((), dtype=torch.float64, device=trainer.batches.device)
        self.place = trainer.batches.placed

    def take(self, _: int, batch: TrainingBatch, step: Any) -> None:
        self.total += step(self.place(batch)) * batch.size


@step
def test_a_padded_batch_has_the_loss_and_the_gradients_of_the_batch(device, step):
    pairs = step is STEPS["candidate"]  # its pairs with targets have other numbers in a padded batch
    trainer = trainer_on(device, step, dropout=0.0 if pairs else 0.3)
    plain = trainer.batches.drawn(1, BATCH)
    padded = trainer.buckets.padded(plain, trainer.buckets.bucket(plain) + 3)
    found = []
    for batch in (plain, padded):
        trainer.optimizer.zero_grad()
        loss = trainer.batch_loss(trainer.batches.placed(batch))
        loss.backward()
        grads = [one.grad.clone() for one in trainer.network.parameters() if one.grad is not None]
        found.append([loss.detach(), *grads])
    assert len(found[0]) > 5
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


@pytest.mark.launches_nothing
def test_all_batches_of_a_bucket_have_its_sizes(device):
    trainer = trainer_on(device, {})
    buckets, last = trainer.buckets, trainer.batches.num_samples - BATCH
    shapes = defaultdict(set)
    for epoch, first in product((3, 4, 5), range(0, last + 1, BATCH)):
        batch = trainer.batches.drawn(epoch, first)
        number = buckets.bucket(batch)
        below = buckets.most(number - 1)
        assert number == 0 or any(size > below[name] for name, size in sizes_of(batch).items())
        padded = buckets.padded(batch, number)
        shapes[number].add(tuple(tensor.shape for tensor in tensors_of(padded)))
    assert all(len(one) == 1 for one in shapes.values())
    assert 0 in shapes
    assert max(shapes) <= 3


@pytest.mark.parametrize("device", ["cpu"], indirect=True)
def test_few_buckets_are_recorded(device, monkeypatch):
    """The steps of further ones are taken one by one, whatever the kernels."""
    one_by_one, replayed = (trainer_on(device, {}) for _ in range(2))
    monkeypatch.setattr(Buckets, "bucket", lambda _, batch: batch.first // BATCH)
    for trainer in (one_by_one, replayed):
        trainer.buckets = Buckets({name: 2 * size for name, size in trainer.buckets.largest.items()})
    one_by_one.replayed, recorder = Padding(one_by_one), Rerun()
    replayed.replayed = ReplayedBuckets(replayed.batches.device, recorder)
    assert history(replayed, WARM_UP + 2) == history(one_by_one, WARM_UP + 2)
    assert recorder.recordings == MOST_RECORDED
    assert recorder.replays == 2 * MOST_RECORDED


@pytest.mark.launches_nothing
def test_a_batch_much_larger_than_the_first_ones_has_a_bucket(device):
    trainer = trainer_on(device, {})
    batch = trainer.batches.drawn(0, 0)
    small = Buckets({name: max(1, size // 5) for name, size in trainer.buckets.largest.items()})
    number = small.bucket(batch)
    assert number > 10
    padded = small.padded(batch, number)
    with torch.no_grad():
        loss, of_padded = (trainer.batch_loss(trainer.batches.placed(one)) for one in (batch, padded))
    torch.testing.assert_close(of_padded, loss, rtol=1e-5, atol=0)


@some_steps
def test_replayed_epochs_have_the_history_of_the_padded_steps(device, step):
    one_by_one, replayed = (trainer_on(device, step, dropout=0.2) for _ in range(2))
    recorder = Rerun()
    one_by_one.replayed = Padding(one_by_one)
    replayed.replayed = ReplayedBuckets(replayed.batches.device, recorder)
    assert history(replayed) == history(one_by_one)
    assert_same(replayed, one_by_one)
    full = 2 * (replayed.batches.num_samples // BATCH)
    assert recorder.runs + recorder.replays == full
    assert recorder.runs >= WARM_UP
    assert 1 <= recorder.recordings == len(replayed.replayed._replays)


@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
@pytest.mark.parametrize("stop_before", [0, 1, 3])
def test_replayed_epochs_go_on_where_they_were_stopped(device, stop_before):
    whole, stopped, another = (trainer_on(device, {}, dropout=0.2) for _ in range(3))
    for trainer in (whole, stopped, another):
        trainer.replayed = ReplayedBuckets(trainer.batches.device, Rerun())
    losses = history(whole)
    assert stopped.epoch(0) == losses[0]
    asked = iter(range(stop_before + 1))
    with pytest.raises(StoppedError, match="stopped in epoch 2"):
        stopped.epoch(1, stop=lambda: next(asked) == stop_before)
    assert stopped.taken == stop_before * BATCH
    another.restore(State("test", {name: array.copy() for name, array in stopped.state().items()}))
    assert another.epoch(1) == losses[1]
    assert_same(another, whole)


@EMULATED
@pytest.mark.parametrize("step", [STEPS[name] for name in PLAYED], ids=PLAYED)
def test_a_step_played_from_its_calls_alone(device, monkeypatch, step):
    """Nothing that changes from step to step is a number that a recording would hold on to."""
    one_by_one, replayed = (trainer_on(device, step, dropout=0.2) for _ in range(2))
    largest = {name: -(-size * 5 // 4) for name, size in one_by_one.buckets.largest.items()}
    for trainer in (one_by_one, replayed):
        trainer.buckets = Buckets(largest)  # a single one for all batches
    one_by_one.replayed = Padding(one_by_one)
    expected = history(one_by_one, 1)
    epochs = ReplayedBuckets(replayed.batches.device, None)
    tape = Tape(device.core, monkeypatch)
    epochs._recorder = TapeRecorder(tape, lambda: [*state_of(replayed), epochs.total])
    replayed.replayed = epochs
    assert history(replayed, 1) == expected
    assert_same(replayed, one_by_one)
    assert len(tape.calls) > 20


@EMULATED
@step
def test_a_step_does_not_wait_for_the_device(device, monkeypatch, step):
    trainer = trainer_on(device, step, dropout=0.2)
    batch = trainer.batches.drawn(0, 0)
    padded = trainer.buckets.padded(batch, trainer.buckets.bucket(batch))
    trainer.step(padded)  # what is only made once

    def waits(*_):
        raise AssertionError("a tensor is read on the host")

    for name in ("tolist", "item", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    seen: list[str] = []
    with Operators(lambda func, *_: seen.append(func.namespace)):
        trainer.step(padded)
    assert len(seen) > 20


@pytest.mark.launches_nothing
def test_what_waits_is_not_recorded(device):
    recordable = [trainer_on(device, one).recordable for one in STEPS.values()]
    assert all(recordable)
    for reader in (LongShort(), CandidateSelfAttention(2), Interests(2, 8, by_category=True)):
        assert not trainer_on(device, {"reader": reader}).recordable
    assert not trainer_on(device, {"auxiliary": "views"}, dropout=0.2).recordable
    assert not trainer_on(device, {"auxiliary": "related"}).recordable


@pytest.mark.launches_nothing
def test_a_training_that_learns_weights_is_not_recorded(device):
    model = NRMS(**SMALL | {"reweight": "linear"})
    news = tiny_news()
    trainer = model._begin(model._prepare(news.train, device.torch), None, news.random.impressions)
    assert not trainer.recordable
    assert trainer.replayed is None


@pytest.mark.launches_nothing
def test_every_tensor_of_a_tree_is_found(device):
    batch = trainer_on(device, {}).batches.drawn(0, 0)
    assert len(tensors_of(batch)) > 20
    moved = mapped(batch, lambda tensor: tensor + 1)
    for old, new in zip(tensors_of(batch), tensors_of(moved), strict=True):
        assert torch.equal(old + 1, new)
    assert moved.epoch == batch.epoch
    assert replace(moved, news=batch.news).news.num_clicked == batch.news.num_clicked


@CUDA
@step
def test_a_cuda_graph_has_the_bits_of_the_padded_steps(device, step):
    one_by_one, replayed = (trainer_on(device, step, dropout=0.2) for _ in range(2))
    one_by_one.replayed = Padding(one_by_one)
    replayed.replayed = ReplayedBuckets(device.torch, CudaRecorder(device.torch))
    assert history(replayed, 3) == history(one_by_one, 3)
    assert replayed.replayed._replays
    assert_same(replayed, one_by_one)
