"""Building blocks that two or more models use, one class per file."""
