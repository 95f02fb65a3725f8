"""Replayed epochs are, bit for bit, the steps taken one by one; and a step is something a CUDA graph can hold."""

from contextlib import nullcontext

import pytest
import torch
from networks import BATCH_SIZE, OPTIMISATION, REFERENCES, REG, make_network, make_trainer
from strategies import random_graph
from tape import CUDA, EMULATED, Operators, Rerun, Tape, TapeRecorder

from pyrec import LightGCN
from pyrec.data import synthetic
from pyrec.errors import CudaError, DataError, StoppedError
from pyrec.nn.adam import AdamState, _DeviceCount
from pyrec.store.arrays import State
from pyrec.train.loss import BPR, Pointwise, Softmax
from pyrec.train.negatives import Hard, Uniform
from pyrec.train.optimisation import Optimisation
from pyrec.train.recorded import WARM_UP, CudaRecorder, ReplayedEpochs

STEPS = [
    *({"kind": kind} for kind in REFERENCES),
    {"loss": Softmax()},
    {"loss": Softmax(score="inner")},
    {"loss": Softmax(negatives=Uniform(2))},
    {"loss": BPR(negatives=Uniform(3))},
    {"loss": BPR(negatives=Hard(3))},
    {"loss": Pointwise(negatives=Uniform(2))},
    {"precision": "bf16"},
    {"n_layers": 0},
]


def trainer_on(device, kind="mean", n_layers=3, precision="fp32", **settings):
    graph = random_graph(60, 50, 0.15)
    network = make_network(graph, kind, n_layers)
    network.precision = precision
    return make_trainer(network.to(device.torch), device.put(graph), **settings)


def state_of(trainer):
    """Everything that steps change and later steps read."""
    adam = trainer.network.first.adam
    tensors = [*trainer.network.parameters(), adam.first_moment, adam.second_moment]
    if isinstance(adam._count, _DeviceCount):
        tensors.append(adam._count._steps)
    if trainer.optimizer is not None:
        tensors += [value for state in trainer.optimizer.state.values() for value in state.values()]
    return [tensor.detach() for tensor in tensors]


def history(trainer, epochs=3):
    return [trainer.epoch(epoch) for epoch in range(epochs)]


def assert_same(one, other):
    for mine, theirs in zip(state_of(one), state_of(other), strict=True):
        assert torch.equal(mine, theirs)


