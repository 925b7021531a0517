"""The spectral engine: products of transfer functions, and one inverse Fourier transform.

`transfer` turns a chain into layers of equally spaced taps; `signed` takes all frequencies on a period, `band` the few that
matter where no tap is negative, `tilted` several such bands, so that every pixel of a window is certain.
"""

from .band import run_band
from .signed import run_signed
from .tilted import run_tilted

__all__ = ["run_band", "run_signed", "run_tilted"]
