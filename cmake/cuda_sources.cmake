# The files of _cuda, from the root; compiled by nvcc, and for the tests by a C++ compiler (tests/cuda_emulation).
set(ERFFAST_CUDA_SOURCES
  cuda/devices.cpp
  cuda/direct/chain.cpp
  cuda/direct/images.cpp
  cuda/direct/launches.cu
  cuda/direct/plan.cpp
  cuda/module.cpp
  cuda/separable/outer.cu)

# What _cuda takes from the CPU's engine: composing in one dimension. For the emulation, which links no library of it.
set(ERFFAST_ENGINE_SOURCES
  cpp/src/dispatch.cpp
  cpp/src/kernels/band_baseline.cpp
  cpp/src/kernels/baseline.cpp
  cpp/src/kernels/exact_baseline.cpp
  cpp/src/kernels/peak_baseline.cpp
  cpp/src/kernels/profile_baseline.cpp
  cpp/src/kernels/spectral_baseline.cpp
  cpp/src/separable/composed.cpp
  cpp/src/separable/distinct.cpp
  cpp/src/separable/exact_sequence.cpp
  cpp/src/separable/repeats.cpp
  cpp/src/separable/sequence.cpp
  cpp/src/separable/three_taps.cpp
  cpp/src/threads.cpp)
