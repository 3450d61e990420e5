"""The engine thread in this process: commands go in, events and a view come out."""

from engine.session.session import Session

__all__ = ["Session"]
