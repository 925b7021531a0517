// Answers of the engine on fixed inputs, every number as a hexadecimal fraction: the same program is built for several
// architectures and compilers, and what it prints is compared (tests/test_platforms.py). Inputs come from integers, so that no
// library takes part in them.
#include <cstdio>
#include <string>
#include <vector>

#include "erffast/combine.hpp"
#include "erffast/kernels.hpp"
#include "erffast/propagate.hpp"
#include "erffast/separable.hpp"
#include "erffast/spectrum.hpp"

using namespace erffast;

namespace {

constexpr Index memory = Index{1} << 30;

// Numbers in [0, 1) with 53 bits (SplitMix64).
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  double operator()() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  // `n` of them, in [-1, 1) where `is_signed`.
  template <class T>
  std::vector<T> take(Index n, bool is_signed) {
    std::vector<T> values(static_cast<std::size_t>(n));
    for (T& v : values) v = static_cast<T>(is_signed ? 2 * (*this)() - 1 : (*this)());
    return values;
  }

 private:
  std::uint64_t state_;
};

Monitor quiet() { return Monitor({}, 1); }

void print(const std::string& name, Index index, double value) { std::printf("%s[%lld] %a\n", name.c_str(), static_cast<long long>(index), value); }

template <class Values>
void print_all(const std::string& name, const Values& values) {
  Index i = 0;
  for (const auto v : values) print(name, i++, static_cast<double>(v));
}

template <class T>
void print_image(const std::string& name, const Image<T>& image, Index parts) {
  const Plane<T>& plane = image.plane;
  print(name + " exponent", 0, static_cast<double>(image.exponent));
  print(name + " border", 0, image.border);
  Index i = 0;
  for (Index y = 0; y < plane.rect().height; ++y) {
    for (Index part = 0; part < parts; ++part) {
      for (Index x = 0; x < plane.rect().width; ++x) print(name, i++, static_cast<double>(plane.row(0, y)[part * plane.low() + x]));
    }
  }
}

template <class T>
Run<T> layers(Index height, Index width, Index count, const std::vector<T>& taps) {
  Run<T> run{};
  run.kernel[0] = height;
  run.kernel[1] = width;
  for (int axis = 0; axis < 2; ++axis) run.stride[axis] = run.dilation[axis] = 1;
  run.count = run.n_kernels = count;
  run.tap_draws = run.channels_in = run.groups = 1;
  run.taps = taps.data();
  return run;
}

// Kernels of every side from 1 to 8, a stride and a dilation.
template <class T, int parts>
void direct(const std::string& name, bool is_signed) {
  Numbers numbers(1);
  std::vector<std::vector<T>> taps;
  std::vector<Run<T>> runs;
  const auto add = [&](Index height, Index width, Index count, Index stride, Index dilation) {
    taps.push_back(numbers.take<T>(height * width * count, is_signed));
    runs.push_back(layers<T>(height, width, count, taps.back()));
    runs.back().stride[1] = stride;
    runs.back().dilation[0] = dilation;
  };
  for (Index k = 1; k <= 8; ++k) add(k, 9 - k, 2, 1, 1);
  add(3, 3, 6, 1, 1);
  add(3, 2, 1, 2, 2);
  Options options;
  options.non_negative = !is_signed;
  options.memory_limit = memory;
  Monitor monitor = quiet();
  print_image(name, propagate<T, parts>(runs, options, monitor).front(), parts);
}

// Two channels on a padded map.
template <class T, int parts>
void bounded(const std::string& name) {
  Numbers numbers(2);
  const std::vector<T> taps = numbers.take<T>(5 * 2 * 2 * 9, true);
  Run<T> run = layers<T>(3, 3, 5, taps);
  run.bounded = true;
  run.channels_out = run.channels_in = 2;
  for (int axis = 0; axis < 2; ++axis) {
    run.before[axis] = 1;
    run.extent[axis] = 7;
  }
  Options options;
  options.unit[0] = 2;
  options.unit[1] = 5;
  options.channels = 2;
  options.memory_limit = memory;
  Monitor monitor = quiet();
  print_image(name, propagate<T, parts>({run}, options, monitor).front(), parts);
}

