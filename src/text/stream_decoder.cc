#include "text/tokenizer.h"
#include "text/unicode.h"

namespace neuros::text {

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool show_special,
                             StreamStart start)
    : tokenizer_(std::move(tokenizer)),
      show_special_(show_special),
      at_start_(start == StreamStart::kText && tokenizer_->drops_first_space()) {}

std::string StreamDecoder::push(TokenId id) {
  const std::string piece = tokenizer_->piece_bytes(id, show_special_);
  pending_.append(piece, at_start_ && piece.starts_with(' ') ? 1 : 0);
  at_start_ = at_start_ && piece.empty();
  const size_t complete = pending_.size() - open_utf8_tail(pending_);
  std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = replace_invalid_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace neuros::text
