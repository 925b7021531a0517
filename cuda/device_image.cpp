#include "device_image.hpp"

#include <pybind11/stl.h>

#include <cstdint>


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
  std::int64_t* strides;  // null: C order
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
  std::vector<std::int64_t> shape;
  std::shared_ptr<void> owner;
};

void release(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, dl_name)) return;
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, dl_name));
  managed->deleter(managed);
}

}  // namespace

Index DeviceImage::bytes() const {
  Index n = single_ ? 4 : 8;
  for (Index side : shape_) n *= side;
  return n;
}

DeviceImage DeviceImage::reshaped(std::vector<Index> shape) const {
  DeviceImage other(*this);
  other.shape_ = std::move(shape);
  if (other.bytes() != bytes()) throw py::value_error("the shape must hold as many pixels as there are");
  return other;
}

py::array DeviceImage::to_host() const {
  py::array out(single_ ? py::dtype::of<float>() : py::dtype::of<double>(), shape_);
  void* target = out.mutable_data();
  py::gil_scoped_release release;
  check(cudaMemcpy(target, data_, static_cast<std::size_t>(bytes()), cudaMemcpyDeviceToHost), "copying from the device");
  return out;
}

py::dict DeviceImage::cuda_array_interface() const {
  py::dict result;
  result["shape"] = py::tuple(py::cast(shape_));
  result["typestr"] = single_ ? "<f4" : "<f8";
  result["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(data_), false);
  result["strides"] = py::none();
  result["version"] = 3;
  return result;
}

py::capsule DeviceImage::dlpack() const {
  auto held = std::make_unique<Held>();
  held->shape.assign(shape_.begin(), shape_.end());
  held->owner = owner_;
  held->managed = {{data_, {2, device_}, static_cast<std::int32_t>(shape_.size()), {dl_float, static_cast<std::uint8_t>(single_ ? 32 : 64), 1},
                    held->shape.data(), nullptr, 0},
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
