// avxvnni.cc once more, with its dot product in AVX-512's encoding: what kernels_test.cc runs where
// a processor has AVX-512 VNNI but not AVX-VNNI. A file of its own, for its own flags.
#define GRAUPEL_EVEX_ENCODING
#include "kernels/avxvnni.cc"
