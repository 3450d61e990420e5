"""The panes of the screen: each owns its keys, messages and styles."""
