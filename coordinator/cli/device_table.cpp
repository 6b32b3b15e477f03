#include "coordinator/cli/device_table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "coordinator/cli/expert_map_text.h"
#include "coordinator/cli/health_words.h"
#include "coordinator/cli/styled_line.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

constexpr size_t kMarkColumns = 2;  // the mark of the map, and a space
constexpr size_t kLeastName = 8;
constexpr size_t kMostName = 24;

// What a line of the table says, column by column.
struct Row {
  char mark = ' ';
  uint32_t number = 0;  // 0: no device's color
  std::string name;
  std::string state;
  Ink ink = Ink::kPlain;  // of the state
  std::array<std::string, 6> cells;
  std::vector<std::pair<std::string, Ink>> remarks;
};

struct Column {
  const char* name;
  size_t columns;
};
// The most important first.
constexpr std::array<Column, 6> kColumns{
    {{"work", 6}, {"speed", 13}, {"trip", 10}, {"memory", 11}, {"reads", 13}, {"disk", 11}}};
constexpr Column kState{"state", 14};

std::string rate(double bytes_per_second) {
  if (bytes_per_second <= 0) return "-";
  return format_bytes(static_cast<uint64_t>(std::min(bytes_per_second, 9e18))) + "/s";
}

std::string size_or_dash(uint64_t bytes) {
  return bytes == 0 ? "-" : format_bytes(bytes);
}

// As seen, else as it measured itself.
double speed_of(const DeviceFacts& facts) {
  if (facts.observed_rate > 0) return facts.observed_rate;
  return facts.products.empty() ? 0 : static_cast<double>(facts.products.front().one_row);
}

std::array<std::string, 6> cells_of(double share, const DeviceFacts& facts, uint64_t ram,
                                    uint64_t disk) {
  const std::string trip =
      facts.round_trip > 0 ? fmt::format("{:.2f} ms", facts.round_trip * 1e3) : "-";
  return {fmt::format("{} %", std::lround(100 * share)),
          rate(speed_of(facts)),
          trip,
          size_or_dash(ram),
          rate(facts.disk_rate),
          size_or_dash(disk)};
}

Ink ink_of(DeviceState state) {
  switch (state) {
    case DeviceState::kReady:
      return Ink::kGood;
    case DeviceState::kQuarantined:
    case DeviceState::kSilent:
      return Ink::kBad;
    case DeviceState::kLeftOut:
      return Ink::kDim;
    case DeviceState::kDraining:
    case DeviceState::kJoining:
    case DeviceState::kFetching:
      break;
  }
  return Ink::kBusy;
}

std::string state_text(const DeviceView& device) {
  std::string text = device_state_name(device.state);
  if (device.state == DeviceState::kFetching && device.units_assigned > 0) {
    text += fmt::format(" {} %", 100 * device.units_ready / device.units_assigned);
  }
  return text;
}

void add_remarks(const DeviceView& device, Row* row) {
  const auto say = [&](std::string text, Ink ink) {
    row->remarks.emplace_back(std::move(text), ink);
  };
  const WorkerRecord& record = device.record;
  if (record.quarantine) say("gets no work: " + record.quarantine->reason, Ink::kBad);
  if (!device.left_out.empty()) say("left out: " + device.left_out, Ink::kDim);
  const WorkerHealth& health = record.health;
  const auto say_if = [&](const std::string& words, Ink ink) {
    if (!words.empty()) say(words, ink);
  };
  say_if(lending_words(health), Ink::kBusy);
  if (!record.room_reason.empty()) say("has no room: " + record.room_reason, Ink::kBusy);
  say_if(memory_words(health.use, record.ram_bytes), Ink::kBusy);
  say_if(use_words(health.use), Ink::kDim);
  if (device.breaker != BreakerState::kClosed) {
    say(fmt::format("failed lately: its breaker is {}", breaker_name(device.breaker)), Ink::kBad);
  }
  if (device.trust.mismatches > 0) {
    say(fmt::format("{} wrong of {} answers compared", device.trust.mismatches,
                    device.trust.compared),
        Ink::kBad);
  }
  if (device.accusers > 0) {
    say(fmt::format("{} devices say that it sent them wrong bytes", device.accusers), Ink::kBad);
  }
}

