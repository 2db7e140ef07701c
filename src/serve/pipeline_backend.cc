#include "serve/pipeline_backend.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace neuros::serve {
namespace {

int64_t created_unix_s(pipeline::PipelineApp& app) {
  return app.fleet().models().front()->created_unix_s();
}

PipelineFacts facts_of(pipeline::PipelineApp& app) {
  PipelineFacts facts{.id = app.spec().name, .created_unix_s = created_unix_s(app)};
  for (const auto& stage : app.spec().stages) facts.stages.push_back(stage.id);
  for (const pipeline::LanguageModel* model : app.answering_models()) {
    const int32_t size = model->tokenizer().size();
    facts.vocabulary_size =
        facts.vocabulary_size == 0 ? size : std::min(facts.vocabulary_size, size);
  }
  return facts;
}

class ServedPipelineApp final : public ServedPipeline {
 public:
  explicit ServedPipelineApp(pipeline::PipelineApp& app) : app_(app), facts_(facts_of(app)) {}

  const PipelineFacts& facts() const override { return facts_; }

  base::Result<uint64_t> start(pipeline::PipelineRequest request, const std::string& context,
                               std::shared_ptr<pipeline::PipelineSink> sink) override {
    pipeline::PipelineExecutor& executor = *app_.executor();
    request.facts = app_.facts(request.request.text(), context, executor.first_token_us_p50());
    return executor.start(std::move(request), std::move(sink));
  }
  void cancel(uint64_t request) override { app_.executor()->cancel(request); }

 private:
  pipeline::PipelineApp& app_;
  PipelineFacts facts_;
};

class ServedAppRoute final : public ServedRoute {
 public:
  ServedAppRoute(pipeline::PipelineApp& app, const builder::RouteSpec& route,
                 std::vector<std::shared_ptr<ServedModel>> models)
      : app_(app), route_(route), models_(std::move(models)) {}

  const std::string& id() const override { return route_.id; }
  int64_t created_unix_s() const override { return serve::created_unix_s(app_); }

  base::Result<std::shared_ptr<ServedModel>> pick(const std::string& prompt,
                                                  const std::string& context) override {
    auto picked = app_.pick(route_, prompt, context);
    if (!picked) {
      return tl::unexpected(base::with_context(std::move(picked).error(), "route " + id()));
    }
    const auto found = std::find_if(models_.begin(), models_.end(), [&](const auto& model) {
      return model->facts().id == (*picked)->id();
    });
    CHECK(found != models_.end());
    return *found;
  }
  void first_token(int64_t us) override { app_.route_latency(route_.id).add(us); }

 private:
  pipeline::PipelineApp& app_;
  const builder::RouteSpec& route_;
  std::vector<std::shared_ptr<ServedModel>> models_;
};

}  // namespace

PipelineBackend::PipelineBackend(pipeline::PipelineApp& app) : fleet_(app.fleet()) {
  if (app.executor() != nullptr) pipelines_.push_back(std::make_shared<ServedPipelineApp>(app));
  for (const builder::RouteSpec& route : app.spec().routes) {
    routes_.push_back(std::make_shared<ServedAppRoute>(app, route, fleet_.models()));
  }
}

}  // namespace neuros::serve
