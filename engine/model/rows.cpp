// Threads split rows of matrices and rows of tokens, never a sum: the number of tasks cannot show
// in a result.
#include "engine/model/rows.h"

#include "engine/base/check.h"

namespace potluck {
namespace {

constexpr uint32_t kSumBlock = 16;  // quants per entry of ActivationView::sums
// Below so many bytes of weights a task costs more to hand over than it saves.
constexpr uint64_t kTaskBytes = 32 * kKiB;

// The rows of the panels [begin, end) of a product, times the matrix's scale.
void scale_panels(const Product& product, uint32_t tokens, uint64_t begin, uint64_t end) {
  const uint64_t first = begin * kPanelRows;
  const uint64_t last = std::min(end * kPanelRows, uint64_t{product.matrix.shape.rows});
  for (uint32_t t = 0; t < tokens; ++t) {
    float* y = product.y + t * product.y_stride;
    for (uint64_t row = first; row < last; ++row) y[row] *= product.matrix.scale;
  }
}

// Computes the panels [begin, end) of all products, counted one after the other.
void run_panels(const KernelTable& kernels, std::span<const Product> products, uint64_t begin,
                uint64_t end) {
  uint64_t first = 0;  // of the current product
  for (const Product& product : products) {
    uint64_t last = first + product.matrix.shape.panels();
    uint64_t from = std::max(begin, first);
    uint64_t to = std::min(end, last);
    if (from < to) {
      bool all = product.x_rows.empty();
      auto tokens = all ? product.x.tokens : static_cast<uint32_t>(product.x_rows.size());
      kernels.matmul(product.matrix, product.x, all ? nullptr : product.x_rows.data(), tokens,
                     static_cast<uint32_t>(from - first), static_cast<uint32_t>(to - first),
                     product.y, product.y_stride);
      if (product.matrix.scale != 1) scale_panels(product, tokens, from - first, to - first);
    }
    first = last;
  }
}

}  // namespace

void ActivationRows::reset(std::span<const ActivationForm> forms, uint32_t rows, uint32_t columns) {
  rows_ = rows;
  columns_ = columns;
  grow(values_, uint64_t{rows} * columns);
  has_block32_ = std::ranges::find(forms, ActivationForm::kQ8Block32) != forms.end();
  has_block256_ = std::ranges::find(forms, ActivationForm::kQ8Block256) != forms.end();
  if (has_block32_) block32_.reset(ActivationForm::kQ8Block32, rows, columns);
  if (has_block256_) block256_.reset(ActivationForm::kQ8Block256, rows, columns);
}

void ActivationRows::quantize_into(const KernelTable& kernels, const float* values, uint32_t r,
                                   ActivationBuffer& buffer) {
  uint32_t block = activation_block(buffer.form());
  uint64_t padded = round_up(buffer.columns(), block);
  kernels.quantize(values, buffer.columns(), block, buffer.quants().data() + r * padded,
                   buffer.scales().data() + r * (padded / block),
                   buffer.sums().data() + r * (padded / kSumBlock));
}

void ActivationRows::quantize_row(const KernelTable& kernels, uint32_t r) {
  if (has_block32_) quantize_into(kernels, row(r), r, block32_);
  if (has_block256_) quantize_into(kernels, row(r), r, block256_);
}

ActivationView ActivationRows::view(ActivationForm form) const {
  if (form == ActivationForm::kQ8Block32) {
    CHECK(has_block32_);
    return block32_.view();
  }
  if (form == ActivationForm::kQ8Block256) {
    CHECK(has_block256_);
    return block256_.view();
  }
  ActivationView view;
  view.form = ActivationForm::kF32;
  view.tokens = rows_;
  view.columns = columns_;
  view.values = values_.data();
  return view;
}

Product project(const WeightMatrix& matrix, const ActivationRows& x, uint32_t rows,
                std::vector<float>& y) {
  uint32_t stride = matrix.shape().rows;
  grow(y, uint64_t{rows} * stride);
  return {matrix.view(), x.view(matrix.form()), y.data(), stride, {}};
}

void run_products(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products) {
  uint64_t panels = 0;
  uint64_t bytes = 0;
  for (const Product& product : products) {
    panels += product.matrix.shape.panels();
    uint64_t tokens = product.x_rows.empty() ? product.x.tokens : product.x_rows.size();
    bytes += product.matrix.shape.bytes() * tokens;
  }
  if (panels == 0) return;
  auto threads = static_cast<uint64_t>(pool.threads());
  // All products of the job share one numbering of panels, so a task may end in one matrix and
  // begin in the next.
  uint64_t tasks = std::min({threads * kTasksPerThread, panels, 1 + bytes / kTaskBytes});
  if (threads == 1) tasks = 1;
  pool.run(tasks, [&](size_t task, int) {
    run_panels(kernels, products, panels * task / tasks, panels * (task + 1) / tasks);
  });
}

}  // namespace potluck
