// Sums of profiles for x86-64-v4.
#define ERFFAST_PROFILE profile_x86_64_v4
#define ERFFAST_PROFILE_BYTES 64
#include "profile.inl"
