"""Serves the app to browsers through textual-serve, which starts a process of the app for each page.

Who may connect: whoever knows the token, if there is one; from pages of other sites nobody.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from textual_serve.server import Server
from yarl import URL

from core.run.errors import UsageError
from s3tui.runs.workspace import Workspace
from s3tui.system.child import PYTHON

LOOPBACK = ("localhost", "127.0.0.1", "::1")  # names by which a browser on this machine, or a tunnel to it, asks
CLOSING_SECONDS = 1.0  # that open pages have, before their apps are told to end
# The page names a font of elsewhere, for which browsers without a network would wait; and nothing may frame it.
POLICY = "default-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
# Keys reach the terminal from the start, not from the first click on; before the first byte it cannot take the focus.
FOCUS = """<script>new MutationObserver((_, observer) => {
  if (!document.body.classList.contains("-first-byte")) return;
  observer.disconnect();
  document.querySelector(".xterm-helper-textarea").focus();
}).observe(document.body, {attributes: true});</script>"""
REFUSED = "open the whole address that s3tui serve has printed"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AppServer(Server):  # type: ignore[misc]
    """textual-serve's server; with a `token` all pages are under `/TOKEN/`, and others are refused.

    Downloads are beside them, as its script asks for them there: under keys that are as secret as the token.
    """

    def __init__(self, workspace: Workspace, changes: bool, token: str, names: tuple[str, ...] | None) -> None:
        super().__init__(command_of(workspace, changes), title=f"s3tui {workspace.path.name}")
        self._token, self._names = token, names

    async def application(self) -> web.Application:
        """The pages."""
        inner = await self._make_app()
        outer = web.Application(middlewares=[self._check])
        outer.add_subapp(f"/{self._token or 'app'}", inner)
        outer.router.add_get("/download/{key}", self.handle_download)
        if not self._token:
            outer.router.add_get("/", _to_the_app)
        return outer

    @web.middleware  # type: ignore[untyped-decorator]
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # A page of another site may make a browser connect, too; and its name may be made to mean this machine.
        origin = request.headers.get("Origin")
        if origin is not None and URL(origin).authority != request.host:
            raise web.HTTPForbidden(text="pages of other sites are refused")
        if self._names is not None and URL(f"//{request.host}").host not in self._names:
            raise web.HTTPForbidden(text="this name is not one of this machine")
        try:
            return await handler(request)
        except web.HTTPNotFound:
            raise web.HTTPForbidden(text=REFUSED) from None

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the address has been printed."""

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page. Its addresses are those by which it was asked for, as through a tunnel."""
        self.public_url = f"{request.scheme}://{request.host}"
        page: web.Response = await super().handle_index(request)
        page.text = f"{page.text}{FOCUS}"
        page.headers["Content-Security-Policy"] = POLICY
        return page


async def _to_the_app(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/app/")


def command_of(workspace: Workspace, changes: bool) -> str:
    """The command that a shell starts for each page, in its own place, so that the server is its parent."""
    more = ["--allow-changes"] if changes else []
    return f"exec {shlex.join([*PYTHON, '-m', 's3tui.web.served', str(workspace.path.absolute()), *more])}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; raises UsageError if the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        is_name = isinstance(error, socket.gaierror)
        why = error.strerror if is_name else os.strerror(error.errno or 0)
        hint = "name another with --host" if is_name else "name another with --port"
        raise UsageError(f"{host}:{port} cannot be listened on: {why}", hint) from None


def serve(server: AppServer, where: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    web.run_app(
        server.application(), sock=where, print=lambda *_: None, access_log=None, shutdown_timeout=CLOSING_SECONDS
    )
