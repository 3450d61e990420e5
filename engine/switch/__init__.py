"""Switching: base weights and their backups, the plan, the merge, the switcher."""
