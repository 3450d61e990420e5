"""Prove what made a picture: digests, certificates, and what it takes to draw it again."""
