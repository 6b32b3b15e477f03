#include "engine/kernels/matmul_rows.h"

#include "engine/base/check.h"
#include "engine/kernels/kernels.h"

namespace potluck {

void check_matmul(const PanelMatrix& w, const ActivationView& x, uint32_t panel_begin,
                  uint32_t panel_end) {
  const BlockFormat& format = block_format(w.shape.type);
  CHECK(x.columns == w.shape.columns);
  CHECK(panel_begin <= panel_end && panel_end <= w.shape.panels());
  CHECK(x.form == format.activations ||
        (format.quantized() && x.form == ActivationForm::kQ8Block32));
  // A scale of 256 activations has to lie over one super-block of the weights.
  if (x.form == ActivationForm::kQ8Block256) {
    CHECK(w.shape.phase == 0 && w.shape.columns % 256 == 0);
  }
}

}  // namespace potluck
