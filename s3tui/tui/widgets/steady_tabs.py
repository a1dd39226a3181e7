"""Tabs that only a key or a click changes."""

from __future__ import annotations

from textual.widgets import TabbedContent, TabPane


class SteadyTabs(TabbedContent):
    """Tabs that do not follow the focus.

    Textual activates a tab when a widget in it gets the focus, but learns of the focus by two messages. If the next tab
    was chosen meanwhile, they arrive late and bring the old tab back. Here the focus follows the tab, never the
    reverse.
    """

    def _on_tab_pane_focused(self, event: TabPane.Focused) -> None:
        event.stop()
        event.prevent_default()  # or else Textual would call the method of the base class, too
