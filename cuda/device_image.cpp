#include "device_image.hpp"

#include <pybind11/stl.h>

#include <cstdint>
#include <functional>
#include <numeric>

#include "stream.hpp"


namespace py = pybind11;

namespace erffast::cuda {
namespace {

// The structures of DLPack's binary interface (dlpack.h, version 0.8), as far as they are needed.
struct DLTensor {
  void* data;
  struct {
    std::int32_t type, id;
  } device;
  std::int32_t ndim;
  struct {
    std::uint8_t code, bits;
    std::uint16_t lanes;
  } dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // elements
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
constexpr std::uint8_t dl_float = 2;
constexpr const char* dl_name = "dltensor";  // whoever takes the tensor renames the capsule, and calls the deleter

struct Held {
  DLManagedTensor managed;
  std::vector<std::int64_t> shape, strides;
  std::shared_ptr<void> owner;
};

void release(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, dl_name)) return;
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, dl_name));
  managed->deleter(managed);
}

}  // namespace

Index DeviceImage::lines() const { return std::accumulate(shape_.begin(), shape_.end() - 1, Index{1}, std::multiplies<>()); }

std::vector<Index> DeviceImage::strides() const {
  std::vector<Index> result(shape_.size(), 1);
  for (std::size_t axis = shape_.size() - 1; axis-- > 0;) result[axis] = axis + 2 == shape_.size() ? pitch_ : result[axis + 1] * shape_[axis + 1];
  return result;
}

DeviceImage DeviceImage::reshaped(std::vector<Index> shape) const {
  DeviceImage other(*this);
  other.shape_ = std::move(shape);
  if (other.shape_.empty() || other.shape_.back() != shape_.back() || other.lines() != lines()) {
    throw py::value_error("the shape must hold the same pixels, and keep the last axis");
  }
  return other;
}

py::array DeviceImage::to_host() const {
  py::array out(single_ ? py::dtype::of<float>() : py::dtype::of<double>(), shape_);
  void* target = out.mutable_data();
  py::gil_scoped_release release;
  const auto bytes = [this](Index n) { return static_cast<std::size_t>(n * size()); };
  const Index n = shape_.back();
  if (n == 0 || lines() == 0) return out;
  const OnDevice there(device_);
  Stream stream;
  check(cudaMemcpy2DAsync(target, bytes(n), data_, bytes(pitch_), bytes(n), static_cast<std::size_t>(lines()), cudaMemcpyDeviceToHost, stream),
        "copying from the device");
  stream.wait();
  return out;
}

py::dict DeviceImage::cuda_array_interface() const {
  py::dict result;
  result["shape"] = py::tuple(py::cast(shape_));
  result["typestr"] = single_ ? "<f4" : "<f8";
  result["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(data_), false);
  py::list strides;
  for (Index stride : this->strides()) strides.append(stride * size());
  result["strides"] = py::tuple(strides);
  result["version"] = 3;
  return result;
}

py::capsule DeviceImage::dlpack() const {
  auto held = std::make_unique<Held>();
  held->shape.assign(shape_.begin(), shape_.end());
  held->strides = strides();
  held->owner = owner_;
  held->managed = {{data_, {2, device_}, static_cast<std::int32_t>(shape_.size()), {dl_float, static_cast<std::uint8_t>(single_ ? 32 : 64), 1},
                    held->shape.data(), held->strides.data(), 0},
                   held.get(),
                   [](DLManagedTensor* managed) { delete static_cast<Held*>(managed->context); }};
  PyObject* capsule = PyCapsule_New(&held->managed, dl_name, &release);
  if (capsule == nullptr) throw py::error_already_set();
  held.release();
  return py::reinterpret_steal<py::capsule>(capsule);
}

void bind_device_image(py::module_& m) {
  py::class_<DeviceImage>(m, "DeviceImage")
      .def_property_readonly("shape", [](const DeviceImage& image) { return py::tuple(py::cast(image.shape())); })
      .def_property_readonly("dtype", &DeviceImage::dtype)
      .def("reshaped", &DeviceImage::reshaped, py::arg("shape"))
      .def("to_host", &DeviceImage::to_host)
      .def_property_readonly("__cuda_array_interface__", &DeviceImage::cuda_array_interface)
      // stream, max_version, dl_device and copy of the array API standard: the image is complete, on its device, and shared
      .def("__dlpack__", [](const DeviceImage& image, const py::kwargs&) { return image.dlpack(); })
      .def("__dlpack_device__", &DeviceImage::dlpack_device);
}

}  // namespace erffast::cuda
