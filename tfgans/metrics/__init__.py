"""Metrics: pure functions from features to numbers; and `evaluate`, from a model to a result.

Each metric has a file of its name, which says with what published numbers it is comparable.
`registry.py` lists the metrics, `statistics.py` gathers what they need from a stream of images, and
`evaluation.py` measures a model or a folder against a data set and records the protocol.
"""

from tfgans.features.lpips import lpips
from tfgans.metrics.density_coverage import density_coverage
from tfgans.metrics.evaluation import Evaluator, check_model, describe, evaluate
from tfgans.metrics.fid import Moments, fid, fid_of_moments, frechet_distance
from tfgans.metrics.improved_pr import improved_precision_recall
from tfgans.metrics.inception_score import inception_score
from tfgans.metrics.intra_fid import intra_fid
from tfgans.metrics.kid import kernel_distance, kid
from tfgans.metrics.ms_ssim import ms_ssim, ms_ssim_diversity
from tfgans.metrics.ppl import ppl, ppl_of_model
from tfgans.metrics.prd import prd, prd_summary
from tfgans.metrics.precision_recall import manifold_precision_recall
from tfgans.metrics.registry import METRICS
from tfgans.metrics.report import compare, read_result, table, write_result
from tfgans.metrics.swd import swd

__all__ = [
    "METRICS",
    "Evaluator",
    "Moments",
    "check_model",
    "compare",
    "density_coverage",
    "describe",
    "evaluate",
    "fid",
    "fid_of_moments",
    "frechet_distance",
    "improved_precision_recall",
    "inception_score",
    "intra_fid",
    "kernel_distance",
    "kid",
    "lpips",
    "manifold_precision_recall",
    "ms_ssim",
    "ms_ssim_diversity",
    "ppl",
    "ppl_of_model",
    "prd",
    "prd_summary",
    "read_result",
    "swd",
    "table",
    "write_result",
]
