"""Screens and scripts: one interface for an engine in this process and for a host's."""
