// What one core can multiply and add, measured by loops of independent instructions.
#pragma once

namespace graupel::bench {

// Products of bytes with their sums, 10^9 per second: VNNI 512 bits where the processor has it, 0
// where no such loop is known.
double dot_peak_gmacs();
// int16 pairs by AVX2 (vpmaddwd and vpaddd).
double pair_peak_gmacs();

}  // namespace graupel::bench
