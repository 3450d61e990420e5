"""Sweeps on several devices and machines, by Ray; nothing else imports it or needs it."""
