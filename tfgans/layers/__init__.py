"""Keras layers: each is a paper's own idea, or two models use it. One class per file."""
