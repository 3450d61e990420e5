"""The LoRA library: scan, index, metadata and sidecars, previews, hashes, search."""
