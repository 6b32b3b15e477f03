// The expected value of the largest of several independent random times: what a layer waits for.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace potluck {

// A random time that takes so many values; their probabilities add up to 1.
struct RandomTime {
  struct Value {
    double time = 0;
    double probability = 0;
  };
  std::vector<Value> values;
  uint32_t count = 1;  // so many independent ones like this
};

// At least 0. Takes n log n for n values in all.
double expected_maximum(const std::vector<RandomTime>& times);

// Probability of k successes in n trials with probability p each, for k = 0 .. n.
std::vector<double> binomial(uint32_t n, double p);

}  // namespace potluck
