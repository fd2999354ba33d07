"""Enhanced speech: `python benchmarks/segan.py RUN [--data DIR] [--out segan]`.

Utterances that no training has heard, or the pairs of a folder, are enhanced by a run's model.
Printed for each ratio of speech to noise, before and after, in dB: SI-SDR and segmental SNR
(`tfgans/metrics/speech.py`). Beside them stands how much the step across a border of two windows
is greater than other steps of the enhanced wave: 1 where no border is heard.

OUT.png shows the spectrograms of one utterance, noisy, enhanced and clean, and OUT-noisy.wav,
OUT-enhanced.wav and OUT-clean.wav are its sounds.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

from tfgans import models  # noqa: E402
from tfgans.data.audio import open_speech  # noqa: E402
from tfgans.data.speech import DECIBELS, TEST_DECIBELS, SyntheticSpeech  # noqa: E402
from tfgans.metrics.speech import segmental_snr, si_sdr  # noqa: E402
from tfgans.previews import Sound  # noqa: E402

FIRST = 2**20  # number of an utterance beyond those of training
SECONDS = 2


def border_step(wave, hop):
    """The mean step across the borders of windows beside the mean of all steps."""
    steps = np.abs(np.diff(wave))
    return steps[hop - 1 :: hop].mean() / steps.mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a run of segan, or name of a release")
    parser.add_argument("--data", help="folders clean and noisy; synthetic speech without it")
    parser.add_argument("--sounds", type=int, default=32, help="number of utterances, at most")
    parser.add_argument("--shown", type=int, default=0, help="number of the one in the picture")
    parser.add_argument(
        "--test-ratios", action="store_true", help="ratios of the paper's test, not of training"
    )
    parser.add_argument("--out", default="segan", help="beginning of the names of the files")
    given = parser.parse_args()
    model = models.load(given.run)
    if given.data:
        source = open_speech(given.data, model.rate)
    else:
        ratios = TEST_DECIBELS if given.test_ratios else DECIBELS
        length = SECONDS * model.rate
        source = SyntheticSpeech(model.rate, length, FIRST, given.sounds, ratios)
    found, borders = {}, []
    for i in range(min(given.sounds, len(source))):
        length = int(source.lengths[i])
        noisy, clean = source.read(i, 0, length)
        enhanced = model.enhance(noisy[None]).numpy()[0]
        group = "given" if given.data else f"{source.decibels_of(i):g} dB, {source.kind(i)}"
        measured = [
            measure(wave)
            for measure in (
                lambda wave, clean=clean: si_sdr(wave, clean),
                lambda wave, clean=clean: segmental_snr(wave, clean, model.rate),
            )
            for wave in (noisy, enhanced)
        ]
        found.setdefault(group, []).append(measured)
        borders.append(border_step(enhanced, model.hop))
        if i == given.shown:
            names = ("noisy", "enhanced", "clean")
            sound = Sound(np.stack([noisy, enhanced, clean]), model.rate, names)
            files = sound.save(given.out)
    print(f"{sum(map(len, found.values()))} utterances        SI-SDR, after   segmental, after")
    found["all"] = [row for rows in found.values() for row in rows]
    for group, rows in found.items():
        print(f"{group:>16}  " + " ".join(f"{x:8.2f}" for x in np.mean(rows, axis=0)))
    print(f"Step across a border of two windows, beside all steps: {np.mean(borders):.2f}")
    print("Written:", *files)


if __name__ == "__main__":
    main()
