# The inner loops, compiled once per instruction set. Everything else is compiled for the baseline, so that the package runs
# on any machine of its architecture. Never -march=native: a wheel must run where it was not built.
function(erffast_instruction_sets target)
  set(sets baseline)
  target_sources(${target} PRIVATE cpp/src/kernels/baseline.cpp cpp/src/kernels/exact_baseline.cpp cpp/src/kernels/spectral_baseline.cpp)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    target_compile_definitions(${target} PRIVATE ERFFAST_X86_64)
    foreach(level v3 v4)
      foreach(file cpp/src/kernels/x86_64_${level}.cpp cpp/src/kernels/exact_x86_64_${level}.cpp
              cpp/src/kernels/spectral_x86_64_${level}.cpp)
        target_sources(${target} PRIVATE ${file})
        set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS -march=x86-64-${level})
      endforeach()
      list(APPEND sets x86-64-${level})
    endforeach()
  endif()
  # `acc += w * x` becomes one fused multiply-add; no other contraction is possible in the first two.
  foreach(file baseline x86_64_v3 x86_64_v4)
    set_property(SOURCE cpp/src/kernels/${file}.cpp APPEND PROPERTY COMPILE_OPTIONS -O3 -ffp-contract=fast)
    set_property(SOURCE cpp/src/kernels/spectral_${file}.cpp APPEND PROPERTY COMPILE_OPTIONS -O3 -ffp-contract=fast)
    set_property(SOURCE cpp/src/kernels/exact_${file}.cpp APPEND PROPERTY COMPILE_OPTIONS -O3 -ffp-contract=off)
  endforeach()
  set(ERFFAST_INSTRUCTION_SETS "${sets}" PARENT_SCOPE)
endfunction()
