// Reads what /metrics says as strictly as the format (Prometheus, text, 0.0.4) can be read, for
// tests: HELP and TYPE once and in front of the samples, names, escapes in labels, values, no
// sample twice.
#pragma once

#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace potluck::test {

class MetricCheck {
 public:
  // What is wrong with the text; empty: nothing.
  static std::vector<std::string> faults_of(const std::string& text) {
    MetricCheck check;
    size_t at = 0;
    while (at < text.size()) {
      const size_t end = text.find('\n', at);
      if (end == text.npos) {
        check.faults_.push_back("the last line has no end");
        break;
      }
      check.take(text.substr(at, end - at));
      at = end + 1;
    }
    return check.faults_;
  }

 private:
  void take(const std::string& line) {
    static const std::regex help("# HELP (potluck_[a-z0-9_]+) [ -~]+");
    static const std::regex type("# TYPE (potluck_[a-z0-9_]+) (counter|gauge|histogram)");
    std::smatch parts;
    if (std::regex_match(line, parts, help)) {
      if (!helped_.insert(parts[1]).second) fault("a second HELP", line);
      family_ = parts[1];
    } else if (std::regex_match(line, parts, type)) {
      if (family_ != parts[1].str()) fault("TYPE without its HELP in front", line);
      if (!types_.emplace(parts[1], parts[2]).second) fault("a second TYPE", line);
      if ((parts[2] == "counter") != parts[1].str().ends_with("_total")) fault("its name", line);
    } else {
      take_sample(line);
    }
  }

  void take_sample(const std::string& line) {
    // In a label's value, a quote and a backslash are escaped, and nothing is a control character.
    static const std::regex sample(
        R"re((potluck_[a-z0-9_]+)(\{[a-z_]+="(?:[^"\\\x00-\x1f\x7f]|\\["\\n])*")re"
        R"re((?:,[a-z_]+="(?:[^"\\\x00-\x1f\x7f]|\\["\\n])*")*\})?)re"
        R"re( (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?))re");
    std::smatch parts;
    if (!std::regex_match(line, parts, sample)) return fault("no sample", line);
    const std::string name = parts[1];
    bool known = name == family_ && types_[family_] != "histogram";
    for (const char* ending : {"_bucket", "_sum", "_count"}) {
      known = known || (types_[family_] == "histogram" && name == family_ + ending);
    }
    if (!known) fault("a sample that is not of the metric above", line);
    if (!samples_.insert(name + parts[2].str()).second) fault("a sample twice", line);
  }

  void fault(const std::string& what, const std::string& line) {
    faults_.push_back(what + ": " + line);
  }

  std::string family_;
  std::set<std::string> helped_;
  std::map<std::string, std::string> types_;
  std::set<std::string> samples_;
  std::vector<std::string> faults_;
};

}  // namespace potluck::test
