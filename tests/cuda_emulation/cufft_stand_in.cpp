// A library with the names of cuFFT that the product uses, for machines without one: inverse transforms by their definition, along the columns
// and then along the rows, on the emulated device's memory, which is the host's. Streams run at once here.
#include <cmath>
#include <complex>
#include <cstddef>
#include <map>
#include <numbers>
#include <vector>

namespace {

using Complex = std::complex<double>;

enum Result { success = 0, invalid_plan = 1, invalid_type = 3, invalid_value = 4, exec_failed = 6 };
constexpr int complex_to_real = 0x6c;
constexpr std::size_t work_bytes = 64;  // of every plan: the product must hand it over

struct Plan {
  int batch = 0, height = 0, width = 0;
  std::ptrdiff_t in_distance = 0, out_distance = 0;
  bool allocates = true;
  void* work = nullptr;
};

std::map<int, Plan> plans;
int next_plan = 1;

Plan* plan_of(int handle) {
  const auto found = plans.find(handle);
  return found == plans.end() ? nullptr : &found->second;
}

Complex turn(int k, int n) {
  const double angle = 2 * std::numbers::pi * k / n;
  return {std::cos(angle), std::sin(angle)};
}

// One image of height x width pixels from height x (width / 2 + 1) frequencies.
void transform(const Plan& p, const Complex* in, double* out) {
  const int columns = p.width / 2 + 1;
  std::vector<Complex> down(static_cast<std::size_t>(p.height * columns));
  for (int y = 0; y < p.height; ++y) {
    for (int v = 0; v < columns; ++v) {
      for (int u = 0; u < p.height; ++u) down[static_cast<std::size_t>(y * columns + v)] += in[u * columns + v] * turn(u * y % p.height, p.height);
    }
  }
  for (int y = 0; y < p.height; ++y) {
    for (int x = 0; x < p.width; ++x) {
      double sum = 0;
      for (int v = 0; v < columns; ++v) {
        const double times = v == 0 || 2 * v == p.width ? 1 : 2;
        sum += times * (down[static_cast<std::size_t>(y * columns + v)] * turn(v * x % p.width, p.width)).real();
      }
      out[y * p.width + x] = sum;
    }
  }
}

}  // namespace

extern "C" {

int cufftCreate(int* handle) {
  *handle = next_plan++;
  plans[*handle] = {};
  return success;
}

int cufftSetAutoAllocation(int handle, int automatic) {
  Plan* p = plan_of(handle);
  if (p == nullptr) return invalid_plan;
  p->allocates = automatic != 0;
  return success;
}

int cufftMakePlanMany64(int handle, int rank, long long* n, long long* in_embed, long long in_stride, long long in_distance, long long* out_embed,
                        long long out_stride, long long out_distance, int type, long long batch, std::size_t* work) {
  Plan* p = plan_of(handle);
  if (p == nullptr) return invalid_plan;
  if (type != complex_to_real) return invalid_type;
  if (rank < 1 || rank > 2) return invalid_value;
  const long long width = n[rank - 1], height = rank == 2 ? n[0] : 1;
  if (in_stride != 1 || out_stride != 1 || batch < 1 || width % 2 != 0) return invalid_value;
  if (in_embed[rank - 1] != width / 2 + 1 || out_embed[rank - 1] != width) return invalid_value;
  if (in_distance != height * (width / 2 + 1) || out_distance != height * width) return invalid_value;
  *p = {static_cast<int>(batch), static_cast<int>(height), static_cast<int>(width), in_distance, out_distance, p->allocates, nullptr};
  *work = work_bytes;
  return success;
}

int cufftSetWorkArea(int handle, void* work) {
  Plan* p = plan_of(handle);
  if (p == nullptr) return invalid_plan;
  p->work = work;
  return success;
}

int cufftSetStream(int handle, void*) { return plan_of(handle) == nullptr ? invalid_plan : success; }

int cufftExecZ2D(int handle, Complex* in, double* out) {
  const Plan* p = plan_of(handle);
  if (p == nullptr) return invalid_plan;
  if (!p->allocates && p->work == nullptr) return exec_failed;
  for (int i = 0; i < p->batch; ++i) transform(*p, in + i * p->in_distance, out + i * p->out_distance);
  return success;
}

// For tests: plans that there are, and that were ever begun.
int stand_in_plans() { return static_cast<int>(plans.size()); }
int stand_in_begun() { return next_plan - 1; }

int cufftDestroy(int handle) { return plans.erase(handle) == 1 ? success : invalid_plan; }

}  // extern "C"
