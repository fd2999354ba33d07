"""Arithmetic without weights. A fast form names the plain formula that it equals."""
