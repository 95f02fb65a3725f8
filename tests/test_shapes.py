"""What a file of text looks like: every line is explained, or the file is refused with what speaks against it."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrec.data import load_data, read_folder, read_interactions, read_pair
from pyrec.data.read import files, row_blocks
from pyrec.errors import ConfigError, DataError


@pytest.fixture
def write(tmp_path):
    def write(content, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def pairs(x):
    return list(zip(x.user_ids[x.users].tolist(), x.item_ids[x.items].tolist(), strict=True))


def rated(x):
    return [(*pair, rating) for pair, rating in zip(pairs(x), x.ratings.tolist(), strict=True)]


# Blanks: lists or columns

RATED = "7 100 4\n7 101 2\n8 100 5\n9 102 1\n"


def test_columns_apart_by_blanks_do_not_become_lists(write):
    path = write(RATED)
    with pytest.raises(
        DataError, match=r"4 of 4 lines have 3 numbers .* user 7 has several .* --format lists"
    ):
        read_interactions(path)
    expected = [(7, 100, 4), (7, 101, 2), (8, 100, 5), (9, 102, 1)]
    assert rated(read_interactions(path, sep=" ")) == expected
    assert rated(read_interactions(path, columns={"user": 1, "item": 2, "rating": 3})) == expected
    assert rated(read_interactions(path, format="delimited")) == expected
    asked = read_interactions(path, format="lists")
    assert pairs(asked) == [(7, 2), (7, 4), (7, 100), (7, 101), (8, 5), (8, 100), (9, 1), (9, 102)]


@pytest.mark.parametrize(
    "content",
    [
        "1 30 881250949\n1 31 881250950\n2 30 881250951\n",  # user item time
        "1 30 5 881250949\n1 31 4 881250950\n2 30 3 881250951\n",
        "1 30 5 881250949\n2 31 4 881250950\n3 30 3 881250951\n",  # each user once
        "1 30 5\n2 31 4\n3 32 3\n",
        RATED + "9 10\n",  # the last line lacks its rating
        "  1   30   5\n  1   31   4\n  2   30   3\n",
    ],
)
def test_columns_of_whole_numbers_are_ambiguous(write, content):
    with pytest.raises(DataError, match=r"may be columns such as user, item, rating, or lists"):
        read_interactions(write(content))


@pytest.mark.parametrize(
    "content",
    [
        "1 30 4.5\n1 31 2\n2 30 5\n",
        "bob i1 5\nbob i2 3\nann i1 1\n",
        "user item rating\n1 30 4\n1 31 2\n2 30 5\n",
    ],
)
def test_columns_that_are_no_lists_are_read(write, content):
    x = read_interactions(write(content))
    assert len(x) == 3
    assert sorted(x.ratings.tolist()) in ([1, 3, 5], [2, 4, 5], [2, 4.5, 5])
    assert (x.num_users, x.num_items) == (2, 2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("0 1 2\n1 3\n0 4\n", 4),  # a user in two lines
        ("0 7\n1 7\n0 8\n", 3),  # an item each: pairs either way
        ("0\t1 2 3\n1\t4\n", 4),  # a tab behind the user
        ("0 5 6\n1\n2 5\n", 3),
        ("# users and items\n0 5 6\n1 5\n", 3),
        ("\ufeff0 5 6\n1 5\n", 3),
    ],
)
def test_lists_are_read_without_a_word(write, content, expected):
    assert len(read_interactions(write(content))) == expected


def test_lists_that_may_be_columns_are_told(write):
    x = read_interactions(write("0 1 2\n1 2 3\n2 0 4\n"))  # as many items each, no user twice
    assert pairs(x) == [(0, 1), (0, 2), (1, 2), (1, 3), (2, 0), (2, 4)]
    assert [note for note in x.notes if "each line has 3 numbers" in note and "--sep" in note]


def test_real_lists_need_no_option(data_dir):
    train, test = read_folder(data_dir / "yelp2018")
    assert (train.num_users, train.num_items, len(train), len(test)) == (31_668, 38_048, 1_237_259, 324_147)
    assert len(read_interactions(data_dir / "seq" / "beauty.txt")) == 198_502


def test_lists_keep_their_ids_apart(write):
    top = 2**63 - 1
    x = read_interactions(write(f"0 {top} 123456789012345678\n1 5\n"))
    assert x.item_ids.tolist() == [5, 123456789012345678, top]
    for bad in ("007", "00"):
        with pytest.raises(DataError, match=f"line 2: '{bad}' has leading zeros"):
            read_interactions(write(f"0 7 8\n1 {bad}\n"))


# Ids


def body(count, item=lambda k: str(k % 50)):
    return [f"{k % 40},{item(k)},{1 + k % 5}" for k in range(count)]


@pytest.mark.parametrize(
    "odd", ["042", "00", "+7", "7.0", "1e5", "-0", "\uff19", "9223372036854775808", "x", ""]
)
def test_an_id_that_is_no_plain_integer_is_named_wherever_it_is(write, odd):
    rows = body(3000)
    rows[2500] = f"7,{odd},5"
    with pytest.raises(DataError, match="line 2502: the item id") as caught:
        read_interactions(write("\n".join(["user_id,item_id,rating", *rows]) + "\n"))
    assert "id_type='str'" in str(caught.value)
    rows[2500] = f"7,{odd or 'y'},5"
    x = read_interactions(write("\n".join(["user_id,item_id,rating", *rows]) + "\n"), id_type="str")
    assert x.num_items == 51


def test_leading_zeros_make_text_ids(write):
    x = read_interactions(write("user,item\n1,042\n1,42\n2,0042\n2,7\n"))
    assert x.item_ids.tolist() == ["0042", "042", "42", "7"]
    assert x.user_ids.tolist() == [1, 2]
    x = read_interactions(write("user,item\n1,042\n1,42\n2,7\n"), id_type="int")
    assert x.item_ids.tolist() == [7, 42]
    assert "1 item ids have leading zeros and are read as the integers they are" in x.notes


@pytest.mark.parametrize("ids", [("7.0", "8.0"), ("1e5", "2E+5"), ("+1", "+2"), ("1.5", "2")])
def test_numbers_that_are_no_integers_are_no_ids(write, ids):
    with pytest.raises(DataError, match=r"line 2: the item id .* not written as a plain integer"):
        read_interactions(write("user,item,rating\n" + "".join(f"{k},{ids[k]},5\n" for k in range(2))))


def test_ids_of_19_digits(write):
    top = 2**63 - 1
    rows = [f"{top - k},{10**17 + k},5" for k in range(3)] + ["-5,6,5"]
    x = read_interactions(write("\n".join(rows) + "\n"))
    assert x.user_ids.tolist() == [-5, top - 2, top - 1, top]
    assert x.item_ids.tolist() == [6, 10**17, 10**17 + 1, 10**17 + 2]
    x = read_interactions(write(f"1,{top + 1},5\n2,{top + 2},5\n"))
    assert x.item_ids.tolist() == [str(top + 1), str(top + 2)]


def test_blanks_around_fields_are_none_of_them(write):
    text = 'user , item,  rating\n"ann" ,Heat, 5\nbob,  "Heat" ,4\n cat ,Heat ,3\n'
    assert rated(read_interactions(write(text))) == [
        ("ann", "Heat", 5),
        ("bob", "Heat", 4),
        ("cat", "Heat", 3),
    ]
    for sep in ("\t", ";", "::", "|"):
        rows = [f"{k} {sep} {k + 10} {sep} {k % 5 + 1} " for k in range(20)]
        x = read_interactions(write("\n".join(rows) + "\n"))
        assert (x.user_ids.tolist(), x.item_ids.tolist()) == ([*range(20)], [*range(10, 30)])


@pytest.mark.parametrize("missing", ["NaN", "NULL", "None", "NA", "", "<NA>"])
def test_a_missing_text_id_is_no_user(write, missing):
    path = write(f"user,item\nann,x\n{missing},y\nbob,x\n")
    with pytest.raises(DataError, match=r"line 3: the user id .* (stands for a missing value|is empty text)"):
        read_interactions(path)
    if missing:
        assert missing in read_interactions(path, id_type="str").user_ids


# Headers


def test_text_without_a_header_keeps_its_first_row(write):
    plays = write("ann\tplay\tsong a\nbob\tskip\tsong b\ncat\tplay\tsong a\n")
    x = read_interactions(plays, columns={"user": 1, "item": 3})
    assert pairs(x) == [("ann", "song a"), ("bob", "song b"), ("cat", "song a")]
    assert "line 1 is read as data, not as a header: 'ann', 'play', 'song a'" in x.notes
    assert len(read_interactions(plays, columns={"user": 1, "item": 3}, header=True)) == 2
    assert len(read_interactions(plays, columns={"user": 1, "item": 3}, header=False)) == 3
    with pytest.raises(DataError, match="may be a header or data; say which, --header or --no-header"):
        read_interactions(plays)
    with pytest.raises(DataError, match="line 3: the column 'song a' holds 'song a' here"):
        read_interactions(plays, columns={"user": "ann", "item": "song a"})


def test_a_header_is_known_by_what_is_below_it(write):
    text = "buyer,sku,when\nann,a-1,2024-03-01\nbob,a-2,2024-03-02\n"
    x = read_interactions(write(text), columns={"user": 1, "item": 2, "time": 3})
    assert pairs(x) == [("ann", "a-1"), ("bob", "a-2")]
    x = read_interactions(
        write("buyer,sku,action\nann,x,view\nbob,y,buy\n"), columns={"user": "buyer", "item": "sku"}
    )
    assert pairs(x) == [("ann", "x"), ("bob", "y")]
    assert len(read_interactions(write("1,2,3\n4,5,1\n"), header=True, columns={"user": 1, "item": 2})) == 1
    with pytest.raises(ConfigError, match="columns names 'buyer', but header is False"):
        read_interactions(write(text), columns={"user": "buyer", "item": 2}, header=False)


def test_the_header_again_is_refused(write):
    for text in (
        "user,item\nann,x\nuser,item\nbob,y\n",
        "user,item,rating\n1,2,3\nuser,item,rating\n4,5,1\n",
    ):
        with pytest.raises(DataError, match="line 3: the header again"):
            read_interactions(write(text))


def test_a_role_may_be_absent(write):
    path = write("user,item,timestamp,rating\n1,2,never,x\n1,3,never,y\n")
    with pytest.raises(DataError, match=r"line 2: the rating 'x' .* --columns rating= "):
        read_interactions(path)
    x = read_interactions(path, columns={"rating": None, "time": None})
    assert (pairs(x), x.ratings, x.times, x.notes) == ([(1, 2), (1, 3)], None, None, ())
    with pytest.raises(ConfigError, match=r"columns\['user'\] is None, but every interaction has a user"):
        read_interactions(path, columns={"user": None})
    x = read_interactions(write("1,2,5,9\n1,3,4,8\n"), columns={"time": None})
    assert (rated(x), x.times) == ([(1, 2, 5), (1, 3, 4)], None)


def test_a_name_that_two_columns_have(write):
    path = write("buyer,item,item\n1,2,3\n")
    with pytest.raises(DataError, match="both name the item; rename one, or choose which it is"):
        read_interactions(path, columns={"user": "buyer"})
    assert pairs(read_interactions(path, columns={"user": "buyer", "item": 3})) == [(1, 3)]
    with pytest.raises(
        DataError, match=r"columns\['item'\] = 'x', but 2 columns have this name; give the number"
    ):
        read_interactions(write("user,x,x\n1,2,3\n"), columns={"item": "x"})


def test_columns_that_nobody_takes_are_named(write):
    x = read_interactions(write("user,item,Rating (1-5),review date\n1,2,5,2024-03-01\n"))
    assert x.notes == (
        "the column 'Rating (1-5)' is not used; --columns rating=3 takes it as the rating",
        "the column 'review date' is not used; --columns time=4 takes it as the time",
    )
    x = read_interactions(write("1,2,5,3\n2,3,4,1\n"))
    assert x.notes == (
        "column 4 is taken as the time, though its numbers count nothing since 1970; --columns time= leaves it out",
    )


# What is between columns


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("1;10;3,5\n2;11;4,0\n3;10;5\n", [(1, 10, 3.5), (2, 11, 4), (3, 10, 5)]),
        ("1;10;3,5\n2;11;4,5\n", [(1, 10, 3.5), (2, 11, 4.5)]),
        ("user\titem\trating\n1\t10\t3,5\n2\t11\t,5\n", [(1, 10, 3.5), (2, 11, 0.5)]),
        ("1|10|2\n2|11|4\n", [(1, 10, 2), (2, 11, 4)]),
        ("sep=;\n1;10;2\n2;11;4\n", [(1, 10, 2), (2, 11, 4)]),
        ("sep=;\r\nuser;item;rating\r\n1;10;2\r\n2;11;4\r\n", [(1, 10, 2), (2, 11, 4)]),
        ("1,10,2,\n2,11,4,\n", [(1, 10, 2), (2, 11, 4)]),
        ("1,10,2\r2,11,4\r", [(1, 10, 2), (2, 11, 4)]),
        ("1\t10\t2\n\n \n2\t11\t4\n\n", [(1, 10, 2), (2, 11, 4)]),
        ("# made by x\n# user,item,rating\n1,10,2\n2,11,4\n", [(1, 10, 2), (2, 11, 4)]),
        ("#a comment\n1,10,2\n2,11,4\n", [(1, 10, 2), (2, 11, 4)]),
        ("1::10::2\n2::11::4\n", [(1, 10, 2), (2, 11, 4)]),
        ('"user"\t"item"\t"rating"\n"1"\t"10"\t2\n"2"\t"11"\t4\n', [(1, 10, 2), (2, 11, 4)]),
        ('"user" "item" "rating"\n"1" "10" 2\n"2" "11" 4\n', [(1, 10, 2), (2, 11, 4)]),
        (
            '"user" "item" "rating"\n"row 1" 1 10 2\n"row 2" 2 11 4\n',
            [(1, 10, 2), (2, 11, 4)],
        ),  # R's row names
        ("  user item rating\n0 1 10 2\n1 2 11 4\n", [(1, 10, 2), (2, 11, 4)]),  # a frame, printed
        ("ann;x;3,5\nbob;y;4\n", [("ann", "x", 3.5), ("bob", "y", 4)]),
    ],
)
def test_separators_are_found(write, content, expected):
    assert rated(read_interactions(write(content))) == expected


def test_a_column_of_text_where_times_would_be_is_left_out(write):
    x = read_interactions(write("1,10,2,Comedy;Drama\n2,11,4,War;Crime\n"))
    assert (rated(x), x.times) == ([(1, 10, 2), (2, 11, 4)], None)
    assert x.notes[0].startswith("column 4 is left out: line 1 has 'Comedy;Drama', which is no time")


def test_titles_hold_other_separators(write):
    titles = ["Toy, Story", "Heat; the film", "A|B"]
    text = "".join(f"{k}\t{title}\t{k + 1}\n" for k, title in enumerate(titles))
    assert rated(read_interactions(write(text))) == [(k, title, k + 1) for k, title in enumerate(titles)]
    rows = "".join(f'{k},"x, {k}",{k + 1}\n' for k in range(3))
    assert rated(read_interactions(write(rows))) == [(k, f"x, {k}", k + 1) for k in range(3)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"user": 1, "item": 2}\n{"user": 1, "item": 3}\n', "line 1: this is JSON; .*read_json"),
        ('[{"user": 1, "item": 2},\n{"user": 1, "item": 3}]\n', "line 1: this is JSON"),
        ("[\n  [1, 2],\n  [3, 4]\n]\n", "line 1: this is JSON"),
        ("<!DOCTYPE html>\n<title>404, not found</title>\n", "line 1: this is a page of HTML"),
        ('<?xml version="1.0"?>\n<a>1,2</a>\n', "line 1: this is a page of HTML or XML"),
        ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 5\n", "scipy.io.mmread"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
        ("INSERT INTO ratings VALUES (1,2);\n", "this is SQL"),
        ('"1,2,3"\n"4,5,6"\n', "line 1: the whole line is one field in quotes, .1,2,3.; take the quotes off"),
        ("1,2,3\n4;5;6\n7,8,9\n", "line 2: 1 column, but the first line has 3"),
        ("a;b,c\nd;e,f\n", "line 1: every line has as many ',' and ';'; which of them"),
        ("#1,x,5\n2,y,4\n", "line 1: '#1,x,5' may be a comment, a header or data"),
        ("1,2,3\n# half\n4,5,1\n", "line 2: 1 column, but the first line has 3"),
        ("1,10,\n" * 2000 + "3,12,4\n", "line 2001: column 3 was empty so far, and is '4' here"),
        (
            '1,10,"4,5"\n2,11,"3,0"\n',
            "a decimal comma is to be a point",
        ),
        ("1;10;1,234\n2;11;2,500\n", "line 1: the rating '1,234' is not a finite number; a decimal comma"),
        (
            "1,10,881250949\n2,11,881250950\n",
            "line 1: column 3 would be the rating, but '881250949' is like a time",
        ),
        (
            "1,7,2024-03-01\n2,8,2024-03-02\n",
            "line 1: column 3 would be the rating, but '2024-03-01' is like a time",
        ),
        ("1,2,3\n,,\n", "line 2: the user id ''"),
        ("user,item,rating\n1,2,3\nTotal,,3\n", "line 3: the item id '' is empty text"),
        ("user,item,rating\nann,x,3\nTotal,,3\n", "line 3: the item id '' is empty"),
        ("{'user': 1, 'item': 2}\n{'user': 1, 'item': 3}\n", "line 1: this is JSON"),
        (
            "1,234;10;5\n2;11;4\n",
            "line 1: the user id '1,234' is a number, but not written as a plain integer",
        ),
        ("'1','10',5\n'2','11',4\n", "line 1: the user ids are in single quotes, '1'; take them off"),
        ('u\tHeat\nv\t"Heat"\n', "line 2: the item id '\"Heat\"' is in quotes, as no column is in the first"),
        ("1,\u00a010,5\n2,\u00a011,4\n", "line 1: the item id .* with a character that is not seen"),
        ("a,b,3\n\ufeffa,c,4\n", "line 2: the user id .* with a character that is not seen"),
        (
            "0\t2010-10-19T23:55:27Z\t30.2\t-97.8\n",
            "line 1: column 2 holds times, but without a header",
        ),
        (
            "1,2268318,2520377,pv,1511544070\n",
            "line 1: there are 5 columns, but without a header the columns are",
        ),
        ("bob\nann\n", "line 1: 'bob' is neither lines 'user item item ...' of whole numbers nor"),
        ("Toy Story\nStar Wars\n", "line 1: 'Toy Story' is neither"),
        (b"1,2,3\n4,\x005,6\n", "line 2: a NUL byte"),
        ('a,"b" c,3\nd,e,4\n', "line 1: 'c,3.* follows a closing quote"),
        ("#only\n# comments\n", "line 1: '#only' is neither"),
        ("sep=;\n", "holds no interaction"),
    ],
)
def test_what_is_no_table_is_refused_with_a_way_on(write, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read_interactions(write(content))
    assert "\n" not in str(caught.value)


def test_inches_are_no_quotes(write):
    text = 'user,item,rating\n1,7" single,3\n2,12" single,4\n3,"a ""b""",5\n'
    x = read_interactions(write(text))
    assert rated(x) == [(1, '7" single', 3), (2, '12" single', 4), (3, 'a "b"', 5)]


