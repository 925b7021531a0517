#include "spectral/fourier.hpp"

#include <dlfcn.h>

#include <mutex>

namespace erffast::cuda {
namespace {

// What is used of cufft.h, whose C interface is the same from cuFFT 11 on.
using Handle = int;
using Result = int;
using Long = long long;  // of the plans that count in 64 bits: several draws may have more than 2**31 pixels
constexpr Result success = 0, allocation_failed = 2;
constexpr int complex_to_real = 0x6c;  // CUFFT_Z2D

struct Functions {
  Result (*create)(Handle*);
  Result (*set_auto_allocation)(Handle, int);
  Result (*make_plan_many)(Handle, int rank, Long* n, Long* in_embed, Long in_stride, Long in_distance, Long* out_embed, Long out_stride,
                           Long out_distance, int type, Long batch, std::size_t* work);
  Result (*set_work_area)(Handle, void*);
  Result (*set_stream)(Handle, cudaStream_t);
  Result (*execute)(Handle, double2*, double*);
  Result (*destroy)(Handle);
};

struct Library {
  std::mutex loading;
  bool loaded = false;
  Functions functions{};
};

Library& library() {
  static Library the_one;
  return the_one;
}

template <class F>
bool find(void* handle, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(handle, name));
  return function != nullptr;
}

bool find_all(void* handle, Functions& f) {
  return find(handle, "cufftCreate", f.create) && find(handle, "cufftSetAutoAllocation", f.set_auto_allocation) &&
         find(handle, "cufftMakePlanMany64", f.make_plan_many) && find(handle, "cufftSetWorkArea", f.set_work_area) &&
         find(handle, "cufftSetStream", f.set_stream) && find(handle, "cufftExecZ2D", f.execute) && find(handle, "cufftDestroy", f.destroy);
}

void check_transform(Result result, const char* doing, Index work = 0) {
  if (result == success) return;
  if (result == allocation_failed) throw MemoryLimit(work);
  throw DeviceError(std::string("cuFFT failed while ") + doing + ": result " + std::to_string(result));
}

class Plan {
 public:
  Plan(const Functions& functions, Index draws, Index height, Index width, Session& session) : functions_(functions) {
    check_transform(functions_.create(&handle_), "beginning a plan");
    try {
      make(draws, height, width, session);
    } catch (...) {
      functions_.destroy(handle_);
      throw;
    }
  }
  Plan(const Plan&) = delete;
  ~Plan() { functions_.destroy(handle_); }

  void execute(double2* values, double* images) { check_transform(functions_.execute(handle_, values, images), "transforming"); }

 private:
  void make(Long draws, Long height, Long width, Session& session) {
    const int rank = height == 1 ? 1 : 2;
    const Long columns = width / 2 + 1;
    Long sides[2] = {height, width}, in[2] = {height, columns}, out[2] = {height, width};
    const int skipped = 2 - rank;  // an image of one row has one axis
    std::size_t bytes = 0;
    check_transform(functions_.set_auto_allocation(handle_, 0), "planning");
    check_transform(functions_.make_plan_many(handle_, rank, sides + skipped, in + skipped, 1, height * columns, out + skipped, 1, height * width,
                                              complex_to_real, draws, &bytes),
                    "planning");
    work_ = DeviceArray<unsigned char>(static_cast<Index>(bytes), &session.budget);
    if (bytes > 0) check_transform(functions_.set_work_area(handle_, work_.data()), "planning", work_.size());
    check_transform(functions_.set_stream(handle_, session.stream), "planning");
  }

  const Functions& functions_;
  Handle handle_ = 0;
  DeviceArray<unsigned char> work_;
};

}  // namespace

std::string transform_library() {
  int version = 0;
  check(cudaRuntimeGetVersion(&version), "asking for its version");
  return "libcufft.so." + std::to_string(version / 1000 - 1);
}

std::string load_transforms(const std::vector<std::string>& paths) {
  Library& the = library();
  const std::lock_guard<std::mutex> lock(the.loading);
  if (the.loaded) return "";
  std::vector<std::string> names = paths;
  names.push_back(transform_library());
  std::string reason;
  for (const std::string& name : names) {
    void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      reason = dlerror();
      continue;
    }
    the.loaded = find_all(handle, the.functions);
    if (the.loaded) return "";
    reason = name + " lacks functions of cuFFT";
    dlclose(handle);
  }
  return reason;
}

void inverse_transform(double2* values, double* images, Index draws, Index height, Index width, Session& session) {
  Plan plan(library().functions, draws, height, width, session);
  plan.execute(values, images);
  session.stream.wait();  // its work memory is freed
}

}  // namespace erffast::cuda
