"""The sampling loop's version: of all between a request and its pixels, the weights apart."""

LOOP_VERSION = 1
"""To be raised whenever the same request gives other pixels: by the reading of prompts, their
encoding, noise, schedules, samplers, guidance, regions or decoding."""
