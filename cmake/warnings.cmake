# Warnings on; errors only where ERFFAST_WERROR asks for it.
function(erffast_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion)
  if(ERFFAST_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
