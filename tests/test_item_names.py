"""What items are called: the files that say so, and the run that remembers it."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from command_line import refuse, run

from pyrec.data import Interactions, read_item_names
from pyrec.data.synthetic import synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.models import EASE, Popularity, Recommender
from pyrec.store import item_names

MOVIES = {1: "Toy Story (1995)", 2: "Jumanji, or not (1995)", 3: "Así"}


def write(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


# Files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "movies.csv",
            'movieId,title,genres\n1,Toy Story (1995),A|B\n2,"Jumanji, or not (1995)",A\n3,Así,A|B|C\n',
        ),
        ("movies.dat", "1::Toy Story (1995)::A|B\n2::Jumanji, or not (1995)::A\n3::Así::A|B|C\n"),
        ("u.item", "1|Toy Story (1995)|x||\n2|Jumanji, or not (1995)|x||\n3|Así|x||\n"),
        (
            "ml.item",
            "item_id:token\tmovie_title:token_seq\tclass:token_seq\n"
            "1\tToy Story (1995)\tA B\n2\tJumanji, or not (1995)\tA\n3\tAsí\tB\n",
        ),
        ("artists.dat", "id\tname\turl\n1\tToy Story (1995)\tu\n2\tJumanji, or not (1995)\tu\n3\tAsí\tu\n"),
        ("plain.csv", '1,Toy Story (1995),A|B\n2,"Jumanji, or not (1995)",A\n3,Así,A|B|C\n'),
        ("semicolons.csv", "genre;name;item\nA;Toy Story (1995);1\nB;Jumanji, or not (1995);2\nC;Así;3\n"),
        ("spaced.csv", "1; Toy Story (1995)\n2;Jumanji, or not (1995) \n3;Así\n"),
        ("two.csv", 'product_id,was\n1,Toy Story (1995)\n2,"Jumanji, or not (1995)"\n3,Así\n'),
        ("strange.csv", 'nr,was\n1,Toy Story (1995)\n2,"Jumanji, or not (1995)"\n3,Así\n'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_well_known_files_need_no_word(name: str, content: str, encoding: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, content, encoding)
    assert read_item_names(path) == MOVIES
    assert read_item_names(path, np.array([3, 9, 2])) == {2: MOVIES[2], 3: MOVIES[3]}


def test_the_name_beside_the_id_is_the_items(tmp_path: Path) -> None:
    path = write(tmp_path / "tracks.csv", "track_id,artist_id,artist_name,track_name\n1,7,Abba,Waterloo\n")
    assert read_item_names(path) == {1: "Waterloo"}


def test_packed_and_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "movies.csv.gz").write_bytes(gzip.compress(b"movieId,title\n1,Toy Story\n2,\n"))
    assert read_item_names(tmp_path / "movies.csv.gz") == {1: "Toy Story"}
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for ids in ([1, 2, 3], ["1", "b", "3"]):
        table = arrow.table({"year": [1, 2, 3], "asin": ids, "title": ["One", None, "Three"]})
        parquet.write_table(table, tmp_path / "meta.parquet")
        assert read_item_names(tmp_path / "meta.parquet") == {ids[0]: "One", ids[2]: "Three"}
        assert read_item_names(tmp_path / "meta.parquet", ids, {"name": "year"})[ids[1]] == "2"


def test_columns_that_are_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "meta.csv", "code,title,brand\n10,A,X\n20,B,Y\n")
    assert read_item_names(path, columns={"id": "code", "name": "brand"}) == {10: "X", 20: "Y"}
    assert read_item_names(path, columns={"id": "code"}) == {10: "A", 20: "B"}
    assert read_item_names(path, columns={"name": 3}) == {10: "X", 20: "Y"}
    with pytest.raises(
        DataError, match=r"meta.csv:1: columns\['id'\] = 'asin', but the columns are 'code', 'title'"
    ):
        read_item_names(path, columns={"id": "asin"})
    with pytest.raises(DataError, match=r"columns\['name'\] = 4, but there are columns 1 to 3"):
        read_item_names(path, columns={"name": 4})
    with pytest.raises(DataError, match="column 1 cannot be both id and name"):
        read_item_names(path, columns={"name": 1})
    with pytest.raises(ConfigError, match="columns names 'title'; its entries are id and name"):
        read_item_names(path, columns={"title": 1})
    with pytest.raises(ConfigError, match="must be a column's name, or its number from 1"):
        read_item_names(path, columns={"id": None})
    with pytest.raises(ConfigError, match="columns is list; it is a mapping"):
        read_item_names(path, columns=["id"])


def test_a_column_that_cannot_be_told(tmp_path: Path) -> None:
    path = write(tmp_path / "meta.csv", "asin,brand,store\n10,A,X\n20,B,Y\n")
    with pytest.raises(
        DataError, match=r"which column is the item's name.*'asin', 'brand', 'store'.*FILE:id=1,name=2"
    ):
        read_item_names(path)
    path = write(tmp_path / "meta.csv", "item,name\n10,A\n20\n")
    with pytest.raises(DataError, match=r"meta.csv:3 has one column, '20', but a name is in column 2"):
        read_item_names(path)
    path.write_bytes(b"1,\0\n")
    with pytest.raises(DataError, match="holds a NUL byte"):
        read_item_names(path)


def test_what_is_between_columns_is_not_within_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "names.txt", "1;Toy, Story\n2;Jumanji, or\n")
    assert read_item_names(path) == {1: "Toy, Story", 2: "Jumanji, or"}
    path = write(tmp_path / "names.txt", '"a;b",Both\n"c;d",Two\n')
    assert read_item_names(path, columns={"id": 1, "name": 2})["a;b"] == "Both"


def test_files_that_are_no_tables_of_names(tmp_path: Path) -> None:
    path = write(tmp_path / "names.txt", '{"asin": "B0", "title": "T"}\n')
    with pytest.raises(DataError, match="is JSON; write it as CSV or Parquet"):
        read_item_names(path)
    path = write(tmp_path / "names.txt", "title,year,genre\nA,1990,x\n")
    with pytest.raises(DataError, match="which column is the item's id"):
        read_item_names(path)
    with pytest.raises(DataError, match="path is int 5, but the path of a file is needed"):
        read_item_names(5)


def test_ids_of_a_file_are_integers_or_text(tmp_path: Path) -> None:
    path = write(tmp_path / "names.csv", "007,Bond\n8,Eight\n")
    assert read_item_names(path) == {"007": "Bond", "8": "Eight"}
    assert read_item_names(path, ["8", "007"]) == {"007": "Bond", "8": "Eight"}
    assert read_item_names(path, [8]) == {8: "Eight"}


def test_quotes_that_swallow_names_are_named_with_their_line(tmp_path: Path) -> None:
    train = synthetic(30, 20, interactions_per_user=3)
    names = tmp_path / "names.csv"
    for content, line in (
        ('1,"Two\nlines"\n2,"Toy Story\n3,Three\n', 3),
        ('1,"Toy Story\n2,"Two"\n', 1),
        (f"1,One\n2,{'x' * 200_000}\n", 2),
    ):
        names.write_text(content)
        with pytest.raises(DataError, match=rf"names\.csv:{line}: .*; correct the line's quotes"):
            read_item_names(names, train.item_ids)


def test_names_of_a_spreadsheet(tmp_path: Path) -> None:
    """It writes a byte order mark, line breaks within quotes, and signs that other programs break lines at."""
    train = synthetic(30, 20, interactions_per_user=3)
    content = '1,"Two\nlines"\r\n2,"A ""b"""\r\n3,C\u2028D\r\n'
    (tmp_path / "names.csv").write_bytes(content.encode("utf-8-sig"))
    assert read_item_names(tmp_path / "names.csv", train.item_ids) == {
        1: "Two\nlines",
        2: 'A "b"',
        3: "C\u2028D",
    }


