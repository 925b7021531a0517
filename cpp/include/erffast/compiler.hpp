// What compilers spell differently.
#pragma once

// Before a loop whose iterations touch different memory, which the compiler cannot see of pointers.
#ifdef __clang__
#define ERFFAST_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define ERFFAST_INDEPENDENT _Pragma("GCC ivdep")
#endif
