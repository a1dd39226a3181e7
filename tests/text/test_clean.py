import pytest

from s3tui.text.sanitize import LIMIT, clean


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