// Repeats of three taps, of more, and different kernels.
template <class T>
void profiles(const std::string& name) {
  Numbers numbers(3);
  const T one = 1;
  const auto print_profile = [&](const std::string& kind, const Run<T>& run) {
    Monitor monitor = quiet();
    Composing composing;
    composing.trim = 1e-12;
    composing.memory_limit = memory;
    print_image(name + kind, composed(run, 0, &one, 1, composing, monitor), 1);
  };
  for (Index k : {3, 5}) {
    const std::vector<T> taps = numbers.take<T>(k, false);
    Run<T> run = layers<T>(1, k, 300, taps);
    run.n_kernels = 1;
    print_profile(" of " + std::to_string(k) + " taps", run);
  }
  const std::vector<T> taps = numbers.take<T>(4 * 200, false);
  print_profile(" of kernels", layers<T>(1, 4, 200, taps));
}

template <class T>
void outer_product(const std::string& name) {
  Numbers numbers(4);
  const std::vector<double> rows = numbers.take<double>(13, true), columns = numbers.take<double>(37, false);
  std::vector<T> out(13 * 37);
  Monitor monitor = quiet();
  outer<T>(rows.data(), 13, columns.data(), 37, -3, 2, out.data(), 1, monitor);
  print_all(name, out);
}

void print_complex(const std::string& name, const std::vector<Complex>& values) {
  Index i = 0;
  for (const Complex& z : values) {
    print(name + " re", i, z.real());
    print(name + " im", i++, z.imag());
  }
}

// Distinct kernels, a wide one, taps that lie apart, and repeats.
void spectral() {
  Numbers numbers(5);
  const std::vector<double> three = numbers.take<double>(50 * 9, true), wide = numbers.take<double>(7 * 19, true),
                            apart = numbers.take<double>(6 * 9, true), same = numbers.take<double>(9, true);
  const std::vector<Layers> chain = {{three.data(), 50, 1, 3, 3, {1, 1}, 1},
                                     {wide.data(), 1, 1, 7, 19, {1, 1}, 1},
                                     {apart.data(), 6, 1, 3, 3, {2, 2}, 1},
                                     {same.data(), 1, 1, 3, 3, {1, 1}, 200}};
  Frequencies band{64, 48, true, {9, 7}};
  for (const auto& [name, frequencies] : {std::pair{std::string("spectrum"), Frequencies{20, 24}}, {std::string("band"), band}}) {
    std::vector<Complex> values(static_cast<std::size_t>(frequencies.size()));
    Index exponent = 0;
    Monitor monitor = quiet();
    spectrum(chain, frequencies, 1, 1, memory, values.data(), &exponent, monitor);
    print(name + " exponent", 0, static_cast<double>(exponent));
    print_complex(name, values);
  }
  constexpr Index count = 10;
  std::vector<Index> places;
  for (Index i = 0; i < count; ++i) places.insert(places.end(), {7 * i, 3 * i * i});
  std::vector<Complex> high(count), low(count), positions(2 * count);
  std::vector<Index> exponents(count);
  Monitor monitor = quiet();
  sample(chain, {64, 48, count, 1, count, places.data(), high.data(), low.data(), exponents.data(), positions.data()}, 1, monitor);
  print_complex("sample high", high);
  print_complex("sample low", low);
  print_complex("sample positions", positions);
  print_all("sample exponents", exponents);
}

void combined() {
  Numbers numbers(6);
  const std::vector<double> weights = numbers.take<double>(7 * 21, true), lines = numbers.take<double>(21 * 48, true);
  std::vector<double> out(7 * 41);
  Monitor monitor = quiet();
  combine(weights.data(), lines.data(), 21, 48, out.data(), 7, 41, 1, monitor);
  print_all("combine", out);
}

void random_rows() {
  const Stream stream{1234567890123, 5, 6, Purpose::input};
  std::vector<double> out(1001);
  kernel_table().random->normals(out.data(), stream, 3, 1001);
  print_all("normals", out);
  kernel_table().random->uniforms(out.data(), stream, 3, 1001);
  print_all("uniforms", out);
}

}  // namespace

int main() {
  std::printf("instruction set %s\n", kernel_table().isa);
  for (const bool is_signed : {false, true}) {
    const std::string sign = is_signed ? " signed" : " positive";
    direct<float, 1>("direct float32" + sign, is_signed);
    direct<double, 1>("direct float64" + sign, is_signed);
    direct<double, 2>("direct extended" + sign, is_signed);
  }
  bounded<float, 1>("bounded float32");
  bounded<double, 1>("bounded float64");
  bounded<double, 2>("bounded extended");
  profiles<float>("power float32");
  profiles<double>("power float64");
  outer_product<float>("outer float32");
  outer_product<double>("outer float64");
  spectral();
  combined();
  random_rows();
}
