#include "spectral/fourier.hpp"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <utility>

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

struct Plan;

struct Library {
  std::mutex loading;
  bool loaded = false;
  Functions functions{};
  // Of each device the last plan, while nobody uses it: to make one takes longer than many a transform.
  std::mutex keeping;
  std::map<int, std::unique_ptr<Plan>> kept;
};

// Never destroyed: when the process ends, the driver may be gone before the plans.
Library& library() {
  static Library& the_one = *new Library;
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

// Of some images, without the memory that it works in.
struct Plan {
  Plan(Long n, Long rows, Long row) : draws(n), height(rows), width(row) {
    const Functions& f = library().functions;
    check_transform(f.create(&handle), "beginning a plan");
  }
  Plan(const Plan&) = delete;
  ~Plan() { library().functions.destroy(handle); }

  void make() {
    const Functions& f = library().functions;
    const int rank = height == 1 ? 1 : 2;
    const Long columns = width / 2 + 1;
    Long sides[2] = {height, width}, in[2] = {height, columns}, out[2] = {height, width};
    const int skipped = 2 - rank;  // an image of one row has one axis
    check_transform(f.set_auto_allocation(handle, 0), "planning");
    check_transform(f.make_plan_many(handle, rank, sides + skipped, in + skipped, 1, height * columns, out + skipped, 1, height * width,
                                     complex_to_real, draws, &work),
                    "planning");
  }

  const Long draws, height, width;
  Handle handle = 0;
  std::size_t work = 0;  // bytes
};

// The plan kept of a device, where it is of such images, or a new one; nobody else has it until it is kept again.
std::unique_ptr<Plan> plan_for(int device, Long draws, Long height, Long width) {
  Library& the = library();
  {
    const std::lock_guard<std::mutex> lock(the.keeping);
    std::unique_ptr<Plan>& kept = the.kept[device];
    if (kept != nullptr && kept->draws == draws && kept->height == height && kept->width == width) return std::move(kept);
  }
  auto plan = std::make_unique<Plan>(draws, height, width);
  plan->make();
  return plan;
}

void keep(int device, std::unique_ptr<Plan> plan) {
  const std::lock_guard<std::mutex> lock(library().keeping);
  library().kept[device].swap(plan);  // the one before ends with the scope
}

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
  const Functions& f = library().functions;
  std::unique_ptr<Plan> plan = plan_for(session.device, draws, height, width);
  DeviceArray<unsigned char> work(static_cast<Index>(plan->work), &session.budget);
  if (plan->work > 0) check_transform(f.set_work_area(plan->handle, work.data()), "planning", work.size());
  check_transform(f.set_stream(plan->handle, session.stream), "planning");
  check_transform(f.execute(plan->handle, values, images), "transforming");
  session.stream.wait();  // its work memory is freed
  keep(session.device, std::move(plan));
}

}  // namespace erffast::cuda
