"""Memory modes: how a model shares the memory of the device it runs on."""
