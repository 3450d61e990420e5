"""Generation: request, prompt, samplers, run, preview, infotext."""
