// Sums of profiles for an architecture's baseline.
#define ERFFAST_PROFILE profile_baseline
#define ERFFAST_PROFILE_BYTES 16
#include "profile.inl"
