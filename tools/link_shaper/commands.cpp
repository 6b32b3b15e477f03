#include "tools/link_shaper/commands.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck::link_shaper {
namespace {

constexpr std::string_view kVerbs = "link, down, up, reset or status";

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    size_t end = std::min(text.find(separator), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

const char* state_name(LinkState state) {
  if (state == LinkState::kUp) return "up";
  return state == LinkState::kDown ? "down" : "reset";
}

double milliseconds_of(Duration time) {
  return in_seconds(time) * 1000;
}

std::string describe(const std::vector<std::string>& names, const HostSwitch& hosts) {
  std::string text;
  for (size_t i = 0; i < hosts.hosts(); ++i) {
    const Link& link = hosts.link(i);
    const LinkCounts& counts = hosts.counts(i);
    text += fmt::format(
        "{} {} delay_ms={} jitter_ms={} up={} down={} loss={} queue_ms={} sent={} received={} "
        "received_bytes={} lost={} dropped={}\n",
        names[i], state_name(hosts.state(i)), milliseconds_of(link.delay),
        milliseconds_of(link.jitter), link.up, link.down, link.loss, milliseconds_of(link.queue),
        counts.sent, counts.received, counts.received_bytes, counts.lost, counts.dropped);
  }
  return text;
}

Status change(std::span<const std::string_view> settings, size_t host, HostSwitch* hosts) {
  Link link = hosts->link(host);
  for (std::string_view setting : settings) {
    if (Status set = set_link(setting, &link); !set) return set;
  }
  hosts->set_link(host, link);
  return {};
}

}  // namespace

std::string execute(std::string_view line, const std::vector<std::string>& names, HostSwitch* hosts,
                    TimePoint now) {
  while (line.ends_with('\n')) line.remove_suffix(1);
  std::vector<std::string_view> words = split(line, ' ');
  if (words.size() == 1 && words[0] == "status") return describe(names, *hosts);
  auto host = words.size() < 2 ? names.end() : std::find(names.begin(), names.end(), words[1]);
  if (host == names.end()) {
    return fmt::format("error: expected {}, all but the last with the name of a host", kVerbs);
  }
  auto index = static_cast<size_t>(host - names.begin());
  if (words[0] == "link") {
    Status changed = change(std::span(words).subspan(2), index, hosts);
    return changed ? "ok" : "error: " + changed.error().message;
  }
  for (LinkState state : {LinkState::kUp, LinkState::kDown, LinkState::kReset}) {
    if (words.size() != 2 || words[0] != state_name(state)) continue;
    hosts->set_state(index, state, now);
    return "ok";
  }
  return fmt::format("error: expected {}", kVerbs);
}

Result<std::pair<std::string, Link>> parse_host(std::string_view text) {
  std::vector<std::string_view> words = split(text, ',');
  bool named = !words.empty() && words[0].find_first_of("=/ ") == std::string_view::npos;
  if (!named) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("\"{}\": expected NAMESPACE or NAMESPACE,KEY=VALUE,...", text)};
  }
  Link link;
  for (std::string_view setting : std::span(words).subspan(1)) {
    if (Status set = set_link(setting, &link); !set) return set.error().in(std::string(words[0]));
  }
  return std::pair(std::string(words[0]), link);
}

}  // namespace potluck::link_shaper
