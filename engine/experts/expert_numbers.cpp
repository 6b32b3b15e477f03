#include "engine/experts/expert_numbers.h"

namespace potluck {
namespace {

// Values [first, first + count) of the expert's bias, as float32.
Status read_bias(const GgufModel& model, const GgufTensor* tensor, uint32_t expert,
                 ColumnRange columns, std::vector<float>* out) {
  if (tensor == nullptr) return {};
  const BlockFormat& format = block_format(tensor->type);
  ByteVector raw(uint64_t{columns.count} * format.block_bytes);
  uint64_t begin = expert * tensor->row_bytes() + uint64_t{columns.first} * format.block_bytes;
  if (Status read = model.read(*tensor, begin, raw); !read) return read;
  out->resize(columns.count);
  format.decode(raw.data(), columns.count, out->data());
  return {};
}

// The expert's scale, as float32; left as it is where there is none.
Status read_scale(const GgufModel& model, const GgufTensor* tensor, uint32_t expert, float* out) {
  if (tensor == nullptr) return {};
  const BlockFormat& format = block_format(tensor->type);
  ByteVector raw(format.block_bytes);
  Status read = model.read(*tensor, uint64_t{expert} * format.block_bytes, raw);
  if (read) format.decode(raw.data(), 1, out);
  return read;
}

}  // namespace

Result<ExpertNumbers> read_numbers(const GgufModel& model, const ExpertBank& bank, uint32_t expert,
                                   ColumnRange columns) {
  ExpertNumbers numbers;
  numbers.first_column = columns.first;
  Status all[] = {
      read_bias(model, bank.gate_bias, expert, columns, &numbers.gate_bias),
      read_bias(model, bank.up_bias, expert, columns, &numbers.up_bias),
      read_bias(model, bank.down_bias, expert, {0, bank.shape.hidden}, &numbers.down_bias),
      read_scale(model, bank.gate_scale, expert, &numbers.scales[0]),
      read_scale(model, bank.up_scale, expert, &numbers.scales[1]),
      read_scale(model, bank.down_scale, expert, &numbers.scales[2]),
  };
  for (const Status& status : all) {
    if (!status) return status.error();
  }
  return numbers;
}

}  // namespace potluck
