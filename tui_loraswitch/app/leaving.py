"""Leaving the app: with its engine, without it, or without a screen that could be asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.host.runtime import HostError
from engine.protocol.text import plural
from tui_loraswitch.app.dialogs import ask
from tui_loraswitch.app.remembering import Remembering
from tui_loraswitch.panes.background import in_background

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase


class Leaving:
    """Ends the app once, in one of the ways; prompt and settings are kept in each."""

    def __init__(self, app: AppBase, remembering: Remembering) -> None:
        self._app = app
        self._remembering = remembering
        self._has_begun = False

    async def quit(self) -> None:
        """Leave; the engine ends too, unless somebody else needs it or it has work."""
        task = self._app.sweep_task
        if task is None or not task.is_running or not task.outlives_app:
            await self._quit()
            return

        async def stop() -> None:
            task.stop()
            await self._quit()

        ask(
            self._app,
            "A sweep is being drawn on Ray.",
            {
                "leave it: it is drawn meanwhile": self._quit,
                "stop it: loraswitch sweep goes on with what is missing": stop,
                "stay": lambda: None,
            },
        )

    async def _quit(self) -> None:
        link, view = self._app.link, self._app.control.view
        if link.place is None:
            await self._leave()
        elif link.status.get("by_hand") or view.clients > 1:
            why = "others are attached" if view.clients > 1 else "it was started by hand"
            await self._leave(f"The engine goes on, since {why}; loraswitch stop ends it.")
        elif view.running or view.waiting:
            ask(
                self._app,
                f"{plural(len(view.jobs), 'picture')} not drawn yet.",
                {
                    "detach: they are drawn meanwhile": self.detach,
                    "end the engine: they are kept for the next time": self._end_all,
                    "stay": lambda: None,
                },
            )
        else:
            await self._end_all()

    async def detach(self) -> None:
        """Leave, and let the host go on."""
        await self._leave("Detached: the engine goes on. loraswitch comes back to it.")

    def without_screen(self) -> None:
        """Leave on any thread, as when the terminal is gone; a host goes on."""
        self._has_begun = True
        self._remembering.keep()
        self._app.stop_engine()

    async def _end_all(self) -> None:
        place = self._app.link.place
        assert place is not None, "only a host is ended"

        def end() -> None:
            from engine.client.remote import stop_host

            self._app.stop_engine()
            # Where it has ended by itself, that is what was wanted.
            with suppress(HostError):
                stop_host(place)

        await self._leave(meanwhile=end)

    async def _leave(
        self, words: str | None = None, meanwhile: Callable[[], object] | None = None
    ) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._remembering.keep()
            await in_background(meanwhile or self._app.stop_engine)
            self._app.exit(message=words)
