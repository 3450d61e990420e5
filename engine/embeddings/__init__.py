"""Textual inversions for SDXL: vectors that stand for a word of the prompt."""
