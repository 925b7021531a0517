#include "checker.hpp"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "block.hpp"
#include "errors.hpp"
#include "observer.hpp"
#include "races.hpp"

namespace cuda_emulation {

namespace {

constexpr std::size_t word = 4;  // bytes of one cell

// The first line of what the command prints that is not about the emulation's own headers.
std::string first_line(const char* command) {
  std::string found;
  FILE* const pipe = popen(command, "r");
  if (pipe == nullptr) return found;
  char text[1024];
  while (std::fgets(text, sizeof text, pipe) != nullptr) {
    if (!found.empty() || std::strstr(text, "/include/cuda_emulation/") != nullptr) continue;
    found = text;
    found.erase(found.find_last_not_of('\n') + 1);
    if (const auto inlined = found.find("(inlined by) "); inlined != std::string::npos) found.erase(0, inlined + 13);
    if (const auto part = found.find(" (discriminator"); part != std::string::npos) found.erase(part);
  }
  pclose(pipe);
  return found;
}

// Function, file and line, of those inlined there the innermost; without binutils the place in the library.
std::string line_of(void* address) {
  Dl_info info{};
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "an unknown place";
  const auto offset = static_cast<unsigned long>(static_cast<char*>(address) - static_cast<char*>(info.dli_fbase)) - 1;
  char text[1024];
  std::snprintf(text, sizeof text, "addr2line -Cpife '%s' %#lx 2>/dev/null", info.dli_fname, offset);
  const std::string line = first_line(text);
  if (!line.empty()) return line;
  std::snprintf(text, sizeof text, "%s+%#lx", info.dli_fname, offset);
  return text;
}

// The cells of a piece of memory. The system gives zeros, and only to what is touched: the cells of a large piece would not fit.
class Shadow {
 public:
  explicit Shadow(std::size_t bytes) : bytes_(bytes) {
    void* const cells = mmap(nullptr, mapped(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (cells == MAP_FAILED) {
      std::perror("cuda emulation: no memory for the checks");
      std::abort();
    }
    cells_ = static_cast<Cell*>(cells);
  }
  ~Shadow() { munmap(cells_, mapped()); }
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;

  std::size_t bytes() const { return bytes_; }
  Cell& operator[](std::size_t offset) { return cells_[offset / word]; }

 private:
  std::size_t mapped() const { return (bytes_ / word + 1) * sizeof(Cell); }

  std::size_t bytes_;
  Cell* cells_;
};

// From `offset` on, the first byte of each word that n bytes touch.
template <class Use>
void each_word(std::size_t offset, std::size_t bytes, Use use) {
  for (std::size_t at = offset / word * word; at < offset + bytes; at += word) use(at);
}

class Checker final : public Observer {
 public:
  void launch_begins() override {
    ++launch_;
    find_images();
  }
  void block_begins(const Block& block) override { races_.begin_block(block.threads()); }
  void lanes_meet(int warp, unsigned mask) override { races_.lanes_meet(warp, mask); }
  void allocated(void* address, std::size_t bytes) override { pieces_.emplace(static_cast<char*>(address), bytes); }
  void freed(void* address) override {
    last_ = nullptr;
    pieces_.erase(static_cast<char*>(address));
  }
  void written(void* to, std::size_t bytes) override {
    Piece& piece = *holding(to);
    each_word(offset(piece, to), bytes, [&](std::size_t at) { piece.second[at].initialised = true; });
  }
  void copied(void* to, const void* from, std::size_t bytes) override {
    Piece& target = *holding(to);
    Piece& source = *holding(from);
    const std::size_t begin = offset(target, to);
    each_word(begin, bytes, [&](std::size_t at) {
      const std::size_t behind = offset(source, from) + (at < begin ? 0 : at - begin);
      target.second[at].initialised = source.second[behind].initialised;
    });
  }
  void atomic(void* address, std::size_t bytes, void* caller) override {
    access(*running_block(), static_cast<char*>(address), bytes, true, true, caller);
  }

  void access(Block& block, char* address, std::size_t bytes, bool write, bool atomic, void* caller);

 private:
  using Piece = std::pair<char* const, Shadow>;

  static std::size_t offset(const Piece& piece, const void* address) {
    return static_cast<std::size_t>(static_cast<const char*>(address) - piece.first);
  }
  Piece* holding(const void* address);
  void each_cell(Block& block, Shadow& shadow, std::size_t offset, std::size_t bytes, Access access, void* caller);
  void elsewhere(Block& block, char* address, std::size_t bytes, bool write, void* caller);
  std::string beside(const char* address, std::size_t bytes) const;
  void find_images();

  std::map<char*, Shadow> pieces_;  // of device memory
  Piece* last_ = nullptr;           // found last
  Shadow shared_{SharedMemory::arena_bytes};
  Races races_;
  std::uint64_t launch_ = 0;
  std::vector<std::pair<char*, char*>> images_;  // of the program and its libraries: constants
  std::set<void*> found_;                        // places in the code
};

Checker& checker() {
  static Checker checker;
  return checker;
}

void Checker::find_images() {
  images_.clear();
  const auto add = [](dl_phdr_info* info, std::size_t, void* self) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
      char* const begin = reinterpret_cast<char*>(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
      static_cast<Checker*>(self)->images_.emplace_back(begin, begin + info->dlpi_phdr[i].p_memsz);
    }
    return 0;
  };
  dl_iterate_phdr(add, this);
}

Checker::Piece* Checker::holding(const void* address) {
  char* const first = static_cast<char*>(const_cast<void*>(address));
  const auto holds = [&](const Piece& piece) { return first >= piece.first && first < piece.first + piece.second.bytes(); };
  if (last_ != nullptr && holds(*last_)) return last_;
  auto after = pieces_.upper_bound(first);
  if (after == pieces_.begin()) return nullptr;
  --after;
  return holds(*after) ? last_ = &*after : nullptr;
}

// The piece of device memory that an index somewhat wrong may have left.
std::string Checker::beside(const char* address, std::size_t bytes) const {
  constexpr std::ptrdiff_t near = 4096;
  for (const auto& [first, shadow] : pieces_) {
    const std::ptrdiff_t before = first - address, after = address + bytes - (first + shadow.bytes());
    if (before > 0 && before <= near) return ", " + std::to_string(before) + " bytes before a piece of it";
    if (after > 0 && after <= near) return ", " + std::to_string(after) + " bytes beyond a piece of it";
  }
  return "";
}

void Checker::access(Block& block, char* address, std::size_t bytes, bool write, bool atomic, void* caller) {
  if (block.own(address, bytes)) return;
  Access access{launch_, block.serial(), block.phase(), block.thread(), write, atomic, false};
  if (block.shared().near(address)) {
    if (!block.shared().holds(address, bytes)) return block.fail("out of the bounds of shared memory, in " + line_of(caller));
    access.shared = true;
    access.epoch = block.serial();
    return each_cell(block, shared_, block.shared().offset(address), bytes, access, caller);
  }
  Piece* const piece = holding(address);
  if (piece == nullptr) return elsewhere(block, address, bytes, write, caller);
  if (offset(*piece, address) + bytes > piece->second.bytes()) return elsewhere(block, address, bytes, write, caller);
  each_cell(block, piece->second, offset(*piece, address), bytes, access, caller);
}

void Checker::each_cell(Block& block, Shadow& shadow, std::size_t offset, std::size_t bytes, Access access, void* caller) {
  each_word(offset, bytes, [&](std::size_t at) {
    const char* const wrong = races_.access(shadow[at], access);
    if (wrong != nullptr && found_.insert(caller).second) report(block.name() + ": " + wrong + ", in " + line_of(caller));
  });
}

// Built-in variables, and constants, which only the host's compiler can tell from variables of the host.
void Checker::elsewhere(Block& block, char* address, std::size_t bytes, bool write, void* caller) {
  const auto within = [&](const void* first, std::size_t size) {
    return address >= first && address + bytes <= static_cast<const char*>(first) + size;
  };
  const bool built_in = within(&threadIdx, sizeof threadIdx) || within(&blockIdx, sizeof blockIdx) || within(&blockDim, sizeof blockDim) ||
                        within(&gridDim, sizeof gridDim);
  if (built_in) return;
  for (const auto& [begin, end] : images_)
    if (!write && address >= begin && address + bytes <= end) return;
  block.fail("access to what is no device memory" + beside(address, bytes) + ", in " + line_of(caller));
}

}  // namespace

Observer* observer() { return &checker(); }

void check_access(void* address, std::size_t bytes, bool write, void* caller) {
  Block* const block = running_block();
  if (block == nullptr || !block->in_kernel()) return;
  const InEmulation inside(*block);
  checker().access(*block, static_cast<char*>(address), bytes, write, false, caller);
}

}  // namespace cuda_emulation
