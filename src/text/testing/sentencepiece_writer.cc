#include "text/testing/sentencepiece_writer.h"

#include <cstdint>
#include <cstring>

namespace neuros::text {
namespace {

void put_varint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_number(uint32_t field, uint64_t value, std::string& out) {
  put_varint(field << 3, out);
  put_varint(value, out);
}

void put_bytes(uint32_t field, const std::string& bytes, std::string& out) {
  put_varint(field << 3 | 2, out);
  put_varint(bytes.size(), out);
  out.append(bytes);
}

void put_float(uint32_t field, float value, std::string& out) {
  put_varint(field << 3 | 5, out);
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  out.append(raw, sizeof raw);
}

}  // namespace

std::string write_sentencepiece(const std::vector<Piece>& pieces,
                                const SentencePieceWriteOptions& options) {
  std::string file;
  for (const Piece& piece : pieces) {
    std::string message;
    put_bytes(1, piece.text, message);
    put_float(2, piece.score, message);
    put_number(3, static_cast<uint64_t>(piece.kind), message);
    put_bytes(1, message, file);
  }
  std::string trainer, normalizer;
  put_number(3, static_cast<uint64_t>(options.model_type), trainer);
  put_number(43, ~uint64_t{0}, trainer);  // pad_id -1
  put_bytes(2, trainer, file);
  put_bytes(2, options.charsmap, normalizer);
  put_number(3, options.add_dummy_prefix ? 1 : 0, normalizer);
  put_number(4, options.remove_extra_whitespaces ? 1 : 0, normalizer);
  put_bytes(3, normalizer, file);
  return file;
}

}  // namespace neuros::text
