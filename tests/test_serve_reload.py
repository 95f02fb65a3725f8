"""A newer model in the served folder takes the place of the older one; a broken one does not."""

import os
import re
import signal
import subprocess
import threading
import time

import children
import httpx
import pytest
from serving import serving
from small_models import sparse_ids

from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError
from pyrec.models import SVD, Popularity
from pyrec.serve import create_app
from pyrec.serve.reload import Watcher
from pyrec.serve.served import RunFolder
from pyrec.serve.service import Service
from pyrec.store import item_names, saved_model

OFTEN = 0.02
SECONDS = 20


def old() -> Interactions:
    return Interactions.from_arrays([1, 2, 2], [10, 10, 11])


def new() -> Interactions:
    return Interactions.from_arrays([1, 2, 3, 3], [10, 20, 20, 21])


@pytest.fixture
def folder(tmp_path):
    Popularity().fit(old()).save(tmp_path / "run")
    return tmp_path / "run"


def until(found):
    """Waits until a condition holds."""
    end = time.monotonic() + SECONDS
    while not (value := found()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(OFTEN)
    return value


def served_items(client):
    return client.post("/recommend", json={"users": [1], "n": 2, "filter_seen": False}).json()["items"][0]


def test_a_newer_model_and_newer_names_are_served(folder, capfd):
    item_names.write(folder, {10: "ten"})
    with serving(folder, reload_seconds=OFTEN) as client:
        before = client.get("/health").json()
        assert (before["reload"], before["num_items"]) == ("on", 2)
        assert before["saved_at"] <= before["loaded_at"]
        assert served_items(client) == [10, 11]
        Popularity().fit(new()).save(folder)
        until(lambda: client.get("/health").json()["num_items"] == 3)
        assert served_items(client) == [20, 10]
        after = client.get("/health").json()
        assert after["loaded_at"] >= before["loaded_at"]
        item_names.write(folder, {20: "twenty"})
        find = {"search": "twenty"}
        assert until(lambda: client.get("/items", params=find).json()["ids"]) == [20]
    assert f"now serving the newer {folder}" in capfd.readouterr().err


def test_a_broken_model_is_told_of_and_the_one_before_is_served(folder, capfd):
    with serving(folder, reload_seconds=OFTEN) as client:
        config = folder / saved_model.CONFIG
        whole = config.read_text()
        broken = folder / "broken.json"
        broken.write_text(whole[:40])
        broken.replace(config)
        until(lambda: client.get("/health").json()["reload"] == "failed")
        assert client.get("/health").json()["status"] == "ok"
        assert served_items(client) == [10, 11]
        Popularity().fit(new()).save(folder)
        until(lambda: client.get("/health").json()["reload"] == "on")
        assert served_items(client) == [20, 10]
    told = capfd.readouterr().err
    assert told.count("cannot be served; the model before goes on") == 1
    assert "config.json is no JSON" in told


def test_a_folder_that_is_emptied_first_is_waited_for(folder, capfd):
    with serving(folder, reload_seconds=OFTEN) as client:
        for file in folder.iterdir():
            file.unlink()
        time.sleep(5 * OFTEN)
        assert client.get("/health").json()["reload"] == "on"
        assert served_items(client) == [10, 11]
        Popularity().fit(new()).save(folder)
        until(lambda: client.get("/health").json()["num_items"] == 3)
    assert "cannot be served" not in capfd.readouterr().err


def test_a_model_that_does_not_answer_is_not_put_in_place(folder, monkeypatch):
    source = RunFolder(folder, None)
    service = Service(source.load(), 1)
    watcher = Watcher(source, OFTEN, service)
    try:
        before = service.served
        SVD(embedding_size=2).fit(sparse_ids(False)).save(folder)
        with monkeypatch.context() as broken:
            broken.setattr(SVD, "recommend", None)
            assert watcher.look()
        assert watcher.failed
        assert service.served is before
        assert not watcher.look()  # it is not tried again and again
        SVD(embedding_size=2).fit(sparse_ids(False)).save(folder)
        assert watcher.look()
        assert not watcher.failed
        assert service.served.model.model_name == "svd"
    finally:
        service.close()


def test_requests_see_one_model_while_it_is_exchanged(folder):
    models = [Popularity().fit(old()), Popularity().fit(new())]
    expected = [model.recommend([1], 2, filter_seen=False)[0][0].tolist() for model in models]
    stop, found = threading.Event(), []

    def ask(client):
        while not stop.is_set():
            found.append(served_items(client))

    with serving(folder, reload_seconds=0.001) as client:
        asking = [threading.Thread(target=ask, args=(client,)) for _ in range(3)]
        for thread in asking:
            thread.start()
        try:
            for turn in range(1, 7):
                models[turn % 2].save(folder)
                until(lambda turn=turn: served_items(client) == expected[turn % 2])
        finally:
            stop.set()
            for thread in asking:
                thread.join()
    assert len(found) > 20
    assert all(items in expected for items in found)


def test_without_reload_the_model_stays(folder):
    with serving(folder) as client:
        Popularity().fit(new()).save(folder)
        time.sleep(5 * OFTEN)
        assert client.get("/health").json()["reload"] == "off"
        assert served_items(client) == [10, 11]


def test_what_cannot_be_watched(folder, tmp_path):
    with pytest.raises(ConfigError, match="reload_seconds is of a folder"):
        create_app(Popularity().fit(old()), reload_seconds=1)
    with pytest.raises(ConfigError, match=r"reload_seconds = 0\.0 must be above 0"):
        create_app(folder, reload_seconds=0)
    with pytest.raises(DataError, match=r"is .* a saved model"):
        create_app(tmp_path, reload_seconds=1)


def test_an_application_leaves_no_watcher(folder):
    before = set(threading.enumerate())
    with serving(folder, reload_seconds=60) as client:
        assert client.get("/health").status_code == 200
        assert "pyrec-reload" in {thread.name for thread in threading.enumerate()}
    assert "pyrec-reload" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_names_come_from_the_run_a_file_a_mapping_or_a_function(folder, tmp_path):
    item_names.write(folder, {10: "of the run"})
    file = tmp_path / "names.csv"
    file.write_text("10,of the file\n")
    cases = [
        (None, "of the run"),
        (file, "of the file"),
        ({10: "of a mapping"}, "of a mapping"),
        (lambda train: {10: f"of {train.num_items} items"}, "of 2 items"),
    ]
    for given, name in cases:
        with serving(folder, item_names=given) as client:
            assert client.get("/items", params={"id": "10"}).json()["names"] == [name]
    file.write_text("1,one\n")
    with pytest.raises(DataError, match=r"names none of the 2 items"):
        create_app(folder, file)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
def test_the_command_reloads_at_a_signal(folder, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("10,Ten\n20,Twenty\n")
    words = ("serve", folder, "--port", 0, "--threads", 1, "--reload", "--item-names", names)
    process = children.start("-m", "pyrec.cli", *words, stderr=subprocess.PIPE, text=True)
    try:
        lines = iter(process.stderr.readline, "")
        url = next(found[1] for line in lines if (found := re.search(r"on (http://127\.0\.0\.1:\d+);", line)))
        with httpx.Client(base_url=url, timeout=30) as client:
            assert client.get("/items", params={"id": ["10"]}).json()["names"] == ["Ten"]
            os.kill(process.pid, signal.SIGHUP)
            assert next(lines) == f"nothing in {folder} is newer than what is served\n"
            Popularity().fit(new()).save(folder)
            os.kill(process.pid, signal.SIGHUP)
            told = next(line for line in lines if "note:" not in line and "nothing in" not in line)
            assert told == f"now serving the newer {folder}\n"
            assert served_items(client) == [20, 10]
            assert client.get("/items", params={"id": ["20"]}).json()["names"] == ["Twenty"]
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)
