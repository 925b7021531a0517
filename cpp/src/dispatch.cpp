// Which instruction set the inner loops use.
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "erffast/kernels.hpp"

namespace erffast {

#ifdef ERFFAST_X86_64
extern const KernelTable table_x86_64_v2;
extern const KernelTable table_x86_64_v3;
extern const KernelTable table_x86_64_v4;
#else
extern const KernelTable table_baseline;
#endif

namespace {

struct Choice {
  const KernelTable* table;
  bool supported;
};

// From the plainest to the best.
std::vector<Choice> choices() {
#ifdef ERFFAST_X86_64
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
                  __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return {{&table_x86_64_v2, v2}, {&table_x86_64_v3, v3}, {&table_x86_64_v4, v4}};
#else
  return {{&table_baseline, true}};
#endif
}

const KernelTable& chosen() {
  const char* forced = std::getenv("ERFFAST_CPU_ISA");
  const KernelTable* best = nullptr;
  std::string names;
  for (const Choice& choice : choices()) {
    names += (names.empty() ? "" : ", ") + std::string(choice.table->isa);
    if (forced != nullptr && *forced != '\0') {
      if (std::string(forced) != choice.table->isa) continue;
      if (!choice.supported) throw std::runtime_error("ERFFAST_CPU_ISA=" + std::string(forced) + " is not supported by this machine");
      return *choice.table;
    }
    if (choice.supported) best = choice.table;
  }
  if (forced != nullptr && *forced != '\0') {
    throw std::runtime_error("ERFFAST_CPU_ISA must be one of " + names + ", got " + std::string(forced));
  }
  if (best == nullptr) throw std::runtime_error("this machine supports none of the instruction sets " + names);
  return *best;
}

}  // namespace

const KernelTable& kernel_table() {
  static const KernelTable& table = chosen();
  return table;
}

}  // namespace erffast
