#include "coordinator/cli/pool_search.h"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/line_reader.h"
#include "coordinator/cli/number_text.h"
#include "protocol/udp_socket.h"

namespace potluck {
namespace {

constexpr Duration kSearchTurn = std::chrono::milliseconds(100);

// As people tell pools apart: names may be alike, keys are not.
std::string describe_pool_found(const FoundPool& pool) {
  return fmt::format("{} (key {}, at {})", pool.name.empty() ? "a pool without a name" : pool.name,
                     pool.coordinator.brief(), pool.endpoints.front());
}

std::string list_found(const std::vector<FoundPool>& pools) {
  std::string text;
  for (const FoundPool& pool : pools) {
    text += (text.empty() ? "" : ", ") + describe_pool_found(pool);
  }
  return text;
}

Result<FoundPool> choose_typed(const std::vector<FoundPool>& pools,
                               const Environment& environment) {
  for (size_t i = 0; i < pools.size(); ++i) {
    environment.terminal.notice(fmt::format("  {}  {}", i + 1, describe_pool_found(pools[i])));
  }
  LineReader input(STDIN_FILENO, true, environment.terminal);
  const WhileWaiting wait = [&] { return !environment.stop.requested(); };
  for (;;) {
    auto typed = input.next(fmt::format("which of them, 1 to {}? ", pools.size()), wait);
    if (typed && !*typed) break;
    auto number = typed ? read_whole(**typed, {1, pools.size()}) : Result<uint64_t>(typed.error());
    if (number) return pools[*number - 1];
    environment.terminal.error(number.error().message);
  }
  return Error{ErrorCode::kInvalidArgument, "no pool was chosen"};
}

Result<FoundPool> choose(const std::vector<FoundPool>& pools, const Environment& environment) {
  if (pools.size() == 1) return pools.front();
  if (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1) {
    return choose_typed(pools, environment);
  }
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("several pools were found; choose one by --pool: {}", list_found(pools))};
}

Error nothing_found(const PoolSearch& search, const BeaconSearch& seen) {
  if (!seen.found().empty()) {
    return {ErrorCode::kNotFound,
            fmt::format("no pool like '{}' was found, but {}", terminal_line(search.wanted),
                        list_found(seen.found()))};
  }
  return {ErrorCode::kNotFound,
          fmt::format("no coordinator was found on this network within {} s. Is `potluck serve` "
                      "running, and does a firewall let UDP port {} through? Otherwise join with "
                      "the line that it prints",
                      std::chrono::duration_cast<std::chrono::seconds>(search.patience).count(),
                      search.port)};
}

}  // namespace

std::vector<FoundPool> pools_like(const std::vector<FoundPool>& found, const std::string& wanted) {
  std::vector<FoundPool> like;
  std::copy_if(found.begin(), found.end(), std::back_inserter(like), [&](const FoundPool& pool) {
    return wanted.empty() || pool.name == wanted || pool.coordinator.text().starts_with(wanted);
  });
  return like;
}

Result<FoundPool> search_pool(const PoolSearch& search, const Environment& environment) {
  auto socket = UdpSocket::seek({search.port, false});
  if (!socket) return socket.error();
  const Clock& clock = environment.clock;
  BeaconSearch seen(environment.entropy, clock);
  const TimePoint deadline = clock.now() + search.patience;
  environment.terminal.notice("looking for coordinators on this network");
  Status asked;
  while (!environment.stop.requested()) {
    if (auto question = seen.take_question()) asked = (*socket)->send_everywhere(*question);
    const Duration wait = std::min<Duration>(seen.next_question() - clock.now(), kSearchTurn);
    if (auto answer = (*socket)->receive(std::max(wait, Duration::zero()))) {
      seen.on_datagram(*answer);
    }
    const std::vector<FoundPool> like = pools_like(seen.found(), search.wanted);
    if (seen.settled() && !like.empty()) return choose(like, environment);
    if (clock.now() >= deadline) return asked ? nothing_found(search, seen) : asked.error();
  }
  return Error{ErrorCode::kRefused, "ended before a pool was found"};
}

}  // namespace potluck
