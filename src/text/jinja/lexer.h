#pragma once

/// Template text to tokens, with Jinja2's white space rules under trim_blocks and lstrip_blocks:
/// the newline after a statement or comment goes, the blanks before one on its line go, `-` takes
/// all white space on its side, `+` keeps it. One newline at the end of the template goes too.
/// https://jinja.palletsprojects.com/en/stable/templates/#whitespace-control

#include "base/result.h"
#include "text/jinja/token.h"

#include <string_view>
#include <vector>

namespace neuros::text::jinja {

/// The last token is kEnd. Errors name line and column.
base::Result<std::vector<Token>> tokenize(std::string_view source);

/// "line 3, column 7: text"
std::string located(Position position, std::string_view text);

}  // namespace neuros::text::jinja
