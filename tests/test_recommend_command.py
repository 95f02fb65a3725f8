"""``pyrec recommend``: whose lists, of which items, in which form."""

import csv
import gzip
import io
import json
from pathlib import Path

import children
import numpy as np
import pytest
from command_line import refuse, run

from pyrec import cli
from pyrec.cli import lists
from pyrec.data import Interactions
from pyrec.data.synthetic import synthetic
from pyrec.evaluate.tables import width_of
from pyrec.models import EASE, Popularity, Recommender
from pyrec.store import item_names

ODD = ["Smith, J.", '"Bo" & Co', "-x", "a=b", " blank ", "東京 都", "plain", "tab\there", "C, D", "C", "D"]
"""Ids that a shell, a list with commas or a CSV file could take for something else."""


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A saved EASE model of 40 users and 30 items with integer ids."""
    EASE(reg=5).fit(synthetic(40, 30, interactions_per_user=8, num_groups=4)).save(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A saved model whose users, and whose items, have the ids above; user u had items u and u + 1."""
    users = [user for user in ODD for _ in range(2)]
    items = [ODD[(at + step) % len(ODD)] for at in range(len(ODD)) for step in range(2)]
    Popularity().fit(Interactions.from_arrays(users, items)).save(tmp_path / "odd")
    return tmp_path / "odd"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def users_of(text: str) -> list[str]:
    return list(dict.fromkeys(row["user"] for row in rows_of(text)))


def test_recommend_from_some_items(capsys, run_dir: Path) -> None:
    model = Recommender.load(run_dir)
    known = model.train_.item_ids[::5].tolist()
    items, exclude = (",".join(map(str, ids)) for ids in (known, known[2:]))
    arguments = ("recommend", run_dir, "--users", "7", "--n", "5", "--format", "json", "--include-seen")
    text, _ = run(capsys, *arguments, "--items", items, "--exclude", exclude)
    scores = model.recommend([7], model.train_.num_items, filter_seen=False)[0][0].tolist()
    assert json.loads(text)[0]["items"] == sorted(known[:2], key=scores.index)


def test_recommend_as_table_csv_and_json(capsys, run_dir: Path) -> None:
    model = Recommender.load(run_dir)
    items, scores = model.recommend([7, 3], n=4)
    table, _ = run(capsys, "recommend", run_dir, "--users", "7,3", "--n", "4")
    assert [line.split()[:3] for line in table.splitlines()] == [
        ["user", "rank", "item"],
        *(
            [str(user), str(rank), str(item)]
            for user, row in zip((7, 3), items, strict=True)
            for rank, item in enumerate(row, 1)
        ),
    ]
    text, _ = run(capsys, "recommend", run_dir, "--users", "7, 3", "--n", "4", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["item"]) for row in rows] == items.ravel().tolist()
    assert [float(row["score"]) for row in rows] == pytest.approx(scores.ravel().tolist(), rel=1e-5)
    text, _ = run(capsys, "recommend", run_dir, "--users", "7,3", "--n", "4", "--format", "json")
    assert [entry["user"] for entry in json.loads(text)] == [7, 3]
    assert [entry["items"] for entry in json.loads(text)] == items.tolist()


def test_recommend_leaves_out_empty_places(capsys, run_dir: Path) -> None:
    model = Recommender.load(run_dir)
    had, num_items = int(model.train_.indptr[1]), model.train_.num_items
    arguments = ("recommend", run_dir, "--users", "0", "--n", num_items, "--format", "json")
    for flags, count in (([], num_items - had), (["--include-seen"], num_items)):
        text, _ = run(capsys, *arguments, *flags)
        assert len(json.loads(text)[0]["items"]) == count


