#include "configuration.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace cuda_emulation {

namespace {

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability": the most of one block.
const std::map<int, std::size_t> shared_kib = {{75, 64},  {80, 163}, {86, 99},  {87, 163}, {89, 99},
                                               {90, 227}, {100, 227}, {103, 227}, {110, 227}, {120, 99}, {121, 99}};

[[noreturn]] void refuse(const std::string& name, std::string_view value, const char* wanted) {
  std::fprintf(stderr, "cuda emulation: %s must be %s, not %.*s\n", name.c_str(), wanted, static_cast<int>(value.size()), value.data());
  std::_Exit(2);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Calls use(value), which returns whether it understood, where the variable is set.
template <class Use>
void read(const char* suffix, const char* wanted, Use use) {
  const std::string name = std::string("ERFFAST_EMULATED_") + suffix;
  const char* const value = std::getenv(name.c_str());
  if (value != nullptr && *value != '\0' && !use(std::string_view(value))) refuse(name, value, wanted);
}

template <class T>
void read_number(const char* suffix, const char* wanted, std::uint64_t least, std::uint64_t most, T& into) {
  read(suffix, wanted, [&](std::string_view text) {
    const auto value = number(text);
    if (!value || *value < least || *value > most) return false;
    into = static_cast<T>(*value);
    return true;
  });
}

bool read_order(std::string_view text, Configuration& into) {
  using Order = Configuration::Order;
  if (text == "forward" || text == "reverse") {
    into.order = text == "forward" ? Order::forward : Order::reverse;
    return true;
  }
  constexpr std::string_view prefix = "random:";
  const auto seed = text.starts_with(prefix) ? number(text.substr(prefix.size())) : std::nullopt;
  into.order = Order::random;
  into.seed = seed.value_or(0);
  return seed.has_value();
}

bool read_driver(std::string_view text, Configuration& into) {
  into.driver = text == "none" ? Configuration::Driver::none : Configuration::Driver::old;
  return text == "none" || text == "old";
}

Configuration from_environment() {
  Configuration result;
  read("ORDER", "forward, reverse or random:SEED", [&](std::string_view text) { return read_order(text, result); });
  read_number("THREADS", "a number from 1 to 256", 1, 256, result.threads);
  read_number("SM", "a compute capability such as 75, 80 or 90", 0, 1000, result.compute);
  if (!shared_kib.contains(result.compute)) refuse("ERFFAST_EMULATED_SM", std::to_string(result.compute), "75, 80, 86, 87, 89, 90, 100, 103, 110, 120 or 121");
  read("STREAMS", "deferred", [&](std::string_view text) { return result.deferred = text == "deferred"; });
  read_number("MEMORY", "a number of bytes", 0, UINT64_MAX, result.memory);
  read_number("DEVICES", "a number from 0 to 16", 0, 16, result.devices);
  read("DRIVER", "none or old", [&](std::string_view text) { return read_driver(text, result); });
  return result;
}

}  // namespace

std::size_t Configuration::most_shared() const { return shared_kib.at(compute) << 10; }

const Configuration& configuration() {
  static const Configuration result = from_environment();
  return result;
}

}  // namespace cuda_emulation
