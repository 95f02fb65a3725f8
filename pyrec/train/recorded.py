"""Training epochs on a CUDA device: one step recorded as a CUDA graph, and replayed for each full batch.

`ReplayedEpochs` has steps that find their samples on the device; `ReplayedBuckets` those whose batches come from the
CPU, in several sizes.

A step is some fifty short kernels, which a device runs faster than a program asks for them one by one. What changes
from batch to batch is therefore kept in the device's memory: the place in the epoch, Adam's count of steps and the
sum of the losses. The recorded work moves all three on, and the program only says when.

The first full batches warm up what can only be made outside a recording (libraries, buffers, the optimizer's state).
They are steps of the epoch like all others, and recording runs nothing: so nothing is trained twice, nothing has to
be restored, and the results are the bits of as many steps taken one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from pyrec.errors import CudaError
from pyrec.interrupt import never
from pyrec.nn.tensors import mapped, tensors_of
from pyrec.train.augment import Augment

Work = Callable[[], None]

MOST_RECORDED: Final = 2
"""Buckets of batches whose steps are recorded: each recording keeps the memory of a step."""
WARM_UP: Final = 3
"""Full batches before the recording; torch's notes on CUDA graphs ask for a few."""


class Recorder(Protocol):
    """What runs work, or records it to be run again and again."""

    def run(self, work: Work) -> None:
        """Runs the work once, where a later recording of it will be made."""

    def record(self, work: Work) -> Work:
        """Records what the work does on the device, without doing it; calls of the result do it."""


@cache
def _recording_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all recorders of a device: torch's libraries keep memory for each stream that they were used on."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class CudaRecorder:
    """Records CUDA graphs, on a stream apart as CUDA asks; replays go to the caller's stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _recording_stream(device)

    def run(self, work: Work) -> None:
        """See `Recorder.run`; on the recorder's stream, between what the caller's has before and after."""
        callers = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(callers)
        with torch.cuda.stream(self._stream):
            work()
        callers.wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """See `Recorder.record`.

        Raises:
            CudaError: The work waits for the device, or does something else that no CUDA graph can hold.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            # The outer context gives the caller its stream back where ending a broken recording is an error too.
            with torch.cuda.stream(self._stream), torch.cuda.graph(graph, stream=self._stream):
                work()
        except RuntimeError as error:
            cause = error.__context__ or error
            raise CudaError(
                f"the training step could not be recorded as a CUDA graph on {self._device}: {cause}; "
                "train with device='cpu', and report this with what pyrec doctor prints"
            ) from error
        return graph.replay


class ReplayedEpochs:
    """Takes one step after the other over epochs, in their order, by a recording once there is one.

    The recording holds on to the buffers that `Graph.scratch` lent it, so no other thread may use that graph on
    another stream meanwhile.

    Attributes:
        taken: Samples that the last call of `run` went to.
    """

    def __init__(self, device: torch.device, recorder: Recorder) -> None:
        """Start without a recording; the first epoch's first steps lead to one.

        Args:
            device: Where the steps run.
            recorder: What records them.
        """
        self._recorder = recorder
        self._cursor = torch.zeros(2, dtype=torch.int64, device=device)
        self._total = torch.zeros((), dtype=torch.float64, device=device)
        self._warm_ups_left = WARM_UP
        self._replay: Work | None = None
        self.taken = 0

    def run(
        self,
        epoch: int,
        samples: int,
        batch_size: int,
        step: Callable[[Tensor, int], Tensor],
        first: int = 0,
        total: float = 0.0,
        stop: Callable[[], bool] = never,
    ) -> Tensor:
        """Takes the steps of an epoch; each call gives the same ``batch_size`` and does the same ``step``.

        Args:
            epoch: Its number.
            samples: How many samples it has.
            batch_size: Samples of a step; the last one may have fewer and is never replayed.
            step: Trains on the ``count`` samples that a cursor points to, (2,) int64: epoch and first sample;
                returns their mean loss, a number on the device.
            first: The sample to begin with, at the start of a batch.
            total: The sum of the losses of the samples before.
            stop: Asked before each step whether to end here. Steps that the device has been told of by then are
                taken.

        Returns:
            The sum of the samples' losses, a float64 number on the device, which the next call overwrites.

        Raises:
            CudaError: The step could not be recorded.
        """

        def advance(count: int) -> None:
            self._total += step(self._cursor, count) * count
            self._cursor[1:].add_(count)

        self._total.fill_(total)
        self._cursor[0].fill_(epoch)
        self._cursor[1].fill_(first)
        self.taken = first
        while self.taken < samples and not stop():
            count = min(batch_size, samples - self.taken)
            if count == batch_size:
                self._full_batch(lambda: advance(batch_size))
            else:
                advance(count)
            self.taken += count
        return self._total

    def _full_batch(self, work: Work) -> None:
        if self._warm_ups_left > 0:
            self._warm_ups_left -= 1
            self._recorder.run(work)
            return
        if self._replay is None:
            self._replay = self._recorder.record(work)
        self._replay()


class ReplayedBuckets:
    """Takes steps on batches of several sizes, those of each bucket by a recording of their own.

    A batch's tensors are copied to where its bucket's recording reads them. What is no tensor stays that of the
    bucket's first batch, so a step reads tensors alone, and sizes.
    """

    def __init__(self, device: torch.device, recorder: Recorder) -> None:
        """Start without a recording; the first steps of a bucket lead to one.

        Args:
            device: Where the steps run.
            recorder: What records them.
        """
        self._recorder = recorder
        self._device = device
        self.total = torch.zeros((), dtype=torch.float64, device=device)
        self._held: dict[int, Any] = {}
        self._warm_ups: Counter[int] = Counter()
        self._replays: dict[int, Work] = {}

    def take(self, bucket: int, batch: Any, step: Callable[[Any], Tensor]) -> None:
        """Takes a step, and adds the sum of its losses to `total`.

        Args:
            bucket: Number of the batch's bucket; all of its batches have the same sizes.
            batch: A dataclass of tensors on the CPU, with its ``size``.
            step: Trains on a batch on the device; returns its mean loss, a number on the device.

        Raises:
            CudaError: The step could not be recorded.
        """
        if bucket in self._held:
            for old, new in zip(tensors_of(self._held[bucket]), tensors_of(batch), strict=True):
                old.copy_(new)
        else:
            self._held[bucket] = mapped(batch, lambda tensor: tensor.to(self._device, copy=True))
        held = self._held[bucket]

        def work() -> None:
            self.total += step(held) * held.size

        if bucket in self._replays:
            self._replays[bucket]()
        elif self._warm_ups[bucket] < WARM_UP or len(self._replays) == MOST_RECORDED:
            self._warm_ups[bucket] += 1
            self._recorder.run(work)
        else:
            self._replays[bucket] = self._recorder.record(work)
            self._replays[bucket]()


def recordable(device: str, augment: Sequence[Augment], bilevel: bool) -> bool:
    """Whether the steps of a training can be recorded: on a CUDA device, where nothing in a step waits for it.

    Args:
        device: ``cpu`` or ``cuda``.
        augment: What changes the steps.
        bilevel: Whether something is learned on a second data set between them.
    """
    return device == "cuda" and not bilevel and all(one.recordable for one in augment)
