"""A spectrogram to feed to networks: made up, so that nothing need be recorded, but with what recordings have in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATE, SECONDS = 16_000, 4.08  # samples a second
WINDOW, HOP = 1024, 160  # samples: 10 ms between frames
BANDS, FRAMES = 128, 400


def spectrogram() -> Array:
    """Mel bands by frames [128, 400], low bands first, logarithms of power, brought to mean 0 and variance 1."""
    from scipy import signal

    _, _, power = signal.spectrogram(_sound(), fs=RATE, nperseg=WINDOW, noverlap=WINDOW - HOP, mode="psd")
    bands = np.log(mel_filters(BANDS, WINDOW // 2 + 1) @ power[:, :FRAMES])
    return np.asarray((bands - bands.mean()) / bands.std())


def _sound() -> Array:
    """A gliding voice with twenty harmonics and vibrato, a bird's chirps, clicks, and noise under all of it."""
    from scipy import signal

    time = np.arange(int(RATE * SECONDS)) / RATE
    pitch = 140 + 60 * np.sin(1.3 * time) + 4 * np.sin(2 * np.pi * 5.5 * time)  # hertz
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    syllables = np.clip(np.sin(2 * np.pi * 1.4 * time), 0, None)
    voice = sum(np.sin(k * phase) / k for k in range(1, 21)) * syllables
    bird = sum(
        signal.chirp(time - start, 2500, 0.25, 5500) * ((time >= start) & (time < start + 0.25)) for start in (0.5, 0.9, 2.2, 2.6, 3.4)
    )
    clicks = np.zeros_like(time)
    clicks[[int(at * RATE) for at in (0.42, 1.3, 1.95, 3.2, 3.75)]] = 20.0
    return np.asarray(voice + 0.3 * bird + clicks + 0.01 * np.random.default_rng(0).standard_normal(len(time)))


def mel_filters(bands: int, bins: int) -> Array:
    """Triangles [bands, bins], their centres evenly spaced in mel = 2595 log10(1 + f / 700) up to half the rate, of unit sum.

    A triangle narrower than a bin takes the nearest bin.
    """
    hertz = np.linspace(0, RATE / 2, bins)
    corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 1400), bands + 2) / 2595) - 1)
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    filters = np.clip(np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)), 0, None)
    empty = filters.sum(axis=1) == 0
    filters[empty, np.abs(hertz - centre).argmin(axis=1)[empty]] = 1.0
    return np.asarray(filters / filters.sum(axis=1, keepdims=True))
