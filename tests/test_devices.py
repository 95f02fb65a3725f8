"""Arrays on a device are told from those on the CPU before anybody touches them."""

import ctypes

import pytest
import torch
from strategies import random_graph

from pyrec import _core
from pyrec.errors import CudaError, DataError

CUDA, CUDA_MANAGED = 2, 13  # of DLPack's device types


class DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


KEPT = []  # a graph may outlive the test that made its arrays


class Elsewhere:
    """An array, float32 unless told, that says it is on another device, where no memory is behind it."""

    def __init__(self, device_type, device_id, *shape, dtype=torch.float32):
        KEPT.append(self)
        self.extents = (ctypes.c_int64 * len(shape))(*shape)
        self.managed = DLTensor(
            device_type=device_type,
            device_id=device_id,
            ndim=len(shape),
            code=2 if dtype.is_floating_point else 0,
            bits=8 * dtype.itemsize,
            lanes=1,
            shape=self.extents,
        )

    def __dlpack__(self):
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return new(ctypes.addressof(self.managed), b"dltensor", None)


def test_all_arrays_of_a_call_are_on_one_device():
    graph = random_graph(5, 4, 0.5)
    message = r'x is on cuda:1, but the graph is on cpu; move it with .to\("cpu"\)'
    with pytest.raises(DataError, match=message):
        _core.propagate_layer(graph.core, Elsewhere(CUDA, 1, 9, 2), torch.empty(9, 2))
    with pytest.raises(DataError, match="out is on cuda:0, but the graph is on cpu"):
        _core.propagate_layer(graph.core, torch.ones(9, 2), Elsewhere(CUDA, 0, 9, 2))


def test_a_kernel_of_the_cpu_alone_says_so():
    with pytest.raises(DataError, match="x is not on the CPU"):
        _core.check_finite_rows(Elsewhere(CUDA, 0, 3, 2), "x")


def test_managed_memory_is_refused():
    graph = random_graph(5, 4, 0.5)
    with pytest.raises(
        DataError, match=r"x is on a device that pyrec does not read \(DLPack device type 13\)"
    ):
        _core.propagate_layer(graph.core, Elsewhere(CUDA_MANAGED, 0, 9, 2), None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_no_device_is_an_error_of_its_own():
    graph = random_graph(5, 4, 0.5)
    twin = _core.Graph(
        graph.core,
        Elsewhere(CUDA, 0, 10, dtype=torch.int64),
        Elsewhere(CUDA, 0, graph.num_edges, dtype=torch.int32),
        Elsewhere(CUDA, 0, graph.core.schedule_size, dtype=torch.int32),
    )
    with pytest.raises(CudaError, match=r"built without CUDA kernels|CUDA driver"):
        _core.propagate_pieces(twin)