def test_a_person_decides(write):
    path = write("1~10~4\n2~11~3\n")
    assert rated(read_interactions(path, sep="~")) == [(1, 10, 4), (2, 11, 3)]
    path = write('{"a";1\n{"b";2\n')
    assert pairs(read_interactions(path, sep=";", id_type="str", header=False)) != []
    for options, message in (
        ({"sep": ""}, "sep is ''; it is the text between two columns"),
        ({"sep": "\n"}, r"sep is '\\n'"),
        ({"header": "yes"}, "header is 'yes'; it is True, False, or None"),
        ({"format": "csv"}, "format is 'csv'; it is one of 'delimited', 'lists', 'matrix', 'parquet'"),
        ({"format": "lists", "sep": ","}, "sep is ',', but format is 'lists'"),
        ({"time_format": "%d"}, "has no known time column; choose it"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_interactions(write("1,10,4\n2,11,3\n"), **options)
    with pytest.raises(DataError, match="is no Parquet file"):
        read_interactions(write("1,10\n"), format="parquet")
    with pytest.raises(
        ConfigError, match=r"header is True, but .* holds lines 'user item item ...'; leave it out"
    ):
        read_interactions(write("1 10\n2 11 12\n"), header=True)


# The end of a file


@pytest.mark.parametrize(
    ("content", "count", "note"),
    [
        ("user,item,rating\n1,10,5\n2,11,4", 2, "'2,11,4'"),
        ("1\t10\n2\t11", 2, r"'2\\t11'"),
        ("0 1 2\n1 3", 3, "up to '1 3'"),
        ('ann,x\nbob,"y\nz"', 2, "taken as whole"),
        ("1,10,5\r2,11,4", 2, "'2,11,4'"),
    ],
)
def test_no_newline_at_the_end_is_told(write, content, count, note):
    x = read_interactions(write(content))
    assert len(x) == count
    (told,) = (text for text in x.notes if "no newline" in text)
    assert note.replace("\\\\", "\\") in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "1,10,5\n2,11",
            "line 2: the last line has no newline and 2 of 3 columns; the file is cut off there",
        ),
        ("0 1 2\n1", "line 2: the last line has no newline and no item"),
        ('ann,x\nbob,"y', "line 2: a quote opens and never closes.* may be cut off"),
        ("1,10,5\n2,11,", "line 2: the rating '' is not a finite number"),
    ],
)
def test_a_file_that_is_cut_off_is_refused(write, content, message):
    with pytest.raises(DataError, match=message):
        read_interactions(write(content))


