#include "common/log.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include <nlohmann/json.hpp>

namespace portolan::log {
namespace {

const absl::Time kTime = absl::FromUnixMillis(1'795'751'025'123);

std::string Line(std::string_view message) {
  return JsonLine(kTime, spdlog::level::warn, "portolan-proxy", message);
}

TEST(JsonLog, ALineIsOneObjectWithTimeLevelProgramAndMessage) {
  EXPECT_EQ(Line("no place for \"a\" in C:\\b"),
            R"({"time":"2026-11-27T03:43:45.123Z","level":"warn","program":"portolan-proxy",)"
            R"("message":"no place for \"a\" in C:\\b"})");
}

TEST(JsonLog, LevelsAreTheWordsOfTheFlag) {
  const auto word = [](spdlog::level::level_enum level) {
    return nlohmann::json::parse(JsonLine(kTime, level, "p", "m"))["level"].get<std::string>();
  };
  EXPECT_EQ(word(spdlog::level::debug), "debug");
  EXPECT_EQ(word(spdlog::level::info), "info");
  EXPECT_EQ(word(spdlog::level::warn), "warn");
  EXPECT_EQ(word(spdlog::level::err), "error");
}

TEST(JsonLog, TextOfOthersEndsNeitherTheLineNorTheObject) {
  for (const std::string& text :
       {std::string("a\nb\r\n{\"level\":\"error\"}"), std::string("\0\x01\x1b[31m\x7f", 8),
        std::string("\"},{\""), std::string("\\"), std::string("\\u0041"), std::string("Zürich ⚓"),
        std::string(100'000, '"')}) {
    const std::string line = Line(text);
    EXPECT_EQ(line.find('\n'), line.npos);
    EXPECT_EQ(nlohmann::json::parse(line)["message"], text);
  }
}

TEST(JsonLog, BytesThatAreNoUtf8BecomeReplacementCharacters) {
  EXPECT_EQ(nlohmann::json::parse(Line("a\xff"
                                       "b\xc3"))["message"],
            "a\uFFFD"
            "b\uFFFD");
  EXPECT_EQ(nlohmann::json::parse(Line("\xed\xa0\x80"))["message"].get<std::string>().substr(0, 3),
            "\uFFFD");
}

TEST(JsonLog, AnyBytesMakeALineThatCanBeRead) {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 64, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::string line = Line(text);
    EXPECT_EQ(line.find_first_of("\n\r"), line.npos);
    EXPECT_TRUE(nlohmann::json::parse(line)["message"].is_string());
  }
}

TEST(Log, TheFormatIsThatOfEveryLineAfterIt) {
  Start("portolan-test", spdlog::level::info);
  testing::internal::CaptureStderr();
  info("as {}", "text");
  SetFormat("json");
  warn("as {}", "json");
  debug("below the level");
  SetFormat("text");
  error("again");
  const std::string said = testing::internal::GetCapturedStderr();
  const size_t second = said.find('\n') + 1, third = said.find('\n', second) + 1;
  EXPECT_TRUE(said.substr(0, second).ends_with("Z I portolan-test: as text\n")) << said;
  const auto json = nlohmann::json::parse(said.substr(second, third - second));
  EXPECT_EQ(json["program"], "portolan-test");
  EXPECT_EQ(json["message"], "as json");
  EXPECT_TRUE(said.substr(third).ends_with("Z E portolan-test: again\n")) << said;
}

}  // namespace
}  // namespace portolan::log
