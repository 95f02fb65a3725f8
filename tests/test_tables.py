"""Tables on a terminal: as wide as what they hold, and no wider than the terminal."""

import pytest

from pyrec.evaluate.tables import shortened, table, width_of


def test_columns_are_aligned_by_places_not_by_characters() -> None:
    rows = [["item", "score", "name"], ["東京", "1.5", "Tokyo"], ["Cafe\u0301", "10", "Café"]]
    assert table(rows, left={0, 2}).splitlines() == [
        "item  score  name",
        "東京    1.5  Tokyo",
        "Cafe\u0301     10  Café",
    ]


def test_signs_that_steer_a_terminal_are_blanks() -> None:
    assert table([["a"], ["b\x1b[31mc\nd\te"]]) == "a\nb [31mc d e"


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("ab cd", 4, "ab…"),
        ("東京物語", 6, "東京…"),
        ("東京物語", 5, "東京…"),
    ],
)
def test_what_is_too_long_is_cut(text: str, width: int, cut: str) -> None:
    assert shortened(text, width) == cut
    assert width_of(cut) <= width


def test_columns_of_text_share_what_the_others_leave() -> None:
    rows = [["short", "12345", "x" * 50, "y" * 50]]
    for width, widths in ((200, [50, 50]), (60, [22, 22]), (61, [22, 23]), (20, [12, 12])):
        cells = table(rows, {0, 2, 3}, {2, 3}, width).split("  ")
        assert [len(cell) for cell in cells[2:]] == widths
    cells = table([["short", "12345", "x" * 9, "y" * 50]], {0, 2, 3}, {2, 3}, 60).split("  ")
    assert [len(cell) for cell in cells[2:]] == [9, 35]
