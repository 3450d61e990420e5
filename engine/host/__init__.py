"""The process that owns a model: an engine, its queue, and a socket for screens and scripts."""