def test_recommend_with_text_ids(capsys, tmp_path: Path) -> None:
    rows = ["user,item", *(f"u{n % 5},i{n % 7}" for n in range(35))]
    (tmp_path / "log.csv").write_text("\n".join(rows) + "\n")
    run(capsys, "train", tmp_path / "log.csv", "--model", "popularity", "--k", "3", "--out", tmp_path / "run")
    text, _ = run(capsys, "recommend", tmp_path / "run", "--users", "u2", "--n", "2", "--format", "json")
    assert all(item.startswith("i") for item in json.loads(text)[0]["items"])
    assert "u9" in refuse(capsys, "recommend", tmp_path / "run", "--users", "u9", "--n", "2")


# Ids on the command line


@pytest.mark.parametrize("user", [user for user in ODD if user != "C, D"])
def test_an_id_alone_is_reached_as_it_is_and_quoted(capsys, odd: Path, user: str) -> None:
    double = '"' + user.replace('"', '""') + '"'
    for words in (["--users", user], [f"--users={user}"], ["--users", double]):
        out, _ = run(capsys, "recommend", odd, *words, "--n", "1", "--format", "csv")
        assert [row["user"] for row in rows_of(out)] == [user]


@pytest.mark.parametrize("layout", ["csv", "json", "jsonl"])
def test_every_id_comes_back_from_each_form_as_it_was(capsys, odd: Path, layout: str) -> None:
    text, _ = run(capsys, "recommend", odd, "--all", "--include-seen", "--n", len(ODD), "--format", layout)
    if layout == "csv":
        found = {(row["user"], row["item"]) for row in rows_of(text)}
    else:
        lists = json.loads(text) if layout == "json" else [json.loads(line) for line in text.splitlines()]
        found = {(one["user"], item) for one in lists for item in one["items"]}
    assert found == {(user, item) for user in ODD for item in ODD}


def test_an_id_with_blanks_at_its_ends_is_quoted_in_csv(capsys, odd: Path) -> None:
    out, _ = run(capsys, "recommend", odd, "--users", " blank ", "--n", "1", "--format", "csv")
    assert out.splitlines()[1].startswith('" blank ",1,')


def test_a_list_of_quoted_and_plain_ids(capsys, odd: Path) -> None:
    words = ("--users", 'plain, "Smith, J.","""Bo"" & Co" ,-x', "--users", "a=b")
    out, _ = run(capsys, "recommend", odd, *words, "--n", "1", "--format", "csv")
    assert users_of(out) == ["plain", "Smith, J.", '"Bo" & Co', "-x", "a=b"]


def test_items_are_quoted_and_repeated_likewise(capsys, odd: Path) -> None:
    words = ("--users", "plain", "--include-seen", "--format", "csv")
    out, _ = run(capsys, "recommend", odd, *words, "--items", "Smith, J.", "--items", '"C, D",東京 都')
    assert {row["item"] for row in rows_of(out)} == {"Smith, J.", "C, D", "東京 都"}
    out, _ = run(
        capsys, "recommend", odd, *words, "--exclude", '"C, D"', "--exclude", "Smith, J.", "--n", "9"
    )
    assert {row["item"] for row in rows_of(out)} == set(ODD) - {"C, D", "Smith, J."}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "plain,Smith, J.",
            "2 of 3 ids unknown: 'Smith', 'J.'; \"Smith, J.\" is one id: keep these double quotes",
        ),
        ("C, D", "'C, D' is one user and also a list of 2; for the one write \"C, D\" with its quotes"),
        ('plain,"Smith', "'\"Smith' begins with a quotation mark that closes nowhere before a comma"),
        ("plain,,C", "'plain,,C' holds an empty id"),
        ("plain,", "'plain,' holds an empty id"),
        ("", "'' holds an empty id"),
        ("@ids.txt", "those of a file --users-from FILE"),
        ("all", "all users are --all"),
    ],
)
def test_ids_that_cannot_be_read_are_refused_with_the_way_on(
    capsys, odd: Path, text: str, message: str
) -> None:
    assert message in refuse(capsys, "recommend", odd, "--users", text)


