#include "models/decoder_sizes.h"

namespace neuros::models {
namespace {

/// Reads integers of one architecture's keys within limits; the error names key, value and limits.
class Reader {
 public:
  Reader(const formats::Metadata& metadata, std::string prefix)
      : metadata_(metadata), prefix_(std::move(prefix)) {}

  base::Result<int64_t> required(const std::string& key, int64_t least, int64_t most) const {
    return within(key, TRY(metadata_.integer(prefix_ + "." + key)), least, most);
  }
  base::Result<int64_t> optional(const std::string& key, int64_t fallback, int64_t least,
                                 int64_t most) const {
    const std::string full = prefix_ + "." + key;
    if (metadata_.find(full) == nullptr) return within(key, fallback, least, most);
    return within(key, TRY(metadata_.integer(full)), least, most);
  }

 private:
  base::Result<int64_t> within(const std::string& key, int64_t value, int64_t least,
                               int64_t most) const {
    if (value >= least && value <= most) return value;
    return base::fail(prefix_ + "." + key + ": " + std::to_string(value) + ", expected " +
                      std::to_string(least) + " to " + std::to_string(most));
  }

  const formats::Metadata& metadata_;
  std::string prefix_;
};

base::Result<> check_consistency(const DecoderSizes& sizes) {
  if (sizes.heads % sizes.kv_heads != 0) {
    return base::fail("attention.head_count " + std::to_string(sizes.heads) +
                      " is not a multiple of head_count_kv " + std::to_string(sizes.kv_heads));
  }
  if (sizes.rope_dims % 2 != 0 || sizes.rope_dims > sizes.head_dim) {
    return base::fail("rope.dimension_count " + std::to_string(sizes.rope_dims) +
                      ", expected an even number up to the head dimension " +
                      std::to_string(sizes.head_dim));
  }
  return {};
}

}  // namespace

base::Result<DecoderSizes> read_decoder_sizes(const formats::Checkpoint& checkpoint,
                                              const std::string& prefix) {
  constexpr int64_t kWide = 1 << 20;
  const Reader read(checkpoint.metadata, prefix);
  DecoderSizes sizes;
  sizes.hidden = TRY(read.required("embedding_length", 1, kWide));
  sizes.feed_forward = TRY(read.required("feed_forward_length", 1, kWide));
  sizes.layers = static_cast<int32_t>(TRY(read.required("block_count", 1, 1024)));
  sizes.heads = static_cast<int32_t>(TRY(read.required("attention.head_count", 1, 4096)));
  sizes.kv_heads =
      static_cast<int32_t>(TRY(read.optional("attention.head_count_kv", sizes.heads, 1, 4096)));
  sizes.head_dim = static_cast<int32_t>(
      TRY(read.optional("attention.key_length", sizes.hidden / sizes.heads, 1, 1024)));
  TRY(read.optional("attention.value_length", sizes.head_dim, sizes.head_dim, sizes.head_dim));
  sizes.rope_dims =
      static_cast<int32_t>(TRY(read.optional("rope.dimension_count", sizes.head_dim, 2, 1024)));
  sizes.context = TRY(read.optional("context_length", 2048, 1, int64_t{1} << 30));
  sizes.window =
      static_cast<int32_t>(TRY(read.optional("attention.sliding_window", 0, 0, 1 << 30)));
  const auto epsilon =
      checkpoint.metadata.number_or_none(prefix + ".attention.layer_norm_rms_epsilon");
  sizes.epsilon = static_cast<float>(epsilon.value_or(1e-5));
  if (!(sizes.epsilon >= 0.0f && sizes.epsilon < 1.0f)) {
    return base::fail(prefix + ".attention.layer_norm_rms_epsilon: " +
                      std::to_string(sizes.epsilon) + ", expected 0 to 1");
  }
  const base::TensorView table = TRY(checkpoint.tensor("token_embd.weight"));
  sizes.vocabulary = table.rows();
  TRY(check_consistency(sizes));
  return sizes;
}

}  // namespace neuros::models
