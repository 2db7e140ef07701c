#pragma once

#include "kernels/op_table.h"

namespace neuros::kernels {

/// A table with its attention replaced by the arithmetic of llama.cpp's flash attention on CPU:
/// queries rounded to f16, and the weighted values summed position by position in f16. Less exact
/// than every other table here; for comparing answers with that program's, like with like. KV must
/// be f16. Named `base.name` + "+f16-sums". Thread-safe; the table lives as long as the program.
const OpTable& with_f16_sums(const OpTable& base);

/// What with_f16_sums appends to a name.
inline constexpr const char* kF16SumsSuffix = "+f16-sums";

}  // namespace neuros::kernels