def test_one_id_that_is_also_a_list_is_reached_either_way(capsys, odd: Path) -> None:
    words = ("--n", "1", "--format", "csv")
    assert users_of(run(capsys, "recommend", odd, "--users", '"C, D"', *words)[0]) == ["C, D"]
    assert users_of(run(capsys, "recommend", odd, "--users", "C", "--users", "D", *words)[0]) == ["C", "D"]


def test_unknown_ids_are_left_out_if_that_is_asked_for(capsys, odd: Path) -> None:
    words = (
        "recommend",
        odd,
        "--users",
        "plain,who,C",
        "--items",
        "D,what",
        "--format",
        "csv",
        "--include-seen",
    )
    out, err = run(capsys, *words, "--unknown", "skip")
    assert [(row["user"], row["item"]) for row in rows_of(out)] == [("plain", "D"), ("C", "D")]
    assert "note: --users: 1 of 3 ids unknown: 'who'; left out" in err
    assert "note: --items: 1 of 2 ids unknown: 'what'; left out" in err
    assert "unknown: 'who'" in refuse(capsys, "recommend", odd, "--users", "who", "--unknown", "skip")


# Lists for everybody


def test_all_users_in_blocks_are_all_users_at_once(
    capsys, run_dir: Path, tmp_path: Path, monkeypatch
) -> None:
    words = ("recommend", run_dir, "--all", "--n", "4")
    whole = {
        layout: run(capsys, *words, "--format", layout)[0] for layout in ("table", "csv", "json", "jsonl")
    }
    items, scores = Recommender.load(run_dir).recommend(range(40), 4)
    rows = rows_of(whole["csv"])
    assert [int(row["user"]) for row in rows] == np.repeat(range(40), 4).tolist()
    assert [int(row["item"]) for row in rows] == items.ravel().tolist()
    assert [float(row["score"]) for row in rows] == pytest.approx(scores.ravel().tolist(), rel=1e-5)
    monkeypatch.setattr(lists, "BLOCK_ROWS", 28)  # 7 users of 4 items
    for layout, text in whole.items():
        in_blocks, _ = run(capsys, *words, "--format", layout)
        assert [line.split() for line in in_blocks.splitlines()] == [
            line.split() for line in text.splitlines()
        ]
        if layout != "table":
            out, err = run(capsys, *words, "--out", tmp_path / f"lists.{layout}")
            assert (tmp_path / f"lists.{layout}").read_text(encoding="utf-8") == text
            assert (out, err) == ("", f"160 recommendations for 40 users in {tmp_path / f'lists.{layout}'}\n")


