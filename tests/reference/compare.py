"""Compares two files of reference numbers: `compare.py committed.npz live.npz`. NumPy only."""

import sys

import numpy as np

LIMIT = 1e-5  # relative to the largest number of an array: float32, on different processors


def difference(a, b):
    """The largest difference of two arrays, relative to the largest number of the first."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return np.inf
    if a.size == 0 or np.array_equal(a, b, equal_nan=True):
        return 0.0
    if (np.isnan(a) != np.isnan(b)).any():
        return np.inf
    a, b = a.astype("float64"), b.astype("float64")
    return np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(a))


def main():
    committed, live = (dict(np.load(path)) for path in sys.argv[1:])
    print(f"committed: {committed.pop('meta')}\nlive:      {live.pop('meta')}")
    if committed.keys() != live.keys():
        sys.exit(f"reference: other names: {sorted(committed.keys() ^ live.keys())}")
    found = {name: difference(committed[name], live[name]) for name in committed}
    wrong = {name: value for name, value in found.items() if not value <= LIMIT}
    for name, value in wrong.items():
        print(f"{name} differs by {value:.1e}")
    if wrong:
        sys.exit(f"reference: {len(wrong)} of {len(found)} arrays differ by more than {LIMIT}")
    largest = max(found, key=found.get)
    print(f"reference: {len(found)} arrays agree, at most {found[largest]:.1e} apart ({largest})")


if __name__ == "__main__":
    main()
