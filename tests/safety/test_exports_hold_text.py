"""Exports hold texts as texts: no markup of theirs is that of HTML or Markdown, and data keep every byte."""

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from every_command import call
from evil import EVIL, FORBIDDEN, IN_JSON, Evil
from fuzz.in_process import command
from markdown_it import MarkdownIt

from s3tui.report.blocks import Picture
from s3tui.report.markdown import markdown

# Each of these is markup somewhere: in HTML, in Markdown, in its tables, in blocks of code, in formulas.
MARKS = (
    "</td></svg><script>alert(1)</script><img src=x onerror=alert(1)>[a](javascript:b)![i](http://e/x)<http://e/y>"
    "|a|`b`\n```\n<b>c</b>\n````\n<i>d</i>\n~~~\n# e\n***f***\n-->&lt;$x$\\ \"'>"
)
TEXT, NAME = f"{MARKS}{IN_JSON}", f"<u>&`|*[_{EVIL}"
SAFE = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "table", "thead", "tbody", "tr",
        "th", "td", "figure", "figcaption"}  # fmt: skip


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    return Evil(tmp_path_factory.mktemp("marked"), TEXT, NAME)


def report(there, form):
    """The text of a report, in which no control is."""
    path = there.workspace.path.parent / f"report.{form}"
    assert call("report", str(there.workspace.path), "-o", str(path)) == 0
    text = path.read_text(encoding="utf-8")
    assert not FORBIDDEN.search(text)
    assert "\N{REPLACEMENT CHARACTER}" in text
    return text


class Page(HTMLParser):
    """Its tags outside of pictures, and all attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self._pictures = set(), {}, [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._pictures += tag == "svg"
        if not self._pictures:
            self.tags.add(tag)
        self.attributes |= attributes

    def handle_endtag(self, tag):
        self._pictures -= tag == "svg"

    def handle_data(self, data):
        self.words.append(data)


def test_a_page_has_no_tag_and_no_attribute_of_a_text(there):
    text = report(there, "html")
    found = Page(text)
    assert found.tags == SAFE
    assert not [name for name in found.attributes if name.startswith("on") or name in ("src", "href")]
    assert "<script>alert(1)</script>" in "".join(found.words)
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) > 2
    for picture in pictures:
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture).iter()}
        assert not tags & {"script", "image", "a", "foreignObject", "b", "i"}


def test_a_markdown_file_has_no_markup_of_a_text(there):
    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(report(there, "md"))
    inside = [child for token in tokens if token.type == "inline" for child in token.children]
    kinds = {token.type for token in (*tokens, *inside)}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "em_open", "s_open", "hr",
                        "code_block", "bullet_list_open", "blockquote_open"}  # fmt: skip
    fences = [token for token in tokens if token.type == "fence"]
    assert {token.info for token in fences} == {"text"}
    assert "<script>alert(1)</script>" in "".join(child.content for child in inside)


def test_no_text_ends_a_block_of_code():
    text = markdown([Picture(MARKS, str, lambda: MARKS)])
    fence, caption = (t for t in MarkdownIt("commonmark").parse(text) if t.type in ("fence", "inline"))
    assert fence.content.rstrip("\n") == MARKS
    assert {child.type for child in caption.children} <= {"text", "text_special"}


def test_json_and_csv_hold_every_byte(there):
    where = ("--in", str(there.workspace.path))
    code, out, err = command("list", *where, "--json")
    assert code == 0, err
    rows = {row["name"]: row for row in json.loads(out)["runs"]}
    assert set(rows) == set(there.names)
    assert rows[there.waits]["tags"] == [f"a{TEXT}"]
    code, out, err = command("list", *where, "--csv")
    assert code == 0, err
    tags = {row["name"]: row["tags"] for row in csv.DictReader(io.StringIO(out, newline=""))}
    # Half of a surrogate pair cannot be written in any encoding.
    assert tags[there.waits] == f"a{TEXT}".replace("\ud800", "\N{REPLACEMENT CHARACTER}")
    (told,) = (json.loads(line) for line in command("events", there.failed, *where, "--json")[1].splitlines()[-1:])
    assert told["message"] == f"the loss is not finite{TEXT}"


@pytest.mark.parametrize(
    "arguments", [("list", "--csv"), ("list",), ("results", "--csv"), ("results",), ("results", "--json")]
)
def test_no_text_of_a_record_breaks_a_pipe(there, arguments):
    path = str(there.workspace.path)
    where = ("--in", path) if arguments[0] == "list" else (path,)
    done = subprocess.run([sys.executable, "-m", "s3tui", *arguments, *where], capture_output=True)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert EVIL[:3].encode() in done.stdout or b"\\u001b" in done.stdout or b"e\xef\xbf\xbd" in done.stdout
    assert done.stdout.decode("utf-8")
