"""What a program does on a device, call by call: for a CUDA graph's stand-in where there is no device.

Like a CUDA graph it sees the torch operators and the library's kernels with the addresses and numbers they were
called with, and nothing of the program around them.
"""

import sys

import pytest
import torch
from torch._C import DispatchKey
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

EMULATED = pytest.mark.parametrize("device", ["cuda-emulated"], indirect=True)
CUDA = pytest.mark.parametrize("device", ["cuda"], indirect=True)

WAITS = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::is_nonzero",
    "aten::equal",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::repeat_interleave.Tensor",
    "aten::bincount",
    "aten::lift_fresh",  # torch.tensor(numbers): a copy from the host's memory
}
"""Operators that wait for a CUDA device, or read memory that it cannot."""

INDEXES = {"aten::index.Tensor", "aten::index_put", "aten::index_put_"}
"""They wait where they index by a mask, to count it."""

KERNELS = (
    "propagate_layer",
    "take_rows",
    "add_rows",
    "rows_of_nodes",
    "combine_weighted",
    "combine_weighted_grad",
    "combine_attention",
    "combine_attention_grad",
    "combine_self_attention",
    "combine_self_attention_grad",
    "bpr",
    "pointwise",
    "candidate",
    "candidate_grad",
    "pool",
    "pool_grad",
    "product",
    "product_grad",
    "drop",
    "agreement",
    "weight_gradient",
    "xent",
    "xent_grad",
    "attend",
    "attend_grad",
    "debias",
    "sample_triples",
    "distinct_ids",
)


class Operators(TorchDispatchMode):
    """Shows every operator to ``see`` after it ran, those inside the library's own too."""

    def __init__(self, see):
        super().__init__()
        self.see = see

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.namespace == "pyrec":
            with self:
                return func._op_dk(DispatchKey.CPU, *args, **kwargs)
        if func.name() in WAITS or (func.name() in INDEXES and _by_mask(args[1])):
            raise AssertionError(f"{func.name()} waits for the device")
        result = func(*args, **kwargs)
        self.see(func, args, kwargs, result)
        return result


def _by_mask(indices):
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


class Tape:
    """Calls in their order; `play` makes them again, into the memory that they wrote to the first time."""

    def __init__(self, core, monkeypatch):
        """Watch the kernels of ``core``, the compiled module that the operators use."""
        self.calls = []
        self.recording = False
        for module in [m for name, m in sys.modules.items() if name.startswith("pyrec.ops.")]:
            if hasattr(module, "capsule"):  # kernels take tensors too, and those can be passed again
                monkeypatch.setattr(
                    module, "capsule", lambda array: None if array is None else array.detach()
                )
        for name in KERNELS:
            monkeypatch.setattr(core, name, self._watched(getattr(core, name)))

    def _watched(self, kernel):
        def call(*args, **kwargs):
            result = kernel(*args, **kwargs)
            if self.recording:
                self.calls.append((kernel, args, kwargs, None))
            return result

        return call

    def record(self, work):
        """What plays the calls of the work, which is done once: unlike a CUDA graph, this is no dry run."""
        self.calls.clear()
        self.recording = True
        with Operators(lambda *call: self.calls.append(call)):
            work()
        self.recording = False
        return self.play

    @torch.no_grad()
    def play(self):
        for func, args, kwargs, before in self.calls:
            result = func(*args, **kwargs)
            if before is None:
                continue
            for old, new in zip(tree_flatten(before)[0], tree_flatten(result)[0], strict=True):
                if isinstance(old, torch.Tensor) and old is not new:
                    old.copy_(new)


class Rerun:
    """In place of a recording, the program itself."""

    def __init__(self):
        self.runs, self.recordings, self.replays = 0, 0, 0

    def run(self, work):
        self.runs += 1
        work()

    def record(self, work):
        self.recordings += 1

        def play():
            self.replays += 1
            work()

        return play


class TapeRecorder:
    """In place of a CUDA graph a `Tape`, whose recording it undoes."""

    def __init__(self, tape, state):
        self.tape, self.state = tape, state

    def run(self, work):
        work()

    def record(self, work):
        before = [tensor.clone() for tensor in self.state()]
        play = self.tape.record(work)
        for tensor, value in zip(self.state(), before, strict=True):
            tensor.copy_(value)
        return play
