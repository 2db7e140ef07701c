#pragma once

/// Reads typed fields off a JSON object. The first wrong one is remembered and named; after that
/// every read does nothing, so that a parser is a plain list of fields and one look at error().

#include "serve/json_body.h"

#include <cstdint>
#include <optional>
#include <string>

namespace neuros::serve {

template <typename T>
struct Range {
  T low, high;
};

class FieldReader {
 public:
  /// `object` must outlive the reader. `path` is put before names in errors: "messages[1]".
  explicit FieldReader(const Json& object, std::string path = "")
      : object_(object), path_(std::move(path)) {}

  /// The field, or nullptr if absent, null, or after an error.
  const Json* find(const char* name) const;
  /// "messages[1].role"
  std::string path_of(const std::string& name) const;

  // Absent or null fields leave `out` as it is.
  void read(const char* name, bool& out);
  void read(const char* name, std::string& out);
  void read(const char* name, float& out, Range<double> range);
  void read(const char* name, int32_t& out, Range<int64_t> range);
  template <typename T>
  void read(const char* name, std::optional<T>& out, auto... range) {
    T value{};
    if (!find(name)) return;
    read(name, value, range...);
    if (!error_) out = std::move(value);
  }

  void fail(ApiError error) {
    if (!error_) error_ = std::move(error);
  }
  /// 400: "`name` must be ..." naming the field.
  void fail_type(const std::string& name, const std::string& expected, const Json& found);
  bool ok() const { return !error_; }
  std::optional<ApiError> error() const { return error_; }

 private:
  const Json& object_;
  std::string path_;
  std::optional<ApiError> error_;
};

/// As an error shows a value: its JSON, cut when long.
std::string shown(const Json& value);

}  // namespace neuros::serve
