"""Arithmetic without weights. The docstring of a fast form names the plain formula it equals."""
