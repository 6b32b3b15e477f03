// A full screen of a terminal that is drawn anew each second, until its reader has seen enough. One
// thread.
#pragma once

#include <functional>
#include <string>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/pool_screen.h"
#include "coordinator/cli/terminal_style.h"

namespace potluck {

struct LiveView {
  // What is to be seen now, in lines; an error is shown in its place.
  std::function<Result<std::string>(ScreenSize size, const TerminalStyle& style)> draw;
  // What other keys than those that end it do; may be empty.
  std::function<void(char key)> on_key = {};
};

// Of a file or pipe.
inline constexpr size_t kPlainWidth = 120;

// The size of the terminal that is standard output; 80 x 24 where it does not say.
ScreenSize terminal_size();

// Drawn again and again on a terminal (run_live), else once: what is not there is an error then.
Status show_live(const LiveView& view, const Environment& environment);

// Until q, Ctrl-D (in order) or Ctrl-C, SIGTERM (kCancelled), or until nothing can be written any
// more. The terminal, standard output, can draw (TerminalStyle::draws), and is afterwards as it
// was.
Status run_live(const LiveView& view, const TerminalStyle& style, const Environment& environment);

}  // namespace potluck
