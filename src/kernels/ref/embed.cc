#include "kernels/ref/ops.h"
#include "kernels/ref/workspace.h"

namespace neuros::kernels::ref {

void embed(const OpContext& context, const EmbedArgs& args) {
  const int64_t hidden = args.table.cols;
  for_rows(context, std::ssize(args.ids), [&](int64_t row, int) {
    const int32_t id = args.ids[static_cast<size_t>(row)];
    CHECK(id >= 0 && id < args.table.rows);
    const std::span out(args.out + row * hidden, static_cast<size_t>(hidden));
    read_row(args.table, id, out);
    for (float& value : out) value *= args.scale;
  });
}

}  // namespace neuros::kernels::ref