def test_a_parquet_file_in_blocks(capsys, odd: Path, run_dir: Path, tmp_path: Path, monkeypatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(lists, "BLOCK_ROWS", 28)
    run(capsys, "recommend", run_dir, "--all", "--n", "4", "--out", tmp_path / "lists.parquet")
    found = parquet.read_table(tmp_path / "lists.parquet").to_pydict()
    items, scores = Recommender.load(run_dir).recommend(range(40), 4)
    assert found["user"] == np.repeat(range(40), 4).tolist()
    assert found["rank"] == [1, 2, 3, 4] * 40
    assert found["item"] == items.ravel().tolist()
    assert found["score"] == scores.ravel().tolist()
    run(
        capsys, "recommend", odd, "--all", "--n", "2", "--out", tmp_path / "lists.parquet"
    )  # replaces the other
    text = parquet.read_table(tmp_path / "lists.parquet").to_pydict()
    assert set(text["user"]) == set(ODD)
    assert len(text["item"]) == 2 * len(ODD)


def test_users_from_a_packed_file(capsys, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.gz").write_bytes(gzip.compress(b"7\n3\n"))
    words = ("recommend", run_dir, "--users-from", tmp_path / "ids.gz", "--n", "1", "--format", "csv")
    assert users_of(run(capsys, *words)[0]) == ["7", "3"]


@pytest.mark.parametrize(
    ("content", "users"),
    [
        ("7\n3\n7\n\n12\n", [7, 3, 12]),
        ("\ufeffuser_id\r\n7\r\n3", [7, 3]),
        ("when,userId,x\n1,7,a\n2,3,b\n3,7,c\n", [7, 3]),
        ("x\tuser:token\n'a\t7\n", [7]),
        ("member;x\n12;1,5\n", [12]),
    ],
)
def test_users_from_a_file(capsys, run_dir: Path, tmp_path: Path, content: str, users: list[int]) -> None:
    (tmp_path / "ids").write_text(content, encoding="utf-8", newline="")
    out, _ = run(
        capsys, "recommend", run_dir, "--users-from", tmp_path / "ids", "--n", "1", "--format", "csv"
    )
    assert [int(user) for user in users_of(out)] == users


def test_text_users_from_a_file_are_whole_lines_or_cells(capsys, odd: Path, tmp_path: Path) -> None:
    wanted = [user for user in ODD if user != '"Bo" & Co']
    (tmp_path / "lines").write_text("\n".join(wanted) + '\n"""Bo"" & Co"\n', encoding="utf-8")
    with (tmp_path / "table").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["n", "user"], *enumerate([*wanted, '"Bo" & Co'])])
    for name in ("lines", "table"):
        out, _ = run(capsys, "recommend", odd, "--users-from", tmp_path / name, "--n", "1", "--format", "csv")
        assert users_of(out) == [*wanted, '"Bo" & Co']


def test_users_from_standard_input_in_a_process(run_dir: Path) -> None:
    words = ["-m", "pyrec.cli", "recommend", run_dir, "--users-from", "-", "--n", "1", "--format", "csv"]
    done = children.run(*words, input="5\n4\n")
    assert done.returncode == 0, done.stderr
    assert users_of(done.stdout) == ["5", "4"]


def test_the_users_column_that_training_was_told_of(capsys, tmp_path: Path) -> None:
    rows = [f"c{n % 5},{n % 7}" for n in range(35)]
    (tmp_path / "log.csv").write_text("\n".join(["kunde,item", *rows]) + "\n")
    columns = ("--columns", "user=kunde,item=item")
    run(
        capsys,
        "train",
        tmp_path / "log.csv",
        *columns,
        "--model",
        "popularity",
        "--k",
        "3",
        "--out",
        tmp_path / "run",
    )
    words = (
        "recommend",
        tmp_path / "run",
        "--users-from",
        tmp_path / "log.csv",
        "--n",
        "1",
        "--format",
        "csv",
    )
    assert users_of(run(capsys, *words, "--include-seen")[0]) == ["c0", "c1", "c2", "c3", "c4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "7\n99\n1000\n",
            "2 of 3 ids unknown: 99, 1000 (the first is in line 2); choose among the 40 integer ids",
        ),
        (
            "7,1,5.0\n3,2,1.0\n",
            "unknown: '7,1,5.0', '3,2,1.0' (the first is in line 1); a line is one id, unless the first line names",
        ),
        (
            "who\n7\n",
            "unknown: 'who' (the first is in line 1); a line is one id, unless the first line names",
        ),
        ("", "ids is empty; give a file that holds lines"),
        ("\n \n", "holds no id; write one a line, or a table with a header"),
        ("user\n", "holds no id"),
        ("x,user\n1,7\n2\n", "ids:3 has no id in column 2; drop the line"),
        ("7\n\xff\n", "ids:2 is no text in UTF-8"),
    ],
)
def test_a_file_of_users_that_cannot_be_used(
    capsys, run_dir: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "ids").write_bytes(content.encode("latin-1"))
    assert message in refuse(capsys, "recommend", run_dir, "--users-from", tmp_path / "ids")
    assert "does not exist" in refuse(capsys, "recommend", run_dir, "--users-from", tmp_path / "none")


