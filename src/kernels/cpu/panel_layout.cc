#include "kernels/cpu/panel_layout.h"

namespace neuros::kernels::cpu {

PanelFormat panel_format(base::DType dtype) {
  return internal::format_of(dtype);
}

int64_t panel_bytes(base::DType dtype, int64_t cols) {
  const PanelFormat format = panel_format(dtype);
  if (format.columns == 0) {
    const int64_t padded = dtype == base::DType::kBF16 ? round_up(cols, 2) : cols;
    return round_up(kPanelRows * base::bytes_of(dtype, padded), 64);
  }
  CHECK(cols % format.columns == 0);
  return panel_header_bytes(format, cols) + cols / format.columns * format.record_bytes();
}

}  // namespace neuros::kernels::cpu
