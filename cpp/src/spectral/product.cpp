// The product of transfer functions, rows of frequencies shared out to threads.
//
// Layers are taken in groups whose rows, at one vertical frequency, are multiplied before they are evaluated along the row
// (spectral.inl). Rows, not kernels in two dimensions: their rounding is relative to the largest value of that row and not of
// the whole plane (four layers combined: 8e-15 of the image's peak at 1000 layers, against 3e-14; eight: 4e-14 against 1e-13).
// A vector's worth of vertical frequencies is composed at a time; groups come in chunks whose coefficients stay in the cache.
#include "product.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>

#include "aligned.hpp"
#include "erffast/kernels.hpp"
#include "groups.hpp"
#include "turns.hpp"

namespace erffast {
namespace {

constexpr Index cached_coefficients = 1 << 15;  // doubles of one chunk's coefficients

// All layers of one spacing, with the horizontal table.
class Part {
 public:
  Part(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index columns, Index draws, Index lanes,
       const Turns& turns)
      : grouped_(layers, draws), lanes_(lanes) {
    tabulate(frequencies, columns, turns);
  }

  const Folded* layers(Index draw) const { return grouped_.folded(draw); }
  const std::vector<Group>& groups() const { return grouped_.groups(); }
  Index largest_half() const { return grouped_.largest_half(); }
  Index largest_half_y() const { return grouped_.largest_half_y(); }
  Index spacing_y() const { return grouped_.spacing(0); }
  const double* cosines() const { return cosines_->data(); }
  const double* sines() const { return sines_->data(); }

 private:
  void tabulate(const Frequencies& frequencies, Index columns, const Turns& turns) {
    const Index vectors = (columns + lanes_ - 1) / lanes_, half = std::max<Index>(largest_half(), 1);
    cosines_ = std::make_unique<Table>(vectors * half * lanes_);
    sines_ = std::make_unique<Table>(vectors * half * lanes_);
    const bool many = vectors * lanes_ * half > frequencies.width / 2;  // then a table of all turns is cheaper
    std::vector<double> cosines, sines;
    if (many) turns.fill(cosines, sines);
    for (Index b = 0; b < vectors; ++b) {
      for (Index j = 1; j <= half; ++j) {
        for (Index l = 0; l < lanes_; ++l) {
          const Index k = turn(turn(b * lanes_ + l, grouped_.spacing(1), frequencies.width), j, frequencies.width);
          const Index at = (b * half + j - 1) * lanes_ + l;
          if (many) {
            cosines_->data()[at] = cosines[static_cast<std::size_t>(k)];
            sines_->data()[at] = sines[static_cast<std::size_t>(k)];
          } else {
            const ExactComplex z = turns.exact(k);
            cosines_->data()[at] = z.re.hi;
            sines_->data()[at] = z.im.hi;
          }
        }
      }
    }
  }

  GroupedLayers grouped_;
  Index lanes_;
  std::unique_ptr<Table> cosines_, sines_;
};

// What one thread works in.
struct Workspace {
  Workspace(Index lanes, Index row_size, Index table_size, Index largest_half_y)
      : row_lanes(row_size), stride(table_size), coefficients(lanes * table_size), cosines(lanes * (largest_half_y + 1)),
        sines(lanes * (largest_half_y + 1)), products(8 * lanes * row_lanes), exponents(static_cast<std::size_t>(4 * lanes * row_lanes)) {}

  RowState state(Index lane) {
    RowState s{};
    for (Index q = 0; q < 4; ++q) {
      s.re[q] = products.data() + (8 * lane + 2 * q) * row_lanes;
      s.im[q] = s.re[q] + row_lanes;
      s.exponent[q] = exponents.data() + (4 * lane + q) * row_lanes;
    }
    return s;
  }

  Index row_lanes, stride;
  Table coefficients, cosines, sines, products;
  std::vector<Index> exponents;
};

class Product {
 public:
  Product(const std::vector<const Layers*>& layers, const Frequencies& f, Index draws, Monitor& monitor, const Spectrum& target)
      : f_(f), kernels_(*kernel_table().spectral), lanes_(kernels_.lanes), monitor_(monitor), target_(target), vertical_(f.height) {
    const Turns horizontal(f.width);
    rows_ = f.banded ? f.band[0] + 1 : f.height / 2 + 1;
    mirrored_ = !f.banded;
    columns_ = mirrored_ ? f.width / 4 + 1 : f.columns();
    paired_ = f.rows() > 1;
    std::map<std::pair<Index, Index>, std::vector<const Layers*>> by_spacing;
    for (const Layers* run : layers) by_spacing[{run->spacing[0], run->spacing[1]}].push_back(run);
    for (const auto& [spacing, runs] : by_spacing) {
      parts_.push_back(std::make_unique<Part>(runs, f, columns_, draws, lanes_, horizontal));
      for (const Group& g : parts_.back()->groups()) largest_group_ = std::max(largest_group_, g.size());
      largest_half_y_ = std::max(largest_half_y_, parts_.back()->largest_half_y());
    }
  }