Row row_of(const DeviceView& device, uint64_t all_units) {
  Row row;
  const WorkerRecord& record = device.record;
  row.mark = device_mark(record.number);
  row.number = record.number;
  row.name = record.name;
  row.state = state_text(device);
  row.ink = ink_of(device.state);
  const double share =
      all_units == 0 ? 0
                     : static_cast<double>(device.units_assigned) / static_cast<double>(all_units);
  row.cells = cells_of(share, device.facts, record.ram_bytes, record.disk_bytes);
  add_remarks(device, &row);
  return row;
}

std::vector<Row> rows_of(const PoolPicture& picture) {
  std::vector<Row> rows;
  const PoolView& pool = picture.pool;
  std::vector<const DeviceView*> ordered;
  for (const DeviceView& device : pool.devices) ordered.push_back(&device);
  std::ranges::sort(ordered, {}, [](const DeviceView* device) { return device->record.number; });
  if (pool.own) {
    Row own;
    own.mark = kOwnMark;
    own.name = "this coordinator";
    own.state = "ready";
    own.ink = Ink::kGood;
    own.cells = cells_of(pool.own_share, *pool.own, pool.own->ram_bytes, 0);
    rows.push_back(std::move(own));
  }
  for (const DeviceView* device : ordered) rows.push_back(row_of(*device, pool.units_assigned));
  for (const std::string& name : picture.away) {
    Row row;
    row.name = name;
    row.state = "away";
    row.ink = Ink::kBad;
    rows.push_back(std::move(row));
  }
  return rows;
}

class Table {
 public:
  Table(size_t width, const TerminalStyle& style) : width_(width), style_(style) {
    const size_t fixed = kMarkColumns + kLeastName + 1 + kState.columns;
    size_t left = width > fixed ? width - fixed : 0;
    for (const Column& column : kColumns) {
      if (column.columns > left) break;
      left -= column.columns;
      ++shown_;
    }
    name_ = kLeastName + std::min(left, kMostName - kLeastName);
  }

  std::string head() const {
    StyledLine line(width_, style_);
    line.add_column("", kMarkColumns).add_column("device", name_, Align::kLeft, Ink::kBold);
    line.add(" ").add_column(kState.name, kState.columns, Align::kLeft, Ink::kBold);
    for (size_t i = 0; i < shown_; ++i) {
      line.add_column(kColumns[i].name, kColumns[i].columns, Align::kRight, Ink::kBold);
    }
    return line.take();
  }

  std::string draw(const Row& row) const {
    StyledLine line(width_, style_);
    const std::string mark(1, row.mark);
    if (row.number > 0)
      line.add_device(mark, row.number, true);
    else if (row.mark == kOwnMark)
      line.add_own(mark, true);
    else
      line.add(mark);
    line.add(" ").add_column(row.name, name_).add(" ");
    line.add_column(row.state, kState.columns, Align::kLeft, row.ink);
    for (size_t i = 0; i < shown_; ++i) {
      line.add_column(row.cells[i], kColumns[i].columns, Align::kRight);
    }
    return line.take();
  }

  std::string remark(const std::pair<std::string, Ink>& remark) const {
    StyledLine line(width_, style_);
    return line.add_column("", kMarkColumns + 2).add(remark.first, remark.second).take();
  }

 private:
  size_t width_;
  TerminalStyle style_;
  size_t shown_ = 0;  // of kColumns
  size_t name_ = kLeastName;
};

}  // namespace

std::vector<std::string> draw_devices(const PoolPicture& picture, ScreenSize size,
                                      const TerminalStyle& style) {
  std::vector<std::string> lines;
  const std::vector<Row> rows = rows_of(picture);
  if (size.height == 0) return lines;
  const Table table(size.width, style);
  lines.push_back(table.head());
  if (rows.empty() && size.height > 1) {
    lines.push_back(StyledLine(size.width, style).add("  no device yet", Ink::kDim).take());
  }
  size_t remarks = 0;  // that there is room for
  const size_t wanted = rows.size() + 1;
  if (size.height > wanted) remarks = size.height - wanted;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (lines.size() + 1 == size.height && i + 1 < rows.size()) {
      StyledLine more(size.width, style);
      lines.push_back(more.add(fmt::format("  and {} more", rows.size() - i), Ink::kDim).take());
      break;
    }
    if (lines.size() >= size.height) break;
    lines.push_back(table.draw(rows[i]));
    for (const auto& remark : rows[i].remarks) {
      if (remarks == 0) break;
      lines.push_back(table.remark(remark));
      --remarks;
    }
  }
  return lines;
}

}  // namespace potluck
