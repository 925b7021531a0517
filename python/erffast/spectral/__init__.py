"""The spectral engine: products of transfer functions, and one inverse Fourier transform."""
