"""The merge's version, which stands in the digest of effective weights."""

MERGE_VERSION = 2
"""To be raised whenever the same files and strengths give weights of other bits."""
