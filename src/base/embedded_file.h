#pragma once

#include <span>
#include <string_view>

namespace neuros::base {

/// A text file that is part of the program: neuros_embed in cmake/Neuros.cmake.
struct EmbeddedFile {
  std::string_view name;  ///< without folder and extension
  std::string_view text;
};

}  // namespace neuros::base
