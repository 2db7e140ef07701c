#pragma once

/// Writes GGUF files of any size with constant memory.

#include "base/result.h"
#include "formats/gguf_header.h"
#include "formats/output_file.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::formats {

/// Everything is declared at once, then the tensors' bytes follow in the order declared, each in
/// pieces of any size:
///
///     auto writer = TRY(GgufWriter::create(path, metadata, declarations));
///     for (...) TRY(writer.append(name, piece));
///     TRY(writer.finish());
///
/// The file appears under its name only on finish(); a writer destroyed before that leaves nothing.
class GgufWriter {
 public:
  /// Checks the declarations, creates the temporary file and writes the header.
  static base::Result<GgufWriter> create(const std::string& path, const Metadata& metadata,
                                         std::vector<TensorDeclaration> tensors);

  /// The next bytes of `tensor`. Fails if it is not this tensor's turn or if it would get more
  /// bytes than declared, and with kIo if the system does not take them (disk full).
  base::Result<> append(std::string_view tensor, std::span<const std::byte> piece);

  /// Fails if bytes are missing. After it nothing else may be called.
  base::Result<> finish();

  /// Size of the finished file and of what was written so far, for progress.
  uint64_t bytes_total() const { return header_.file_bytes; }
  uint64_t bytes_written() const { return file_.bytes_written(); }

 private:
  GgufWriter(OutputFile file, GgufHeader header, std::vector<TensorDeclaration> tensors)
      : file_(std::move(file)), header_(std::move(header)), tensors_(std::move(tensors)) {}

  base::Result<> write_some(std::string_view tensor, std::span<const std::byte> piece);
  base::Result<> end_tensor();

  OutputFile file_;
  GgufHeader header_;  ///< its bytes are dropped once written
  std::vector<TensorDeclaration> tensors_;
  size_t current_ = 0;          ///< the tensor whose bytes come next
  uint64_t current_bytes_ = 0;  ///< how many of them came
};

}  // namespace neuros::formats