def test_names_of_items_whose_ids_have_commas(tmp_path: Path) -> None:
    train = Interactions.from_arrays(["ann"] * 3, ["Smith, J.", 'a "b"', " x"])
    (tmp_path / "names.csv").write_text('"Smith, J.","John, ""JS"""\n"a ""b""",B\n" x",X\n')
    found = read_item_names(tmp_path / "names.csv", train.item_ids)
    assert found == {
        "Smith, J.": 'John, "JS"',
        'a "b"': "B",
        " x": "X",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_in_either_encoding(encoding: str, tmp_path: Path) -> None:
    train = synthetic(30, 20, interactions_per_user=3)
    (tmp_path / "u.item").write_bytes('1|Así "uno"|x|y\n2|Zwei|x|y\n'.encode(encoding))
    assert read_item_names(tmp_path / "u.item", train.item_ids) == {1: 'Así "uno"', 2: "Zwei"}


# Kept with a run


def test_names_come_back_as_they_were_kept(tmp_path: Path) -> None:
    for names in ({1: 'A "b"\u2028', -5: "東京"}, {"1": "One", "a,b": "\x1b[31m"}):
        item_names.write(tmp_path, names)
        assert item_names.read(tmp_path) == names
    item_names.write(tmp_path, {np.int64(3): np.str_("x")})
    assert item_names.read(tmp_path) == {3: "x"}
    item_names.write(tmp_path, {})
    assert item_names.read(tmp_path) == {}
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({1.5: "x"}, "has the id 1.5"),
        ({True: "x"}, "has the id True"),
        ({1: None}, r"item_names\[1\] is None, but a name is text"),
        ({1: "\ud800"}, "no text that UTF-8 can hold"),
    ],
)
def test_names_that_cannot_be_kept(names: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        item_names.write(tmp_path, names)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["{", "{}", "[1]", '[[1, "a", 2]]', '[[1.5, "a"]]', '[[true, "a"]]', "[[1, 2]]"]
)
def test_damaged_names_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / item_names.FILE).write_text(text)
    with pytest.raises(DataError, match=r"item_names.json.*; write it again with --item-names, or delete it"):
        item_names.read(tmp_path)


