// DeviceFacts: what a device has and how fast it is, as far as that is known: its own measurements
// (DeviceSpeed), what it offers (Hello), and what the coordinator saw of it. 0: not known. Plain
// value; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/experts/product_speed.h"

namespace potluck {

struct DeviceFacts {
  uint64_t ram_bytes = 0;   // for experts
  uint64_t disk_bytes = 0;  // for experts
  // Bytes per second. Everything else in seconds.
  double disk_rate = 0;                // as the device measured it
  std::vector<ProductSpeed> products;  // likewise; formats ascend
  double link_rate = 0;                // to the coordinator
  double round_trip = 0;               // to the coordinator and back, without work
  // It was seen of answers while the pool worked: threads that wake up, messages that are handled
  // and a medium that is shared are in it already.
  bool round_trip_seen = false;
  // Weights that it applied to one row, from being asked to the answer, without the round trip:
  // what it does, as opposed to what it says.
  double observed_rate = 0;
  // The same of prompts: weights that it multiplied with many rows, each counted, while it says
  // that it computed.
  double observed_many_rate = 0;
  // By how much it is faster than its measurements let expect (or slower: below 1), with one row
  // and with many.
  double correction = 1;
  double correction_many = 1;
  double health = 1;     // share of its speed that it can keep up, 0 to 1
  uint32_t threads = 0;  // that compute
  bool local = false;    // the coordinator itself: no round trip
  bool on_battery = false;

  bool operator==(const DeviceFacts&) const = default;

  bool says_its_speed() const { return disk_rate > 0 || !products.empty(); }
};

}  // namespace potluck