def test_a_failed_write_leaves_the_old_file(capsys, run_dir: Path, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "lists.csv"
    path.write_text("old")
    monkeypatch.setattr(lists, "BLOCK_ROWS", 10)
    rank = EASE.recommend

    def stop(model: EASE, users: np.ndarray, *rest: object, **options: object) -> object:
        if 20 in users:
            raise KeyboardInterrupt
        return rank(model, users, *rest, **options)

    monkeypatch.setattr(EASE, "recommend", stop)
    assert cli.main(["recommend", str(run_dir), "--all", "--n", "1", "--out", str(path)]) == 130
    capsys.readouterr()
    assert path.read_text() == "old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["lists.csv", "run"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--all", "--users", "1"], "name the users in one way alone"),
        (
            ["--all", "--out", "lists.txt"],
            "name a file .csv, .json, .jsonl, .ndjson, .parquet, or give a --format",
        ),
        (["--all", "--out", "lists.csv", "--format", "table"], "or give a --format of these"),
        (["--all", "--out", "."], "--out .: name a file"),
        (["--all", "--format", "parquet"], "name a file: --out FILE.parquet"),
        (["--all", "--format", "csv", "--out", "/dev/null"], "/dev/null is no regular file"),
    ],
)
def test_refusals_before_any_work(capsys, tmp_path: Path, words: list[str], message: str) -> None:
    assert message in refuse(capsys, "recommend", tmp_path / "no run is read", *words)


def test_users_without_a_history_and_without_items_left_are_told(capsys, tmp_path: Path) -> None:
    ids = {"user_ids": [0, 1, 2], "item_ids": [0, 1, 2]}
    EASE(reg=1).fit(Interactions.from_arrays([0, 0, 0, 1], [0, 1, 2, 0], **ids)).save(tmp_path / "run")
    words = ("recommend", tmp_path / "run", "--all", "--n", "3", "--format", "jsonl")
    out, err = run(capsys, *words)
    lists = [json.loads(line) for line in out.splitlines()]
    assert [one["items"] for one in lists] == [[], [1, 2], [0, 1, 2]]
    assert [one["fallback"] for one in lists] == [[], [False, False], [True, True, True]]
    assert "note: 1 of 3 users have no history to go by and get popular items" in err
    assert "note: 2 of 3 users have fewer than 3 items left, 1 of them none" in err
    _, err = run(capsys, *words, "--fallback", "none")
    assert "note: 1 of 3 users have no training interaction; their lists follow no history" in err


def test_lists_that_are_filled_up_by_popularity_say_so(capsys, tmp_path: Path) -> None:
    """Items 3 and 4 have no likeness to what user 0 had; item 4 has more users."""
    users, items = [0, 1, 1, 2, 2, 3, 4], [0, 0, 1, 3, 4, 4, 2]
    EASE(reg=1).fit(Interactions.from_arrays(users, items)).save(tmp_path / "run")
    words = ("recommend", tmp_path / "run", "--users", "0", "--n", "4")
    out, err = run(capsys, *words, "--format", "csv")
    assert [(row["item"], row["fallback"]) for row in rows_of(out)][:2] == [("1", "false"), ("4", "true")]
    assert "note: 1 of 1 users get popular items behind the last one that has a score" in err
    assert "fallback" not in run(capsys, *words)[0]
    parquet = pytest.importorskip("pyarrow.parquet")
    run(capsys, *words, "--out", tmp_path / "lists.parquet")
    assert parquet.read_table(tmp_path / "lists.parquet")["fallback"].to_pylist() == [False, True, True, True]


# New users, by their history


