#include "coordinator/cli/live_screen.h"

#include <optional>

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "coordinator/cli/styled_line.h"
#include "coordinator/cli/terminal_guard.h"

namespace potluck {
namespace {

constexpr Duration kRedrawInterval = std::chrono::seconds(1);
constexpr Duration kKeyPatience = std::chrono::milliseconds(100);
// The alternate screen, which leaves what was written before as it is; no cursor.
constexpr const char* kEnter = "\x1b[?1049h\x1b[?25l";
constexpr const char* kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";
constexpr const char* kHome = "\x1b[H";
constexpr const char* kEraseLine = "\x1b[K";
constexpr const char* kEraseBelow = "\x1b[J";
constexpr char kCtrlC = 3;
constexpr char kCtrlD = 4;

// Line by line over what was there, so that nothing flickers. No line end behind the last one: it
// would scroll.
std::string overwrite(const std::string& text) {
  std::string screen = kHome;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (begin > 0) screen += "\r\n";
    screen += text.substr(begin, end - begin) + kEraseLine;
    begin = end + 1;
  }
  return screen + kEraseBelow;
}

// The end of the input counts as Ctrl-D.
std::optional<char> wait_for_key(bool has_keys, StopSignal& stop) {
  if (!has_keys) {
    stop.wait(kKeyPatience);
    return std::nullopt;
  }
  pollfd keyboard{STDIN_FILENO, POLLIN, 0};
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kKeyPatience);
  if (poll(&keyboard, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
  char key = 0;
  return read(STDIN_FILENO, &key, 1) == 1 ? key : kCtrlD;
}

std::string frame(const LiveView& view, ScreenSize size, const TerminalStyle& style) {
  auto drawn = view.draw(size, style);
  if (drawn) return *drawn;
  return StyledLine(size.width, style).add(drawn.error().message, Ink::kBad).take() + "\n";
}

bool is_same(ScreenSize a, ScreenSize b) {
  return a.width == b.width && a.height == b.height;
}

}  // namespace

ScreenSize terminal_size() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  if (!known || size.ws_row == 0) return {80, 24};
  // The last column stays free: what terminals do once it is full differs.
  return {static_cast<size_t>(size.ws_col) - 1, size.ws_row};
}

Status show_live(const LiveView& view, const Environment& environment) {
  Output& out = environment.out;
  const TerminalStyle style = own_terminal_style(out.is_terminal());
  const size_t width = out.is_terminal() ? terminal_size().width : kPlainWidth;
  // What is not there is better said below the command than on a screen of its own.
  auto first = view.draw({width, 0}, style);
  if (!first) return first.error();
  if (style.draws) return run_live(view, style, environment);
  out.page(*first);
  return {};
}

Status run_live(const LiveView& view, const TerminalStyle& style, const Environment& environment) {
  StopSignal& stop = environment.stop;
  StopSignal::Watch watch(stop);
  TerminalGuard guard(stop, STDIN_FILENO, STDOUT_FILENO, kLeave);
  const bool has_keys = guard.take_keys();
  environment.out.page(kEnter);
  TimePoint due = environment.clock.now();
  ScreenSize drawn;
  while (!stop.requested() && environment.out.works()) {
    const ScreenSize size = terminal_size();
    const TimePoint now = environment.clock.now();
    if (now >= due || !is_same(size, drawn)) {
      environment.out.page(overwrite(frame(view, size, style)));
      due = now + kRedrawInterval;
      drawn = size;
    }
    const auto key = wait_for_key(has_keys, stop);
    if (!key) continue;
    if (*key == 'q' || *key == kCtrlD) return {};
    if (*key == kCtrlC) break;
    if (view.on_key) view.on_key(*key);
    due = now;
  }
  return environment.out.works() ? Status(Error{ErrorCode::kCancelled, "interrupted"}) : Status();
}

}  // namespace potluck
