#include "fibers.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "sanitizer.hpp"

#if defined(__x86_64__)
// Keeps what the calling convention lets nobody change, and the stack pointer. swapcontext does the same in thirty times the time,
// as it asks the system for the signal mask. The floating-point state is the same for all fibers.
extern "C" void cuda_emulation_switch(void** save, void* to);
asm(R"(
.text
.globl cuda_emulation_switch
.hidden cuda_emulation_switch
.type cuda_emulation_switch,@function
cuda_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_emulation_switch,.-cuda_emulation_switch
)");
#endif

namespace cuda_emulation {

namespace {

constexpr std::size_t stack_bytes = std::size_t{64} << 10;

thread_local Fibers* beginning = nullptr;  // whose fiber is being entered for the first time

// With a page below it that nobody may touch: too large a frame ends the program instead of spoiling its neighbour.
char* map_stack() {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const low = mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (low == MAP_FAILED || mprotect(low, page, PROT_NONE) != 0) {
    std::perror("cuda emulation: no memory for the stack of a thread");
    std::abort();
  }
  return static_cast<char*>(low) + page;
}

}  // namespace

Fibers::~Fibers() {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (const auto& stack : stacks_) {
    unpoison(stack->low, stack->bytes);
    munmap(stack->low - page, page + stack->bytes);
  }
}

void Fibers::begin() {
  Fibers& self = *beginning;
  self.arrived();
  while (true) self.body_();
}

// So that the next switch to the stack enters begin().
void Fibers::prepare(Stack& stack) {
  unpoison(stack.low, stack.bytes);
  stack.sanitizer = nullptr;
#if defined(__x86_64__)
  void** top = reinterpret_cast<void**>(stack.low + stack.bytes - stack.offset);
  *--top = nullptr;  // where begin() would return to: ends the walk of debuggers
  *--top = reinterpret_cast<void*>(&Fibers::begin);
  for (int i = 0; i < 6; ++i) *--top = nullptr;  // the six registers
  stack.pointer = top;
#else
  getcontext(&stack.context);
  stack.context.uc_stack.ss_sp = stack.low;
  stack.context.uc_stack.ss_size = stack.bytes - stack.offset;
  makecontext(&stack.context, &Fibers::begin, 0);
#endif
}

Stack* Fibers::take() {
  if (free_.empty()) {
    auto& stack = *stacks_.emplace_back(std::make_unique<Stack>());
    stack.low = map_stack();
    stack.bytes = stack_bytes;
    // The busiest lines of different stacks would otherwise share the same few places of the cache.
    stack.offset = stacks_.size() * 448 % 4096;
    prepare(stack);
    return &stack;
  }
  Stack* const stack = free_.back();
  free_.pop_back();
  return stack;
}

void Fibers::arrived() {
#if defined(__SANITIZE_ADDRESS__)
  const void* low = nullptr;
  __sanitizer_finish_switch_fiber(current_->sanitizer, &low, &previous_->bytes);
  previous_->low = static_cast<char*>(const_cast<void*>(low));
#endif
}

void Fibers::to(Stack* stack) {
  Stack* const from = current_;
  previous_ = from;
  current_ = stack;
  beginning = this;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from->sanitizer, stack->low, stack->bytes);
#endif
#if defined(__x86_64__)
  cuda_emulation_switch(&from->pointer, stack->pointer);
#else
  swapcontext(&from->context, &stack->context);
#endif
  arrived();
}

void Fibers::abandon() {
  free_.clear();
  for (const auto& stack : stacks_) {
    prepare(*stack);
    free_.push_back(stack.get());
  }
}

}  // namespace cuda_emulation
