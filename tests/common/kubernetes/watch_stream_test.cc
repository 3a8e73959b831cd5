#include "common/kubernetes/watch_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kubernetes/recordings.h"

namespace portolan {
namespace {

using test::Lines;
using test::Recording;
using ::testing::ElementsAre;
using Type = WatchEvent::Type;

class Collected {
 public:
  void Take(std::string_view bytes) {
    splitter_.Take(bytes, [this](std::string& line) {
      lines.push_back(line);
      return true;
    });
  }
  size_t unfinished() const { return splitter_.unfinished(); }
  std::vector<std::string> lines;

 private:
  LineSplitter splitter_;
};

TEST(WatchStream, EventsAreTheSameHoweverTheBytesWereCut) {
  for (const char* name : {"watches/11-streaming-list.ndjson", "watches/04-namespaces.ndjson",
                           "watches/14-streaming-list-endpointslices.ndjson"}) {
    const std::string stream = Recording(name);
    const std::vector<std::string> whole = Lines(stream);
    for (size_t cut = 0; cut <= stream.size(); ++cut) {
      Collected collected;
      collected.Take(std::string_view(stream).substr(0, cut));
      collected.Take(std::string_view(stream).substr(cut));
      ASSERT_EQ(collected.lines, whole) << name << " cut at " << cut;
    }
    Collected bytewise;
    for (const char c : stream) bytewise.Take({&c, 1});
    EXPECT_EQ(bytewise.lines, whole);
  }
}

TEST(WatchStream, EveryRecordedEventIsRead) {
  JsonReader reader;
  for (const auto& [name, kind] : {std::pair{"watches/01-services.ndjson", "Service"},
                                   {"watches/02-endpointslices.ndjson", "EndpointSlice"},
                                   {"watches/04-namespaces.ndjson", "Namespace"},
                                   {"watches/05-nodes.ndjson", "Node"},
                                   {"watches/06-networkpolicies.ndjson", "NetworkPolicy"},
                                   {"watches/08-pods-of-one-node.ndjson", "Pod"}}) {
    for (std::string& line : Lines(Recording(name))) {
      const auto event = ReadEvent(reader, line, {});
      ASSERT_TRUE(event.ok()) << line << ": " << event.status();
      FieldErrors errors;
      const Field object(*event->object, errors);
      const Field type = object["kind"];
      EXPECT_EQ(type.String(), kind);
      EXPECT_FALSE(event->resource_version().empty());
    }
  }
}

TEST(WatchStream, AStreamingListEndsWithItsBookmark) {
  JsonReader reader;
  std::vector<Type> types;
  std::vector<bool> ends;
  for (std::string& line : Lines(Recording("watches/11-streaming-list.ndjson"))) {
    const auto event = ReadEvent(reader, line, {});
    ASSERT_TRUE(event.ok()) << event.status();
    types.push_back(event->type);
    ends.push_back(event->ends_initial_events());
  }
  EXPECT_THAT(types, ElementsAre(Type::kAdded, Type::kAdded, Type::kBookmark, Type::kModified,
                                 Type::kBookmark));
  EXPECT_THAT(ends, ElementsAre(false, false, true, false, false));
}

TEST(WatchStream, AnErrorEventHoldsItsStatus) {
  JsonReader reader;
  std::string line = Lines(Recording("watches/23-too-old.ndjson"))[0];
  const auto event = ReadEvent(reader, line, {});
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->type, Type::kError);
  FieldErrors errors;
  const Field status(*event->object, errors);
  const Field code = status["code"], message = status["message"];
  EXPECT_EQ(code.Int(0), 410);
  EXPECT_EQ(message.String(), "too old resource version: 1 (760)");
}

TEST(WatchStream, WhatIsNoEventIsAnError) {
  JsonReader reader;
  for (std::string line :
       {R"({"type":"ADDED"})", R"({"type":"ADDED","object":[]})", R"({"type":"NEWS","object":{}})",
        R"({"object":{}})", "[]", "", "404", R"({"type":7,"object":{}})"}) {
    EXPECT_FALSE(ReadEvent(reader, line, {}).ok()) << line;
  }
}

TEST(WatchStream, ALineWithoutEndIsKeptWithinBounds) {
  Collected collected;
  const std::string piece(1u << 20, 'x');
  for (int i = 0; i < 20; ++i) collected.Take(piece);
  EXPECT_EQ(collected.unfinished(), kMaxJsonBytes + 1);
  collected.Take("\n{}\n");
  ASSERT_EQ(collected.lines.size(), 2u);
  EXPECT_EQ(collected.lines[0].size(), kMaxJsonBytes + 1);
  EXPECT_EQ(collected.lines[1], "{}");
}

TEST(WatchStream, NothingFollowsALineAfterWhichTheReaderStops) {
  LineSplitter splitter;
  int lines = 0;
  splitter.Take("a\nb\nc\n", [&](std::string&) { return ++lines < 2; });
  EXPECT_EQ(lines, 2);
}

TEST(WatchStream, ABrokenEventIsNamedAsFarAsItCanBe) {
  EXPECT_EQ(
      GuessName(
          R"({"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"web-0","namespace":"shop","la)"),
      "shop/web-0");
  EXPECT_EQ(GuessName(R"({"object":{"metadata":{"name":"node-1","uid":)"), "node-1");
  EXPECT_EQ(GuessName(R"({"object":{"metadata":{"name":"cut)"), "cut");
  EXPECT_EQ(GuessName("garbage"), "");
}

}  // namespace
}  // namespace portolan
