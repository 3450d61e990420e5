"""The app: one Textual program that carries keys to the engine and its view to the panes."""