# Times

SPANS = {
    "seconds": [str(1_700_000_000 + k) for k in range(10)],
    "nanoseconds": [str(1_700_000_000 * 10**9 + k) for k in range(10)],
    "space": [f"2024-03-{k + 1:02d} 12:30:00" for k in range(10)],
    "zulu": [f"2024-03-{k + 1:02d}T12:30:00.25Z" for k in range(10)],
    "offset": [f"2024-03-{k + 1:02d}T12:30:00+02:00" for k in range(10)],
    "date": [f"2024-03-{k + 1:02d}" for k in range(10)],
    "float": [f"{1_700_000_000 + k / 4}" for k in range(10)],
}


@pytest.mark.parametrize("kind", SPANS)
def test_times_in_a_file(write, kind):
    order = random.Random(1).sample(range(10), 10)
    rows = [f"u{k % 3},i{k},5,{SPANS[kind][at]}" for k, at in enumerate(order)]
    path = write("\n".join(["user,item,rating,timestamp", *rows]) + "\n")
    late = {f"i{k}" for k, at in enumerate(order) if at >= 8}
    _, train, test = load_data(path, split="time")
    assert {item for _, item in pairs(test)} == late
    assert len(train) == 8


def test_times_that_cannot_be_read(write):
    text = "user,item,rating,timestamp\n1,10,5,13/07/2018\n1,11,4,02/07/2018\n2,10,3,01/08/2018\n"
    path = write(text)
    x = read_interactions(path)
    assert (len(x), x.times) == (3, None)
    assert x.notes == (
        "the column 'timestamp' is left out: line 2 has '13/07/2018', which is no time in ISO 8601 (--time-format says "
        "how times are written)",
    )
    assert len(load_data(path, split=0.5).train) == 2
    for options in ({"split": "time"}, {"columns": {"time": "timestamp"}}, {"columns": {"time": 4}}):
        with pytest.raises(
            DataError, match=r"line 2: the time '13/07/2018' is no time in ISO 8601.*time_format"
        ):
            load_data(path, **options)
    test = load_data(path, split="time", time_format="%d/%m/%Y").test
    assert pairs(test) == [(2, 10)]
    with pytest.raises(DataError, match=r"line 2: the time '13/07/2018' is not written as '%m/%d/%Y'"):
        read_interactions(path, time_format="%m/%d/%Y")
    with pytest.raises(DataError, match="line 1: the time '1530000000' is not written as"):
        read_interactions(write("1,2,5,1530000000\n"), time_format="%d/%m/%Y")
    rows = "".join(f"1,{k},5,2024-03-01\n" for k in range(2000)) + "1,9999,5,soon\n"
    with pytest.raises(DataError, match=r"line 2002: the time 'soon' is no time .*--columns time= "):
        read_interactions(write("user,item,rating,timestamp\n" + rows))