def test_a_run_remembers_its_names(capsys, tmp_path: Path) -> None:
    log, movies, folder = tmp_path / "log.csv", tmp_path / "movies.csv", tmp_path / "run"
    log.write_text("user,item\n" + "".join(f"{n % 9},{n % 7}\n" for n in range(63)))
    movies.write_text("code,what\n" + "".join(f"{n},Film {n}\n" for n in range(6)))
    words = ("train", log, "--model", "popularity", "--k", "3", "--out", folder)
    _, err = run(capsys, *words, "--item-names", f"{movies}:id=code,name=what")
    assert "note: 1 of 7 items have no name in" in err
    assert item_names.read(folder) == {n: f"Film {n}" for n in range(6)}
    assert "`item_names.json`" in (folder / "README.md").read_text()
    run(capsys, *words, "--replace")
    assert item_names.read(folder) == {}


@pytest.mark.parametrize("name", ["movies.csv", "u.item", "log.item"])
def test_a_file_beside_the_interactions_that_names_items_is_pointed_at(
    capsys, tmp_path: Path, name: str
) -> None:
    log, names = tmp_path / "log.csv", tmp_path / name
    log.write_text("user,item\n" + "".join(f"{n % 9},{n % 7}\n" for n in range(63)))
    names.write_text("0,Nought\n")
    words = ("train", log, "--model", "popularity", "--k", "3")
    told = f"note: {names} names the items; --item-names {names} keeps the names with the run"
    assert told in run(capsys, *words, "--out", tmp_path / "first")[1]
    assert told not in run(capsys, *words)[1]
    assert told not in run(capsys, *words, "--out", tmp_path / "second", "--item-names", names)[1]


def test_a_saved_model_keeps_its_names_until_it_is_fitted_again(tmp_path: Path) -> None:
    train, names = synthetic(30, 20, interactions_per_user=3), {1: "One", 2: "Two"}
    model = EASE(reg=5).fit(train)
    assert model.recommend([0]).item_names == {}
    model.save(tmp_path / "first", item_names=names)
    loaded = Recommender.load(tmp_path / "first")
    assert loaded.item_names_ == names
    for found in (
        loaded.recommend([0]),
        loaded.recommend_for_items([[1]]),
        loaded.similar_items([1]),
    ):
        assert found.item_names == names
    assert loaded.recommend([0], item_names={3: "Three"}).item_names == {3: "Three"}
    assert "One" in repr(loaded.recommend([0], items=[1, 2], filter_seen=False))
    loaded.save(tmp_path / "second")
    assert item_names.read(tmp_path / "second") == names
    loaded.fit(train).save(tmp_path / "second")  # the file of the model before is of no use
    assert item_names.read(tmp_path / "second") == loaded.item_names_ == {}
    for wrong, message in (([1], "item_names is a list"), ({1: 2}, r"item_names\[1\] is 2")):
        with pytest.raises(DataError, match=message):
            model.save(tmp_path / "first", item_names=wrong)
    assert Recommender.load(tmp_path / "first").item_names_ == names


def test_words_that_name_no_file(capsys, tmp_path: Path) -> None:
    Popularity().fit(synthetic(30, 20, interactions_per_user=3)).save(tmp_path / "run")
    words = ("train", "--out", tmp_path / "new", "--item-names")
    assert "names one column twice" in refuse(capsys, *words, "x.csv:id=1,id=2")
    assert "is a pipe" in refuse(capsys, *words, "-")


def test_a_run_that_goes_on_reads_the_names_again(tmp_path: Path) -> None:
    from pyrec.cli.item_names import NamesFile

    for text in ("movies.csv", "movies.csv:id=code,name=3", "a:b.csv:name=x"):
        file = NamesFile.of(str(tmp_path / text))
        assert NamesFile.of(str(file)) == file
    assert NamesFile.of("a.csv:id=code,name=3").columns == {"id": "code", "name": 3}
