"""Sends through apprise (https://github.com/caronc/apprise), which knows the services; the extra `notify`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from s3tui.notify.targets import BELL, DESKTOP, as_json, is_web, masked

DESKTOPS = ("dbus", "glib", "gnome", "macosx", "windows")  # schemes of apprise; each works on some machines


def sent(target: str, title: str, message: str) -> bool:
    """Send a message; whether the service has taken it. Raises ImportError without apprise."""
    return any(bool(service.notify(body=message, title=title, body_format="text")) for service in _services(target))


def doubts(targets: Iterable[str]) -> Iterator[str]:
    """What of the targets cannot work on this machine, a line each."""
    for target in targets:
        try:
            known = target == BELL or any(True for _ in _services(target))
        except ImportError:
            yield "notify: apprise is not installed, so only bells are rung; pip install 's3tui[notify]'"
            return
        if not known and target == DESKTOP:
            yield "notify: apprise has no way to this desktop; on Linux it takes dbus-python or PyGObject"
        elif not known:
            yield f"notify: apprise does not know {masked(target)}; its list of services says how each is written"


def _services(target: str) -> Iterator[Any]:
    """The services of apprise that a target may mean, the best first: those that exist and can be used here."""
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its lines may hold secrets
    # Nothing is kept on disk between two messages.
    asset = apprise.AppriseAsset(app_id="s3tui", app_desc="s3tui", app_url="", storage_mode="memory")
    urls = [f"{scheme}://" for scheme in DESKTOPS] if target == DESKTOP else [target]
    for url in [*urls, *([as_json(target)] if is_web(target) else [])]:
        # Services with web addresses of their own, as Slack, are known by these.
        service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is not None:
            yield service
            if target != DESKTOP:
                return
