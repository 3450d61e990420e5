"""Words that people write: prompts, tags, numbers; and text made fit for a screen."""
