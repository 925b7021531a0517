// Doubles aligned for vectors, zero at first.
#pragma once

#include <algorithm>
#include <memory>
#include <new>

#include "erffast/step.hpp"

namespace erffast {

class Table {
 public:
  explicit Table(Index n) : data_(new (std::align_val_t{64}) double[static_cast<std::size_t>(std::max<Index>(n, 1))]()) {}
  double* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(double* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<double[], Free> data_;
};

}  // namespace erffast
