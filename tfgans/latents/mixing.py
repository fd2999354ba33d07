"""Style mixing and truncation tables (StyleGAN, Karras et al., CVPR 2019, arXiv:1812.04948)."""

import numpy as np

from tfgans.errors import BadInput

# Layers 2i and 2i + 1 have the side 4 * 2^i: coarse is up to 8 pixels, middle up to 32.
NAMED = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, None)}


def layers_of(text, num_ws):
    """Layer numbers of a text: "coarse", "middle", "fine", "all", or "0-6", "3", "0-2,5".

    Args:
        text: The words.
        num_ws: Number of layers of the generator that take a w.

    Raises:
        BadInput: The generator has no such layers.
    """
    first, last = NAMED.get(text, (0, None))
    layers = list(range(num_ws))[first:last]
    if text not in NAMED and text != "all":
        try:
            parts = [[int(x) for x in part.split("-")] for part in text.split(",")]
        except ValueError:
            raise BadInput(
                f"Wanted layers: coarse, middle, fine, all, or numbers like 0-6; not {text!r}."
            ) from None
        layers = [k for part in parts for k in range(part[0], part[-1] + 1)]
    if not layers or max(layers) >= num_ws:
        raise BadInput(f"The generator has layers 0-{num_ws - 1}, not {text}.")
    return layers


def mix(ws_a, ws_b, layers):
    """Copies a with the given layers from b.

    Args:
        ws_a, ws_b: [..., num_ws, D]; the shapes broadcast.
        layers: Layer numbers.
    """
    ws_a, ws_b = np.broadcast_arrays(ws_a, ws_b)
    mixed = ws_a.copy()
    mixed[..., layers, :] = ws_b[..., layers, :]
    return mixed


def mixing_table(space, rows, columns, layers, truncation=None):
    """Images of each row's seed with some layers from each column's seed.

    The first row and column show the sources (figure 3 of the paper, transposed).

    Args:
        space: A `Space`.
        rows: Seeds of the rows.
        columns: Seeds of the columns, which give `layers`.
        layers: Layer numbers.
        truncation: psi of all images.

    Returns:
        [len(rows) + 1, len(columns) + 1, H, W, C] in [-1, 1]; the corner is white.
    """
    if space.num_ws == 1:
        raise BadInput(
            f"{type(space.model).__name__} has no styles to mix: take a StyleGAN or StyleGAN2."
        )
    a, b = (space.of_seeds(seeds, truncation).numpy() for seeds in (rows, columns))
    mixed = mix(a[:, None], b[None], layers)
    table = np.ones([len(rows) + 1, len(columns) + 1, *space.model.image_shape], "float32")
    table[0, 1:], table[1:, 0] = space.images(b), space.images(a)
    table[1:, 1:] = space.images(mixed.reshape(-1, *a.shape[1:])).reshape(table[1:, 1:].shape)
    return table


def truncation_table(space, seeds, psis, cutoff=None):
    """Images of each seed (rows) at each psi (columns), [len(seeds), len(psis), H, W, C].

    psi = 0 gives the mean image, 1 the full variety, psi below 0 the opposite side of the mean.

    Args:
        space: The `Space` of a generator.
        seeds: Seeds of the rows.
        psis: Truncations of the columns.
        cutoff: Number of layers, from the coarsest, that are truncated; None for all.
    """
    z, label = space.z(seeds), space.labels(seeds)
    columns = [space.images(space.ws(z, label, psi, cutoff)) for psi in psis]
    return np.stack(columns, axis=1)
