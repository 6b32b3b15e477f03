#include "engine/model/entry_attention.h"

#include <algorithm>
#include <bit>

#include "engine/model/attention_join.h"

namespace potluck {
namespace {

// Rows of a task share a copy of what they see.
constexpr uint32_t kRowsPerCopy = 16;
// Heads of a task at least: what is copied is copied for each part of the heads.
constexpr uint32_t kHeadsPerCopy = 8;
// Bound on a thread's outputs (a single row may exceed it).
constexpr uint64_t kOutputBytes = 4 * kMiB;

uint32_t pieces_of(uint32_t count) {
  return (count + kAttentionChunk - 1) / kAttentionChunk;
}

std::vector<uint32_t> indices_of(std::span<const uint64_t> bits) {
  std::vector<uint32_t> indices;
  for (size_t word = 0; word < bits.size(); ++word) {
    for (uint64_t rest = bits[word]; rest != 0; rest &= rest - 1) {
      indices.push_back(static_cast<uint32_t>(word * 64) +
                        static_cast<uint32_t>(std::countr_zero(rest)));
    }
  }
  return indices;
}

}  // namespace

EntryAttention::EntryAttention(const ModelConfig& config, const ComputeContext& compute)
    : config_(config),
      compute_(compute),
      states_(state_kernels(compute.kernels)),
      scratch_(static_cast<size_t>(compute.threads.threads())) {
  const uint64_t bytes = kAttentionChunk * kv_bytes(KvType::kF32, config.head_dim);
  for (Scratch& scratch : scratch_) {
    scratch.keys.resize(bytes);
    scratch.values.resize(bytes);
    scratch.entry.resize(config.head_dim);
    scratch.scores.resize(kAttentionScratch);
  }
}

void EntryAttention::run(const Layer& layer, std::span<const AttentionRow> rows,
                         const RecurrentRows& raw, std::span<const uint32_t> raw_rows,
                         const float* queries, float* out) {
  layer_ = layer;
  rows_ = rows;
  raw_ = &raw;
  raw_rows_ = raw_rows;
  queries_ = queries;
  out_ = out;
  plan_tasks(rows);
  compute_.threads.run(tasks_.size(), [&](size_t i, int thread) {
    run_task(tasks_[i], scratch_[static_cast<size_t>(thread)]);
  });
}

uint32_t EntryAttention::most_pieces(const AttentionRow& row) const {
  const uint32_t entries = layer_.ratio == 0 ? 0 : (row.position + 1) / layer_.ratio;
  return pieces_of(config_.sliding_window) + 1 + pieces_of(entries);
}

void EntryAttention::plan_tasks(std::span<const AttentionRow> rows) {
  tasks_.clear();
  const auto count = static_cast<uint32_t>(rows.size());
  const uint64_t piece_bytes = uint64_t{config_.heads} * config_.head_dim * sizeof(float);
  for (uint32_t first = 0; first < count;) {
    uint32_t end = first + 1;
    while (end < count && end - first < kRowsPerCopy && rows[end].cache == rows[first].cache &&
           (end + 1 - first) * most_pieces(rows[end]) * piece_bytes <= kOutputBytes) {
      ++end;
    }
    tasks_.push_back({first, end - first, 0, config_.heads});
    first = end;
  }
  divide_heads();
}

// Where there are fewer tasks than threads: no further, because each part copies for itself.
void EntryAttention::divide_heads() {
  const auto threads = static_cast<uint32_t>(compute_.threads.threads());
  const auto whole = static_cast<uint32_t>(tasks_.size());
  const uint32_t parts =
      std::min((threads + whole - 1) / whole, std::max(1U, config_.heads / kHeadsPerCopy));
  if (parts == 1) return;
  std::vector<Task> divided;
  for (const Task& task : tasks_) {
    for (uint32_t part = 0; part < parts; ++part) {
      const uint32_t head = config_.heads * part / parts;
      divided.push_back(
          {task.first_row, task.rows, head, config_.heads * (part + 1) / parts - head});
    }
  }
  tasks_ = std::move(divided);
}

EntryAttention::View EntryAttention::view_of(const AttentionRow& row, uint32_t index) const {
  View view;
  const uint32_t window = config_.sliding_window;
  view.first_position = row.position < window ? 0 : row.position + 1 - window;
  view.window_pieces = row.position / kAttentionChunk - view.first_position / kAttentionChunk + 1;
  view.entries = layer_.ratio == 0 ? 0 : (row.position + 1) / layer_.ratio;
  if (layer_.selection != nullptr) {
    view.chosen = indices_of(layer_.selection->bits(index, 0));
    if (!view.chosen.empty()) view.entries = static_cast<uint32_t>(view.chosen.size());
  }
  view.pieces = view.window_pieces + pieces_of(view.entries);
  return view;
}

void EntryAttention::run_task(const Task& task, Scratch& scratch) {
  scratch.views.clear();
  uint64_t partials = 0;
  for (uint32_t row = 0; row < task.rows; ++row) {
    View view = view_of(rows_[task.first_row + row], task.first_row + row);
    view.offset = partials;
    partials += uint64_t{task.heads} * view.pieces;
    scratch.views.push_back(std::move(view));
  }
  grow(scratch.partials, partials);
  grow(scratch.outputs, partials * config_.head_dim);
  see_window(task, scratch);
  see_entries(task, scratch);
  join(task, scratch);
}

// A key of a piece, which is a value as well.
void EntryAttention::put(uint32_t place, const float* value, Scratch& scratch) const {
  store_key(KvType::kF32, config_.head_dim, value, place, scratch.keys.data());
  store_value(KvType::kF32, config_.head_dim, value, place, scratch.values.data());
}

void EntryAttention::put_entry(const Task& task, uint32_t place, uint32_t entry,
                               Scratch& scratch) const {
  rows_[task.first_row].cache->read_entry(layer_.layer, entry, scratch.entry.data());
  put(place, scratch.entry.data(), scratch);
}

// The row's heads see [begin, end) of the piece at hand.
void EntryAttention::add_queries(const Task& task, uint32_t row, uint32_t piece, uint32_t begin,
                                 uint32_t end, Scratch& scratch) const {
  const View& view = scratch.views[row];
  const uint64_t first = uint64_t{task.first_row + row} * config_.heads + task.first_head;
  for (uint32_t head = 0; head < task.heads; ++head) {
    const uint64_t at = view.offset + uint64_t{head} * view.pieces + piece;
    scratch.queries.push_back({queries_ + (first + head) * config_.head_dim, begin, end,
                               scratch.outputs.data() + at * config_.head_dim,
                               scratch.partials.data() + at});
  }
}

void EntryAttention::run_piece(Scratch& scratch) const {
  if (!scratch.queries.empty()) {
    AttentionChunk chunk;
    chunk.type = KvType::kF32;
    chunk.head_dim = config_.head_dim;
    chunk.value_dim = config_.head_dim;
    chunk.keys = scratch.keys.data();
    chunk.values = scratch.values.data();
    chunk.scale = config_.attention_scale;
    compute_.kernels.attention_chunk(chunk, scratch.queries, scratch.scores.data());
  }
  scratch.queries.clear();
}

void EntryAttention::see_window(const Task& task, Scratch& scratch) {
  const uint32_t last_row = task.first_row + task.rows - 1;
  const uint32_t last = rows_[last_row].position;
  const uint32_t first = scratch.views.front().first_position;
  for (uint32_t piece = first / kAttentionChunk; piece <= last / kAttentionChunk; ++piece) {
    const uint32_t origin = piece * kAttentionChunk;
    const uint32_t end = std::min(last + 1, origin + kAttentionChunk);
    for (uint32_t p = std::max(first, origin); p < end; ++p) {
      // From the first row that sees it on back: a row knows no more than its window.
      uint32_t row = last_row;
      while (row > task.first_row && rows_[row - 1].position >= p) --row;
      put(p - origin, raw_->past_input(raw_rows_[row], rows_[row].position - p), scratch);
    }
    for (uint32_t row = 0; row < task.rows; ++row) {
      const View& view = scratch.views[row];
      const uint32_t position = rows_[task.first_row + row].position;
      if (view.first_position >= end || position < origin) continue;
      add_queries(task, row, piece - view.first_position / kAttentionChunk,
                  std::max(view.first_position, origin) - origin,
                  std::min(position + 1, origin + kAttentionChunk) - origin, scratch);
    }
    run_piece(scratch);
  }
}

void EntryAttention::see_entries(const Task& task, Scratch& scratch) {
  uint32_t most = 0;  // of the rows that see the first ones
  for (uint32_t row = 0; row < task.rows; ++row) {
    const View& view = scratch.views[row];
    if (!view.chosen.empty()) {
      see_chosen(task, row, scratch);
    } else {
      most = std::max(most, view.entries);
    }
  }
  for (uint32_t piece = 0; piece < pieces_of(most); ++piece) {
    const uint32_t origin = piece * kAttentionChunk;
    for (uint32_t i = origin; i < std::min(most, origin + kAttentionChunk); ++i) {
      put_entry(task, i - origin, i, scratch);
    }
    for (uint32_t row = 0; row < task.rows; ++row) {
      const View& view = scratch.views[row];
      if (!view.chosen.empty() || view.entries <= origin) continue;
      add_queries(task, row, view.window_pieces + piece, 0,
                  std::min(view.entries - origin, kAttentionChunk), scratch);
    }
    run_piece(scratch);
  }
}

void EntryAttention::see_chosen(const Task& task, uint32_t row, Scratch& scratch) {
  const View& view = scratch.views[row];
  for (uint32_t piece = 0; piece < pieces_of(view.entries); ++piece) {
    const uint32_t origin = piece * kAttentionChunk;
    const uint32_t count = std::min(view.entries - origin, kAttentionChunk);
    for (uint32_t i = 0; i < count; ++i) put_entry(task, i, view.chosen[origin + i], scratch);
    add_queries(task, row, view.window_pieces + piece, 0, count, scratch);
    run_piece(scratch);
  }
}

void EntryAttention::join(const Task& task, Scratch& scratch) const {
  const uint32_t size = config_.head_dim;
  for (uint32_t row = 0; row < task.rows; ++row) {
    const View& view = scratch.views[row];
    for (uint32_t head = 0; head < task.heads; ++head) {
      const uint64_t first = view.offset + uint64_t{head} * view.pieces;
      const std::span<const AttentionPartial> parts(scratch.partials.data() + first, view.pieces);
      const float sink = layer_.sinks[task.first_head + head];
      const float largest = largest_score(parts, &sink);
      float* out =
          out_ + (uint64_t{task.first_row + row} * config_.heads + task.first_head + head) * size;
      float sum =
          join_parts(states_, parts, scratch.outputs.data() + first * size, largest, size, out);
      sum += exact_exp(sink - largest);
      for (uint32_t d = 0; d < size; ++d) out[d] /= sum;
    }
  }
}

}  // namespace potluck
