from utils.text_table import format_table


def test_columns_line_up():
    lines = format_table(["name", "x"], [["long name", "1.0"], ["b", "10.0"]]).splitlines()
    assert lines == ["name          x", "---------------", "long name   1.0", "b          10.0"]


def test_without_a_line_below_the_header_and_without_rows():
    assert format_table(["name", "x"], [], rule="") == "name  x"
