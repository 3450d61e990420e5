"""What tells an SDXL file from others: the names of its parts and tensors, and what it predicts."""
