#include "formats/trace_events.h"

#include "base/testing/temporary_directory.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::formats {
namespace {

using ::testing::HasSubstr;

nlohmann::json read(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

TEST(TraceEvents, AreAnArrayThatViewersRead) {
  const base::testing::TemporaryDirectory folder;
  const std::string path = folder.file("trace.json");
  {
    auto trace = TraceEvents::create(path);
    ASSERT_TRUE(trace.has_value());
    trace->name_track(1, "llm \"quoted\" \xff");
    const TraceEvents::Number rows{"rows", 12};
    trace->add(1, "decode", 1000, 250, {&rows, 1});
    EXPECT_TRUE(trace->close().has_value());
  }
  const auto events = read(path);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0]["ph"], "M");
  EXPECT_THAT(events[0]["args"]["name"].get<std::string>(), HasSubstr("llm \"quoted\""));
  EXPECT_EQ(events[1]["ph"], "X");
  EXPECT_EQ(events[1]["ts"], 1000);
  EXPECT_EQ(events[1]["dur"], 250);
  EXPECT_EQ(events[1]["tid"], 1);
  EXPECT_EQ(events[1]["args"]["rows"], 12);
}

TEST(TraceEvents, AreWholeWhoeverEndsThem) {
  const base::testing::TemporaryDirectory folder;
  const std::string path = folder.file("trace.json");
  {
    auto trace = TraceEvents::create(path);
    ASSERT_TRUE(trace.has_value());
    TraceEvents moved = std::move(*trace);
    for (int i = 0; i < 5000; ++i) moved.add(i % 3, "event", i, 1, {});
  }
  EXPECT_EQ(read(path).size(), 5000U);
  { ASSERT_TRUE(TraceEvents::create(path).has_value()); }
  EXPECT_TRUE(read(path).empty());
}

TEST(TraceEvents, SayWhyTheyCannotBeWritten) {
  EXPECT_THAT(TraceEvents::create("/nowhere/trace.json").error().message,
              HasSubstr("/nowhere/trace.json: cannot write: "));
  auto full = TraceEvents::create("/dev/full");
  ASSERT_TRUE(full.has_value());
  full->add(1, "event", 0, 1, {});
  EXPECT_THAT(full->close().error().message, HasSubstr("/dev/full: cannot write: "));
}

}  // namespace
}  // namespace neuros::formats
