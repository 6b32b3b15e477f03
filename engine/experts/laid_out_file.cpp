// Ranges in a GGUF file begin and end anywhere. Direct reads take whole blocks of the disk, so a
// little more is read at both ends, into a buffer from which the rows are laid out.
#include "engine/experts/laid_out_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/experts/expert_numbers.h"
#include "engine/experts/grain_store.h"

namespace potluck {
namespace {

// Between experts, so that no reader takes two for neighbors. Piece numbers fit in.
constexpr uint64_t kGap = 4096;
constexpr uint64_t kMostParts = 1024;  // of a matrix

const GgufTensor& tensor_of(const ExpertBank& bank, ExpertMatrix matrix) {
  switch (matrix) {
    case ExpertMatrix::kGate:
      return *bank.gate;
    case ExpertMatrix::kUp:
      return *bank.up;
    case ExpertMatrix::kDown:
      break;
  }
  return *bank.down;
}

}  // namespace

LaidOutFile::LaidOutFile(const GgufModel& model, const GrainCutter& cutter)
    : model_(model), cutter_(cutter) {}

Result<std::unique_ptr<LaidOutFile>> LaidOutFile::open(const GgufModel& model,
                                                       const GrainCutter& cutter,
                                                       Storage& storage) {
  std::unique_ptr<LaidOutFile> file(new LaidOutFile(model, cutter));
  if (Status opened = file->open_files(storage); !opened) return opened.error();
  uint64_t pieces = 0;
  for (const ExpertBank& bank : cutter.banks()) {
    file->add_layer(bank);
    file->layers_.back().first_checksum = pieces;
    pieces += file->layers_.back().pieces.size() * bank.experts;
  }
  file->checksums_ = std::vector<std::atomic<uint64_t>>(pieces);
  return file;
}

Status LaidOutFile::open_files(Storage& storage) {
  for (uint32_t i = 0; i < model_.paths().size(); ++i) {
    const std::string& path = model_.paths()[i];
    auto file = storage.open(path, ReadMode::kDirect);
    if (!file) return file.error();
    // The weights that are in memory came from the model's own files.
    const ReadableFile& known = model_.file(i);
    files_.push_back({path, std::move(*file), {known.size(), known.modified_ns()}});
    if (Status same = check_unchanged(files_.back()); !same) return same;
  }
  return {};
}

void LaidOutFile::add_layer(const ExpertBank& bank) {
  Layer layer{&bank, &cutter_.tables(bank.layer), {}, end_, 0, 0, 0};
  for (ExpertMatrix matrix : {ExpertMatrix::kGate, ExpertMatrix::kUp, ExpertMatrix::kDown}) {
    if (matrix == ExpertMatrix::kGate && !bank.shape.gated()) continue;
    const GgufTensor& tensor = tensor_of(bank, matrix);
    auto rows = static_cast<uint32_t>(tensor.rows());
    uint64_t bytes = rows * tensor.row_bytes();
    layer.file_bytes += bytes;
    uint64_t parts = std::clamp<uint64_t>((bytes + kPieceBytes / 2) / kPieceBytes, 1, kMostParts);
    uint32_t step = round_up(static_cast<uint32_t>(ceil_div<uint64_t>(rows, parts)), kRowStep);
    // Both ends of a range may lie inside a block of the disk. Whole huge pages, even for small
    // pieces: reads into others had half of the rate.
    uint64_t most = std::min(step, rows) * tensor.row_bytes() + 2 * DirectBuffer::kAlignment;
    buffer_bytes_ = std::max(buffer_bytes_, round_up<uint64_t>(most, Buffer::kHugePage));
    for (uint32_t first = 0; first < rows; first += step) {
      layer.pieces.push_back({matrix, first, std::min(step, rows - first)});
    }
  }
  CHECK(layer.pieces.size() <= kGap);
  layer.stride = round_up(layer.tables->offsets.back(), kGap) + kGap;
  end_ += layer.stride * bank.experts;
  if (bank.layer >= of_layer_.size()) of_layer_.resize(bank.layer + 1, -1);
  of_layer_[bank.layer] = static_cast<int32_t>(layers_.size());
  layers_.push_back(std::move(layer));
}

LaidOutFile::Place LaidOutFile::place(uint32_t layer, uint32_t expert) const {
  CHECK(layer < of_layer_.size() && of_layer_[layer] >= 0);
  const Layer& from = layers_[static_cast<size_t>(of_layer_[layer])];
  CHECK(expert < from.bank->experts);
  return {from.begin + expert * from.stride, from.tables->offsets.back(), from.file_bytes,
          static_cast<uint32_t>(from.pieces.size())};
}

const LaidOutFile::Layer& LaidOutFile::layer_at(uint64_t address) const {
  CHECK(address < end_);
  auto next = std::upper_bound(layers_.begin(), layers_.end(), address,
                               [](uint64_t at, const Layer& layer) { return at < layer.begin; });
  return *(next - 1);
}

uint32_t LaidOutFile::pieces_at(uint64_t address) const {
  return static_cast<uint32_t>(layer_at(address).pieces.size());
}

const ReadableFile& LaidOutFile::sample() const {
  auto largest = std::max_element(files_.begin(), files_.end(), [](const File& a, const File& b) {
    return a.file->size() < b.file->size();
  });
  return *largest->file;
}

Status LaidOutFile::read_at(uint64_t offset, MutableByteSpan out) const {
  const Layer& layer = layer_at(offset);
  auto expert = static_cast<uint32_t>((offset - layer.begin) / layer.stride);
  uint64_t number = (offset - layer.begin) % layer.stride;
  CHECK(number < layer.pieces.size() && out.size() == layer.tables->offsets.back());
  const Piece& piece = layer.pieces[number];
  const GgufTensor& tensor = tensor_of(*layer.bank, piece.matrix);
  uint64_t row = expert * tensor.rows() + piece.first;
  uint64_t bytes = piece.count * tensor.row_bytes();
  GgufModel::Place at = model_.place(tensor, row * tensor.row_bytes());
  CHECK(bytes <= at.bytes);  // an expert's rows lie together
  const File& file = files_[at.file];
  uint64_t alignment = file.file->direct_alignment();
  uint64_t begin = at.offset - at.offset % alignment;
  uint64_t end = round_up(at.offset + bytes, alignment);
  DirectBuffer buffer = take_buffer();
  MutableByteSpan whole = buffer.span().first(end - begin);
  if (Status read = file.file->read_at(begin, whole); !read) return read;
  file.file->drop_cached(begin, whole.size());
  if (Status same = check_unchanged(file); !same) return same;
  ByteSpan rows = whole.subspan(at.offset - begin, bytes);
  uint64_t index = layer.first_checksum + expert * layer.pieces.size() + number;
  if (Status same = check_repeated(file, index, at.offset, rows); !same) return same;
  GrainRange all{0, layer.tables->plan.grains};
  lay_out_rows(*layer.tables, all, {piece.matrix, piece.first, piece.count, rows.data()}, out);
  give_back(std::move(buffer));
  if (number != 0) return {};
  // Few, and soon in the page cache.
  auto numbers = read_numbers(model_, *layer.bank, expert, {0, layer.bank->shape.width});
  if (!numbers) return numbers.error();
  lay_out_numbers(*layer.tables, all, *numbers, out);
  return {};
}

Status LaidOutFile::check_unchanged(const File& file) const {
  FileVersion now = file.file->version_now();
  if (now == file.version) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("{}: the file was changed while the model was in use (it had {} bytes, "
                           "now {}{}); start again",
                           file.path, file.version.bytes, now.bytes,
                           now.bytes == file.version.bytes ? ", written later" : "")};
}

// A checksum that happens to be 0 is not compared.
Status LaidOutFile::check_repeated(const File& file, uint64_t index, uint64_t offset,
                                   ByteSpan bytes) const {
  uint64_t checksum = grain_checksum(bytes);
  uint64_t known = 0;
  if (checksums_[index].compare_exchange_strong(known, checksum, std::memory_order_relaxed)) {
    return {};
  }
  if (known == checksum) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("{}: {} bytes at {} are not what they were when they were first read, "
                           "and the file was not written to: its disk or memory is not to be "
                           "trusted",
                           file.path, bytes.size(), offset)};
}

DirectBuffer LaidOutFile::take_buffer() const {
  {
    MutexLock lock(mutex_);
    if (!spare_.empty()) {
      DirectBuffer buffer = std::move(spare_.back());
      spare_.pop_back();
      return buffer;
    }
  }
  return DirectBuffer(buffer_bytes_, "a piece of an expert");
}

void LaidOutFile::give_back(DirectBuffer buffer) const {
  MutexLock lock(mutex_);
  spare_.push_back(std::move(buffer));
}

}  // namespace potluck