def test_a_pair_is_read_with_the_same_options(write):
    first, second = write("1~10\n2~11\n", "a"), write("1~11", "b")
    train, test = read_pair(first, second, sep="~")
    assert (pairs(train), pairs(test)) == ([(1, 10), (2, 11)], [(1, 11)])
    assert test.notes == ("b: the last line has no newline and is taken as whole: '1~11'",)


# Every way to write a table


@st.composite
def tables(draw):
    """A table's rows, and one of the many ways to write them."""
    count = draw(st.integers(2, 12))
    number = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(0, 99)
    word = st.text("ab\u00e9 -_.'", min_size=1, max_size=5).map(lambda text: "x" + text.strip())
    ids = [
        draw(st.lists(draw(st.sampled_from((number, word))), min_size=count, max_size=count))
        for _ in range(2)
    ]
    ratings = draw(st.lists(st.integers(-9, 99).map(lambda k: k / 4), min_size=count, max_size=count))
    sep = draw(st.sampled_from((",", ";", "\t", "::", "|")))
    quote = draw(st.booleans()) and sep in ",;"
    pad = draw(st.sampled_from(("", " ", "  ")))
    end = draw(st.sampled_from(("\n", "\r\n", "\n\n")))
    header = draw(st.booleans())

    def field(value):
        text = str(value)
        return pad + (f'"{text}"' if quote and isinstance(value, str) else text) + pad

    lines = [sep.join(map(field, row)) for row in zip(*ids, ratings, strict=True)]
    lines = [sep.join(map(field, ("user", "item", "rating"))), *lines] if header else lines
    return list(zip(*ids, ratings, strict=True)), end.join(lines) + draw(st.sampled_from((end, ""))), header


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tables(), st.sampled_from((20, 1 << 20)))
def test_tables_are_read_as_they_were_written(tmp_path, table, block):
    rows, text, header = table
    path = tmp_path / "table"
    path.write_text(text, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "LOOK_BYTES", max(block, len(text.encode()) // 2 + 40))
        patch.setattr(row_blocks, "_BLOCK_BYTES", block)
        x = read_interactions(path, header=header)
    latest = {(user, item): rating for user, item, rating in rows}
    assert sorted(rated(x), key=repr) == sorted(
        ((*pair, rating) for pair, rating in latest.items()), key=repr
    )
