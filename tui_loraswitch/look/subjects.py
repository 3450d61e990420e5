"""What the keys that work everywhere are about, as the help has them together."""

from __future__ import annotations

_ABOUT = {
    "Drawing": (
        "generate", "generate-new", "generate-forever", "cancel", "settings", "audition",
        "keep-audition", "begin-with-picture", "sweep", "tour", "jobs",
    ),
    "Stack and strengths": (
        "stronger", "weaker", "finer-stronger", "finer-weaker", "type-strength", "base", "undo",
        "recipes", "trigger",
    ),
    "Prompt": ("prompt", "negative", "editor"),
    "Pictures": ("gallery", "copy", "use-again"),
    "Files of the library": (
        "find", "favourite", "tags", "note", "own-words", "mark", "previews", "rename", "delete",
        "civitai", "rescan",
    ),
    "Model": ("models", "verify", "backup", "load-again", "unload"),
    "Leaving and help": (
        "help", "palette", "quit", "detach", "suspend", "interrupt",
    ),
}  # fmt: skip
_OTHERS = "Screen"
SUBJECTS = ("", *_ABOUT, _OTHERS)
"""In the order of the help; the first stands for keys of one pane."""
_SUBJECTS = {f"app.{name}": subject for subject, names in _ABOUT.items() for name in names}


def subject_of(id: str) -> str:
    """What the key with this id is about."""
    return _SUBJECTS.get(id, _OTHERS if id.startswith("app.") else "")
