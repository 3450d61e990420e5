"""Bake a stack: into a checkpoint, or into one LoRA of a chosen rank."""
