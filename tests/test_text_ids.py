"""Text ids: each costs its own length, and what a caller gets works with the libraries beside."""

import csv
import io
import json
import pickle
import sys

import children
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import pyrec
from pyrec.data import Interactions
from pyrec.data.ids import TEXT, IdMap
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.tables import table

PEAK = """
import sys
import numpy as np, pyrec
from pyrec.data import Interactions, read_interactions
from race import growth
folder, long = sys.argv[1], sys.argv[2] == "long"
users = [f"u{k:07d}" for k in range(50_000)]
items = [f"i{k % 500:04d}" for k in range(50_000)]
if long:
    users[7], items[7] = "x" * 1000, "https://shop.example/" + "y" * 970
with open(f"{folder}/log.csv", "w") as file:
    file.write("user,item\\n")
    file.writelines(f"{user},{item}\\n" for user, item in zip(users, items))
def call():
    data = read_interactions(f"{folder}/log.csv")
    model = pyrec.Popularity().fit(data)
    model.recommend(users, 10)
    model.save(folder)
    pyrec.Popularity.load(folder).recommend(users[:100], 10, exclude=items[:10])
    data = Interactions.from_arrays(np.array(users, object), items, user_ids=sorted(users))
    data.select(np.arange(len(data)) % 2 == 0).compact().with_ids(np.union1d(data.user_ids, ["new"]), data.item_ids)
grown = growth(call)
print(-1 if grown is None else grown >> 20)
"""


def test_one_long_id_costs_its_own_length(tmp_path):
    def megabytes(which):
        run = children.run("-c", PEAK, tmp_path, which)
        assert run.returncode == 0, run.stderr
        return int(run.stdout)

    without = megabytes("none")
    if without < 0:
        pytest.skip("the peak of a call is not told here")
    assert megabytes("long") < without + 25  # of one width, the users alone would take 200 MB


def test_the_order_is_by_code_point():
    texts = ["b", "\U0001d11e", "a", "\uff71", "Z", "aa", "\u00e9", "e\u0301", "10", "9"]
    expected = ["10", "9", "Z", "a", "aa", "b", "e\u0301", "\u00e9", "\uff71", "\U0001d11e"]
    x = Interactions.from_arrays(texts, range(10))
    assert x.user_ids.tolist() == expected
    assert x.user_ids[x.users].tolist() == expected
    assert x.encode_users(texts).tolist() == [expected.index(text) for text in texts]


@pytest.mark.parametrize("count", [1, 3, 400])
@pytest.mark.parametrize("ascending", [True, False])
def test_few_ids_are_searched_for_and_many_looked_up_alike(count, ascending):
    known = [f"id {k:04d}" for k in range(0, 800, 2)]
    if not ascending:
        known = known[200:] + known[:200]
    ids = IdMap(np.array(known, dtype=TEXT), "item")
    asked = [f"id {(k * 37) % 803:04d}" for k in range(count)] + ["", "zzz"][1:]
    number = {text: at for at, text in enumerate(known)}
    expected = [number.get(text, -1) for text in asked]
    assert ids.encode(asked, "items", unknown="skip").tolist() == expected
    assert ids.encode(np.array(asked), "items", unknown="skip").tolist() == expected
    assert ids.encode(np.array(asked, dtype=TEXT), "items", unknown="skip").tolist() == expected


def test_fixed_width_text_is_taken_as_well():
    users, items = np.array(["a", "b"]), np.array(["x", "yy"])
    codes = np.array([0, 1], dtype=np.int32)
    x = Interactions.from_codes(codes, codes, users, items)
    assert (x.user_ids.dtype, x.item_ids.dtype) == (TEXT, TEXT)
    wider = x.with_ids(np.array(["0", "a", "b"]), items)
    assert wider.users.tolist() == [1, 2]
    assert wider.user_ids.dtype == TEXT
    with pytest.raises(DataError, match=r"user_ids\[0\] = 'a' is listed more than once"):
        Interactions.from_arrays(["a"], ["x"], user_ids=["a", "b", "a"])


@pytest.fixture(scope="module")
def lists():
    users, items = ["u", "u", "v", "w"], ["b", "a" * 40, "b", "c"]
    model = pyrec.Popularity().fit(Interactions.from_arrays(users, items))
    return model, *model.recommend(["v", "u"], 2)


def test_lists_work_with_the_libraries_beside(lists, tmp_path):
    model, items, _ = lists
    long = "a" * 40
    assert items.tolist() == [[long, "c"], ["c", ""]]
    assert json.loads(json.dumps(items.tolist())) == items.tolist()
    assert type(items[0, 1]) is str
    assert (items == "c").tolist() == [[False, True], [True, False]]
    assert "c" in items
    assert np.isin(items, ["c"]).tolist() == [[False, True], [True, False]]
    assert np.array_equal(items, np.array([[long, "c"], ["c", ""]]))
    assert pd.DataFrame(items).to_numpy().tolist() == items.tolist()
    joined = pd.DataFrame({"item": items[:, 0]}).merge(pd.DataFrame({"item": ["c"], "title": ["C"]}))
    assert joined["title"].tolist() == ["C"]
    assert pl.DataFrame({"item": items[0]})["item"].to_list() == [long, "c"]
    assert pa.array(items[0]).to_pylist() == [long, "c"]
    out = io.StringIO()
    csv.writer(out).writerows(items)
    assert out.getvalue() == f"{long},c\r\nc,\r\n"
    assert pickle.loads(pickle.dumps(items)).tolist() == items.tolist()
    joblib.dump(model, tmp_path / "model")
    again = joblib.load(tmp_path / "model", mmap_mode="r")
    assert again.recommend(["v", "u"], 2)[0].tolist() == items.tolist()
    assert items.astype("U40").tolist() == items.tolist()
    assert model.train_.encode_items(items[0]).tolist() == [0, 2]


def test_a_model_of_text_ids_is_saved_and_loaded(lists, tmp_path):
    model, items, _ = lists
    model.save(tmp_path)
    again = pyrec.Popularity.load(tmp_path)
    assert again.train_.user_ids.dtype == TEXT
    assert again.recommend(["v", "u"], 2)[0].tolist() == items.tolist()


def test_an_export_of_text_ids_is_read_without_pickle(lists, tmp_path):
    model = lists[0]
    pyrec.export(model, tmp_path / "vectors")
    with np.load(tmp_path / "vectors" / "items.npz", allow_pickle=False) as found:
        assert found["ids"].tolist() == ["a" * 40, "b", "c"]


def test_an_export_that_would_be_padding_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["pyrec.export.files"], "MOST_PADDED", 100_000)
    users = [*(f"u{k}" for k in range(100)), "x" * 1000]
    model = pyrec.Popularity().fit(Interactions.from_arrays(users, ["i"] * 101))
    with pytest.raises(ConfigError, match=r"of 1000 characters: 'x+'\.\.\.; use format='parquet'"):
        pyrec.export(model, tmp_path / "vectors")
    assert not any((tmp_path / "vectors").glob("*.npz"))
    pyrec.export(model, tmp_path / "vectors", format="parquet")
    assert max(map(len, pl.read_parquet(tmp_path / "vectors" / "users.parquet")["id"])) == 1000


def test_a_long_cell_widens_no_other_row():
    lines = table([["user", "item"], ["u", "i"], ["v", "i" * 500]]).splitlines()
    assert [len(line) for line in lines] == [4 + 2 + 60, 4 + 2 + 60, 4 + 2 + 500]
