"""The key for auditions, and what other keys do besides while they are on."""

from __future__ import annotations

from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.stack_keys import StackKeys


class AuditionKeys(StackKeys, AppBase):
    """On and off; strengths of LoRAs that are looked at and not chosen."""

    def action_audition(self) -> None:
        """Turn it on or off."""
        self.auditioning.toggle()

    def action_keep_audition(self) -> None:
        """Save the picture that is shown."""
        self.attempt(self.auditioning.keep)

    def action_strength(self, delta: float) -> None:
        """Change the strength of what is highlighted, be it chosen or only looked at."""
        entry = self.main.library.highlighted
        if self.auditioning.is_on and self.main.stack.highlighted is None and entry is not None:
            part = self.main.stack.part
            chosen = False

            def adjust() -> None:
                nonlocal chosen
                chosen = not self.control.adjust_unchosen(entry, delta, part)

            if not self.attempt(adjust) or not chosen:
                self.auditioning.look_again()
                return
        super().action_strength(delta)
        self.auditioning.look_again()
