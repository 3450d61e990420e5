"""What is set and remembered: the config file, the options of a start, the state of the screen."""
