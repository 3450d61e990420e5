"""The keys that work everywhere; those of one pane stand in its file."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tui_loraswitch.control.strengths import STEP

APP_BINDINGS: list[BindingType] = [
    Binding("plus,equals_sign", f"strength({STEP})", "more", id="app.stronger",
            key_display="+", tooltip="More of the LoRA; the model follows at once"),
    Binding("minus,underscore", f"strength(-{STEP})", "less", id="app.weaker",
            key_display="−", tooltip="Less of the LoRA; below zero is its opposite"),
    Binding("e", "type_strength", "strength", id="app.type-strength", show=False,
            tooltip="Type the strength of the LoRA: 0.8, or 0.8/0.6 for UNet and text encoders"),
    Binding("0", "base", "base", id="app.base",
            tooltip="Back to the base model, exactly"),
    Binding("g", "generate", "generate", id="app.generate",
            tooltip="Draw a picture with this seed"),
    Binding("r", "generate(True)", "new seed", id="app.generate-new",
            tooltip="Draw a picture with a new seed"),
    Binding("A", "generate_again_and_again", "again and again", id="app.generate-forever",
            show=False, tooltip="Draw with new seeds until x stops it"),
    Binding("Q", "jobs", "queue", id="app.jobs", show=False,
            tooltip="The queue: reorder, drop, stop after this picture, try again"),
    Binding("x", "cancel", "cancel", id="app.cancel",
            tooltip="Stop drawing or loading"),
    Binding("L", "load_again", "load again", id="app.load-again", show=False,
            tooltip="Load the model again after a failed or cancelled load"),
    Binding("U", "unload", "unload", id="app.unload", show=False,
            tooltip="Give the model's memory back to others; stack and queue stay"),
    Binding("p", "edit_prompt", "prompt", id="app.prompt",
            tooltip="Write the prompt; Enter leaves it"),
    Binding("slash", "find", "find", id="app.find", key_display="/",
            tooltip="Find LoRAs by words; -word, tag:, base: and folder: work too"),
    Binding("R", "rescan", "read again", id="app.rescan", show=False,
            tooltip="Read the library's folders again: new, changed and removed files"),
    Binding("o", "settings", "settings", id="app.settings",
            tooltip="Steps, sampler, schedule, CFG, seed, size, batch"),
    Binding("m", "models", "models", id="app.models",
            tooltip="Choose another model: the checkpoints in your model folders"),
    Binding("n", "edit_prompt(True)", "negative", id="app.negative", show=False,
            tooltip="Write the negative prompt"),
    Binding("i", "insert_trigger", "trigger", id="app.trigger",
            tooltip="The highlighted LoRA's trigger words into the prompt; again: the next ones"),
    Binding("v", "verify", "verify", id="app.verify",
            tooltip="Prove that the base is what was loaded, bit for bit"),
    Binding("b", "move_backup", "backup", id="app.backup",
            tooltip="Move the backup on: device, main memory, or none but the model's file"),
    Binding("right_square_bracket", "turn_pane(1)", "next pane", id="app.next-pane",
            key_display="]", show=False, tooltip="Next pane on the right"),
    Binding("left_square_bracket", "turn_pane(-1)", "previous pane", id="app.previous-pane",
            key_display="[", show=False, tooltip="Previous pane on the right"),
    *(
        Binding(str(number), f"pane({name!r})", name, id=f"app.pane-{name}", show=False,
                tooltip=f"Show the {name} pane")
        for number, name in enumerate(("picture", "prompt", "details", "stack", "log"), 1)
    ),
    Binding("question_mark,f1", "help", "help", id="app.help", key_display="?",
            tooltip="The keys of the focused pane, and of all"),
    Binding("d", "detach", "detach", id="app.detach", show=False,
            tooltip="Leave; the engine goes on and draws what is in the queue"),
    Binding("q", "quit", "quit", id="app.quit",
            tooltip="Leave, and end the engine unless others need it; all is kept"),
]  # fmt: skip
