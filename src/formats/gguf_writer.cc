#include "formats/gguf_writer.h"

#include "formats/gguf.h"
#include "formats/printable.h"

#include <array>
#include <utility>

namespace neuros::formats {

using base::fail;
using base::Result;

namespace {

Result<> in_gguf(const std::string& path, Result<> result) {
  if (result) return result;
  return tl::unexpected(base::with_context(std::move(result).error(), path + ": gguf"));
}

}  // namespace

Result<GgufWriter> GgufWriter::create(const std::string& path, const Metadata& metadata,
                                      std::vector<TensorDeclaration> tensors) {
  auto header = encode_gguf_header(metadata, tensors);
  if (!header) return tl::unexpected(base::with_context(header.error(), path + ": gguf"));
  OutputFile file = TRY(OutputFile::create(path));
  TRY(file.write(std::as_bytes(std::span(header->bytes))));
  header->bytes = std::string();
  return GgufWriter(std::move(file), std::move(*header), std::move(tensors));
}

Result<> GgufWriter::append(std::string_view tensor, std::span<const std::byte> piece) {
  return in_gguf(file_.path(), write_some(tensor, piece));
}

Result<> GgufWriter::write_some(std::string_view tensor, std::span<const std::byte> piece) {
  const std::string what = "tensor " + printable(tensor);
  if (current_ == tensors_.size()) return fail(what + ": all tensors are complete");
  const std::string& expected = tensors_[current_].name;
  if (tensor != expected) return fail(what + ": expected bytes of " + printable(expected));
  const uint64_t left = header_.tensor_bytes[current_] - current_bytes_;
  if (piece.size() > left) {
    return fail(what + ": " + std::to_string(piece.size()) + " bytes more, only " +
                std::to_string(left) + " left of " +
                std::to_string(header_.tensor_bytes[current_]));
  }
  TRY(file_.write(piece));
  current_bytes_ += piece.size();
  return piece.size() == left ? end_tensor() : Result<>();
}

Result<> GgufWriter::end_tensor() {
  constexpr std::array<std::byte, kGgufAlignment> kZeros{};
  const uint64_t padding = align_up(current_bytes_, kGgufAlignment) - current_bytes_;
  TRY(file_.write(std::span(kZeros).first(padding)));
  ++current_;
  current_bytes_ = 0;
  return {};
}

Result<> GgufWriter::finish() {
  if (current_ != tensors_.size()) {
    return in_gguf(file_.path(), fail("tensor " + printable(tensors_[current_].name) + ": " +
                                      std::to_string(current_bytes_) + " bytes, expected " +
                                      std::to_string(header_.tensor_bytes[current_])));
  }
  return file_.finish();
}

}  // namespace neuros::formats
