// Random networks from Python: a program of operations, and its gradients draw by draw.
#pragma once

#include <pybind11/stl.h>

#include <array>
#include <string>

#include "arrays.hpp"
#include "erffast/kernels.hpp"
#include "erffast/simulate.hpp"
#include "reporter.hpp"

namespace erffast::python {

namespace sim = simulation;

// A program, and the arrays that keep its pointers alive.
struct ReadProgram {
  sim::Program program;
  std::vector<py::array> keep;

  const double* kept(const py::handle& array, std::initializer_list<Index> shape) {
    auto values = array.cast<Array<double>>();
    require(values.ndim() == static_cast<py::ssize_t>(shape.size()), "an array of a program has the wrong number of axes");
    py::ssize_t axis = 0;
    for (const Index n : shape) require(values.shape(axis++) == n, "an array of a program has the wrong shape");
    keep.push_back(values);
    return values.data();
  }
};

template <class Name>
Name named(const py::handle& value, std::initializer_list<std::pair<const char*, Name>> names) {
  const auto name = value.cast<std::string>();
  for (const auto& [known, meaning] : names) {
    if (name == known) return meaning;
  }
  throw py::value_error("unknown name " + name);
}

inline sim::Window read_window(const py::handle& item) {
  const auto fields = py::reinterpret_borrow<py::tuple>(item);
  require(py::isinstance<py::tuple>(item) && fields.size() == 4, "a window must have kernel, stride, dilation and padding");
  sim::Window window;
  read_pair(fields[0], window.kernel);
  read_pair(fields[1], window.stride);
  read_pair(fields[2], window.dilation);
  read_pair(fields[3], window.before);
  for (int axis = 0; axis < 2; ++axis) {
    require(window.kernel[axis] >= 1 && window.stride[axis] >= 1 && window.dilation[axis] >= 1, "kernel, stride and dilation must be at least 1");
  }
  return window;
}

inline bool within(const Rect& inner, const Rect& outer) {
  return inner.y0 >= outer.y0 && inner.x0 >= outer.x0 && inner.y0 + inner.height <= outer.y0 + outer.height &&
         inner.x0 + inner.width <= outer.x0 + outer.width;
}

// What would read or write out of bounds.
inline void check(const sim::Program& program, const sim::Operation& op) {
  const std::size_t values = program.values.size();
  require(op.in < op.out && op.other < op.out && op.out < values, "an operation must read values before the one it makes");
  const sim::Value &in = program.values[op.in], &out = program.values[op.out];
  if (op.kind == sim::Kind::convolution) {
    require(op.groups >= 1 && in.channels % op.groups == 0 && out.channels % op.groups == 0, "channels must be multiples of the groups");
  } else {
    require(in.channels == out.channels, "an operation must keep its channels");
  }
  if (op.kind == sim::Kind::sum) require(program.values[op.other].channels == out.channels && within(out.rect, program.values[op.other].rect), "the terms of a sum disagree");
  if (op.kind == sim::Kind::sum || op.kind == sim::Kind::norm || op.kind == sim::Kind::activation || op.kind == sim::Kind::dropout || op.kind == sim::Kind::scale) {
    require(within(out.rect, in.rect), "an operation must have its whole input");
  }
  require(op.kind != sim::Kind::maximum || op.window.taps() < 65535, "a max-pool must have fewer than 65535 taps");
}

// What a layer's operation has beside its kind and what it reads: each of these takes the fields of one kind, see `_core.pyi`.
inline void read_convolution(ReadProgram& read, const py::tuple& fields, Index draws, sim::Operation& op) {
  require(fields.size() == 7, "a convolution must have seven fields");
  op.window = read_window(fields[2]);
  op.groups = fields[3].cast<Index>();
  op.layer = fields[4].cast<std::uint32_t>();
  op.exponent = fields[6].cast<Index>();
  require(op.groups >= 1, "groups must be at least 1");
  const auto weights = fields[5].cast<Array<double>>();
  const Index *k = op.window.kernel, in = read.program.values[op.in].channels / op.groups, out = read.program.values[op.out].channels;
  if (weights.ndim() == 2) {
    op.spread = read.kept(weights, {k[0], k[1]});
  } else {
    op.weight_draws = weights.ndim() > 0 && weights.shape(0) == 1 ? 1 : draws;
    op.weights = read.kept(weights, {op.weight_draws, out, in, k[0], k[1]});
  }
}

inline void read_filter(ReadProgram& read, const py::tuple& fields, sim::Operation& op) {
  require(fields.size() == 5, "a filter must have five fields");
  op.window = read_window(fields[2]);
  op.taps = read.kept(fields[3], {op.window.kernel[0], op.window.kernel[1]});
  const Rect& to = read.program.values[op.out].rect;
  if (!fields[4].is_none()) op.shares = read.kept(fields[4], {to.height, to.width});
}

inline void read_maximum(const py::tuple& fields, sim::Operation& op) {
  require(fields.size() == 3, "a maximum must have three fields");
  op.window = read_window(fields[2]);
}

inline void read_activation(const py::tuple& fields, sim::Operation& op) {
  require(fields.size() == 3, "an activation must have three fields");
  op.function = named<sim::Function>(fields[2], {{"relu", sim::Function::relu}, {"leaky_relu", sim::Function::leaky_relu}, {"tanh", sim::Function::tanh},
                                            {"sigmoid", sim::Function::sigmoid}, {"gelu", sim::Function::gelu}, {"silu", sim::Function::silu}});
}

inline void read_dropout(const py::tuple& fields, sim::Operation& op) {
  require(fields.size() == 4, "a dropout must have four fields");
  op.number = fields[2].cast<double>();
  op.layer = fields[3].cast<std::uint32_t>();
  require(op.number >= 0 && op.number < 1, "a rate must be at least 0 and below 1");
}

inline void read_scale(const py::tuple& fields, sim::Operation& op) {
  require(fields.size() == 4, "a scale must have four fields");
  op.number = fields[2].cast<double>();
  op.exponent = fields[3].cast<Index>();
}

inline void read_sum(const py::tuple& fields, sim::Operation& op) {
  require(fields.size() == 3, "a sum must have three fields");
  op.other = fields[2].cast<std::size_t>();
}

// The operation that makes the next value.
inline sim::Operation read_operation(ReadProgram& read, const py::tuple& fields, Index draws) {
  sim::Operation op;
  op.kind = named<sim::Kind>(fields[0], {{"convolution", sim::Kind::convolution}, {"filter", sim::Kind::filter}, {"maximum", sim::Kind::maximum}, {"norm", sim::Kind::norm},
                                    {"activation", sim::Kind::activation}, {"dropout", sim::Kind::dropout}, {"scale", sim::Kind::scale}, {"sum", sim::Kind::sum}});
  op.in = fields[1].cast<std::size_t>();
  op.out = read.program.operations.size() + 1;
  require(op.in < op.out, "an operation must read values before the one it makes");
  switch (op.kind) {
    case sim::Kind::convolution: read_convolution(read, fields, draws, op); break;
    case sim::Kind::filter: read_filter(read, fields, op); break;
    case sim::Kind::maximum: read_maximum(fields, op); break;
    case sim::Kind::norm: require(fields.size() == 2, "a norm must have two fields"); break;
    case sim::Kind::activation: read_activation(fields, op); break;
    case sim::Kind::dropout: read_dropout(fields, op); break;
    case sim::Kind::scale: read_scale(fields, op); break;
    case sim::Kind::sum: read_sum(fields, op); break;
  }
  check(read.program, op);
  return op;
}

inline void read_values(const py::list& values, sim::Program& program) {
  for (const py::handle& item : values) {
    const auto [channels, rect] = item.cast<std::pair<Index, std::array<Index, 4>>>();
    require(channels >= 1 && rect[2] >= 1 && rect[3] >= 1, "a value must have channels and pixels");
    program.values.push_back({channels, {rect[0], rect[1], rect[2], rect[3]}});
  }
}

// A name of what is drawn, or the images.
inline void read_inputs(ReadProgram& read, const py::object& inputs, Index draws) {
  sim::Program& program = read.program;
  if (py::isinstance<py::str>(inputs)) {
    program.filling = named<sim::Filling>(inputs, {{"normal", sim::Filling::normal}, {"uniform", sim::Filling::uniform}});
    return;
  }
  const sim::Value& input = program.values.front();
  program.filling = sim::Filling::given;
  program.input_draws = inputs.cast<Array<double>>().shape(0) == 1 ? 1 : draws;
  program.inputs = read.kept(inputs, {program.input_draws, input.channels, input.rect.height, input.rect.width});
}

// values: (channels, (row, column, height, width)); operations: (kind, in, ...), see `_core.pyi`.
inline ReadProgram read_program(const py::list& values, const py::list& operations, const py::object& inputs, Index input_exponent, const std::string& reduction,
                                std::uint64_t seed, Index draws) {
  ReadProgram read;
  sim::Program& program = read.program;
  read_values(values, program);
  require(program.values.size() == operations.size() + 1, "each operation must make one value");
  for (const py::handle& item : operations) program.operations.push_back(read_operation(read, item.cast<py::tuple>(), draws));
  read_inputs(read, inputs, draws);
  program.reduction = named<sim::Reduction>(py::str(reduction), {{"signed", sim::Reduction::signed_sum}, {"abs", sim::Reduction::absolute}, {"square", sim::Reduction::square},
                                                            {"rms", sim::Reduction::rms}, {"positive", sim::Reduction::positive}});
  program.input_exponent = input_exponent;
  program.seed = seed;
  return read;
}

// Returns (images [draws, rows, columns], exponents [draws], fates [draws]: 0 alive, 1 dead, 2 not finite, borders [draws], rounding).
template <class T>
py::tuple run_simulate(const py::list& values, const py::list& operations, const py::object& inputs, Index input_exponent, const std::string& reduction, std::uint64_t seed,
                       Index first, Index draws, int threads, Index memory_limit, py::object progress) {
  require(draws >= 1 && first >= 0 && first + draws <= Index{1} << 32, "draws must lie in [0, 2**32)");
  const ReadProgram read = read_program(values, operations, inputs, input_exponent, reduction, seed, draws);
  const Rect& rect = read.program.values.front().rect;
  Array<double> images({draws, rect.height, rect.width});
  double* out = images.mutable_data();
  Reporter reporter(std::move(progress), static_cast<Index>(read.program.operations.size()) * draws);
  const auto drawn = reporter.run([&](Monitor& monitor) { return sim::simulate<T>(read.program, {first, draws, threads, memory_limit}, out, monitor); });
  Array<Index> exponents(draws);
  Array<std::uint8_t> fates(draws);
  Array<double> borders(draws);
  double rounding = 0;
  for (Index d = 0; d < draws; ++d) {
    rounding = std::max(rounding, drawn[static_cast<std::size_t>(d)].rounding);
    exponents.mutable_data()[d] = drawn[static_cast<std::size_t>(d)].exponent;
    fates.mutable_data()[d] = static_cast<std::uint8_t>(drawn[static_cast<std::size_t>(d)].fate);
    borders.mutable_data()[d] = drawn[static_cast<std::size_t>(d)].border;
  }
  return py::make_tuple(images, exponents, fates, borders, rounding);
}

// Elements [2 pair, 2 pair + n) of a stream: by the kernels, or, `one_by_one`, as they are defined.
inline Array<double> run_random(std::uint64_t seed, std::uint32_t draw, std::uint32_t layer, const std::string& purpose, Index n, Index pair,
                                bool one_by_one, bool normal) {
  require(n >= 0 && pair >= 0, "n and pair must not be negative");
  const Stream stream{seed, draw, layer, named<Purpose>(py::str(purpose), {{"weight", Purpose::weight}, {"input", Purpose::input}, {"mask", Purpose::mask}})};
  Array<double> out(n);
  double* values = out.mutable_data();
  if (one_by_one) {
    each_random(stream, pair, n, normal ? normals_of : uniforms_of, [&](Index i, double value) { values[i] = value; });
  } else {
    const RandomKernels& kernels = *kernel_table().random;
    (normal ? kernels.normals : kernels.uniforms)(values, stream, pair, n);
  }
  return out;
}

inline void bind_simulation(py::module_& m) {
  const auto define = [&](const char* name, auto function) {
    m.def(name, function, py::arg("values"), py::arg("operations"), py::arg("inputs"), py::arg("input_exponent"), py::arg("reduction"), py::arg("seed"), py::arg("first"),
          py::arg("draws"), py::arg("threads"), py::arg("memory_limit"), py::arg("progress"));
  };
  define("simulate_f32", &run_simulate<float>);
  define("simulate_f64", &run_simulate<double>);
  const auto define_random = [&](const char* name, bool normal) {
    m.def(name, [normal](std::uint64_t seed, std::uint32_t draw, std::uint32_t layer, const std::string& purpose, Index n, Index pair, bool one_by_one) {
      return run_random(seed, draw, layer, purpose, n, pair, one_by_one, normal);
    }, py::arg("seed"), py::arg("draw"), py::arg("layer"), py::arg("purpose"), py::arg("n"), py::arg("pair") = 0, py::arg("one_by_one") = false);
  };
  define_random("normals", true);
  define_random("uniforms", false);
  m.def("philox", [](const std::array<std::uint32_t, 4>& counter, std::uint64_t key) {
    const Words words = philox({{counter[0], counter[1], counter[2], counter[3]}}, key);
    return std::array<std::uint32_t, 4>{words.w[0], words.w[1], words.w[2], words.w[3]};
  }, py::arg("counter"), py::arg("key"));
}

}  // namespace erffast::python
