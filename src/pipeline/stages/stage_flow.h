#pragma once

#include "base/result.h"
#include "builder/spec/pipeline_spec.h"
#include "builder/spec/stage_graph.h"
#include "pipeline/stages/request_values.h"

#include <cstdint>
#include <vector>

namespace neuros::pipeline {

/// In which order the stages of one request run: a state machine without clock, threads or effects.
/// The rules are "Order, and what is skipped" and "Loops" of docs/formats/pipeline.md. Stages are
/// meant by their place in the specification.
class StageFlow {
 public:
  enum class State : uint8_t { kWaiting, kRunning, kDone, kSkipped };

  /// All three outlive the flow.
  StageFlow(const builder::PipelineSpec& spec, const builder::StageGraph& graph,
            RequestValues& values);

  /// The stages that run now. Errors, here and below, name the stage whose condition failed.
  base::Result<std::vector<int32_t>> begin();
  /// A running stage gave `value`; the stages that run now because of it, which may be itself in
  /// the next round of its loop.
  base::Result<std::vector<int32_t>> finish(int32_t stage, StageValue value);

  State state(int32_t stage) const { return stages_[index(stage)]; }
  /// Of the loop that a stage is in, from 1; 1 outside loops.
  int32_t round(int32_t stage) const;
  /// No stage will run any more: it is done or skipped and the loop that it is in has ended.
  bool is_settled(int32_t stage) const;
  /// It waits, or its loop may come round to it again.
  bool may_start(int32_t stage) const;
  bool is_over() const;

 private:
  struct Loop {
    std::vector<int32_t> members;  ///< in the order of the graph, the first stage included
    int32_t round = 1;
    bool over = false;
  };

  static size_t index(int32_t stage) { return static_cast<size_t>(stage); }
  const builder::StageSpec& spec_of(int32_t stage) const { return spec_.stages[index(stage)]; }
  bool has_ended(int32_t stage) const;
  bool is_ready(int32_t stage) const;
  base::Result<bool> is_to_be_skipped(int32_t stage) const;
  void skip(int32_t stage);
  base::Result<std::vector<int32_t>> advance();
  base::Result<bool> start_ready(std::vector<int32_t>& started);
  /// Loops whose round is complete end or begin the next one.
  base::Result<bool> turn_loops(std::vector<int32_t>& started);
  base::Result<bool> ends(int32_t head) const;

  const builder::PipelineSpec& spec_;
  const builder::StageGraph& graph_;
  RequestValues& values_;
  std::vector<State> stages_;
  std::vector<Loop> loops_;  ///< by the place of the first stage; no members: there is no loop
};

/// The stage whose result is the pipeline's answer: of the stages, and loops as a whole, that
/// nothing else needs, the last in the file; of a loop its first stage.
int32_t answer_stage(const builder::StageGraph& graph);

}  // namespace neuros::pipeline
