#include "tests/unit/engine/experts/reference_expert.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/kernels/block_fields.h"
#include "engine/kernels/exact_math.h"

namespace potluck::test {
namespace {

BlockPart read_part(TensorType type, const std::byte* row, uint32_t column) {
  const BlockFormat& format = block_format(type);
  const std::byte* source = row + column / format.block_elements * format.block_bytes;
  BlockPart part;
  format.read_part(source, column % format.block_elements / 32, part);
  return part;
}

// Sum over columns [first, first + count) of row times x, whose own columns start at 0.
float dot(const SourceMatrix& matrix, uint32_t row, uint32_t first, uint32_t count,
          const ReferenceVector& x) {
  const BlockFormat& format = block_format(matrix.type);
  float acc = 0;
  if (!format.quantized()) {
    for (uint32_t c = 0; c < count; ++c) {
      float w;
      format.decode(matrix.row(row) + (first + c) * format.block_bytes, 1, &w);
      float product = w * x.values[c];
      acc = acc + product;
    }
    return acc;
  }
  uint32_t group = activation_block(x.form);
  for (uint32_t begin = 0; begin < count; begin += group) {
    int64_t i = 0;
    int64_t m = 0;
    BlockPart part{};
    for (uint32_t c = begin; c < std::min(begin + group, count); c += 32) {
      part = read_part(matrix.type, matrix.row(row), first + c);
      for (uint32_t k = 0; k < 32; ++k) {
        i += format.numbers.factor(part.scale[k / 16]) * format.numbers.weight(part.q[k]) *
             x.quants[c + k];
        m += part.minimum[k / 16] * x.quants[c + k];
      }
    }
    float dx = x.scales[begin / group];
    float scaled = (format.numbers.d(part.d) * dx) * static_cast<float>(i);
    if (format.numbers.minimums) {
      float offset = (half_to_float(part.dmin) * dx) * static_cast<float>(m);
      scaled = scaled - offset;
    }
    acc = acc + scaled;
  }
  return acc;
}

ReferenceVector as_read(const ReferenceVector& x, ActivationForm form) {
  return form == x.form ? x : reference_quantize(x.values, form);
}

float join(const ExpertShape& shape, float gate, float up) {
  const float limit = shape.limit;
  switch (shape.activation) {
    case ExpertActivation::kGeGlu: {
      float cubic = 0x1.2444f2p-4F * (gate * gate);
      float slope = 0x1.988454p+0F + cubic;
      float argument = gate * slope;
      return gate / (1.0F + exact_exp(-argument)) * up;
    }
    case ExpertActivation::kReGlu:
      return (gate > 0 ? gate : 0.0F) * up;
    case ExpertActivation::kReluSquared:
      return up > 0 ? up * up : 0.0F;
    case ExpertActivation::kSwiGluClampBefore:
      return exact_silu(std::min(gate, limit)) * std::clamp(up, -limit, limit);
    case ExpertActivation::kSwiGluClampAfter:
      return std::min(exact_silu(gate), limit) * std::clamp(up, -limit, limit);
    default:
      return exact_silu(gate) * up;
  }
}

double silu64(double x) {
  return x / (1 + std::exp(-x));
}

double join64(const ExpertShape& shape, double gate, double up) {
  const double limit{shape.limit};
  switch (shape.activation) {
    case ExpertActivation::kGeGlu:
      return gate / 2 * up *
             (1 +
              std::tanh(std::sqrt(2 / 3.14159265358979) * (gate + 0.044715 * gate * gate * gate)));
    case ExpertActivation::kReGlu:
      return std::max(gate, 0.0) * up;
    case ExpertActivation::kReluSquared:
      return std::max(up, 0.0) * std::max(up, 0.0);
    case ExpertActivation::kSwiGluClampBefore:
      return silu64(std::min(gate, limit)) * std::clamp(up, -limit, limit);
    case ExpertActivation::kSwiGluClampAfter:
      return std::min(silu64(gate), limit) * std::clamp(up, -limit, limit);
    default:
      return silu64(gate) * up;
  }
}

// h of the columns of one chunk.
std::vector<float> activate(const ExpertShape& shape, const SourceExpert& expert, uint32_t first,
                            uint32_t columns, const ReferenceVector& x) {
  ReferenceVector gate_x = as_read(x, shape.product_form(shape.gate));
  ReferenceVector up_x = as_read(x, shape.product_form(shape.up));
  std::vector<float> h;
  for (uint32_t c = first; c < first + columns; ++c) {
    float gate = shape.gated() ? dot(expert.gate, c, 0, shape.hidden, gate_x) : 0;
    float up = dot(expert.up, c, 0, shape.hidden, up_x);
    gate = gate * expert.scales[0];
    up = up * expert.scales[1];
    if (shape.biases) {
      gate = gate + expert.gate_bias[c];
      up = up + expert.up_bias[c];
    }
    h.push_back(join(shape, gate, up));
  }
  return h;
}

bool add(float y, const ReferenceRow& row, int64_t* sum) {
  float weighted = y * row.weight;
  double scaled = std::ldexp(static_cast<double>(weighted), row.fraction_bits);
  if (!(std::fabs(scaled) <= 0x1.0p46)) return false;
  *sum += std::llrint(scaled);
  return true;
}

std::vector<double> multiply(const std::vector<float>& w, float scale,
                             const std::vector<float>& bias, const std::vector<double>& x) {
  std::vector<double> y(w.size() / x.size());
  for (size_t r = 0; r < y.size(); ++r) {
    for (size_t c = 0; c < x.size(); ++c) y[r] += double{w[r * x.size() + c]} * x[c];
    y[r] *= scale;
    if (!bias.empty()) y[r] += bias[r];
  }
  return y;
}

}  // namespace

ReferenceVector reference_quantize(const std::vector<float>& x, ActivationForm form) {
  uint32_t size = activation_block(form);
  auto padded = round_up<uint32_t>(static_cast<uint32_t>(x.size()), size);
  ReferenceVector out{form, {}, std::vector<int8_t>(padded), std::vector<float>(padded / size)};
  for (uint32_t block = 0; block < padded / size; ++block) {
    uint32_t begin = block * size;
    uint32_t end = std::min(begin + size, static_cast<uint32_t>(x.size()));
    float amax = 0;
    bool finite = true;
    for (uint32_t i = begin; i < end; ++i) {
      finite = finite && std::isfinite(x[i]);
      amax = std::max(amax, std::fabs(x[i]));
    }
    if (!finite) out.scales[block] = std::numeric_limits<float>::quiet_NaN();
    if (!finite || amax < 0x1.0p-100F) continue;
    out.scales[block] = amax / 127.0F;
    float inverse = 127.0F / amax;
    for (uint32_t i = begin; i < end; ++i) {
      out.quants[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
    }
  }
  return out;
}

bool reference_expert(const ExpertShape& shape, const SourceExpert& expert, uint32_t first,
                      uint32_t end, const ReferenceRow& row, int64_t* sums) {
  bool good = true;
  ChunkPlan plan = plan_chunks(shape);
  for (uint32_t chunk = first; chunk < end; ++chunk) {
    uint32_t column = chunk * plan.chunk_width;
    uint32_t columns = std::min(plan.chunk_width, shape.width - column);
    std::vector<float> values = activate(shape, expert, column, columns, *row.x);
    ReferenceVector h{ActivationForm::kF32, values, {}, {}};
    if (shape.down_form() != h.form) h = reference_quantize(values, shape.down_form());
    for (uint32_t r = 0; r < shape.hidden; ++r) {
      float y = dot(expert.down, r, column, columns, h);
      y = y * expert.scales[2];
      if (shape.biases && chunk == 0) y = y + expert.down_bias[r];
      if (!add(y, row, &sums[r])) good = false;
    }
  }
  return good;
}

std::vector<double> float64_expert(const ExpertShape& shape, const SourceExpert& expert,
                                   const std::vector<double>& x) {
  std::vector<double> gate(shape.width);
  if (shape.gated()) gate = multiply(expert.gate.decode(), expert.scales[0], expert.gate_bias, x);
  std::vector<double> up = multiply(expert.up.decode(), expert.scales[1], expert.up_bias, x);
  std::vector<double> h(shape.width);
  for (size_t i = 0; i < h.size(); ++i) h[i] = join64(shape, gate[i], up[i]);
  return multiply(expert.down.decode(), expert.scales[2], expert.down_bias, h);
}

}  // namespace potluck::test
