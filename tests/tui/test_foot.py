"""The line of keys: however narrow the terminal, how to leave and where the help is stand at its right end."""

import pytest

from s3tui.tui.screens.compare import Compare
from s3tui.tui.screens.run import Run


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 17), (40, 12)])
async def test_the_keys_that_lead_away_are_never_cut(script, opened, size):
    script.finished("first/done")
    script.finished("first/two")
    async with opened(size=size) as app:
        assert keys(app).endswith("q Quit ? Help")
        await app.press("space", "down", "space", "c")
        await app.until(lambda: isinstance(app.app.screen, Compare))
        await app.until(lambda: keys(app).endswith("esc Back q Quit ? Help"))
        await app.press("escape", "enter")
        await app.until(lambda: isinstance(app.app.screen, Run))
        for tab in "12345678":
            await app.press(tab)
            await app.until(lambda: keys(app).endswith("esc Back q Quit ? Help"))


def keys(app):
    """The last line of the screen."""
    return app.text.splitlines()[-1].rstrip()
