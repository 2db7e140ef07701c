#include "runtime/engine.h"

#include "runtime/fleet.h"

#include <utility>

namespace neuros::runtime {
namespace {

/// The engine of a fleet of one.
class OnlyEngine final : public Engine {
 public:
  explicit OnlyEngine(std::unique_ptr<Fleet> fleet) : fleet_(std::move(fleet)) {}

  base::Result<sched::ProcessId> submit(ProcessSpec spec) override {
    return engine().submit(std::move(spec));
  }
  void cancel(sched::ProcessId id) override { engine().cancel(id); }
  void drain() override { engine().drain(); }
  EngineStats stats() const override { return engine().stats(); }
  const plan::Plan& plan() const override { return engine().plan(); }
  LoadReport load_report() const override { return engine().load_report(); }
  ModelBoot boot_state() const override { return engine().boot_state(); }

 private:
  Engine& engine() const { return fleet_->engine(0); }

  const std::unique_ptr<Fleet> fleet_;
};

}  // namespace

base::Result<std::unique_ptr<Engine>> Engine::boot(plan::Plan plan,
                                                   const formats::Checkpoint& checkpoint,
                                                   device::Device& device, EngineOptions options) {
  std::vector<FleetMember> members;
  members.push_back({.plan = std::move(plan),
                     .checkpoint = {std::shared_ptr<void>(), &checkpoint},
                     .queue_max = options.queue_max,
                     .observer = options.observer});
  FleetOptions fleet_options;
  fleet_options.load = std::move(options.load);
  auto fleet = TRY(Fleet::boot(std::move(members), device, std::move(fleet_options)));
  return std::make_unique<OnlyEngine>(std::move(fleet));
}

}  // namespace neuros::runtime
