import csv
import io

import pytest

from s3tui.text.encode import AS_TEXT
from s3tui.text.sanitize import LIMIT, clean
from s3tui.text.serialize import as_csv
from s3tui.text.units import duration


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 漢", "plain ä 漢"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]52;c;AAAA\x1b\\b", "ab"),
        ("a\x1bP1$q\x1b\\b", "ab"),
        ("a\x9d0;t\x9cb", "ab"),
        ("a\x1b]0;never ended", "a"),
        ("a\x1b(0b", "ab"),
        ("a\x1b", "a"),
        ("a\tb\nc", "a b c"),
        ("a\rb\x08c\x85", "a\ufffdb\ufffdc\ufffd"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
        ("a\ud800b", "a\ufffdb"),
        ("[/red] [bold]", "[/red] [bold]"),
    ],
)
def test_nothing_but_text_reaches_the_terminal(text, shown):
    assert clean(text) == shown


def test_a_long_text_is_cut():
    assert len(clean("x" * (LIMIT + 1))) == LIMIT
    assert clean("x" * LIMIT) == "x" * LIMIT


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("plain ä 漢 \x1b[31m\x9b\u202e", "utf-8", "plain ä 漢 \x1b[31m\x9b\u202e".encode()),
        ("a\ud800b\udbff\udfffc", "utf-8", "a\ufffdb\ufffd\ufffdc".encode()),
        ("runs-\udce9\udcff", "utf-8", b"runs-\xe9\xff"),
        ("ä\ud800\udce9", "ascii", b"??\xe9"),
    ],
)
def test_a_pipe_gets_every_text_to_the_byte_and_what_no_encoding_has_as_a_mark(text, encoding, written):
    assert text.encode(encoding, AS_TEXT) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "-"), (0, "0s"), (83, "1m 23s"), (7500, "2h 05m"), (47 * 3600 + 59 * 60, "47h 59m"),
        (48 * 3600, "2d 00h"), (99.5 * 86400, "99d 12h"), (16668 * 3600, "694d"),
    ],
)  # fmt: skip
def test_a_time_span_is_short_however_long_it_is(seconds, written):
    assert duration(seconds) == written


def test_a_line_of_csv_ends_where_the_row_does_whatever_is_in_it():
    values = ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "", "\r"]
    text = as_csv(["value", "n"], [{"value": value, "n": n} for n, value in enumerate(values)])
    assert not text.endswith("\r\n")
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["value"], row["n"]) for row in read] == [(value, str(n)) for n, value in enumerate(values)]
