// Stacks that one thread of the system switches between: one for each CUDA thread that has begun and not ended.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda_emulation {

struct Stack {
  char* low = nullptr;
  std::size_t bytes = 0;
  std::size_t offset = 0;     // of the first frame from the top
  void* sanitizer = nullptr;  // what the address sanitizer keeps of a stack that waits
#if defined(__x86_64__)
  void* pointer = nullptr;    // the stack pointer, while it waits
#else
  ucontext_t context{};
#endif
  bool holds(const void* address) const { return address >= low && address < low + bytes; }
};

class Fibers {
 public:
  // body() runs again and again on each stack that was begun; it leaves by switching away.
  explicit Fibers(std::function<void()> body) : body_(std::move(body)) {}
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  Stack* take();                                     // one that is free, or a new one
  void give(Stack* stack) { free_.push_back(stack); }  // free, when the next switch has left it
  void to(Stack* stack);                             // goes on there; returns when somebody comes back
  void to_system() { to(&system_); }
  const Stack& current() const { return *current_; }
  Stack* current() { return current_; }
  void abandon();                                    // frees the stacks of all that wait, which never go on

 private:
  static void begin();
  void prepare(Stack& stack);
  void arrived();

  std::function<void()> body_;
  std::vector<std::unique_ptr<Stack>> stacks_;
  std::vector<Stack*> free_;
  Stack system_;  // of the thread of the system
  Stack* current_ = &system_;
  Stack* previous_ = nullptr;
};

}  // namespace cuda_emulation
