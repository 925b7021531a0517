// Sums of profiles for x86-64-v2.
#define ERFFAST_PROFILE profile_x86_64_v2
#define ERFFAST_PROFILE_BYTES 16
#include "profile.inl"
