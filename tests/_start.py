"""Stands in for tools/_start.py: the tests have started TensorFlow already."""
