#include "cli/boot_report.h"

#include "cli/load_report.h"

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string>

namespace neuros::cli {
namespace {

std::string joined(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += (text.empty() ? "" : ", ") + id;
  return text;
}

void tell_of_failure(const std::string& model, const runtime::ModelBoot& boot) {
  std::fprintf(stderr, "warning: model %s failed at boot after %.2f s: %s\n", model.c_str(),
               boot.seconds, boot.error.c_str());
}

void tell_of_model(const std::string& model, const runtime::ModelBoot& boot,
                   const runtime::LoadReport& load) {
  tell_of_cache(load);
  std::fprintf(stderr, "model %s ready after %.2f s, %s\n", model.c_str(), boot.seconds,
               load_report(load).c_str());
}

}  // namespace

class BootReport::State {
 public:
  explicit State(Scope scope) : scope_(scope) {}

  void hear(const std::vector<std::string>& ids, const runtime::Engine& engine) {
    const runtime::ModelBoot boot = engine.boot_state();
    const std::lock_guard lock(mutex_);
    heard_ += ids.size();
    last_s_ = std::max(last_s_, boot.seconds);
    if (boot.state == runtime::ModelState::kFailed) {
      failed_ += ids.size();
      tell_of_failure(joined(ids), boot);
    } else {
      first_s_ = std::min(first_s_.value_or(boot.seconds), boot.seconds);
      if (scope_ == Scope::kAll) tell_of_model(joined(ids), boot, engine.load_report());
    }
    conclude();
  }

  void set_count(size_t names) {
    const std::lock_guard lock(mutex_);
    count_ = names;
    conclude();
  }

 private:
  /// Once everybody was heard of.
  void conclude() const {
    if (scope_ != Scope::kAll || heard_ != count_ || !first_s_) return;
    std::fprintf(stderr, "boot: first model ready after %.2f s, ", *first_s_);
    if (failed_ == 0) {
      std::fprintf(stderr, "all after %.2f s\n", last_s_);
    } else {
      std::fprintf(stderr, "%zu of %zu after %.2f s, %zu failed\n", count_ - failed_, count_,
                   last_s_, failed_);
    }
  }

  const Scope scope_;
  std::mutex mutex_;  ///< guards the rest
  size_t count_ = 0, heard_ = 0, failed_ = 0;
  std::optional<double> first_s_;  ///< when the first was ready
  double last_s_ = 0;
};

BootReport::BootReport(Scope scope) : state_(std::make_shared<State>(scope)) {}

pipeline::OnModelBoot BootReport::listener() const {
  return [state = state_](const std::vector<std::string>& ids, const runtime::Engine& engine) {
    state->hear(ids, engine);
  };
}

void BootReport::set_count(size_t names) {
  state_->set_count(names);
}

}  // namespace neuros::cli
