#include "xds/workload.h"

#include <gtest/gtest.h>

namespace portolan::xds {
namespace {

std::string Of(std::string name, LabelMap labels) {
  Pod pod;
  pod.name = {"default", std::move(name)};
  pod.labels = std::move(labels);
  return WorkloadOf(pod);
}

TEST(Workload, IsTheDeploymentOfAPodWithATemplateHash) {
  EXPECT_EQ(Of("backend-5d4f8c7b9-x2x9z", {{"app", "b"}, {"pod-template-hash", "5d4f8c7b9"}}),
            "backend");
  EXPECT_EQ(Of("back-end-v2-5d4f8c7b9-x2x9z", {{"pod-template-hash", "5d4f8c7b9"}}), "back-end-v2");
}

TEST(Workload, IsFoundWhereALongNameLeftNoRoomForAllOfTheHash) {
  EXPECT_EQ(Of("a-deployment-with-a-name-of-nearly-all-bytes-th-5d4f8cx2x9z",
               {{"pod-template-hash", "5d4f8c7b9"}}),
            "a-deployment-with-a-name-of-nearly-all-bytes-th");
}

TEST(Workload, IsTheStatefulSetOfANumberedPod) {
  EXPECT_EQ(Of("db-12", {{"controller-revision-hash", "db-7c9"},
                         {"statefulset.kubernetes.io/pod-name", "db-12"}}),
            "db");
  EXPECT_EQ(Of("my-db-0", {{"apps.kubernetes.io/pod-index", "0"}}), "my-db");
}

TEST(Workload, IsTheJobOrTheCronJobThatMadeIt) {
  EXPECT_EQ(Of("import-x2x9z", {{"batch.kubernetes.io/job-name", "import"}}), "import");
  EXPECT_EQ(Of("backup-29012345-x2x9z", {{"batch.kubernetes.io/job-name", "backup-29012345"}}),
            "backup");
  EXPECT_EQ(Of("import-17-x2x9z", {{"batch.kubernetes.io/job-name", "import-17"}}), "import-17");
}

TEST(Workload, IsTheDaemonSetOfAPodWithARevisionAlone) {
  EXPECT_EQ(Of("node-agent-x2x9z", {{"controller-revision-hash", "6b8d"}}), "node-agent");
}

TEST(Workload, IsThePodItselfWhereNothingTellsOfMore) {
  EXPECT_EQ(Of("shell", {}), "shell");
  EXPECT_EQ(Of("one-two-3", {{"app", "x"}}), "one-two-3");
  EXPECT_EQ(Of("x", {{"pod-template-hash", "abc"}}), "x");
  EXPECT_EQ(Of("", {{"controller-revision-hash", "abc"}}), "");
}

}  // namespace
}  // namespace portolan::xds