def test_a_new_user_is_known_by_a_history(capsys, run_dir: Path) -> None:
    model = Recommender.load(run_dir)
    words = ("recommend", run_dir, "--history", "3,5", "--history", "7", "--n", "4")
    for options, filters in (((), {}), (("--include-seen", "--exclude", "1,2"), {"exclude": [1, 2]})):
        items, scores = model.recommend_for_items(
            [[3, 5], [7]], 4, filter_seen="--include-seen" not in options, **filters
        )
        rows = rows_of(run(capsys, *words, *options, "--format", "csv")[0])
        assert [row["history"] for row in rows] == ["1"] * 4 + ["2"] * 4
        assert [int(row["item"]) for row in rows] == items.ravel().tolist()
        assert [float(row["score"]) for row in rows] == pytest.approx(scores.ravel().tolist(), rel=1e-5)
    first = json.loads(run(capsys, *words, "--format", "json")[0])[0]
    assert list(first) == ["history", "items", "scores", "fallback"]


def test_histories_from_a_file_of_lines_or_a_table(capsys, run_dir: Path, tmp_path: Path) -> None:
    items = Recommender.load(run_dir).recommend_for_items([[3, 5], [7]], 2)[0].ravel().tolist()
    contents = {
        "3,5\n\n7\n": ("history", ["1", "1", "3", "3"]),
        "user,item\n80,3\n90,7\n80,5\n": ("user", ["80", "80", "90", "90"]),
        "when;movieId;userId\n1;3;b\n2;5;b\n3;7;a\n": ("user", ["b", "b", "a", "a"]),
    }
    for content, (key, keys) in contents.items():
        (tmp_path / "new").write_text(content)
        words = ("recommend", run_dir, "--histories-from", tmp_path / "new", "--n", "2", "--format", "csv")
        rows = rows_of(run(capsys, *words)[0])
        assert [row[key] for row in rows] == keys
        assert [int(row["item"]) for row in rows] == items
    done = children.run("-m", "pyrec.cli", *words[:3], "-", *words[4:], input="3,5\n7\n")
    assert [int(row["item"]) for row in rows_of(done.stdout)] == items


def test_the_ids_of_new_users_keep_their_type(capsys, run_dir: Path, tmp_path: Path) -> None:
    for user, told in (("80", 80), ("new", "new")):
        (tmp_path / "new").write_text(f"user,item\n{user},3\n")
        words = ("recommend", run_dir, "--histories-from", tmp_path / "new", "--format", "jsonl")
        assert json.loads(run(capsys, *words)[0])["user"] == told


def test_histories_are_read_by_the_order_of_their_items(capsys, run_dir: Path, monkeypatch) -> None:
    asked: list[object] = []
    rank = EASE.recommend_for_items
    monkeypatch.setattr(
        EASE, "recommend_for_items", lambda model, rows, **how: asked.append(rows) or rank(model, rows, **how)
    )
    run(capsys, "recommend", run_dir, "--history", "7,3,7")
    assert asked == [[[7, 3, 7]]]


def test_text_items_of_a_history_are_quoted_as_elsewhere(capsys, odd: Path) -> None:
    words = ("recommend", odd, "--history", '"Smith, J.",plain', "--format", "csv")
    assert {row["item"] for row in rows_of(run(capsys, *words)[0])} == set(ODD) - {"Smith, J.", "plain"}