def test_replayed_epochs_have_the_history_of_the_steps(device):
    one_by_one, replayed = trainer_on(device, "attention"), trainer_on(device, "attention")
    recorder = Rerun()
    replayed.replayed = ReplayedEpochs(replayed.batches.graph.device, recorder)
    one_by_one.replayed = None
    assert history(replayed) == history(one_by_one)
    assert_same(replayed, one_by_one)
    full = 3 * (replayed.batches.num_samples // BATCH_SIZE)
    assert full > 2 * WARM_UP
    assert (recorder.runs, recorder.recordings, recorder.replays) == (WARM_UP, 1, full - WARM_UP)


def test_an_epoch_without_a_full_batch_is_not_recorded(device):
    one_by_one, replayed = (trainer_on(device, batch_size=10**6) for _ in range(2))
    replayed.replayed = ReplayedEpochs(replayed.batches.graph.device, recorder := Rerun())
    one_by_one.replayed = None
    assert history(replayed) == history(one_by_one)
    assert (recorder.runs, recorder.recordings) == (0, 0)


@pytest.mark.parametrize("stop_before", [0, 1, 5, 7])
def test_replayed_epochs_go_on_where_they_were_stopped(device, stop_before):
    """In another trainer, with a recording of its own, as after a restart."""
    falling = Optimisation(OPTIMISATION.learning_rate, epochs=2, schedule="linear", reg=REG)
    whole, stopped, another = (trainer_on(device, "attention", optimisation=falling) for _ in range(3))
    for trainer in (stopped, another):
        trainer.replayed = ReplayedEpochs(trainer.batches.graph.device, Rerun())
    whole.replayed = None
    losses = [whole.epoch(epoch) for epoch in range(2)]
    assert stopped.epoch(0) == losses[0]
    asked = iter(range(stop_before + 1))
    with pytest.raises(StoppedError, match="stopped in epoch 2"):
        stopped.epoch(1, stop=lambda: next(asked) == stop_before)
    assert stopped.taken == stop_before * BATCH_SIZE
    state = {name: array.copy() for name, array in stopped.state().items()}
    another.restore(State("test", state))
    assert another.epoch(1) == losses[1]
    assert_same(another, whole)


@EMULATED
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_played_from_its_calls_alone(device, monkeypatch, step):
    """Nothing that changes from step to step is a number that a recording would hold on to."""
    one_by_one, replayed = trainer_on(device, **step), trainer_on(device, **step)
    expected = history(one_by_one)

    epochs = ReplayedEpochs(replayed.batches.graph.device, None)
    moved = (epochs._cursor, epochs._total)
    tape = Tape(device.core, monkeypatch)
    epochs._recorder = TapeRecorder(tape, lambda: [*state_of(replayed), *moved])
    replayed.replayed = epochs
    assert history(replayed) == expected
    assert_same(replayed, one_by_one)
    assert len(tape.calls) > 20


@EMULATED
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_does_not_wait_for_the_device(device, monkeypatch, step):
    trainer = trainer_on(device, **step)
    cursor = torch.tensor([0, 64])
    trainer.step(trainer.batches.at(0, 0))  # what is only made once

    def waits(*_):
        raise AssertionError("a tensor is read on the host")

    for name in ("tolist", "item", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    seen = []
    with Operators(lambda func, *_: seen.append(func.namespace)):
        trainer.step(trainer.batches.at_cursor(cursor, 64))
    assert len(seen) > 20


def test_operators_that_wait_are_noticed():
    x = torch.ones(3)
    for wait in (lambda: x.sum().item(), lambda: x.nonzero(), lambda: x[x > 0], lambda: torch.tensor([1, 2])):
        with pytest.raises(AssertionError, match="waits"), Operators(lambda *_: None):
            wait()


@pytest.mark.launches_nothing
def test_a_count_in_memory_gives_the_same_steps(device):
    """The host's numbers and the device's are the same float32 ones over many steps."""
    table = torch.zeros(4, 2, device=device.torch)
    host, memory = AdamState(table, 1e-3), AdamState(table, 1e-3, count_on_device=True)
    for _ in range(500):
        numbers, step = memory.next_step().numbers, host.next_step()
        expected = torch.tensor([step.step_size, step.root_scale])
        torch.testing.assert_close(numbers.cpu(), expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("kind", ["mean", "attention"])
def test_steps_by_a_count_in_memory(device, kind):
    ours, theirs = trainer_on(device, kind), trainer_on(device, kind)
    for trainer, in_memory in ((ours, True), (theirs, False)):
        trainer.network.first.begin(OPTIMISATION.learning_rate, count_on_device=in_memory)
    for first in range(0, 5 * BATCH_SIZE, BATCH_SIZE):
        for trainer in (ours, theirs):
            trainer.step(trainer.batches.at(0, first))
    for mine, other in zip(ours.network.parameters(), theirs.network.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_numbers_in_memory_are_checked(device):
    trainer = trainer_on(device)
    adam = trainer.network.first.adam
    step = adam.next_step()._replace(numbers=torch.zeros(3, device=device.torch))
    adam.next_step = lambda: step
    with pytest.raises(DataError, match=r"adam.numbers has shape \(3,\), but"):
        trainer.step(trainer.batches.at(0, 0))


class BrokenRecording:
    """Of `torch.cuda.graph`, what a recording that was spoilt does at its end."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *_):
        raise RuntimeError("capture invalidated")


def test_a_failed_recording_names_its_cause(monkeypatch):
    for name in ("Stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", BrokenRecording)

    def work():
        raise RuntimeError("operation not permitted")

    recorder = CudaRecorder(torch.device("cuda", 1))
    with pytest.raises(
        CudaError, match=r"as a CUDA graph on cuda:1: operation not permitted; train with device='cpu'"
    ):
        recorder.record(work)
    with pytest.raises(CudaError, match="on cuda:1: capture invalidated;"):
        recorder.record(lambda: None)


@CUDA
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_cuda_graph_has_the_bits_of_the_steps(device, step):
    one_by_one, replayed = trainer_on(device, **step), trainer_on(device, **step)
    one_by_one.replayed = None
    assert history(replayed) == history(one_by_one)
    assert replayed.replayed._replay is not None
    assert_same(replayed, one_by_one)


@CUDA
def test_a_fit_is_the_same_from_run_to_run(device):
    train = synthetic(400, 300, interactions_per_user=15)
    settings = {
        "embedding_size": 32,
        "epochs": 3,
        "combine": "attention",
        "device": "cuda",
        "batch_size": 256,
    }
    one, other = (LightGCN(**settings).fit(train) for _ in range(2))
    assert torch.equal(one.user_vectors_, other.user_vectors_)
    cpu = LightGCN(**(settings | {"device": "cpu"})).fit(train)
    assert one.history_[-1]["loss"] == pytest.approx(cpu.history_[-1]["loss"], rel=1e-3)


@CUDA
def test_what_cannot_be_recorded_is_an_error(device):
    number = torch.ones((), device=device.torch)
    with pytest.raises(CudaError, match="could not be recorded as a CUDA graph on cuda"):
        CudaRecorder(number.device).record(lambda: print(number.item()))
    assert number.item() == 1  # the device is usable again
