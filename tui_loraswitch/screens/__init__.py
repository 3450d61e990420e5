"""Screens that lie over the panes: help and settings."""
