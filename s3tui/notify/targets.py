"""Whom a suite notifies: "desktop", "bell", or the URL of a service, which may hold secrets and is never shown."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from core.run.errors import nearest

BELL, DESKTOP = "bell", "desktop"
WEB = {
    "http": "json",
    "https": "jsons",
}  # schemes of plain web addresses, and those by which apprise posts JSON to them
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://\S+", re.IGNORECASE)


def problem_of(target: str) -> str:
    """What is wrong with the form of a target; empty if nothing is."""
    if target in (BELL, DESKTOP):
        return ""
    match = _URL.fullmatch(target)
    if match is None:
        if re.fullmatch(r"\w{1,20}", target):
            return f'{target!r} is no target, {nearest(target, (BELL, DESKTOP))} or a URL as in "https://HOST/PATH"'
        return 'should have "desktop", "bell" and URLs alone, as in "https://HOST/PATH"'
    if match[1].lower() in WEB and not _host(target):
        return f'{masked(target)} names no host, as "https://HOST/PATH" does'
    return ""


def masked(target: str) -> str:
    """A target without its secrets: of a web address scheme and host remain, of another URL the scheme."""
    scheme, _, rest = target.partition("://")
    if not rest:
        return target
    scheme = scheme.lower()
    return f"{scheme}://{_host(target) if scheme in {*WEB, *WEB.values()} else ''}/…"


def as_json(target: str) -> str:
    """The URL by which apprise posts JSON to a web address. A parameter `a=b` of the address is written `-a=b`."""
    parts = urlsplit(target)
    query = urlencode([(f"-{name}", value) for name, value in parse_qsl(parts.query, keep_blank_values=True)])
    return parts._replace(scheme=WEB[parts.scheme.lower()], query=query, fragment="").geturl()


def is_web(target: str) -> bool:
    """Whether a target is a plain web address."""
    return target.partition("://")[0].lower() in WEB


def _host(target: str) -> str:
    """Host and port of a URL without user and password; empty if there is none."""
    try:
        return urlsplit(target).netloc.rpartition("@")[2]
    except ValueError:
        return ""
