// Ranges in a GGUF file begin and end anywhere. Direct reads take whole blocks of the disk, so a
// little more is read at both ends.
#include "engine/experts/laid_out_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/direct_buffer.h"
#include "engine/experts/expert_numbers.h"
#include "engine/experts/grain_store.h"

namespace potluck {
namespace {

// Between experts, so that no reader takes two for neighbors.
constexpr uint64_t kGap = 4096;
constexpr uint64_t kMostRuns = 1024;  // of rows: pieces of a matrix, parts of a piece

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
  uint64_t parts = 0;
  for (const ExpertBank& bank : cutter.banks()) {
    file->add_layer(bank);
    file->layers_.back().first_checksum = parts;
    parts += uint64_t{file->layers_.back().parts} * bank.experts;
  }
  file->checksums_ = std::vector<std::atomic<uint64_t>>(parts);
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
  Layer layer{&bank, &cutter_.tables(bank.layer), {}, 0, end_, 0, 0, 0};
  for (ExpertMatrix matrix : {ExpertMatrix::kGate, ExpertMatrix::kUp, ExpertMatrix::kDown}) {
    if (matrix == ExpertMatrix::kGate && !bank.shape.gated()) continue;
    add_pieces(tensor_of(bank, matrix), matrix, &layer);
  }
  layer.stride = round_up(layer.tables->offsets.back(), kGap) + kGap;
  end_ += layer.stride * bank.experts;
  if (bank.layer >= of_layer_.size()) of_layer_.resize(bank.layer + 1, -1);
  of_layer_[bank.layer] = static_cast<int32_t>(layers_.size());
  layers_.push_back(std::move(layer));
}

void LaidOutFile::add_pieces(const GgufTensor& tensor, ExpertMatrix matrix, Layer* layer) {
  auto rows = static_cast<uint32_t>(tensor.rows());
  uint64_t row_bytes = tensor.row_bytes();
  // Runs of rows of about as many bytes, at least one of kRowStep rows.
  auto step_for = [&](uint32_t count, uint64_t bytes) {
    uint64_t runs = std::clamp<uint64_t>((count * row_bytes + bytes / 2) / bytes, 1, kMostRuns);
    return round_up(static_cast<uint32_t>(ceil_div<uint64_t>(count, runs)), kRowStep);
  };
  uint32_t step = step_for(rows, kPieceBytes);
  layer->file_bytes += rows * row_bytes;
  buffer_bytes_ =
      std::max(buffer_bytes_, round_up(std::min(step, rows) * row_bytes, DirectBuffer::kAlignment) +
                                  DirectBuffer::kAlignment);
  for (uint32_t first = 0; first < rows; first += step) {
    uint32_t count = std::min(step, rows - first);
    uint32_t part_rows = step_for(count, kPartBytes);
    uint32_t parts = ceil_div(count, part_rows);
    layer->pieces.push_back({matrix, first, count, part_rows, layer->parts, parts});
    layer->parts += parts;
  }
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

LaidOutFile::PiecePlace LaidOutFile::place_of(PieceId id) const {
  const Layer& layer = layer_at(id.address);
  CHECK(id.piece < layer.pieces.size());
  const Piece& piece = layer.pieces[id.piece];
  const GgufTensor& tensor = tensor_of(*layer.bank, piece.matrix);
  auto expert = static_cast<uint32_t>((id.address - layer.begin) / layer.stride);
  uint64_t row_bytes = tensor.row_bytes();
  uint64_t bytes = piece.count * row_bytes;
  GgufModel::Place at = model_.place(tensor, (expert * tensor.rows() + piece.first) * row_bytes);
  CHECK(bytes <= at.bytes);  // an expert's rows lie together
  const File& file = files_[at.file];
  uint64_t alignment = file.file->direct_alignment();
  return {&layer,
          &piece,
          &file,
          row_bytes,
          at.offset,
          at.offset - at.offset % alignment,
          round_up(at.offset + bytes, alignment),
          expert};
}

LaidOutFile::PieceRead LaidOutFile::piece_read(PieceId id) const {
  PiecePlace place = place_of(id);
  return {place.file->file.get(), place.begin, place.end - place.begin, place.piece->parts};
}

Status LaidOutFile::lay_out(PieceId id, uint32_t part, ByteSpan read,
                            MutableByteSpan expert) const {
  PiecePlace place = place_of(id);
  const Piece& piece = *place.piece;
  const ShapeTables& tables = *place.layer->tables;
  CHECK(part < piece.parts && read.size() == place.end - place.begin);
  if (part == 0) {
    place.file->file->drop_cached(place.begin, read.size());
    if (Status same = check_unchanged(*place.file); !same) return same;
  }
  uint32_t first = part * piece.part_rows;
  uint32_t count = std::min(piece.part_rows, piece.count - first);
  uint64_t offset = place.offset + first * place.row_bytes;
  ByteSpan rows = read.subspan(offset - place.begin, count * place.row_bytes);
  uint64_t index = place.layer->first_checksum + uint64_t{place.expert} * place.layer->parts +
                   piece.first_part + part;
  if (Status same = check_repeated(*place.file, index, offset, rows); !same) return same;
  GrainRange all{0, tables.plan.grains};
  lay_out_rows(tables, all, {piece.matrix, piece.first + first, count, rows.data()}, expert);
  if (id.piece != 0 || part != 0) return {};
  // Few, and soon in the page cache.
  const ExpertBank& bank = *place.layer->bank;
  auto numbers = read_numbers(model_, bank, place.expert, {0, bank.shape.width});
  if (!numbers) return numbers.error();
  lay_out_numbers(tables, all, *numbers, expert);
  return {};
}

Status LaidOutFile::read_at(uint64_t offset, MutableByteSpan out) const {
  DirectBuffer buffer(buffer_bytes_, "a piece of an expert");
  for (PieceId id{offset, 0}; id.piece < pieces_at(offset); ++id.piece) {
    PieceRead piece = piece_read(id);
    MutableByteSpan read = buffer.span().first(piece.bytes);
    if (Status done = piece.file->read_at(piece.offset, read); !done) return done;
    for (uint32_t part = 0; part < piece.parts; ++part) {
      if (Status done = lay_out(id, part, read, out); !done) return done;
    }
  }
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

}  // namespace potluck
