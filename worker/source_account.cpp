#include "worker/source_account.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "engine/base/format_bytes.h"

namespace potluck {

void SourceAccount::grain_stored() {
  changed_ = true;
  told_user_ = false;
}

void SourceAccount::report(std::optional<uint64_t> epoch, const FetchSources& sources, bool done) {
  bool at_once = std::exchange(at_once_, false);
  if (!epoch) return;
  if (done && !told_user_) tell_user(sources);
  if (!changed_ && !at_once) return;
  // While grains come, once a second is enough; the end, and a peer that lied, are told at once.
  if (!done && !at_once && link_.now() < reported_at_ + kInterval) return;
  changed_ = false;
  reported_at_ = link_.now();
  send_report(*epoch, sources);
}

std::optional<TimePoint> SourceAccount::next_tick() const {
  if (!changed_) return std::nullopt;
  return reported_at_ + kInterval;
}

void SourceAccount::send_report(uint64_t epoch, const FetchSources& sources) {
  // Totals, not differences: what a lost report would have said is in the next one.
  SourceReport report;
  report.epoch = epoch;
  report.coordinator_bytes = sources.at(kCoordinatorSource).bytes;
  report.file_bytes = file_;
  for (SourceId id = 1; id < sources.size(); ++id) {
    const FetchSource& source = sources.at(id);
    if (source.bytes == 0 && !source.dropped) continue;
    report.peers.push_back({source.key, source.bytes, source.dropped});
  }
  bool nothing = report.coordinator_bytes == 0 && report.file_bytes == 0 && report.peers.empty();
  if (!nothing) link_.send(std::move(report));
}

SourceBytes SourceAccount::bytes(const FetchSources& sources) const {
  SourceBytes bytes;
  bytes.file = file_;
  bytes.coordinator = sources.at(kCoordinatorSource).bytes;
  for (SourceId id = 1; id < sources.size(); ++id) {
    if (sources.at(id).bytes > 0) bytes.peers[sources.at(id).name] += sources.at(id).bytes;
  }
  return bytes;
}

void SourceAccount::tell_user(const FetchSources& sources) {
  told_user_ = true;
  SourceBytes count = bytes(sources);
  uint64_t total = count.coordinator + count.file;
  std::string parts;
  auto add = [&](uint64_t of_it, const std::string& name) {
    if (of_it == 0) return;
    parts += fmt::format("{}{} from {}", parts.empty() ? "" : ", ", format_bytes(of_it), name);
  };
  add(count.file, "the model file here");
  for (const auto& [name, of_it] : count.peers) {
    add(of_it, name);
    total += of_it;
  }
  add(count.coordinator, "the coordinator");
  link_.notice(
      LogLevel::kInfo, fmt::format("fetched {}: {}", format_bytes(total), parts),
      {{"bytes", total}, {"file_bytes", count.file}, {"coordinator_bytes", count.coordinator}});
}

}  // namespace potluck
