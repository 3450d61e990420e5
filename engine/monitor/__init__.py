"""Readings of memory and GPU: `reading` is what they look like, `sampler` is who takes them."""
