#include "coordinator/cli/expert_map_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "coordinator/cli/styled_line.h"

namespace potluck {
namespace {

// The line above the layers, and the one below.
constexpr size_t kFrameLines = 2;
constexpr uint32_t kOwn = 0;  // as a holder; workers have numbers from 1 on
constexpr double kUseSteps = 9;
// Of nine steps; the locale decides which.
constexpr std::array<const char*, 10> kBlocks{" ", "▁", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::string_view kShades = " .:-=+*#%@";

// How many of the map's rows and columns one character stands for.
struct Thinning {
  size_t layers = 1;
  size_t experts = 1;
  size_t columns = 0;
};

struct Cell {
  std::map<uint32_t, double> holders;  // with how many experts' worth each
  double unheld = 0;
  uint32_t fewest_copies = UINT32_MAX;
  double heat = 0;  // of the hottest, 0 to 9
};

size_t experts_of(const UnitMap& map) {
  size_t most = 0;
  for (const LayerMap& layer : map.layers) most = std::max(most, layer.cells.size());
  return most;
}

size_t divide_up(size_t count, size_t by) {
  return (count + by - 1) / by;
}

void add_expert(const UnitMap& map, const LayerMap& layer, size_t expert, double largest_use,
                Cell* cell) {
  std::vector<uint32_t> holders;
  if (layer.cells[expert] < map.sets.size()) holders = map.sets[layer.cells[expert]];
  const bool own = expert < layer.own;
  if (own) holders.push_back(kOwn);
  for (const uint32_t holder : holders) {
    cell->holders[holder] += 1.0 / static_cast<double>(holders.size());
  }
  if (holders.empty()) cell->unheld += 1;
  const uint32_t copies = expert < layer.copies.size() ? layer.copies[expert] : 0;
  cell->fewest_copies = std::min(cell->fewest_copies, copies + (own ? 1U : 0U));
  if (expert < layer.uses.size() && largest_use > 0) {
    const double part = std::log1p(layer.uses[expert]) / std::log1p(largest_use);
    cell->heat = std::max(cell->heat, part * kUseSteps);
  }
}

Cell cell_at(const UnitMap& map, size_t first_layer, size_t first_expert, const Thinning& thin) {
  Cell cell;
  const size_t end_layer = std::min(first_layer + thin.layers, map.layers.size());
  for (size_t l = first_layer; l < end_layer; ++l) {
    const LayerMap& layer = map.layers[l];
    const auto most = std::ranges::max_element(layer.uses);
    const double largest = most == layer.uses.end() ? 0 : static_cast<double>(*most);
    const size_t end = std::min(first_expert + thin.experts, layer.cells.size());
    for (size_t e = first_expert; e < end; ++e) add_expert(map, layer, e, largest, &cell);
  }
  return cell;
}

// The one with the most; those that have as much take turns from column to column.
std::optional<uint32_t> shown_holder(const Cell& cell, size_t turn) {
  double most = cell.unheld;
  for (const auto& [holder, share] : cell.holders) most = std::max(most, share);
  std::vector<uint32_t> equal;
  for (const auto& [holder, share] : cell.holders) {
    if (share > most - 1e-9) equal.push_back(holder);
  }
  if (equal.empty()) return std::nullopt;
  return equal[turn % equal.size()];
}

void draw_holder(const Cell& cell, size_t turn, const TerminalStyle& style, StyledLine* line) {
  const auto holder = shown_holder(cell, turn);
  if (!holder) {
    line->add(style.utf8 ? "·" : ".", Ink::kDim);
  } else if (*holder == kOwn) {
    line->add_own(std::string(1, kOwnMark), true);
  } else {
    line->add_device(std::string(1, device_mark(*holder)), *holder, true);
  }
}

void draw_copies(const Cell& cell, StyledLine* line) {
  const uint32_t copies = cell.fewest_copies == UINT32_MAX ? 0 : cell.fewest_copies;
  const char digit = static_cast<char>('0' + std::min(copies, 9U));
  line->add(std::string(1, digit), copies == 0 ? Ink::kBad : copies > 1 ? Ink::kGood : Ink::kPlain);
}

void draw_use(const Cell& cell, const TerminalStyle& style, StyledLine* line) {
  const auto step = static_cast<size_t>(std::clamp(std::lround(cell.heat), 0L, 9L));
  line->add(style.utf8 ? kBlocks[step] : std::string(1, kShades[step]));
}

std::string title(const Thinning& thin, size_t layers, size_t experts, MapKind kind) {
  const char* what = kind == MapKind::kCopies ? "copies"
                     : kind == MapKind::kUse  ? "use, lately"
                                              : "who holds them";
  std::string text = fmt::format("{} layers x {} experts: {}", layers, experts, what);
  if (thin.experts > 1) text += fmt::format("; {} experts to a column", thin.experts);
  if (thin.layers > 1) text += fmt::format("; {} layers to a row", thin.layers);
  return text;
}

size_t unheld_experts(const UnitMap& map) {
  size_t unheld = 0;
  for (const LayerMap& layer : map.layers) {
    for (size_t e = layer.own; e < layer.cells.size(); ++e) unheld += layer.cells[e] == 0 ? 1 : 0;
  }
  return unheld;
}

std::string legend(const UnitMap& map, const TerminalStyle& style, MapKind kind) {
  if (kind == MapKind::kCopies) return "the fewest copies; 0: on no device";
  if (kind == MapKind::kUse) return "on a logarithmic scale of each layer";
  const auto has_own = [](const LayerMap& layer) { return layer.own > 0; };
  std::string text;
  if (std::ranges::any_of(map.layers, has_own)) text += fmt::format("{} coordinator  ", kOwnMark);
  if (const size_t unheld = unheld_experts(map); unheld > 0) {
    text += fmt::format("{} on no device ({})  ", style.utf8 ? "·" : ".", unheld);
  }
  const bool shared = std::ranges::any_of(map.sets, [](const auto& set) { return set.size() > 1; });
  if (shared) text += "columns take turns where several have them";
  return text;
}

Thinning thin_out(const UnitMap& map, size_t width, size_t rows) {
  Thinning thin;
  const size_t experts = experts_of(map);
  thin.experts = std::max<size_t>(1, divide_up(experts, std::max<size_t>(1, width)));
  thin.layers = std::max<size_t>(1, divide_up(map.layers.size(), std::max<size_t>(1, rows)));
  thin.columns = divide_up(experts, thin.experts);
  return thin;
}

}  // namespace

char device_mark(uint32_t number) {
  constexpr std::string_view kMarks =
      "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return number >= 1 && number <= kMarks.size() ? kMarks[number - 1] : '#';
}

size_t map_lines(const UnitMap& map) {
  return experts_of(map) == 0 ? 0 : map.layers.size() + kFrameLines;
}

std::vector<std::string> draw_map(const UnitMap& map, ScreenSize size, const TerminalStyle& style,
                                  MapKind kind) {
  std::vector<std::string> lines;
  if (kind == MapKind::kNone || map_lines(map) == 0 || size.height <= kFrameLines) return lines;
  const size_t label = std::max<size_t>(3, fmt::formatted_size("{}", map.layers.back().layer)) + 1;
  const size_t room = size.width > label ? size.width - label : 1;
  const Thinning thin = thin_out(map, room, size.height - kFrameLines);
  const auto add = [&](StyledLine line) { lines.push_back(line.take()); };
  add(StyledLine(size.width, style)
          .add(title(thin, map.layers.size(), experts_of(map), kind), Ink::kBold));
  for (size_t l = 0; l < map.layers.size(); l += thin.layers) {
    StyledLine line(size.width, style);
    line.add_column(std::to_string(map.layers[l].layer), label - 1, Align::kRight, Ink::kDim);
    line.add(" ");
    for (size_t c = 0; c < thin.columns; ++c) {
      const Cell cell = cell_at(map, l, c * thin.experts, thin);
      if (kind == MapKind::kHolders) draw_holder(cell, c, style, &line);
      if (kind == MapKind::kCopies) draw_copies(cell, &line);
      if (kind == MapKind::kUse) draw_use(cell, style, &line);
    }
    lines.push_back(line.take());
  }
  add(StyledLine(size.width, style).add(legend(map, style, kind), Ink::kDim));
  return lines;
}

}  // namespace potluck
