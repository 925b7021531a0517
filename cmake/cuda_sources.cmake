# The files of _cuda, from the root; compiled by nvcc, and for the tests by a C++ compiler (tests/cuda_emulation).
set(ERFFAST_CUDA_SOURCES
  cuda/ceilings.cu
  cuda/device_image.cpp
  cuda/devices.cpp
  cuda/direct/chain.cpp
  cuda/direct/group_plan.cpp
  cuda/direct/images.cpp
  cuda/direct/launches.cu
  cuda/direct/plan.cpp
  cuda/direct/propagate.cpp
  cuda/module.cpp
  cuda/separable/outer.cu)
