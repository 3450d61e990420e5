"""How it looks and where things are: colours, keys, the arrangement of panes."""
