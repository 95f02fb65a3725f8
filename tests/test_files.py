"""Saves that are cut short, by a kill or by a disk that fails: the old state or the new one, never half of each."""

import errno
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pyrec import _atomic
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.models import SVD
from pyrec.store import saved_model
from pyrec.store.arrays import State
from pyrec.store.interactions import interaction_arrays
from pyrec.store.training_checkpoint import Checkpoints, Progress, TrainingIdentity

INTERACTIONS = Interactions.from_arrays([0, 0, 1, 2], [5, 7, 5, 6])
DATA = interaction_arrays(INTERACTIONS)


def nightly(name: str):
    path = Path(__file__).parent / "nightly" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kills_in_a_save_loop(tmp_path) -> None:
    old, new = nightly("kill_save_loop").run(tmp_path, kills=12, seed=1)
    assert old + new == 12
    left = {path.name for path in tmp_path.iterdir()} - {
        "config.json",
        "model.safetensors",
        "next.safetensors",
    }
    assert len(left) <= 1  # of the last kill; what earlier ones left has been removed


def save(folder: Path, number: int) -> None:
    state = {"a": np.full(3, number, np.float32)}
    saved_model.write(folder, "svd", {"number": number}, state, DATA, None)


def saved(folder: Path) -> int:
    model = saved_model.read(folder)
    assert set(model.state.arrays["a"]) == {model.params["number"]}
    return model.params["number"]


IDENTITY = TrainingIdentity("svd", {}, {}, {})


def keep(folder: Path, number: int) -> None:
    state = State("test", {"a": np.full(3, number, np.float32)})
    Checkpoints(folder).write(IDENTITY, Progress("model", number, [], 0.0, state))


def kept(folder: Path) -> int:
    progress = Checkpoints(folder).read(IDENTITY)
    assert set(progress.state.arrays["a"]) == {progress.epoch}
    return progress.epoch


CALLS = (
    "os.replace",
    "os.fsync",
    "Path.mkdir",
    "Path.touch",
    "Path.chmod",
    "Path.write_text",
    "save_file",
)


class Faults:
    """Counts the calls through which a save reaches the disk, and lets one of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.fail_at, self.code = 0, -1, 0
        places = {"os": os, "Path": Path, "save_file": saved_model}
        for call in CALLS:
            owner, _, name = call.rpartition(".")
            monkeypatch.setattr(places[owner or name], name, self.wrap(getattr(places[owner or name], name)))

    def wrap(self, call):
        def counted(*arguments, **more):
            self.count += 1
            if self.count == self.fail_at:
                raise OSError(self.code, os.strerror(self.code))
            return call(*arguments, **more)

        return counted


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(("write", "read"), [(save, saved), (keep, kept)])
def test_a_disk_that_fails_at_any_call_of_a_save(tmp_path, monkeypatch, write, read, code) -> None:
    write(tmp_path, 1)
    faults = Faults(monkeypatch)
    write(tmp_path, 2)
    calls, switched, number = faults.count, [], 2
    assert calls >= 7
    for call in range(1, calls + 1):
        faults.count, faults.fail_at, faults.code = 0, call, code
        with pytest.raises(DataError, match=f"cannot write .*{os.strerror(code)}"):
            write(tmp_path, number + 1)
        faults.fail_at = -1
        after = read(tmp_path)
        assert after in (number, number + 1)
        switched.append(after == number + 1)
        assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]
        number += 1
        write(tmp_path, number)
        assert read(tmp_path) == number
    # Up to the step that replaces the model the old one stays; from there on it is the new one.
    assert switched == sorted(switched)
    assert switched.count(False) >= calls // 2


def test_a_disk_that_is_full(tmp_path) -> None:
    """The kernel's own error in the middle of a write, in a process of its own: no file may grow beyond 4 KiB."""
    SVD(embedding_size=2).fit(INTERACTIONS).save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    child = os.fork()
    if child == 0:
        import resource
        import signal

        status = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            big = {"a": np.zeros(10**5, np.float32)}
            try:
                saved_model.write(tmp_path, "svd", {}, big, DATA, None)
            except DataError as error:
                status = 0 if "cannot write" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("call", range(3))
def test_a_save_that_was_cut_short_and_the_next_one(tmp_path, monkeypatch, call) -> None:
    """Cut before the arrays are moved, the new model is there, also when the next save is cut short, too."""

    class Cut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise Cut

    save(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, "_move", cut)
        with pytest.raises(Cut):
            save(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "next.safetensors",
    }
    assert saved(tmp_path) == 2
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, ("save_arrays", "write_text", "_move")[call], cut)
        with pytest.raises(Cut):
            save(tmp_path, 3)
    assert saved(tmp_path) == 2
    save(tmp_path, 4)
    assert saved(tmp_path) == 4
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}


