// Every request that a real API server sent (tests/injector/recordings; made with Kubernetes 1.36,
// managedFields taken out).
#include <gmock/gmock.h>

#include <filesystem>
#include <map>

#include "tests/injector/reviews.h"
#include "tests/injector/schema.h"

namespace portolan::injector {
namespace {

using ::testing::IsEmpty;

const std::map<std::string, Outcome> kExpected = {
    {"01-bare-pod", Outcome::kInjected},
    {"02-deployment", Outcome::kInjected},
    {"03-job", Outcome::kInjected},
    {"04-statefulset", Outcome::kInjected},
    {"05-daemonset", Outcome::kInjected},
    {"06-generate-name", Outcome::kInjected},
    {"07-namespace-in-path-only", Outcome::kInjected},
    {"08-dry-run", Outcome::kInjected},
    {"09-host-network", Outcome::kHostNetwork},
    {"10-init-containers", Outcome::kInjected},
    {"11-run-as-non-root", Outcome::kInjected},
    {"12-volumes", Outcome::kInjected},
    {"13-no-token-mount", Outcome::kInjected},
    {"14-dns-settings", Outcome::kInjected},
    {"15-probes-and-lifecycle", Outcome::kInjected},
    {"16-annotations-unicode", Outcome::kInjected},
    {"19-by-service-account", Outcome::kInjected},
    {"20-server-side-apply", Outcome::kInjected},
    {"22-ephemeral-asked", Outcome::kNotAPod},
    {"24-answer-patch-1", Outcome::kInjected},
    {"24-answer-patch-2", Outcome::kAlreadyInjected},
    {"82-reinvocation-ifneeded", Outcome::kInjected},
    {"87-client-config-service", Outcome::kInjected},
    {"89-protocol-http2", Outcome::kInjected},
};

TEST(Recordings, EachIsAnsweredRightly) {
  size_t files = 0;
  const Schema schema = Schema::Read();
  for (const auto& entry : std::filesystem::directory_iterator("injector/recordings")) {
    const std::string name = entry.path().stem();
    SCOPED_TRACE(name);
    ++files;
    ASSERT_TRUE(kExpected.contains(name));
    const Json review = Json::parse(ReadTestFile("recordings/" + name + ".json"));
    const Answered answered = AnswerReview(review);
    EXPECT_EQ(Name(answered.reviewed.outcome), Name(kExpected.at(name)));
    EXPECT_EQ(answered.response["allowed"], true);
    EXPECT_EQ(answered.patch.empty(), answered.reviewed.outcome != Outcome::kInjected);
    EXPECT_EQ(answered.reviewed.name_space, "yard");
    for (const Json& operation : answered.patch) {
      const std::string path = operation["path"];
      EXPECT_THAT(schema.Faults(operation["value"], schema.TypeAt(path), path), IsEmpty());
    }
  }
  EXPECT_EQ(files, kExpected.size());
}

// The API server mounts the service account's token into what was injected, and asks again.
TEST(Recordings, TheSecondCallChangesNothingWhateverTheServerMounted) {
  for (const auto& [name, outcome] : kExpected) {
    if (outcome != Outcome::kInjected) continue;
    SCOPED_TRACE(name);
    Json review = Json::parse(ReadTestFile("recordings/" + name + ".json"));
    Json pod = AnswerReview(review).patched;
    for (Json& container : pod["spec"]["initContainers"]) {
      container["volumeMounts"].push_back(
          {{"name", "kube-api-access-x"}, {"mountPath", "/var/run"}});
      container["terminationMessagePath"] = "/dev/termination-log";
    }
    review["request"]["object"] = pod;
    const Answered again = AnswerReview(review);
    EXPECT_EQ(Name(again.reviewed.outcome), "already-injected");
    EXPECT_EQ(again.patched, pod);
  }
}

TEST(Recordings, ADryRunIsAnsweredAsTheRealThing) {
  Json review = Json::parse(ReadTestFile("recordings/08-dry-run.json"));
  ASSERT_EQ(review["request"]["dryRun"], true);
  const Json dry = AnswerReview(review).patch;
  review["request"]["dryRun"] = false;
  EXPECT_EQ(AnswerReview(review).patch, dry);
}

TEST(Recordings, APodWithoutANameIsShownByItsGenerateName) {
  const Json review = Json::parse(ReadTestFile("recordings/06-generate-name.json"));
  const std::string generated = review["request"]["object"]["metadata"]["generateName"];
  EXPECT_EQ(AnswerReview(review).reviewed.pod, generated + "*");
}

}  // namespace
}  // namespace portolan::injector
