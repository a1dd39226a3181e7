"""Exports the plot or the table on a screen to a file; asks before overwriting."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from core.run.errors import S3Error
from core.run.rundir import write_bytes
from s3tui.text.encode import AS_TEXT
from s3tui.text.sanitize import clean
from s3tui.text.serialize import as_csv, as_json
from s3tui.tui.charts import export_image
from s3tui.tui.dialogs.confirm import confirm
from s3tui.tui.dialogs.question import Ask, Choose
from s3tui.tui.screens.base import Exportable
from s3tui.tui.support.background import in_thread
from s3tui.tui.tables.exported_table import Table
from s3tui.tui.widgets.plot import Plot

Content = Callable[[], bytes]
NAMES = {"svg": "the plot as SVG", "png": "the plot as PNG", "csv": "the table as CSV", "json": "the table as JSON"}


def ask_what(screen: Exportable) -> None:
    """Ask what to export and where, then write it in a thread."""
    contents = _contents(screen)
    if not contents:
        screen.notify("there is no plot and no table here", severity="warning", markup=False)
        return
    answers = [(form, form[0], NAMES[form]) for form in contents]

    def ask_where(form: str | None) -> None:
        if form and screen.app.is_web:
            _deliver(screen, f"{_stem(screen, form)}.{form}", contents[form])
        elif form:
            proposed = free_name(_stem(screen, form), form)
            ask = Ask(f"Write {NAMES[form]}", proposed, "the path of the file")
            screen.app.push_screen(ask, lambda path: _write(screen, path, contents[form]) if path else None)

    screen.app.push_screen(Choose("Export", answers), ask_where)


def _contents(screen: Exportable) -> dict[str, Content]:
    """The possible exports of the screen's current state, by format."""
    found: dict[str, Content] = {}
    plot, table = screen.plot_on_screen, screen.table_on_screen
    if plot is not None and not plot.figure.is_empty:
        found = {form: _picture(plot, form) for form in ("svg", "png")}
        if not export_image.can_draw():
            found["svg"] = _screenshot(screen)
    if table is not None and table.rows:
        found |= {"csv": lambda: as_csv(table.names, table.rows).encode(errors=AS_TEXT), "json": lambda: _json(table)}
    return found


def _picture(plot: Plot, form: str) -> Content:
    figure, view = plot.figure, plot.view
    return lambda: export_image.picture(figure, view, form)


def _screenshot(screen: Exportable) -> Content:
    """The whole screen, rendered by Textual immediately, before a dialog covers it."""
    svg = screen.app.export_screenshot(title=str(screen.TITLE))
    return svg.encode


def _json(table: Table) -> bytes:
    return (as_json(**{table.title: list(table.rows)}) + "\n").encode()


def _stem(screen: Exportable, form: str) -> str:
    """The file name: what the screen shows, and which part of it."""
    plot, table = screen.plot_on_screen, screen.table_on_screen
    part = plot.figure.title if form in ("svg", "png") and plot is not None else table.title if table else ""
    return re.sub(r"[^A-Za-z0-9]+", "-", screen.exported_as(part)).strip("-").lower()


def free_name(stem: str, form: str) -> str:
    """A name that does not exist yet in the current folder."""
    name, number = f"{stem}.{form}", 2
    while Path(name).exists():
        name, number = f"{stem}-{number}.{form}", number + 1
    return name


def _deliver(screen: Exportable, name: str, content: Content) -> None:
    """Give the browser a file to download; nothing is written where the app runs."""

    def make() -> bytes | str:
        try:
            return content()
        except S3Error as error:
            return str(error)

    def give(made: bytes | str) -> None:
        if isinstance(made, str):
            screen.notify(clean(made), severity="error", markup=False)
        else:
            screen.app.deliver_binary(BytesIO(made), save_filename=name)

    in_thread(screen, make, give)


def _write(screen: Exportable, text: str, content: Content) -> None:
    path = Path(text.strip()).expanduser()
    if path.exists():
        question = f"{clean(str(path))} exists already"
        confirm(screen, "Overwrite", question, "overwrite it", lambda: _save(screen, path, content, True))
    else:
        _save(screen, path, content, False)


def _save(screen: Exportable, path: Path, content: Content, overwrite: bool) -> None:
    def save() -> tuple[str, bool]:
        try:
            data = content()
            if overwrite:
                write_bytes(path, data)
            else:
                with path.open("xb") as file:  # never overwrite a file that was created meanwhile
                    file.write(data)
        except S3Error as error:
            return str(error), False
        except OSError as error:
            return f"{path} cannot be written: {error.strerror}", False
        return f"wrote {path}", True

    def show(outcome: tuple[str, bool]) -> None:
        screen.notify(clean(outcome[0]), severity="information" if outcome[1] else "error", markup=False)

    in_thread(screen, save, show)
