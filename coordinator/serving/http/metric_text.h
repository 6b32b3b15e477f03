// MetricText: what Prometheus reads, in its text form, version 0.0.4. Every name begins with
// "potluck_"; counters end with "_total", and sizes and times are in bytes and seconds. A plain
// value.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace potluck {

struct MetricValue {
  std::string_view name;
  std::string_view help;
  uint64_t value = 0;
};

// `name="value"`, with whatever the value may hold escaped, so that no name of a device, a key or a
// model ends a label or a line. Labels are joined with a comma.
std::string metric_label(std::string_view name, std::string_view value);

class MetricText {
 public:
  void gauges(std::initializer_list<MetricValue> values);
  void counters(std::initializer_list<MetricValue> values);
  // One metric with one value.
  void gauge(std::string_view name, std::string_view help, uint64_t value);
  void gauge(std::string_view name, std::string_view help, double value);
  void counter(std::string_view name, std::string_view help, uint64_t value);
  void counter(std::string_view name, std::string_view help, double value);

  // A metric with several, of which each sample follows.
  void begin(std::string_view name, std::string_view type, std::string_view help);
  // `labels`: `state="ready"`, or empty. Values from outside go through metric_label().
  void sample(std::string_view name, std::string_view labels, double value);
  void sample(std::string_view name, std::string_view labels, uint64_t value);

  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace potluck
