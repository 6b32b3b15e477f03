// The codebooks of the formats whose quants are entries of one: facts of the formats. The grids of
// the IQ1, IQ2 and IQ3 formats hold 8 or 4 columns in an entry: magnitudes whose signs stand apart,
// or for IQ1 eight times the numbers -1, 0 and 1. Each number has kOffset added, the largest
// magnitude: with either sign it is then a number that kernels take as unsigned. Internal to
// engine/kernels; constants, any thread.
#pragma once

#include <cstdint>

namespace potluck::codebooks {

template <uint32_t kCount, uint32_t kLength, int kAdded>
struct Grid {
  static constexpr int kOffset = kAdded;
  alignas(8) int8_t entry[kCount][kLength];
};

extern const Grid<256, 8, 43> kIq2Xxs;
extern const Grid<512, 8, 43> kIq2Xs;
extern const Grid<1024, 8, 43> kIq2S;
extern const Grid<256, 4, 62> kIq3Xxs;
extern const Grid<512, 4, 15> kIq3S;
extern const Grid<2048, 8, 8> kIq1;  // of IQ1_S and IQ1_M

// IQ4_NL and IQ4_XS.
inline constexpr int8_t kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};

// Q1_0.
inline constexpr int8_t kSigns[2] = {-1, 1};

// MXFP4 and NVFP4: twice the numbers of E2M1.
inline constexpr int8_t kE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace potluck::codebooks
