#include "tests/support/model_maker/writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace potluck::test {
namespace {

constexpr uint64_t kPieceBytes = 4 * kMiB;

// Rows [first, first + count) of a tensor of random blocks.
void fill_rows(const TensorPlan& tensor, const CounterRandom& random, uint64_t first,
               MutableByteSpan out) {
  uint64_t columns = tensor.dimensions[0];
  uint64_t row_bytes = tensor.format->row_bytes(columns);
  uint64_t blocks_per_row = columns / tensor.format->block_elements;
  fill_blocks(*tensor.format, random, tensor.deviation, first * blocks_per_row, out);
  if (tensor.silent_rows == 0 && tensor.shared_columns == 0) return;
  ByteVector shared(tensor.format->row_bytes(tensor.shared_columns));
  fill_blocks(*tensor.format, random, tensor.deviation, 0, shared);
  for (uint64_t i = 0; i * row_bytes < out.size(); ++i) {
    MutableByteSpan row = out.subspan(i * row_bytes, row_bytes);
    bool is_silent = (first + i) % tensor.dimensions[1] < tensor.silent_rows;
    if (is_silent) std::ranges::fill(row, std::byte{0});
    std::ranges::copy(shared, row.begin());
  }
}

Status write_padding(ByteSink& sink, uint64_t count) {
  ByteVector zeros(count);
  return count == 0 ? Status() : sink.write(zeros);
}

class FileSink final : public ByteSink {
 public:
  explicit FileSink(int descriptor) : descriptor_(descriptor) {}
  ~FileSink() override { ::close(descriptor_); }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  Status write(ByteSpan bytes) override {
    while (!bytes.empty()) {
      ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Error{ErrorCode::kIo, std::strerror(errno)};
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return {};
  }

 private:
  int descriptor_;
};

Status check_room(const ModelPlan& plan, Storage& storage, const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  Result<uint64_t> room = storage.free_bytes(parent.empty() ? "." : parent);
  if (!room) return room.error();
  if (*room >= plan.file_bytes()) return {};
  return Error{ErrorCode::kLimit,
               fmt::format("{}: {} bytes are to be written, but the disk has {} left", path,
                           plan.file_bytes(), *room)};
}

}  // namespace

Status write_model(const ModelPlan& plan, ByteSink& sink, const Progress& progress) {
  if (Status written = sink.write(plan.header); !written) return written;
  ByteVector piece;
  uint64_t done = plan.header.size();
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const TensorPlan& tensor = plan.tensors[i];
    if (tensor.values) {
      std::vector<float> values = tensor.values();
      CHECK(values.size() * sizeof(float) == tensor.bytes());
      if (Status written = sink.write(std::as_bytes(std::span(values))); !written) return written;
    }
    if (tensor.indices) {
      std::vector<int32_t> indices = tensor.indices();
      CHECK(indices.size() * sizeof(int32_t) == tensor.bytes());
      if (Status written = sink.write(std::as_bytes(std::span(indices))); !written) return written;
    }
    const bool is_made = tensor.values || tensor.indices;
    uint64_t row_bytes = tensor.format->row_bytes(tensor.dimensions[0]);
    uint64_t rows_per_piece = std::max<uint64_t>(1, kPieceBytes / row_bytes);
    CounterRandom random = plan.random(tensor.name);
    for (uint64_t row = is_made ? tensor.rows() : 0; row < tensor.rows(); row += rows_per_piece) {
      piece.resize(std::min(rows_per_piece, tensor.rows() - row) * row_bytes);
      fill_rows(tensor, random, row, piece);
      if (Status written = sink.write(piece); !written) return written;
      if (progress) progress(done + row * row_bytes, plan.file_bytes());
    }
    uint64_t end = i + 1 < plan.tensors.size() ? plan.offsets[i + 1] : plan.data_bytes;
    Status padded = write_padding(sink, end - plan.offsets[i] - tensor.bytes());
    if (!padded) return padded;
    done = plan.header.size() + end;
  }
  if (progress) progress(done, plan.file_bytes());
  return {};
}

Status write_model_file(const ModelPlan& plan, Storage& storage, const std::string& path,
                        const Progress& progress) {
  if (Status room = check_room(plan, storage, path); !room) return room;
  std::string partial = path + ".part";
  int descriptor = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return Error{ErrorCode::kIo, std::strerror(errno)}.in(partial);
  Status written;
  {
    FileSink sink(descriptor);
    written = write_model(plan, sink, progress);
  }
  if (written && std::rename(partial.c_str(), path.c_str()) != 0) {
    written = Error{ErrorCode::kIo, std::strerror(errno)};
  }
  if (written) return {};
  ::unlink(partial.c_str());
  return written.error().in(path);
}

Status write_model_sizes(const ModelPlan& plan, const std::string& path) {
  int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return Error{ErrorCode::kIo, std::strerror(errno)}.in(path);
  FileSink sink(descriptor);
  if (Status written = sink.write(plan.header); !written) return written.error().in(path);
  if (::ftruncate(descriptor, static_cast<off_t>(plan.file_bytes())) != 0) {
    return Error{ErrorCode::kIo, std::strerror(errno)}.in(path);
  }
  return {};
}

}  // namespace potluck::test
