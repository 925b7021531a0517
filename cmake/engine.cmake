# The engines on the CPU, without Python: the library that _core, _cuda and the programs of the tests are linked with.
set(ERFFAST_ROOT ${CMAKE_CURRENT_LIST_DIR}/..)
include(${CMAKE_CURRENT_LIST_DIR}/warnings.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/instruction_sets.cmake)

macro(erffast_engine_library)
  find_package(Threads REQUIRED)
  set(sources
    cpp/src/ceilings.cpp
    cpp/src/dispatch.cpp
    cpp/src/direct/propagate.cpp
    cpp/src/separable/composed.cpp
    cpp/src/separable/distinct.cpp
    cpp/src/separable/exact_sequence.cpp
    cpp/src/separable/outer.cpp
    cpp/src/separable/repeats.cpp
    cpp/src/separable/sequence.cpp
    cpp/src/separable/three_taps.cpp
    cpp/src/simulation/simulate.cpp
    cpp/src/spectral/band.cpp
    cpp/src/spectral/band_product.cpp
    cpp/src/spectral/certificate.cpp
    cpp/src/spectral/combine.cpp
    cpp/src/spectral/exact_layers.cpp
    cpp/src/spectral/groups.cpp
    cpp/src/spectral/laws.cpp
    cpp/src/spectral/place.cpp
    cpp/src/spectral/product.cpp
    cpp/src/spectral/quantiles.cpp
    cpp/src/spectral/repeats.cpp
    cpp/src/spectral/sample.cpp
    cpp/src/spectral/sampled.cpp
    cpp/src/spectral/spectrum.cpp
    cpp/src/spectral/synthesis.cpp
    cpp/src/spectral/turns.cpp
    cpp/src/threads.cpp)
  list(TRANSFORM sources PREPEND ${ERFFAST_ROOT}/)
  add_library(erffast_engine STATIC ${sources})
  target_include_directories(erffast_engine PUBLIC ${ERFFAST_ROOT}/cpp/include PRIVATE ${ERFFAST_ROOT}/cpp/src)
  target_compile_features(erffast_engine PUBLIC cxx_std_20)
  target_link_libraries(erffast_engine PUBLIC Threads::Threads)
  set_target_properties(erffast_engine PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
  erffast_warnings(erffast_engine)
  # Double-double arithmetic is right only without contraction, and nothing outside the kernels may depend on the architecture.
  target_compile_options(erffast_engine PRIVATE -ffp-contract=off)
  erffast_instruction_sets(erffast_engine)
endmacro()
