#include "erffast/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "turns.hpp"

namespace erffast {
namespace {

constexpr double pi = 3.141592653589793;
constexpr double slack = 1 + 1e-9;  // of exponentials, products and the radius

struct Wave {
  double cosine, sine;
};

// cos and sin of k turns / whole: whole quarters are taken out in integers.
Wave wave(Index k, Index whole) {
  const double quarter_turn = 1.5707963267948966;
  const Index fourfold = 4 * k, quarter = (2 * fourfold + whole) / (2 * whole);
  const double angle = quarter_turn * (static_cast<double>(fourfold - quarter * whole) / static_cast<double>(whole));
  const double c = std::cos(angle), s = std::sin(angle);
  switch (quarter % 4) {
    case 0: return {c, s};
    case 1: return {-s, c};
    case 2: return {-c, -s};
    default: return {s, -c};
  }
}

// Waves of the lags first .. last of an axis, for each frequency asked for.
class Axis {
 public:
  Axis(Index first, Index last, Index spacing, Index whole)
      : first_(first), last_(last), spacing_(spacing), whole_(whole), starts_(static_cast<std::size_t>(whole), -1) {}

  const Wave* at(Index place) {
    Index& start = starts_[static_cast<std::size_t>(turn(place, 1, whole_))];
    if (start < 0) {
      start = static_cast<Index>(waves_.size());
      const Index once = turn(place, spacing_, whole_);
      for (Index lag = first_; lag <= last_; ++lag) waves_.push_back(wave(turn(once, lag, whole_), whole_));
    }
    return waves_.data() + start;
  }

 private:
  Index first_, last_, spacing_, whole_;
  std::vector<Index> starts_;  // in `waves_`, by place; -1: not asked for yet
  std::vector<Wave> waves_;
};

// S at any frequency of a period.
class Exponent {
 public:
  Exponent(const Certificate& certificate, const Index (&whole)[2]) : certificate_(certificate) {
    for (const Lags& r : certificate.lags) {
      double total = 0;
      for (Index i = 0; i < r.rows * r.columns; ++i) total += r.values[i];
      parts_.push_back({r, total, {0, r.rows / 2, r.spacing[0], whole[0]}, {-(r.columns / 2), r.columns / 2, r.spacing[1], whole[1]}});
    }
  }

  double at(Index row, Index column) {
    double found = 0;
    for (Part& part : parts_) found += part.total - cosines(part, part.down.at(row), part.along.at(column));
    return std::max(found * (1 - certificate_.relative) - certificate_.absolute, 0.0);
  }

  // Multiply-adds of one frequency, about.
  Index work() const {
    Index sum = 100;
    for (const Part& part : parts_) sum += part.lags.rows * part.lags.columns;
    return sum;
  }

 private:
  struct Part {
    Lags lags;
    double total;
    Axis down, along;
  };

  // sum over d of R(d) cos(f . d), lags d and -d together
  static double cosines(const Part& part, const Wave* down, const Wave* along) {
    const Lags& r = part.lags;
    const double* row = r.values + r.rows / 2 * r.columns;
    double sum = 0;
    for (Index a = 0; a <= r.rows / 2; ++a, row += r.columns) {
      double even = 0, odd = 0;
      for (Index b = 0; b < r.columns; ++b) {
        even += row[b] * along[b].cosine;
        odd += row[b] * along[b].sine;
      }
      sum += (a == 0 ? 1 : 2) * (down[a].cosine * even - down[a].sine * odd);
    }
    return sum;
  }

  const Certificate& certificate_;
  std::vector<Part> parts_;
};

// Frequencies first .. last along each axis, of a half plane.
struct Cell {
  Index first[2], last[2];
  bool beside;            // in the rows of the band
  double bound, middle;   // on the sum over the cell and its mirror image; twice the value in its middle

