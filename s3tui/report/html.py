"""Writes a report as one self-contained HTML page: no scripts, and no external fonts or pictures."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from s3tui.report.blocks import Block, Heading, Picture, Table, Text
from s3tui.text.sanitize import clean

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 72rem; margin: 2rem auto;
  padding: 0 1.5rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
h3 { font-size: 1rem; margin-bottom: .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; margin: .5rem 0 1rem; }
th, td { padding: .22rem .7rem .22rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #eee; }
th { border-bottom: 1px solid #999; font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.strong td { font-weight: 600; }
figure { margin: 1rem 0 1.6rem; } figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .86rem; color: #444; max-width: 48rem; }
@media print { body { margin: 0; max-width: none; } figure, tr { break-inside: avoid; } }
"""


def page(title: str, blocks: Iterable[Block]) -> str:
    """The HTML text of the report."""
    body = "\n".join(_written(block, number) for number, block in enumerate(blocks))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{_plain(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _written(block: Block, number: int) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_plain(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f"<p>{_plain(block.text)}</p>"
    if isinstance(block, Table):
        return _table(block)
    return _picture(block, number)


def _table(table: Table) -> str:
    head = "".join(_cell("th", text, i in table.numbers) for i, text in enumerate(table.head))
    rows = "\n".join(
        ('<tr class="strong">' if n in table.strong else "<tr>")
        + "".join(_cell("td", text, i in table.numbers) for i, text in enumerate(row))
        + "</tr>"
        for n, row in enumerate(table.rows)
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'


def _cell(tag: str, text: str, number: bool) -> str:
    return f"<{tag}{' class=number' if number else ''}>{_plain(text)}</{tag}>"


def _picture(picture: Picture, number: int) -> str:
    svg = _inline(picture.svg(), f"p{number}-")
    return f"<figure>\n{svg}\n<figcaption>{_plain(picture.caption)}</figcaption>\n</figure>"


def _inline(svg: str, prefix: str) -> str:
    """An SVG as part of a page: without its prologue, and with ids made unique by a prefix."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}', svg)
    return re.sub(r"url\(#", f"url(#{prefix}", svg).strip()


def _plain(text: str) -> str:
    return html.escape(clean(text))
