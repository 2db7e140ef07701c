/// GET /: a small page for people who open the server's address in a browser.

#include "serve/api.h"

namespace neuros::serve {
namespace {

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

void home(Api& api, const Request&, WriterPtr writer) {
  std::string page =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Neuros</title>"
      "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}"
      "</style><h1>Neuros</h1><p>An OpenAI-compatible API at <code>/v1</code>.</p>"
      "<h2>Models</h2><ul>";
  for (const auto& pipeline : api.backend.pipelines()) {
    page += "<li><code>" + escape_html(pipeline->facts().id) + "</code>, a pipeline</li>";
  }
  for (const auto& route : api.backend.routes()) {
    page += "<li><code>" + escape_html(route->id()) + "</code>, a route</li>";
  }
  for (const auto& model : api.backend.models()) {
    const ModelFacts& facts = model->facts();
    page += "<li><code>" + escape_html(facts.id) + "</code>, " + std::to_string(facts.context) +
            " tokens of context</li>";
  }
  page += "</ul><h2>Look inside</h2><ul>";
  for (const char* path : {"/v1/models", "/tokenizer_info", "/health", "/ready", "/metrics"}) {
    page += std::string("<li><a href=\"") + path + "\">" + path + "</a></li>";
  }
  page += "</ul></html>\n";
  writer->send(
      {.content_type = "text/html; charset=utf-8", .headers = {}, .body = std::move(page)});
}

}  // namespace neuros::serve
