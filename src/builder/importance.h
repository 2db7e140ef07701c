#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

/// How much an error in each column of a model's matrices harms, as measured on text.
///
/// A matrix W that is rounded to Q changes a product W x by (W - Q) x. If the inputs x_j are taken
/// to be independent of each other, the mean square of that over the tokens of a text is
/// sum_ij (W_ij - Q_ij)^2 E[x_j^2]: the diagonal of the Hessian of a layer's squared error, as in
/// Optimal Brain Damage (LeCun, Denker, Solla 1989) and GPTQ (https://arxiv.org/abs/2210.17323).
struct Importance {
  std::string source{};  ///< for people: "1812 tokens of notes.txt"
  /// By name of tensor: E[x_j^2] of what the matrix is multiplied with, [cols].
  std::map<std::string, std::vector<float>, std::less<>> mean_squares{};

  /// [cols]; empty where nothing was measured: all columns are alike.
  std::span<const float> of(std::string_view tensor) const {
    const auto found = mean_squares.find(tensor);
    return found == mean_squares.end() ? std::span<const float>() : found->second;
  }
};

}  // namespace neuros::builder
