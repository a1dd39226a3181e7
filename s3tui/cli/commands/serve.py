"""Shows the app in browsers."""

from __future__ import annotations

import secrets
from pathlib import Path

from core.run.errors import EXIT_OK, UsageError
from s3tui.cli.diagnostics import say
from s3tui.runs.lookup import find_workspace

TOKEN_BYTES = 32


def serve(where: Path | None, host: str, port: int, changes: bool) -> int:
    """Serve a workspace until Ctrl-C. With a token unless it is only looked at, from this machine."""
    try:
        from s3tui.web.server import LOOPBACK, AppServer, is_loopback, listening
        from s3tui.web.server import serve as serve_on
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed", "pip install 's3tui[web]'") from None
    workspace = find_workspace(where)
    inside = is_loopback(host)
    token = "" if inside and not changes else secrets.token_urlsafe(TOKEN_BYTES)
    socket = listening(host, port)
    port = socket.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    print(f"http://{name}:{port}/{token}{'/' if token else ''}", flush=True)
    rights = "with all rights for whoever knows this address" if changes else "read-only"
    say(f"{workspace.path}, {rights}; Ctrl-C ends it, and no run")
    serve_on(AppServer(workspace, changes, token, (*LOOPBACK, host) if inside else None), socket)
    return EXIT_OK
