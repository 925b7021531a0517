"""The spectral engine: products of transfer functions, and one inverse Fourier transform.

`transfer` turns a chain into layers of equally spaced taps; `signed` takes all frequencies on a period, `band` the few that
matter where no tap is negative.
"""

from .band import run_band
from .signed import run_signed

__all__ = ["run_band", "run_signed"]