def test_only_what_dead_processes_left_is_removed(tmp_path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with _atomic.replacing(tmp_path / "file") as temporary:
        mine = temporary.parent.name
    before, after = mine.split(f"-{os.getpid()}-")
    dead, others = (tmp_path / f"{before}-{pid}-{after}" for pid in (child, os.getppid()))
    same = (
        tmp_path / f"{before}-{os.getpid()}-0123456789abcdef.tmp"
    )  # of a process before with this one's number
    older = tmp_path / f"{before}-{child}.tmp"
    unrelated = tmp_path / f".file.elsewhere-{child}.tmp"
    for path in (dead, others, same, older, unrelated):
        path.mkdir()
        (path / "half").touch()
    _atomic.write_text(tmp_path / "file", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"file", others.name, unrelated.name}


@pytest.mark.parametrize(("write", "read"), [(save, saved), (keep, kept)])
def test_threads_that_save_in_one_place(tmp_path, write, read) -> None:
    write(tmp_path, 1)
    found = []

    def work(thread: int) -> None:
        for number in range(10 * thread + 1, 10 * thread + 11):
            write(tmp_path, number)
            found.append(read(tmp_path))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(found) == 40
    assert read(tmp_path) in (10, 20, 30, 40)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp" or path.name == saved_model.NEXT]


def test_a_temporary_folder_is_left_to_the_thread_that_has_it(tmp_path) -> None:
    with _atomic.replacing(tmp_path / "file") as mine:
        _atomic.write_text(tmp_path / "file", "the other")
        mine.write_text("mine")
    assert (tmp_path / "file").read_text() == "mine"


def test_the_file_reaches_the_disk_before_its_name(tmp_path, monkeypatch) -> None:
    calls = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, call=call, name=name: (calls.append(name), call(*a))[1])
    _atomic.write_text(tmp_path / "file", "text")
    assert calls == ["fsync", "replace", "fsync"]


# File systems that refuse what a file is whole without: mounted buckets, shares, FAT.


def refuse(monkeypatch, call: str, code: int, of_folders: bool = False) -> list[object]:
    """From now on the system's ``call`` fails like this, for folders alone or for all; its arguments so far."""
    real, seen = getattr(os, call), []

    def refusing(target, *arguments, **more):
        is_folder = os.path.isdir(f"/proc/self/fd/{target}" if isinstance(target, int) else target)
        if of_folders and not is_folder:
            return real(target, *arguments, **more)
        seen.append(target)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refusing)
    return seen


REFUSALS = {
    "permissions": ("chmod", errno.EPERM, False),
    "permissions are unknown": ("chmod", errno.ENOTSUP, False),
    "a folder's sync": ("fsync", errno.EINVAL, True),
    "any sync": ("fsync", errno.ENOTSUP, False),
    "sync is unknown": ("fsync", errno.ENOSYS, False),
    "opening a folder": ("open", errno.EACCES, True),
    "listing a folder": ("listdir", errno.EACCES, True),
    "renames": ("replace", errno.ENOSYS, False),
    "renames across mounts": ("replace", errno.EXDEV, False),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize(("write", "read"), [(save, saved), (keep, kept)])
def test_a_file_system_that_refuses_keeps_the_file(tmp_path, monkeypatch, write, read, refusal) -> None:
    write(tmp_path / "before", 1)
    call, code, of_folders = REFUSALS[refusal]
    seen = refuse(monkeypatch, call, code, of_folders)
    for folder in ("before", "new"):
        for number in (2, 3):
            write(tmp_path / folder, number)
            assert read(tmp_path / folder) == number
    assert seen
    monkeypatch.undo()
    for folder in ("before", "new"):
        assert read(tmp_path / folder) == 3
        assert not list((tmp_path / folder).glob("*.tmp"))


@pytest.mark.parametrize(
    ("call", "code"), [("fsync", errno.EIO), ("replace", errno.EACCES), ("replace", errno.EIO)]
)
def test_a_refusal_that_loses_data_is_an_error(tmp_path, monkeypatch, call, code) -> None:
    (tmp_path / "file").write_text("old")
    refuse(monkeypatch, call, code)
    with pytest.raises(DataError, match=f"cannot write .*file: {os.strerror(code)}"):
        _atomic.write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


def test_who_reads_a_file_that_is_copied_over_keeps_the_old_one(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("old" * 5000)
    refuse(monkeypatch, "replace", errno.EXDEV)
    with (tmp_path / "file").open() as reader:
        _atomic.write_text(tmp_path / "file", "new")
        assert reader.read() == "old" * 5000
    assert (tmp_path / "file").read_text() == "new"


def test_a_copy_over_a_mounted_file_is_made_in_place(tmp_path, monkeypatch) -> None:
    """A file that is a mount of its own, as containers make them, can be neither replaced nor removed."""
    mounted, unlink = tmp_path / "file", Path.unlink
    mounted.write_text("old")
    before = mounted.stat().st_ino

    def unlink_others(path: Path, **more: bool) -> None:
        if path == mounted:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        unlink(path, **more)

    monkeypatch.setattr(Path, "unlink", unlink_others)
    refuse(monkeypatch, "replace", errno.EBUSY)
    _atomic.write_text(mounted, "new")
    assert mounted.read_text() == "new"
    assert mounted.stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_checked_for_being_writable(tmp_path, monkeypatch) -> None:
    _atomic.check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    refuse(monkeypatch, "open", errno.EROFS)
    with pytest.raises(DataError, match=f"cannot write {tmp_path}: Read-only file system"):
        _atomic.check_writable(tmp_path)


def test_where_nothing_can_be_removed_files_are_kept_all_the_same(tmp_path, monkeypatch) -> None:
    """Buckets that are mounted to be added to: no rename, no removal."""
    refuse(monkeypatch, "unlink", errno.EPERM)
    _atomic.check_writable(tmp_path)
    refuse(monkeypatch, "replace", errno.ENOSYS)
    save(tmp_path / "run", 1)
    assert saved(tmp_path / "run") == 1
    save(tmp_path / "run", 2)
    assert saved(tmp_path / "run") == 2
