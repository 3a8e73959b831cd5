// Pods as they come out of the injector, reviewed by eye: golden/NAME.patched.json, of
// golden/NAME.review.json or the recording of that name. What differs is written beside the build
// with PORTOLAN_GOLDEN=FOLDER in the environment.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "tests/injector/reviews.h"
#include "tests/injector/schema.h"

namespace portolan::injector {
namespace {

using ::testing::IsEmpty;

class Golden : public ::testing::TestWithParam<const char*> {};

Json ReadReviewOf(const std::string& name) {
  const std::string own = "golden/" + name + ".review.json";
  const bool made = std::filesystem::exists("injector/" + own);
  return Json::parse(ReadTestFile(made ? own : "recordings/" + name + ".json"));
}

TEST_P(Golden, ThePodIsAsReviewed) {
  const std::string name = GetParam();
  const std::string text = AnswerReview(ReadReviewOf(name)).patched.dump(1) + "\n";
  if (const char* folder = std::getenv("PORTOLAN_GOLDEN")) {
    std::ofstream(std::string(folder) + "/" + name + ".patched.json") << text;
  }
  EXPECT_EQ(text, ReadTestFile("golden/" + name + ".patched.json"));
}

TEST_P(Golden, EveryFieldThatIsWrittenIsInThePublishedSchema) {
  const Schema schema = Schema::Read();
  const Answered answered = AnswerReview(ReadReviewOf(GetParam()));
  EXPECT_FALSE(answered.patch.empty());
  for (const Json& operation : answered.patch) {
    const std::string path = operation["path"];
    EXPECT_THAT(schema.Faults(operation["value"], schema.TypeAt(path), path), IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Pods, Golden,
                         ::testing::Values("02-deployment", "03-job", "04-statefulset",
                                           "10-init-containers", "11-run-as-non-root", "12-volumes",
                                           "14-dns-settings", "bare", "every-annotation",
                                           "udp-and-moved-ports", "service-env",
                                           "enforce-ingress"));

// The check itself: it knows what is wrong.
TEST(PublishedSchema, UnknownFieldsWrongTypesAndMissingNamesAreFaults) {
  const Schema schema = Schema::Read();
  const auto faults = [&](const Json& container) {
    return schema.Faults(container, "Container", "c");
  };
  EXPECT_THAT(faults({{"name", "a"}, {"image", "b"}}), IsEmpty());
  EXPECT_EQ(faults({{"name", "a"}, {"imag", "b"}}).at(0), "c.imag: no such field");
  EXPECT_EQ(faults({{"name", 1}}).at(0), "c.name is not of the type 'string'");
  EXPECT_EQ(faults({{"image", "b"}}).at(0), "c.name is missing");
  EXPECT_EQ(faults({{"name", "a"}, {"imagePullPolicy", "Often"}}).at(0),
            "c.imagePullPolicy: no such word as \"Often\"");
  EXPECT_EQ(faults({{"name", "a"}, {"args", Json::array({1})}}).at(0),
            "c.args[] is not of the type 'string'");
  EXPECT_EQ(schema.TypeAt("/spec/initContainers/0/env/-"), "EnvVar");
  EXPECT_EQ(schema.TypeAt("/metadata/annotations/a~1b"), "string");
  EXPECT_EQ(schema.TypeAt("/spec/initContainer"), "");
}

}  // namespace
}  // namespace portolan::injector
