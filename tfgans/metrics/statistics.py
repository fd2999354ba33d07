"""The statistics of a set of images that metrics are computed from.

Images stream through in batches. Moments are sums in float64 over all images; features, logits and
patches are kept for a bounded number of images, for the metrics that cannot do without them.
"""

import numpy as np

from tfgans.metrics.fid import Moments
from tfgans.metrics.ms_ssim import ms_ssim
from tfgans.metrics.registry import KEPT, PAIRED, PATCHED, WITH_NETWORK
from tfgans.metrics.swd import PATCHES_PER_IMAGE, patches_of_levels


class Statistics:
    """Gathers the statistics of a set of images batch by batch.

    Args:
        needs: Words of `Metric.needs`: the statistics to gather.
        extractor: The feature network, or None where no metric needs it.
        seed: Seed of the places of patches.
    """

    def __init__(self, needs, extractor=None, seed=0):
        self.needs, self.extractor = set(needs), extractor
        self.random = np.random.default_rng(seed)
        self.count, self.moments, self.kept, self.similarities = 0, Moments(), {}, []

    def add(self, images, labels=None, features=None):
        """Adds a batch.

        Args:
            images: uint8 [n, H, W, C].
            labels: Class numbers [n], for the need "labels".
            features: Their features [n, d], if they are known already.
        """
        if "logits" in self.needs:
            features, logits = self.extractor.with_logits(images)
            self.keep("logits", logits, KEPT)
        elif self.needs & set(WITH_NETWORK) and features is None:
            features = self.extractor(images)
        if "moments" in self.needs:
            self.moments.add(features)
        if self.needs & {"features", "labels"}:
            self.keep("features", features, KEPT)
        if "labels" in self.needs:
            self.keep("labels", labels, KEPT)
        if "patches" in self.needs and self.count < PATCHED:
            levels = patches_of_levels(images, PATCHES_PER_IMAGE, self.random)
            for side, patches in levels.items():
                self.keep(side, patches, PATCHED * PATCHES_PER_IMAGE)
        if "pairs" in self.needs and self.count < PAIRED:
            even = len(images) // 2 * 2
            if even:  # the last batch may be one image
                self.similarities.append(ms_ssim(images[:even:2], images[1:even:2]))
        self.count += len(images)

    def keep(self, name, rows, most):
        """Keeps rows under a name, at most `most` in all."""
        kept = self.kept.setdefault(name, [])
        room = most - sum(map(len, kept))
        kept.append(np.asarray(rows)[:room])

    @property
    def features(self) -> np.ndarray:
        """Features [at most KEPT, d]."""
        return np.concatenate(self.kept["features"])

    @property
    def labels(self) -> np.ndarray:
        """Class numbers [at most KEPT]."""
        return np.concatenate(self.kept["labels"])

    @property
    def logits(self) -> np.ndarray:
        """Logits [at most KEPT, K]."""
        return np.concatenate(self.kept["logits"])

    @property
    def patches(self) -> dict:
        """Side of the level -> patches, as `swd_of_patches` takes them."""
        return {side: np.concatenate(p) for side, p in self.kept.items() if type(side) is int}

    @property
    def similarity(self) -> float:
        """Mean MS-SSIM of neighboring images."""
        return float(np.concatenate(self.similarities).mean())