  Index length(int axis) const { return last[axis] - first[axis]; }
};

std::vector<Cell> outside(const Index (&shape)[2], const Index (&band)[2]) {
  const Index last = (shape[0] - 1) / 2, end = shape[1] / 2;
  std::vector<Cell> cells;
  for (const Cell& c : {Cell{{band[0] + 1, 0}, {last, end}, false, 0, 0}, Cell{{-last, 0}, {-band[0] - 1, end}, false, 0, 0},
                        Cell{{-band[0], band[1] + 1}, {band[0], end}, true, 0, 0}}) {
    if (c.length(0) >= 0 && c.length(1) >= 0) cells.push_back(c);
  }
  return cells;
}

// Cut in half along each axis that adds to its radius; one side alone where the other is much shorter.
void quarter(const Cell& cell, const double (&scale)[2], std::vector<Cell>& out) {
  std::vector<Cell> pieces = {cell};
  for (int axis = 0; axis < 2; ++axis) {
    const double mine = static_cast<double>(cell.length(axis)) * scale[axis], other = static_cast<double>(cell.length(1 - axis)) * scale[1 - axis];
    if (cell.length(axis) == 0 || mine < other / 4) continue;
    const Index middle = cell.first[axis] + cell.length(axis) / 2;
    for (std::size_t i = 0, n = pieces.size(); i < n; ++i) {
      pieces.push_back(pieces[i]);
      pieces[i].last[axis] = middle;
      pieces.back().first[axis] = middle + 1;
    }
  }
  out.insert(out.end(), pieces.begin(), pieces.end());
}

}  // namespace

void exponents(const Certificate& certificate, const Index (&whole)[2], const Index* places, Index n, double* out, Monitor& monitor) {
  Exponent exponent(certificate, whole);
  for (Index i = 0; i < n && !monitor.stopped(); ++i) {
    out[i] = exponent.at(places[2 * i], places[2 * i + 1]);
    monitor.tick(exponent.work());
  }
  monitor.throw_if_stopped();
}

Dropped dropped(const Certificate& certificate, const double (&std)[2], const Index (&shape)[2], const Index (&band)[2], double budget,
                Index most_cells, Monitor& monitor) {
  const Index whole[2] = {2 * shape[0], 2 * shape[1]};  // the middle of a rectangle may lie between two frequencies
  const double scale[2] = {pi * std[0] / static_cast<double>(shape[0]), pi * std[1] / static_cast<double>(shape[1])};
  Exponent exponent(certificate, whole);
  Dropped found;
  std::vector<Cell> cells = outside(shape, band);
  const auto sum = [&] { return found.sums[0] + found.sums[1]; };
  while (!cells.empty()) {
    double middles = 0;
    std::vector<Cell> left;
    for (Cell& c : cells) {
      const double s = exponent.at(c.first[0] + c.last[0], c.first[1] + c.last[1]);
      monitor.tick(exponent.work());
      monitor.throw_if_stopped();
      const double radius = (static_cast<double>(c.length(0)) * scale[0] + static_cast<double>(c.length(1)) * scale[1]) * (slack + certificate.relative);
      const double nearest = std::max(std::sqrt(s) - radius, 0.0);
      c.bound = 2 * static_cast<double>((c.length(0) + 1) * (c.length(1) + 1)) * std::exp(-0.5 * nearest * nearest) * slack;
      c.middle = 2 * std::exp(-s / 2);
      if (c.length(0) == 0 && c.length(1) == 0) {
        found.sums[c.beside] += c.bound;
      } else {
        middles += c.middle;
        left.push_back(c);
      }
    }
    if (sum() + middles > budget || static_cast<Index>(left.size()) > most_cells) {
      found.too_much = true;
      for (const Cell& c : left) {
        found.sums[c.beside] += c.middle;
        Index& reach = found.reach[c.beside];
        if (c.middle > budget) reach = std::max(reach, std::abs(c.first[c.beside] + c.last[c.beside]) / 2);
      }
      return found;
    }
    // The smallest are settled as they are, for a small share of what is left of the budget, so that half of it is left in the end;
    // the others are looked at more closely.
    std::stable_sort(left.begin(), left.end(), [](const Cell& a, const Cell& b) { return a.bound < b.bound; });
    double room = (budget - sum()) / 16;
    cells.clear();
    for (const Cell& c : left) {
      room -= c.bound;
      if (room >= 0) {
        found.sums[c.beside] += c.bound;
      } else {
        quarter(c, scale, cells);
      }
    }
  }
  found.too_much = sum() > budget;
  return found;
}

}  // namespace erffast
