#include "coordinator/serving/http/metric_text.h"

#include <fmt/format.h>

#include "engine/base/terminal_text.h"

namespace potluck {
namespace {

std::string braced(std::string_view labels) {
  return labels.empty() ? std::string() : fmt::format("{{{}}}", labels);
}

}  // namespace

// Line ends, the third thing that the format escapes, are controls, and so written as \x0a.
std::string metric_label(std::string_view name, std::string_view value) {
  std::string text;
  for (const char c : terminal_line(value)) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return fmt::format("{}=\"{}\"", name, text);
}

void MetricText::gauges(std::initializer_list<MetricValue> values) {
  for (const MetricValue& one : values) gauge(one.name, one.help, one.value);
}

void MetricText::counters(std::initializer_list<MetricValue> values) {
  for (const MetricValue& one : values) counter(one.name, one.help, one.value);
}

void MetricText::gauge(std::string_view name, std::string_view help, uint64_t value) {
  begin(name, "gauge", help);
  sample(name, {}, value);
}

void MetricText::gauge(std::string_view name, std::string_view help, double value) {
  begin(name, "gauge", help);
  sample(name, {}, value);
}

void MetricText::counter(std::string_view name, std::string_view help, uint64_t value) {
  begin(name, "counter", help);
  sample(name, {}, value);
}

void MetricText::counter(std::string_view name, std::string_view help, double value) {
  begin(name, "counter", help);
  sample(name, {}, value);
}

void MetricText::begin(std::string_view name, std::string_view type, std::string_view help) {
  text_ += fmt::format("# HELP potluck_{0} {1}\n# TYPE potluck_{0} {2}\n", name, help, type);
}

void MetricText::sample(std::string_view name, std::string_view labels, double value) {
  text_ += fmt::format("potluck_{}{} {}\n", name, braced(labels), value);
}

void MetricText::sample(std::string_view name, std::string_view labels, uint64_t value) {
  text_ += fmt::format("potluck_{}{} {}\n", name, braced(labels), value);
}

}  // namespace potluck
