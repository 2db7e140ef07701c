# Chat templates and the Jinja engine below them.
neuros_library(jinja
  SOURCES
    chat_template.cc
    jinja/access.cc
    jinja/builtin.cc
    jinja/container_methods.cc
    jinja/evaluator.cc
    jinja/expression_parser.cc
    jinja/filters.cc
    jinja/format.cc
    jinja/format_spec.cc
    jinja/functions.cc
    jinja/interpreter.cc
    jinja/json.cc
    jinja/lexer.cc
    jinja/operators.cc
    jinja/ordering.cc
    jinja/parser.cc
    jinja/print.cc
    jinja/runtime.cc
    jinja/sequence_filters.cc
    jinja/string_methods.cc
    jinja/strings.cc
    jinja/tests.cc
    jinja/text_filters.cc
    jinja/token_stream.cc
    jinja/utf8.cc
    jinja/value.cc
    jinja/value_filters.cc
  DEPS base
  PRIVATE_LINK ext_utf8proc nlohmann_json::nlohmann_json)

neuros_test(jinja
  SOURCES
    chat_template_test.cc
    jinja/expressions_test.cc
    jinja/filters_test.cc
    jinja/lexer_test.cc
    jinja/limits_test.cc
    jinja/parser_test.cc
    jinja/statements_test.cc
    jinja/string_methods_test.cc
    jinja/testing/render.cc
  DEPS jinja
  LINK nlohmann_json::nlohmann_json)

neuros_fuzz(jinja SOURCES chat_template_fuzz.cc DEPS jinja)
