"""Where training runs, and whether it fits there."""

import pytest
import torch

from pyrec import LightGCN, _core
from pyrec.data import synthetic
from pyrec.device import _left_in_group, check_fits, find_device
from pyrec.errors import ConfigError
from pyrec.train.loss import BPR, Softmax
from pyrec.train.negatives import Hard, InBatch, Uniform


def test_the_cpu_is_always_there():
    assert find_device("cpu") == torch.device("cpu")


def test_a_build_without_cuda_says_how_to_build_it(monkeypatch):
    monkeypatch.setattr(_core, "cuda_info", lambda: {"architectures": "", "driver": 0, "devices": []})
    with pytest.raises(ConfigError, match="without CUDA kernels; build it where nvcc is, PYREC_CUDA=ON"):
        find_device("cuda")


def test_a_missing_device_is_an_error(monkeypatch):
    monkeypatch.setattr(_core, "cuda_info", lambda: {"architectures": "90", "driver": 0, "devices": []})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device = 'cuda', but torch finds no CUDA device"):
        LightGCN(device="cuda").fit(synthetic())


def test_a_device_that_the_kernels_were_not_built_for_is_an_error(monkeypatch):
    monkeypatch.setattr(
        _core, "cuda_info", lambda: {"architectures": "80 90", "driver": "13.0", "devices": []}
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    assert find_device("cuda") == torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(
        ConfigError, match=r"has compute capability 7\.5 .* built for architectures 80 90; build"
    ):
        find_device("cuda")


@pytest.mark.parametrize("device", ["cuda"], indirect=True)
@pytest.mark.parametrize("options", [{}, {"combine": "attention"}, {"precision": "bf16"}], ids=str)
def test_training_takes_what_the_formula_says(device, options):
    train = synthetic(200_000, 100_000, interactions_per_user=5)
    model = LightGCN(epochs=2, device="cuda", **options)
    model.clone().fit(synthetic())  # what torch's libraries take for themselves
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    model.fit(train)
    taken = torch.cuda.max_memory_allocated() - before
    assert taken <= 1.15 * model.training_bytes(train)


@pytest.mark.parametrize("device", ["cuda"], indirect=True)
@pytest.mark.parametrize("options", [{}, {"loss": "bpr"}, {"stopping": "early"}], ids=str)
def test_how_long_training_takes_is_told_from_steps_on_the_device(device, options):
    train = synthetic()
    model = LightGCN(epochs=2, device="cuda", **options)
    assert 0 < model.training_seconds(train, limit=0.2) < 600
    assert model.fit(train).history_


@pytest.mark.parametrize(
    ("loss", "nodes", "taken"),
    [
        (BPR(), 3 * 100, 0),
        (BPR(negatives=Hard(8)), 10 * 100, 4 * 100 * 8 * (16 + 1)),
        (Softmax(), 100 + 200, 4 * 16 * (6 * 100 + 3 * 200)),
        (Softmax(negatives=Uniform(3)), 5 * 100, 4 * 16 * (6 * 100 + 3 * 300)),
        (Softmax(negatives=InBatch()), 2 * 100, 4 * 16 * (6 * 100 + 3 * 100)),
    ],
    ids=str,
)
def test_what_a_batch_takes(loss, nodes, taken):
    assert loss.source(200).most_nodes(100, 200) == nodes
    assert loss.bytes(100, 200, 16, "cuda") == taken


def test_what_does_not_fit_is_refused_with_the_figures(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**31, 2**33))
    check_fits(2**31, torch.device("cuda", 0))
    with pytest.raises(ConfigError, match=r"takes 3\.00 GiB, but 2\.00 GiB are free on cuda:0; lower"):
        check_fits(3 * 2**30, torch.device("cuda", 0))


@pytest.mark.parametrize(
    ("limit", "used", "stat", "left"),
    [
        ("1000\n", "900\n", "anon 100\nfile 750\ninactive_file 700\nactive_file 50\n", 800),
        ("1000\n", "900\n", "anon 850\n", 100),
        ("1000\n", "900\n", None, 100),
        ("1000\n", "600\n", "inactive_file 700\n", 1000),
        ("1000\n", "1100\n", None, 0),
        ("max\n", "900\n", "inactive_file 700\n", None),
        (None, None, None, None),
    ],
)
def test_files_kept_in_memory_are_no_use_of_a_control_group(tmp_path, limit, used, stat, left):
    for name, text in (("max", limit), ("current", used), ("stat", stat)):
        if text is not None:
            (tmp_path / f"memory.{name}").write_text(text)
    assert _left_in_group(tmp_path) == left
