"""The prompt language: what changes over the steps, parts with weights, regions, choices by chance.

Text in, text out; needs no torch. What is read here comes before `engine.words.prompt`, which reads
the weights of what is left.
"""
