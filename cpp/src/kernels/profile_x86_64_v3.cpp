// Sums of profiles for x86-64-v3.
#define ERFFAST_PROFILE profile_x86_64_v3
#define ERFFAST_PROFILE_BYTES 32
#include "profile.inl"
