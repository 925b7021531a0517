// Double-double arithmetic: an unevaluated sum of two doubles, some 104 bits.
//
// The classical error-free transformations (Dekker 1971, Knuth; names as in Hida, Li, Bailey 2001). Correct only where the
// compiler neither contracts nor reorders: files that compute with this are compiled with -ffp-contract=off. Functions are local,
// so that each file keeps the copy compiled for its own instruction set.
#pragma once

namespace erffast {

struct DoubleDouble {
  double hi, lo;
};

namespace {

// One operation's relative error, relative to the larger operand of a sum: 2 rounding errors of the low part and a little.
inline constexpr double double_double_roundoff = 0x1p-103;

// a + b without error, |a| >= |b|.
inline DoubleDouble quick_two_sum(double a, double b) {
  const double s = a + b;
  return {s, b - (s - a)};
}

// a + b without error.
inline DoubleDouble two_sum(double a, double b) {
  const double s = a + b;
  const double t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

// a * b without error.
inline DoubleDouble two_product(double a, double b) {
  const double p = a * b;
  return {p, __builtin_fma(a, b, -p)};
}

// a / b, to 2**-104 of it.
inline DoubleDouble quotient(double a, double b) {
  const double q = a / b;
  return {q, __builtin_fma(-q, b, a) / b};
}

inline DoubleDouble operator+(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble s = two_sum(a.hi, b.hi);
  return quick_two_sum(s.hi, s.lo + (a.lo + b.lo));
}

inline DoubleDouble operator-(DoubleDouble a) { return {-a.hi, -a.lo}; }
inline DoubleDouble operator-(DoubleDouble a, DoubleDouble b) { return a + (-b); }

inline DoubleDouble operator*(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble p = two_product(a.hi, b.hi);
  return quick_two_sum(p.hi, p.lo + __builtin_fma(a.hi, b.lo, a.lo * b.hi));
}

inline DoubleDouble operator*(double a, DoubleDouble b) {
  const DoubleDouble p = two_product(a, b.hi);
  return quick_two_sum(p.hi, __builtin_fma(a, b.lo, p.lo));
}

// sum + weight * value
inline DoubleDouble multiply_add(DoubleDouble sum, double weight, DoubleDouble value) {
  const DoubleDouble p = two_product(weight, value.hi);
  const DoubleDouble s = two_sum(sum.hi, p.hi);
  return quick_two_sum(s.hi, s.lo + (sum.lo + __builtin_fma(weight, value.lo, p.lo)));
}

}  // namespace
}  // namespace erffast
