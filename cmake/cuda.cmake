# The extension module _cuda, where a CUDA compiler is found: ERFFAST_CUDA=AUTO, ON (an error without one) or OFF.
# ERFFAST_CUDA_ARCHITECTURES (cache or environment): all-major (default: every architecture, and what later ones can translate),
# native (this machine's GPU), or numbers such as 90.
set(ERFFAST_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO, ON or OFF")
set_property(CACHE ERFFAST_CUDA PROPERTY STRINGS AUTO ON OFF)
set(ERFFAST_CUDA_ARCHITECTURES "$ENV{ERFFAST_CUDA_ARCHITECTURES}" CACHE STRING "GPU architectures to compile for; empty: all-major")

# Why _cuda cannot be built here, with the remedy; empty where it can.
function(erffast_cuda_obstacle result)
  set(${result} "" PARENT_SCOPE)
  if(CMAKE_VERSION VERSION_LESS 3.24)
    set(${result} "CMake ${CMAKE_VERSION} does not know what GPUs there are: put CMake 3.24 or newer on the PATH" PARENT_SCOPE)
    return()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    set(${result} "no CUDA compiler was found: put nvcc on the PATH, or set CUDACXX to it" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE told ERROR_QUIET)
  if(told MATCHES "release ([0-9]+\\.[0-9]+)" AND CMAKE_MATCH_1 VERSION_LESS 12)
    set(${result} "the nvcc of CUDA ${CMAKE_MATCH_1} does not know C++20: put that of CUDA 12 or newer on the PATH, or set CUDACXX to it" PARENT_SCOPE)
  endif()
endfunction()

# Sets ERFFAST_CUDA_FOUND, and says why it is OFF.
function(erffast_find_cuda)
  set(ERFFAST_CUDA_FOUND OFF PARENT_SCOPE)
  if(NOT ERFFAST_CUDA MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "ERFFAST_CUDA must be AUTO, ON or OFF, not ${ERFFAST_CUDA}")
  endif()
  set(obstacle "ERFFAST_CUDA=OFF")
  if(NOT ERFFAST_CUDA STREQUAL OFF)
    erffast_cuda_obstacle(obstacle)
  endif()
  if(obstacle STREQUAL "")
    set(ERFFAST_CUDA_FOUND ON PARENT_SCOPE)
  elseif(ERFFAST_CUDA STREQUAL ON)
    message(FATAL_ERROR "ERFFAST_CUDA=ON, but ${obstacle}")
  else()
    message(STATUS "erffast: no CUDA backend, ${obstacle}")
  endif()
endfunction()

macro(erffast_cuda_module)
  if(NOT ERFFAST_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES all-major)
  else()
    set(CMAKE_CUDA_ARCHITECTURES ${ERFFAST_CUDA_ARCHITECTURES})
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  include(cmake/cuda_sources.cmake)
  pybind11_add_module(_cuda MODULE NO_EXTRAS ${ERFFAST_CUDA_SOURCES})
  target_include_directories(_cuda PRIVATE cuda cpp/src cpp/bindings)
  # The runtime is linked statically: the module imports without a driver, and says so when it is asked.
  set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static CUDA_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden)
  target_link_libraries(_cuda PRIVATE erffast_engine CUDA::cudart_static ${CMAKE_DL_LIBS})
  # Sums are written as explicit fused multiply-adds, as on the CPU; what is not stays apart.
  target_compile_options(_cuda PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20> # CMake 3.25 does not know what nvcc 13 can do
    $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false>
    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-ffp-contract=off>
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-ffp-contract=off>)
  if(ERFFAST_WERROR)
    target_compile_options(_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings> $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
  install(TARGETS _cuda LIBRARY DESTINATION erffast)
endmacro()
