#include "plan/map_hash.h"
#include "plan/plan.h"
#include "plan/plan_file_names.h"

#include <cstdarg>
#include <cstdio>
#include <map>

#include <nlohmann/json.hpp>

namespace neuros::plan {
namespace {

std::string format(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

std::string format(const char* pattern, ...) {
  char line[512];
  va_list args;
  va_start(args, pattern);
  std::vsnprintf(line, sizeof(line), pattern, args);
  va_end(args);
  return line;
}

double mib(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

struct KernelUse {
  int64_t matrices = 0, bytes = 0, file_bytes = 0;
};

/// Packed matrices by the kernel that will read them.
std::map<std::string, KernelUse> kernel_uses(const Plan& plan) {
  std::map<std::string, KernelUse> uses;
  for (const WeightPlacement& weight : plan.weights) {
    if (weight.kind != WeightPlacement::Kind::kMatrix) continue;
    KernelUse& use = uses[weight.kernel];
    ++use.matrices;
    use.bytes += weight.bytes;
    use.file_bytes += weight.file_bytes;
  }
  return uses;
}

/// What another machine must have for the plan to hold there.
std::string describe_machine(const MachineFacts& machine) {
  std::string text;
  if (machine.cores > 0) text += format(", %d cores", machine.cores);
  if (machine.host_bytes > 0) text += format(", %.1f MiB of memory", mib(machine.host_bytes));
  if (!machine.cpu_level.empty()) {
    text += ", " + machine.cpu_level + (machine.avx512_bf16 ? "+bf16" : "");
  }
  if (machine.gpu) {
    text += format(", compute capability %s with %.1f MiB (planned for %s), %.1f MiB pinned",
                   machine.gpu->compute_capability.c_str(), mib(machine.gpu->memory_bytes),
                   machine.gpu->name.c_str(), mib(machine.gpu->pinned_bytes));
  }
  return text.empty() ? "" : "needs       " + text.substr(2) + "\n";
}

std::string describe_model(const Plan& plan) {
  const Program& p = plan.program;
  std::string text = format("model       %s (%s)\n", p.name.c_str(), p.architecture.c_str());
  text += format("file        %s\n", plan.model_path.c_str());
  text += format(
      "shape       %d layers, hidden %lld, heads %d/%d x %d, feed-forward %lld, vocabulary %lld\n",
      p.layers, static_cast<long long>(p.hidden), p.heads, p.kv_heads, p.head_dim,
      static_cast<long long>(p.feed_forward), static_cast<long long>(p.vocabulary));
  text += format("device      %s, %d workers, kernels %s\n", plan.device.c_str(), plan.workers,
                 plan.op_table.c_str());
  text += describe_machine(plan.machine);
  text += format("limits      context %d, batch %d tokens, %d sequences\n", plan.limits.context,
                 plan.limits.batch_tokens, plan.limits.sequences);
  return text;
}

std::string describe_memory(const Plan& plan) {
  const MemoryPlan& m = plan.memory;
  std::string text = "memory\n";
  text +=
      format("  weights      %10.1f MiB  in %zu segments\n", mib(m.weights), plan.segments.size());
  text += format("  kv           %10.1f MiB  %d pages of %d tokens, %s\n", mib(m.kv), plan.kv.pages,
                 plan.kv.page_tokens, std::string(base::name(plan.kv.dtype)).c_str());
  text += format("  activations  %10.1f MiB  %zu values by lifetime\n", mib(m.activations),
                 plan.values.size());
  text += format("  scratch      %10.1f MiB\n", mib(m.scratch));
  if (m.shared > 0) {
    text += format("  in turn      %10.1f MiB  of a step, in memory that models share\n",
                   mib(m.shared));
  }
  if (m.host > 0) {
    text += format("  host         %10.1f MiB  pinned, for batches and logits\n", mib(m.host));
  }
  if (m.kv_host > 0) {
    text += format("  kv on host   %10.1f MiB  %d pages%s, for what leaves the device\n",
                   mib(m.kv_host), plan.kv.host_pages, m.arenas_on_host ? "" : ", pinned");
  }
  text += format("  process      %10.1f MiB  vocabulary tables, code, stacks\n", mib(m.process));
  if (!m.arenas_on_host) {
    text += format("  device       %10.1f MiB  what boot reserves on %s\n", mib(m.arena_bytes()),
                   plan.device.c_str());
    text +=
        format("  driver       %10.1f MiB  there besides, of the GPU's driver\n", mib(m.driver));
  }
  text += format("  predicted    %10.1f MiB  of the process, of which boot reserves %.1f MiB\n",
                 mib(m.steady_bytes()),
                 mib((m.arenas_on_host ? m.arena_bytes() : 0) + m.host + m.kv_host));
  text += format(
      "  peak         %10.1f MiB  at boot: with the file's header %.1f MiB and what "
      "weights pass through %.1f MiB\n",
      mib(m.peak_bytes()), mib(m.metadata), mib(m.staging));
  return text;
}

std::string describe_kernels(const Plan& plan) {
  std::string text = "kernels\n";
  for (const auto& [kernel, use] : kernel_uses(plan)) {
    text +=
        format("  %-28s %4lld matrices %10.1f MiB packed, %.1f MiB in the file\n", kernel.c_str(),
               static_cast<long long>(use.matrices), mib(use.bytes), mib(use.file_bytes));
  }
  return text;
}

nlohmann::ordered_json choice_json(const KernelChoice& choice) {
  return {{"op", choice.op},
          {"dtype", std::string(base::name(choice.dtype))},
          {"rows", choice.rows},
          {"cols", choice.cols},
          {"tokens", choice.tokens},
          {"choice", choice.value},
          {"from", choice.source == KernelChoice::Source::kTable ? "table" : "estimate"}};
}

std::string describe_values(const Plan& plan) {
  std::string text = "activations (offset, bytes, live from op to op)\n";
  for (const ValuePlacement& value : plan.values) {
    text +=
        format("  %-14s %10lld %10lld   %d-%d%s\n", value.name.c_str(),
               static_cast<long long>(value.offset), static_cast<long long>(value.bytes),
               value.first_op, value.last_op, value.region == Region::kShared ? ", in turn" : "");
  }
  return text;
}

nlohmann::ordered_json weight_json(const WeightPlacement& weight) {
  return {{"name", weight.name},
          {"dtype", std::string(base::name(weight.dtype))},
          {"file_dtype", std::string(base::name(weight.file_dtype))},
          {"rows", weight.rows},
          {"cols", weight.cols},
          {"segment", weight.segment},
          {"offset", weight.offset},
          {"bytes", weight.bytes},
          {"file_bytes", weight.file_bytes},
          {"kernel", weight.kernel}};
}

nlohmann::ordered_json program_json(const Program& p) {
  return {{"name", p.name},
          {"architecture", p.architecture},
          {"layers", p.layers},
          {"hidden", p.hidden},
          {"feed_forward", p.feed_forward},
          {"heads", p.heads},
          {"kv_heads", p.kv_heads},
          {"head_dim", p.head_dim},
          {"vocabulary", p.vocabulary},
          {"context_trained", p.context_trained}};
}

nlohmann::ordered_json machine_json(const MachineFacts& machine) {
  nlohmann::ordered_json json = {{"cpu_level", machine.cpu_level},
                                 {"avx512_bf16", machine.avx512_bf16},
                                 {"cores", machine.cores},
                                 {"host_bytes", machine.host_bytes}};
  if (machine.gpu) {
    json["gpu"] = {{"name", machine.gpu->name},
                   {"compute_capability", machine.gpu->compute_capability},
                   {"memory_bytes", machine.gpu->memory_bytes},
                   {"pinned_bytes", machine.gpu->pinned_bytes}};
  }
  return json;
}

nlohmann::ordered_json memory_json(const Plan& plan) {
  const MemoryPlan& m = plan.memory;
  return {{"weights", m.weights},
          {"kv", m.kv},
          {"activations", m.activations},
          {"scratch", m.scratch},
          {"shared", m.shared},
          {"staging", m.staging},
          {"metadata", m.metadata},
          {"process", m.process},
          {"host", m.host},
          {"kv_host", m.kv_host},
          {"driver", m.driver},
          {"arenas", m.arena_bytes()},
          {"steady", m.steady_bytes()},
          {"peak", m.peak_bytes()}};
}

}  // namespace

std::string describe(const Plan& plan) {
  std::string text = describe_model(plan) + describe_memory(plan) + "map         " +
                     map_hash_text(map_hash(plan)) + "\n" + describe_kernels(plan) +
                     describe_choices(plan) + describe_values(plan) + "reasons\n";
  for (const std::string& reason : plan.reasons) text += "  " + reason + "\n";
  return text;
}

std::string describe_json(const Plan& plan) {
  nlohmann::ordered_json json;
  json["model"] = program_json(plan.program);
  json["file"] = plan.model_path;
  json["device"] = plan.device;
  json["workers"] = plan.workers;
  json["op_table"] = plan.op_table;
  json["machine"] = machine_json(plan.machine);
  json["limits"] = {{"context", plan.limits.context},
                    {"batch_tokens", plan.limits.batch_tokens},
                    {"sequences", plan.limits.sequences},
                    {"logit_rows", plan.limits.logit_rows}};
  json["kv"] = {{"dtype", std::string(base::name(plan.kv.dtype))},
                {"page_tokens", plan.kv.page_tokens},
                {"pages", plan.kv.pages},
                {"host_pages", plan.kv.host_pages},
                {"page_bytes", plan.kv.page_bytes}};
  json["memory_bytes"] = memory_json(plan);
  json["map_hash"] = map_hash_text(map_hash(plan));
  for (const SegmentPlacement& segment : plan.segments) {
    json["segments"].push_back(
        {{"name", segment.name}, {"offset", segment.offset}, {"bytes", segment.bytes}});
  }
  for (const WeightPlacement& weight : plan.weights) json["weights"].push_back(weight_json(weight));
  for (const ValuePlacement& value : plan.values) {
    json["values"].push_back({{"name", value.name},
                              {"offset", value.offset},
                              {"bytes", value.bytes},
                              {"first_op", value.first_op},
                              {"last_op", value.last_op},
                              {"region", std::string(name(value.region))}});
  }
  json["device_kind"] = plan.device_kind;
  json["kernel_choices"] = nlohmann::ordered_json::array();
  for (const KernelChoice& choice : plan.kernel_choices) {
    json["kernel_choices"].push_back(choice_json(choice));
  }
  json["reasons"] = plan.reasons;
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace neuros::plan
