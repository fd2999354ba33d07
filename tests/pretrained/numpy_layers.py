"""Layers of PyTorch's networks in NumPy, in float64, and the comparison with their outputs.

Maps are [N, C, H, W]. A transposed convolution is written as its definition, each input pixel
adding its kernel to the output.
"""

import numpy as np
from torch_files import write_state_dict


def conv(x, w, b=0.0, stride=1, pad=0):
    """[N, C, H, W] with [out, in, k, k], padded with zeros."""
    k = w.shape[2]
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    height, width = ((side - k) // stride + 1 for side in x.shape[2:])
    y = sum(
        np.einsum(
            "nchw,oc->nohw",
            x[:, :, i : i + stride * height : stride, j : j + stride * width : stride],
            w[:, :, i, j].astype("f8"),
        )
        for i in range(k)
        for j in range(k)
    )
    return y + np.reshape(b, [1, -1, 1, 1])


def transposed(x, w, b=0.0, pad=1, more=0):
    """[N, C, H, W] with [in, out, k, k] and strides of 2; `more` is PyTorch's output padding."""
    n, _, height, width = x.shape
    k = w.shape[2]
    y = np.zeros([n, w.shape[1], 2 * height + k + more, 2 * width + k + more])
    for i in range(k):
        for j in range(k):
            y[:, :, i : i + 2 * height : 2, j : j + 2 * width : 2] += np.einsum(
                "nchw,co->nohw", x, w[:, :, i, j].astype("f8")
            )
    rows, columns = ((side - 1) * 2 - 2 * pad + k + more for side in (height, width))
    return y[:, :, pad : pad + rows, pad : pad + columns] + np.reshape(b, [1, -1, 1, 1])


def mirrored(x, size):
    return np.pad(x, [(0, 0), (0, 0), (size, size), (size, size)], mode="reflect")


def norm(x, scale=1.0, shift=0.0):
    mean, variance = x.mean(axis=(2, 3), keepdims=True), x.var(axis=(2, 3), keepdims=True)
    scale, shift = (np.reshape(a, [1, -1, 1, 1]) for a in (scale, shift))
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def relu(x):
    return np.maximum(x, 0)


def pictures(shape, n=2, seed=3):
    return np.random.RandomState(seed).uniform(-1, 1, [n, *shape]).astype("float32")


def nchw(x):
    return np.transpose(x, (0, 3, 1, 2))


def nhwc(x):
    return np.transpose(x, (0, 2, 3, 1))


def written(path, arrays):
    """The path of a file of these arrays, as PyTorch writes it today."""
    write_state_dict(path, arrays)
    return path


def same(ours, official):
    """Equal to 1e-4, for images that are not blank, gray or saturated."""
    assert ours.shape == official.shape and official.std() > 0.2
    assert np.abs(official).mean() < 0.9
    np.testing.assert_allclose(ours, official, atol=1e-4)