  std::vector<Index> run(Index draws, Team& team) {
    const Index blocks = (rows_ + lanes_ - 1) / lanes_, tasks = draws * blocks;
    vectors_ = (columns_ + lanes_ - 1) / lanes_;
    // One row of many columns, as 1-D chains have it, is cut so that every thread has a share.
    const Index pieces = std::clamp<Index>(tasks >= 4 * team.size() ? 1 : (4 * team.size() + tasks - 1) / tasks, 1, (vectors_ + 63) / 64);
    std::vector<Index> tops(static_cast<std::size_t>(tasks * pieces), no_power);
    std::atomic<Index> next{0};
    team.run([&](int thread) {
      Workspace space(lanes_, ((vectors_ + pieces - 1) / pieces) * lanes_, std::max(cached_coefficients / lanes_, largest_group_), largest_half_y_);
      for (Index task = next++; task < tasks * pieces && !monitor_.stopped(); task = next++) {
        const Index piece = task % pieces, block = task / pieces % blocks, draw = task / pieces / blocks;
        tops[static_cast<std::size_t>(task)] =
            block_of_rows(draw, block, vectors_ * piece / pieces, vectors_ * (piece + 1) / pieces, space, thread == 0);
      }
    });
    monitor_.throw_if_stopped();
    std::vector<Index> top;
    for (auto of_draw = tops.begin(); of_draw != tops.end(); of_draw += blocks * pieces) top.push_back(*std::max_element(of_draw, of_draw + blocks * pieces));
    return top;
  }

 private:
  // `lanes` rows from row block * lanes on, vectors [first, last) of their columns. Returns the largest power of two.
  Index block_of_rows(Index draw, Index block, Index first, Index last, Workspace& space, bool polls) {
    const Index n_rows = std::min(lanes_, rows_ - block * lanes_);
    std::vector<double*> out(static_cast<std::size_t>(lanes_));
    for (Index l = 0; l < lanes_; ++l) out[static_cast<std::size_t>(l)] = space.coefficients.data() + l * space.stride;
    bool begun = false;
    for (const auto& part : parts_) {
      vertical_tables(*part, block, space);
      const std::vector<Group>& groups = part->groups();
      const Index half = std::max<Index>(part->largest_half(), 1);
      for (std::size_t g = 0; g < groups.size();) {
        std::size_t end = g;
        Index used = 0;
        for (; end < groups.size() && (end == g || used + groups[end].size() <= space.stride); ++end) {
          std::vector<double*> here = out;
          for (double*& p : here) p += used;
          kernels_.compose(part->layers(draw) + groups[end].first, groups[end].layers, groups[end].half, space.cosines.data(),
                           space.sines.data(), here.data());
          used += groups[end].size();
        }
        for (Index l = 0; l < n_rows && !monitor_.stopped(); ++l) {
          kernels_.multiply(out[static_cast<std::size_t>(l)], groups.data() + g, static_cast<Index>(end - g),
                            part->cosines() + first * half * lanes_, part->sines() + first * half * lanes_, half, last - first, mirrored_,
                            paired_, !begun, space.state(l));
          if (polls) monitor_.tick(used * (last - first) * lanes_ * 2);
        }
        begun = true;
        g = end;
      }
    }
    Index top = no_power;
    for (Index l = 0; l < n_rows; ++l) top = std::max(top, write(draw, block * lanes_ + l, first, last, space.state(l)));
    return top;
  }

  void vertical_tables(const Part& part, Index block, Workspace& space) {
    for (Index y = 0; y <= part.largest_half_y(); ++y) {
      for (Index l = 0; l < lanes_; ++l) {
        const Index u = std::min(block * lanes_ + l, rows_ - 1);
        const ExactComplex z = vertical_.exact(turn(turn(u, part.spacing_y(), f_.height), y, f_.height));
        space.cosines.data()[y * lanes_ + l] = z.re.hi;
        space.sines.data()[y * lanes_ + l] = z.im.hi;
      }
    }
  }

  // Where the four products of a row belong; returns the largest power of two.
  Index write(Index draw, Index u, Index first, Index last, const RowState& s) {
    const Index below = u == 0 ? 0 : f_.rows() - u, columns = f_.columns();
    const Index begin = first * lanes_, count = std::min(last * lanes_, columns_) - begin;
    Index top = no_power;
    for (int q = 0; q < 4; ++q) {
      const bool minus = q % 2 != 0, mirror = q >= 2;
      if ((minus && (!paired_ || below == u || u == 0)) || (mirror && !mirrored_)) continue;
      const Index at = (draw * f_.rows() + (minus ? below : u)) * columns + (mirror ? f_.width / 2 - begin : begin);
      top = std::max(top, kernels_.write_row(s.re[q], s.im[q], s.exponent[q], count, mirror, reinterpret_cast<double*>(target_.values + at),
                                             target_.exponents + at));
    }
    return top;
  }

  const Frequencies& f_;
  const SpectralKernels& kernels_;
  Index lanes_;
  Monitor& monitor_;
  Spectrum target_;
  Turns vertical_;
  Index rows_ = 0, columns_ = 0, vectors_ = 0;
  bool mirrored_ = true, paired_ = true;
  std::vector<std::unique_ptr<Part>> parts_;
  Index largest_group_ = 0, largest_half_y_ = 0;
};

}  // namespace

std::vector<Index> product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Team& team,
                           Monitor& monitor, const Spectrum& target) {
  return Product(layers, frequencies, draws, monitor, target).run(draws, team);
}

}  // namespace erffast
