"""Generation: prompts, the loop of the UNet's calls, batches, previews, infotext."""
