#include "common/document/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"

namespace portolan {
namespace {

using ::testing::HasSubstr;
using ValuePtr = std::shared_ptr<const Value>;

absl::StatusOr<ValuePtr> Read(std::string text, const std::vector<WantedField>& wanted = {}) {
  JsonReader reader;
  return reader.Read(text, wanted);
}

const Value* Find(const Value& map, std::string_view key) {
  for (const auto& [name, child] : map.fields) {
    if (name == key) return child.get();
  }
  return nullptr;
}

TEST(JsonValue, ScalarsAreWhatTheYamlOfTheSameObjectWouldBe) {
  const auto value = Read(
      R"({"text":"a\u003cb","number":8080,"low":-1,"high":18446744073709551615,"yes":true,"no":false,"none":null})");
  ASSERT_TRUE(value.ok()) << value.status();
  FieldErrors errors;
  const Field root(**value, errors);
  const Field text = root["text"], number = root["number"], low = root["low"], high = root["high"];
  const Field yes = root["yes"], no = root["no"], none = root["none"];
  EXPECT_EQ(text.String(), "a<b");
  EXPECT_EQ(text.value()->kind, Value::Kind::kText);
  EXPECT_EQ(number.Int(0), 8080);
  EXPECT_EQ(low.Int(0), -1);
  EXPECT_EQ(high.String(), "18446744073709551615");
  EXPECT_TRUE(yes.Bool(false));
  EXPECT_FALSE(no.Bool(true));
  EXPECT_FALSE(none.present());
  EXPECT_TRUE(errors.ok());
  EXPECT_EQ(text.Int(7), 7);
  EXPECT_FALSE(errors.ok());
}

TEST(JsonValue, WhatIsNotWantedIsLeftOutInListsToo) {
  const std::vector<WantedField> wanted = {{"keep", {{"name"}}}, {"list", {{"x"}}}};
  const auto value = Read(
      R"({"keep":{"name":"n","other":[1,2]},"list":[{"x":{"deep":1},"y":2},{"y":3}],"gone":{"name":"g"}})",
      wanted);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ((*value)->fields.size(), 2u);
  EXPECT_EQ(Find(**value, "keep")->fields.size(), 1u);
  const auto& items = Find(**value, "list")->items;
  ASSERT_EQ(items.size(), 2u);
  ASSERT_EQ(items[0]->fields.size(), 1u);
  EXPECT_EQ(Find(*items[0], "x")->fields.size(), 1u);
  EXPECT_TRUE(items[1]->fields.empty());
}

TEST(JsonValue, WhatIsLeftOutIsCheckedAllTheSame) {
  const std::vector<WantedField> wanted = {{"keep"}};
  EXPECT_TRUE(Read(R"({"gone":[{"a":1}],"keep":1})", wanted).ok());
  EXPECT_FALSE(Read(R"({"gone":[{"a":}],"keep":1})", wanted).ok());
  EXPECT_FALSE(Read(R"({"gone":[{"a":1]},"keep":1})", wanted).ok());
  EXPECT_FALSE(Read("{\"gone\":\"\xff\",\"keep\":1}", wanted).ok());
}

TEST(JsonValue, AnyPrefixOfAnObjectIsAnError) {
  const std::string text = R"({"metadata":{"name":"x","labels":{"a":"b"}},"spec":{"ports":[80]}})";
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(Read(text.substr(0, size)).ok()) << size;
  }
  EXPECT_TRUE(Read(text).ok());
  EXPECT_FALSE(Read(text + "}").ok());
}

TEST(JsonValue, AnAnnotationOfAMegabyteIsReadAndNineMegabytesAreNot) {
  const std::vector<WantedField> wanted = {{"metadata", {{"name"}, {"annotations"}}}};
  const auto with = [](size_t bytes) {
    return R"({"metadata":{"name":"big","annotations":{"a":")" + std::string(bytes, 'x') + "\"}}}";
  };
  JsonReader reader;
  std::string big = with(1u << 20), huge = with(9u << 20), small = with(1);
  EXPECT_TRUE(reader.Read(big, wanted).ok());
  const auto refused = reader.Read(huge, wanted);
  EXPECT_THAT(std::string(Message(refused.status())), HasSubstr("at most 8388608"));
  EXPECT_TRUE(reader.Read(small, wanted).ok());
}

TEST(JsonValue, DepthIsBounded) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(Read(nested(100)).ok());
  EXPECT_FALSE(Read(nested(200)).ok());
  EXPECT_FALSE(Read(nested(1'000'000)).ok());
}

}  // namespace
}  // namespace portolan
