// Errors are kept, not returned, so that loading a layer reads like a list of its tensors; after
// the first one nothing is read any more.
#include "engine/model/tensor_loader.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/printable.h"

namespace potluck {
namespace {

// How much of a tensor is in memory twice while it is laid out: an output matrix of 600 MB must not
// need 1.2 GB for a moment.
constexpr uint64_t kPieceBytes = 4 * kMiB;

Result<const GgufTensor*> find_tensor(const GgufModel& model, const std::string& name,
                                      const std::array<uint64_t, 4>& dimensions) {
  const GgufTensor* tensor = model.find(name);
  if (tensor == nullptr) {
    return Error{ErrorCode::kNotFound, fmt::format("tensor {} is missing", name)};
  }
  if (tensor->dimensions == dimensions) return tensor;
  GgufTensor expected;
  // Only for the message.
  expected.rank = dimensions[2] > 1 ? 3 : dimensions[1] > 1 ? 2 : 1;
  expected.dimensions = dimensions;
  return Error{ErrorCode::kUnsupported, fmt::format("tensor {} should be {}, but is {}", name,
                                                    expected.shape_text(), tensor->shape_text())};
}

}  // namespace

Result<uint64_t> WeightMatrix::measure(const GgufModel& model, const std::string& name,
                                       uint32_t rows, uint32_t columns, uint32_t parts) {
  Result<const GgufTensor*> tensor = find_tensor(model, name, {columns, rows, parts, 1});
  if (!tensor) return tensor.error();
  if (Status checked = expect_weights(**tensor); !checked) return checked.error();
  return PanelShape{(*tensor)->type, rows * parts, columns, 0}.bytes();
}

Result<WeightMatrix> WeightMatrix::load(const GgufModel& model, const std::string& name,
                                        uint32_t rows, uint32_t columns, uint32_t parts) {
  CHECK(parts == 1 || rows % kPanelRows == 0);
  Result<const GgufTensor*> tensor = find_tensor(model, name, {columns, rows, parts, 1});
  if (!tensor) return tensor.error();
  Result<WeightMatrix> matrix = pack(model, **tensor, 0, rows * parts);
  if (matrix) matrix->parts_ = parts;
  return matrix;
}

Result<WeightMatrix> WeightMatrix::load_share(const GgufModel& model, const std::string& name,
                                              const Share& share, uint32_t columns) {
  Result<const GgufTensor*> tensor = find_tensor(model, name, {columns, share.all, 1, 1});
  if (!tensor) return tensor.error();
  return pack(model, **tensor, share.first, share.rows);
}

// Rows of the tensor, counted over all its parts.
Result<WeightMatrix> WeightMatrix::pack(const GgufModel& model, const GgufTensor& tensor,
                                        uint32_t first_row, uint32_t rows) {
  auto columns = static_cast<uint32_t>(tensor.columns());
  WeightMatrix matrix;
  matrix.shape_ = {tensor.type, rows, columns, 0};
  matrix.buffer_ = Buffer(matrix.shape_.bytes(), "tensor " + tensor.name);
  uint64_t row_bytes = tensor.row_bytes();
  uint64_t panels_per_piece = std::max<uint64_t>(1, kPieceBytes / (row_bytes * kPanelRows));
  ByteVector piece(std::min<uint64_t>(rows, panels_per_piece * kPanelRows) * row_bytes);
  for (uint32_t panel = 0; panel < matrix.shape_.panels();
       panel += static_cast<uint32_t>(panels_per_piece)) {
    uint64_t first = uint64_t{panel} * kPanelRows;
    uint64_t count = std::min<uint64_t>(rows - first, panels_per_piece * kPanelRows);
    MutableByteSpan source(piece.data(), count * row_bytes);
    Status read = model.read(tensor, (first_row + first) * row_bytes, source);
    if (!read) return read.error();
    PanelShape part = matrix.shape_;
    part.rows = static_cast<uint32_t>(count);
    pack_panels(part, source.data(), columns, 0,
                matrix.buffer_.data() + panel * matrix.shape_.panel_bytes());
  }
  return matrix;
}

PanelMatrix WeightMatrix::part(uint32_t index) const {
  CHECK(index < parts_);
  PanelMatrix view = this->view();
  view.shape.rows = shape_.rows / parts_;
  view.data += index * view.shape.bytes();
  return view;
}

TensorLoader::TensorLoader(const GgufModel& model, const Progress& progress, Purpose purpose)
    : model_(model), progress_(progress), purpose_(purpose) {
  for (const GgufTensor& tensor : model.tensors()) total_bytes_ += tensor.bytes;
}

WeightMatrix TensorLoader::matrix(const std::string& name, uint32_t rows, uint32_t columns,
                                  uint32_t parts) {
  if (error_) return {};
  Result<uint64_t> bytes = WeightMatrix::measure(model_, name, rows, columns, parts);
  if (!bytes) {
    error_ = bytes.error();
    return {};
  }
  Result<WeightMatrix> loaded = WeightMatrix();
  if (purpose_ == Purpose::kLoad) {
    loaded = WeightMatrix::load(model_, name, rows, columns, parts);
  }
  if (!loaded) {
    error_ = loaded.error();
    return {};
  }
  done(name, *bytes, model_.find(name)->bytes);
  loaded->set_scale(scale_of(name));
  return std::move(*loaded);
}

WeightMatrix TensorLoader::share(const std::string& name, const WeightMatrix::Share& share,
                                 uint32_t columns) {
  if (error_) return {};
  Result<uint64_t> bytes = WeightMatrix::measure(model_, name, share.all, columns);
  if (!bytes) {
    error_ = bytes.error();
    return {};
  }
  Result<WeightMatrix> loaded = WeightMatrix();
  if (purpose_ == Purpose::kLoad) loaded = WeightMatrix::load_share(model_, name, share, columns);
  if (!loaded) {
    error_ = loaded.error();
    return {};
  }
  const GgufTensor& tensor = *model_.find(name);
  done(name, PanelShape{tensor.type, share.rows, columns, 0}.bytes(),
       tensor.row_bytes() * share.rows);
  loaded->set_scale(scale_of(name));
  return std::move(*loaded);
}

float TensorLoader::scale_of(const std::string& matrix) {
  constexpr std::string_view kEnd = ".weight";
  if (!matrix.ends_with(kEnd)) return 1;
  const std::string base = matrix.substr(0, matrix.size() - kEnd.size());
  auto single = [&](const std::string& name) {
    const GgufTensor* tensor = model_.find(name);
    return tensor != nullptr && tensor->count() == 1;
  };
  // Of activations, for processors that multiply numbers of 4 bits with each other.
  if (single(base + ".input_scale")) leave(base + ".input_scale");
  if (!single(base + ".scale")) return 1;
  std::vector<float> scale = vector(base + ".scale", 1);
  if (scale.empty()) return 1;
  if (!std::isfinite(scale[0])) refuse(base + ".scale", "expected a finite number");
  return scale[0];
}

std::vector<float> TensorLoader::floats(const std::string& name,
                                        const std::array<uint64_t, 4>& dimensions) {
  if (error_) return {};
  Result<const GgufTensor*> tensor = find_tensor(model_, name, dimensions);
  if (!tensor) {
    error_ = tensor.error();
    return {};
  }
  if (Status checked = expect_weights(**tensor); !checked) {
    error_ = checked.error();
    return {};
  }
  uint64_t bytes = dimensions[0] * dimensions[1] * dimensions[2] * sizeof(float);
  Result<std::vector<float>> values = std::vector<float>();
  if (purpose_ == Purpose::kLoad) values = model_.read_floats(**tensor);
  if (!values) {
    error_ = values.error();
    return {};
  }
  done(name, bytes, model_.find(name)->bytes);
  return std::move(*values);
}

std::vector<uint32_t> TensorLoader::indices(const std::string& name, uint32_t rows,
                                            uint32_t columns, uint32_t limit) {
  if (error_) return {};
  Result<const GgufTensor*> tensor = find_tensor(model_, name, {columns, rows, 1, 1});
  if (!tensor) {
    error_ = tensor.error();
    return {};
  }
  if ((*tensor)->type != TensorType::kI32) {
    refuse(name, "it should hold whole numbers (I32)");
    return {};
  }
  std::vector<uint32_t> values(purpose_ == Purpose::kLoad ? uint64_t{rows} * columns : 0);
  if (purpose_ == Purpose::kLoad) {
    Status read = model_.read(**tensor, 0, std::as_writable_bytes(std::span(values)));
    if (!read) {
      error_ = read.error();
      return {};
    }
  }
  // A negative one is above every limit.
  if (std::ranges::any_of(values, [&](uint32_t value) { return value >= limit; })) {
    refuse(name, fmt::format("its numbers must be below {}", limit));
    return {};
  }
  done(name, (*tensor)->bytes, (*tensor)->bytes);
  return values;
}

std::vector<float> TensorLoader::vector(const std::string& name, uint32_t count) {
  return floats(name, {count, 1, 1, 1});
}

std::vector<float> TensorLoader::table(const std::string& name, uint32_t rows, uint32_t columns) {
  return floats(name, {columns, rows, 1, 1});
}

std::vector<float> TensorLoader::channels(const std::string& name, uint32_t rows,
                                          uint32_t columns) {
  const GgufTensor* tensor = model_.find(name);
  bool between = tensor != nullptr && rows > 1 && tensor->dimensions[1] == 1;
  if (between) return floats(name, {columns, 1, rows, 1});
  return table(name, rows, columns);
}

void TensorLoader::leave(const std::string& name) {
  const GgufTensor* tensor = model_.find(name);
  // Known, but not loaded here: its bytes are no part of this progress.
  if (tensor != nullptr && known_.insert(name).second) total_bytes_ -= tensor->bytes;
}

void TensorLoader::leave_all(const std::function<bool(std::string_view name)>& which) {
  for (const GgufTensor& tensor : model_.tensors()) {
    if (which(tensor.name)) leave(tensor.name);
  }
}

void TensorLoader::refuse(const std::string& name, std::string_view why) {
  if (!error_) error_ = Error{ErrorCode::kCorrupt, fmt::format("tensor {}: {}", name, why)};
}

Status TensorLoader::finish(const std::string& architecture) const {
  if (error_) return *error_;
  // A tensor that was not asked for means that this model computes something that we do not.
  for (const GgufTensor& tensor : model_.tensors()) {
    if (known_.contains(tensor.name)) continue;
    return Error{ErrorCode::kUnsupported,
                 fmt::format("tensor {} has no place in the architecture {}",
                             printable(tensor.name), architecture)};
  }
  return {};
}

void TensorLoader::done(const std::string& name, uint64_t memory_bytes, uint64_t file_bytes) {
  known_.insert(name);
  memory_bytes_ += memory_bytes;
  done_bytes_ += file_bytes;
  if (progress_) progress_(done_bytes_, total_bytes_);
}

}  // namespace potluck
