# The files of _cuda, from the root; compiled by nvcc, and for the tests by a C++ compiler (tests/cuda_emulation).
set(ERFFAST_CUDA_SOURCES
  cuda/ceilings.cu
  cuda/devices.cpp
  cuda/module.cpp
  cuda/spectral/band_product.cu
  cuda/spectral/bindings.cpp
  cuda/spectral/coarse.cu
  cuda/spectral/fourier.cpp
  cuda/spectral/images.cu
  cuda/spectral/period_product.cu
  cuda/spectral/repeats.cu
  cuda/spectral/spectra.cu
  cuda/spectral/spectrum.cu
  cuda/spectral/synthesis.cu)