def test_unknown_items_of_histories(capsys, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("3,99\n98\n5\n")
    words = ("recommend", run_dir, "--histories-from", tmp_path / "new", "--format", "csv", "--n", "1")
    assert "2 of 4 ids unknown: 99, 98; choose among the 30 integer ids" in refuse(capsys, *words)
    out, err = run(capsys, *words, "--unknown", "skip")
    assert [row["history"] for row in rows_of(out)] == ["1", "3"]
    assert "1 of 3 histories hold no known item; left out" in err
    for content, message in (
        ("\n", "holds no history; write one a line"),
        ("user,item\n", "holds no row below its header"),
        ("user,item\n1\n", "new:2 has no id in column 2"),
        ("3 5\n", "unknown: '3 5'; write ids apart by commas"),
        ("3\n3,,5\n", "new, line 2: '3,,5' holds an empty id"),
    ):
        (tmp_path / "new").write_text(content)
        assert message in refuse(capsys, *words)
    assert "name the users in one way alone, not by --users and --history" in refuse(
        capsys, "recommend", run_dir, "--users", "1", "--history", "2"
    )


# Names


@pytest.fixture
def named(run_dir: Path) -> Path:
    """The run, which knows what all items but item 0 are called; item 2 is in more histories than item 3."""
    item_names.write(
        run_dir, {item: f"Film {item}, part {item % 3}" for item in range(1, 30)} | {3: "東京 \x1b物語"}
    )
    return run_dir


def test_names_are_a_column_of_every_form(capsys, named: Path, tmp_path: Path) -> None:
    names = item_names.read(named)
    words = ("recommend", named, "--users", "7", "--n", "30", "--include-seen")
    rows = rows_of(run(capsys, *words, "--format", "csv")[0])
    assert list(rows[0]) == ["user", "rank", "item", "score", "fallback", "name"]
    assert all(row["name"] == names.get(int(row["item"]), "") for row in rows)
    one = json.loads(run(capsys, *words, "--format", "json")[0])[0]
    assert one["names"] == [names.get(item) for item in one["items"]]
    assert None in one["names"]
    assert run(capsys, *words, "--format", "jsonl")[0] == json.dumps(one, ensure_ascii=False) + "\n"
    parquet = pytest.importorskip("pyarrow.parquet")
    run(capsys, *words, "--out", tmp_path / "lists.parquet")
    assert parquet.read_table(tmp_path / "lists.parquet").to_pydict()["name"] == one["names"]
    table, _ = run(capsys, *words, "--users", "8")
    assert "Film 1, part 1" in table
    assert "\x1b" not in table


def test_a_file_of_names_counts_more_than_what_the_run_remembers(capsys, named: Path, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text("movieId,title\n" + "".join(f"{n},New {n}\n" for n in range(29)))
    words = ("recommend", named, "--users", "7", "--format", "csv", "--item-names", tmp_path / "movies.csv")
    out, err = run(capsys, *words)
    assert all(row["name"] in (f"New {row['item']}", "") for row in rows_of(out))
    assert f"note: 1 of 30 items have no name in {tmp_path / 'movies.csv'}" in err


def test_long_names_are_cut_to_the_terminal(capsys, named: Path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    words = ("recommend", named, "--users", "7", "--n", "30", "--include-seen")
    item_names.write(named, {item: f"{'東京' * item} {'long ' * 9}" for item in range(30)})
    whole = run(capsys, *words)[0].splitlines()
    monkeypatch.setattr("pyrec.cli.list_writers.terminal_width", lambda: 44)
    lines = run(capsys, *words)[0].splitlines()
    assert max(map(width_of, whole)) > 100
    assert max(map(width_of, lines)) == 44
    assert all(line.endswith("…") for line in lines[1:])


def test_a_name_in_the_place_of_an_id_is_understood(capsys, named: Path) -> None:
    message = refuse(capsys, "recommend", named, "--history", "film 17")
    assert "unknown: 'film 17'; did you mean 17 (Film 17, part 2)" in message
    train = Recommender.load(named).train_
    counts = np.bincount(train.items, minlength=30)
    first = max((item for item in range(1, 30) if item % 3 == 2), key=lambda item: (counts[item], -item))
    assert f"did you mean {first} (Film {first}, part 2) or " in refuse(
        capsys, "recommend", named, "--history", "PART 2"
    )
    assert "did you mean 25 (Film 25, part 1)" in refuse(
        capsys, "recommend", named, "--items", "Flim 25 prt 1", "--all"
    )


def test_a_mistyped_id_is_answered_by_those_spelled_like_it(capsys, odd: Path) -> None:
    assert "unknown: 'PLAN'; did you mean 'plain'" in refuse(capsys, "recommend", odd, "--users", "PLAN")
    message = refuse(capsys, "recommend", odd, "--users", "plain,smith j", "--items", "C")
    assert "did you mean 'Smith, J.', or leave out what is unknown: --unknown skip" in message
