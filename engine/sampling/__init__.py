"""Sampling in k-diffusion's convention: noise levels are sigmas, and a model answers with x0."""

from engine.sampling.run import SAMPLERS, SCHEDULES, sample, sigmas

__all__ = ["SAMPLERS", "SCHEDULES", "sample", "sigmas"]
