#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>

#include "injector/names.h"
#include "tests/injector/reviews.h"

namespace portolan::injector {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string OutcomeOf(const Json& pod, const std::string& name_space = "yard") {
  return std::string(Name(AnswerReview(ReviewOf(pod, name_space)).reviewed.outcome));
}

std::vector<std::string> WarningsOf(const Answered& answered) {
  return answered.response.value("warnings", std::vector<std::string>());
}

std::string MessageOf(const Answered& answered) {
  EXPECT_EQ(answered.response["allowed"], false);
  EXPECT_EQ(answered.response["status"]["code"], 403);
  EXPECT_THAT(answered.patch, IsEmpty());
  return answered.response["status"].value("message", "");
}

Json PodLabelled(const std::string& name, const std::string& value) {
  Json pod = SmallPod();
  pod["metadata"]["labels"][name] = value;
  return pod;
}

TEST(Decision, APodsLabelWinsOverItsAnnotationAndEitherOverTheNamespace) {
  EXPECT_EQ(OutcomeOf(SmallPod()), "injected");
  EXPECT_EQ(OutcomeOf(PodLabelled("portolan.dev/inject", "true")), "injected");
  EXPECT_EQ(OutcomeOf(PodLabelled("portolan.dev/inject", "false")), "opted-out");
  EXPECT_EQ(OutcomeOf(PodWith("inject", "false")), "opted-out");
  Json both = PodWith("inject", "false");
  both["metadata"]["labels"]["portolan.dev/inject"] = "true";
  EXPECT_EQ(OutcomeOf(both), "injected");
}

TEST(Decision, InjectIsTrueOrFalseAndNothingElse) {
  EXPECT_EQ(MessageOf(AnswerPod(PodWith("inject", "yes"))),
            "portolan: annotation portolan.dev/inject: 'yes' is neither true nor false");
  EXPECT_EQ(MessageOf(AnswerPod(PodLabelled("portolan.dev/inject", ""))),
            "portolan: label portolan.dev/inject: '' is neither true nor false");
}

TEST(Decision, SystemNamespacesAndOurOwnAreLeftAloneWhateverThePodSays) {
  const Json wants = PodLabelled("portolan.dev/inject", "true");
  for (const char* name : {"kube-system", "kube-public", "kube-node-lease"}) {
    EXPECT_EQ(OutcomeOf(wants, name), "kube-namespace");
  }
  EXPECT_EQ(OutcomeOf(wants, "portolan-system"), "own-namespace");
}

// The pod of an older API server does not say its namespace, and one that does may lie.
TEST(Decision, TheRequestsNamespaceCounts) {
  Json pod = SmallPod();
  pod["metadata"]["namespace"] = "yard";
  EXPECT_EQ(OutcomeOf(pod, "kube-system"), "kube-namespace");
}

TEST(Decision, HostNetworkIsSkippedWithAWarning) {
  Json pod = SmallPod();
  pod["spec"]["hostNetwork"] = true;
  const Answered answered = AnswerPod(pod);
  EXPECT_EQ(answered.reviewed.outcome, Outcome::kHostNetwork);
  EXPECT_THAT(WarningsOf(answered), ElementsAre("portolan: skipped: hostNetwork"));
  EXPECT_EQ(answered.response["auditAnnotations"]["outcome"], "host-network");
  pod["spec"]["hostNetwork"] = false;
  EXPECT_EQ(OutcomeOf(pod), "injected");
}

TEST(Decision, WindowsPodsAreSkippedHoweverTheySayIt) {
  Json by_os = SmallPod(), by_selector = SmallPod();
  by_os["spec"]["os"]["name"] = "windows";
  by_selector["spec"]["nodeSelector"]["kubernetes.io/os"] = "windows";
  EXPECT_EQ(OutcomeOf(by_os), "windows");
  EXPECT_EQ(OutcomeOf(by_selector), "windows");
  by_os["spec"]["os"]["name"] = "linux";
  EXPECT_EQ(OutcomeOf(by_os), "injected");
}

TEST(Decision, AnotherMeshsCaptureIsNamed) {
  const auto with_container = [](const char* list, const char* name) {
    Json pod = SmallPod();
    pod["spec"][list].push_back({{"name", name}});
    return pod;
  };
  const auto annotated = [](const char* name, const char* value) {
    Json pod = SmallPod();
    pod["metadata"]["annotations"][name] = value;
    return pod;
  };
  EXPECT_EQ(OutcomeOf(with_container("containers", "istio-proxy")), "istio");
  EXPECT_EQ(OutcomeOf(with_container("initContainers", "istio-validation")), "istio");
  EXPECT_EQ(OutcomeOf(annotated("sidecar.istio.io/status", "{}")), "istio");
  EXPECT_EQ(OutcomeOf(PodLabelled("sidecar.istio.io/inject", "true")), "istio");
  EXPECT_EQ(OutcomeOf(PodLabelled("sidecar.istio.io/inject", "false")), "injected");
  EXPECT_EQ(OutcomeOf(with_container("initContainers", "linkerd-init")), "linkerd");
  EXPECT_EQ(OutcomeOf(annotated("linkerd.io/inject", "enabled")), "linkerd");
  EXPECT_EQ(OutcomeOf(annotated("linkerd.io/inject", "disabled")), "injected");
  EXPECT_EQ(OutcomeOf(PodLabelled("istio.io/dataplane-mode", "ambient")), "ambient");
  EXPECT_EQ(OutcomeOf(PodLabelled("istio.io/dataplane-mode", "none")), "injected");
  EXPECT_THAT(WarningsOf(AnswerPod(with_container("containers", "linkerd-proxy"))),
              ElementsAre("portolan: skipped: container linkerd-proxy"));
}

TEST(Decision, TheMirrorOfAStaticPodIsLeftAlone) {
  Json pod = SmallPod();
  pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "0a1b";
  EXPECT_EQ(OutcomeOf(pod), "mirror-pod");
}

TEST(Decision, WithoutNativeSidecarsNothingIsInjectedAndAWarningSaysSo) {
  ClusterFacts facts = SmallCluster();
  facts.version = KubernetesVersion{1, 28};
  const Answered old = AnswerPod(SmallPod(), facts);
  EXPECT_EQ(old.reviewed.outcome, Outcome::kNoNativeSidecars);
  EXPECT_THAT(WarningsOf(old),
              ElementsAre("portolan: skipped: Kubernetes 1.28 has no native sidecars, 1.29 has"));
  facts.version = KubernetesVersion{1, 29};
  EXPECT_EQ(AnswerPod(SmallPod(), facts).reviewed.outcome, Outcome::kInjected);
  facts.version.reset();
  EXPECT_EQ(AnswerPod(SmallPod(), facts).reviewed.outcome, Outcome::kInjected);
}

TEST(Decision, WhoRunsAsTheSidecarsUserOrGroupIsRefused) {
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    Json pod = SmallPod();
    pod["spec"][list].push_back({{"name", "x"}, {"securityContext", {{"runAsUser", 1337}}}});
    EXPECT_THAT(MessageOf(AnswerPod(pod)), HasSubstr("container x runs as uid 1337")) << list;
  }
  Json group = SmallPod();
  group["spec"]["containers"][0]["securityContext"]["runAsGroup"] = 1337;
  EXPECT_THAT(MessageOf(AnswerPod(group)), HasSubstr("container app runs as gid 1337"));
  EXPECT_EQ(OutcomeOf(group), "denied-uid");
}

TEST(Decision, ThePodsUserIsThatOfContainersThatNameNone) {
  Json pod = SmallPod();
  pod["spec"]["securityContext"]["runAsUser"] = 1337;
  EXPECT_EQ(OutcomeOf(pod), "denied-uid");
  pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = 1000;
  EXPECT_EQ(OutcomeOf(pod), "injected");
}

TEST(Decision, APodThatHasTheSidecarsGroupIsRefused) {
  Json supplemental = SmallPod(), of_files = SmallPod();
  supplemental["spec"]["securityContext"]["supplementalGroups"] = Json::array({1000, 1337});
  of_files["spec"]["securityContext"]["fsGroup"] = 1337;
  EXPECT_EQ(MessageOf(AnswerPod(supplemental)),
            "portolan: the pod has gid 1337 by supplementalGroups, which is the sidecar's: a "
            "container could run as it, and nothing that it sends would be captured; give it "
            "another supplementalGroups");
  EXPECT_THAT(MessageOf(AnswerPod(of_files)), HasSubstr("gid 1337 by fsGroup"));
  EXPECT_EQ(OutcomeOf(supplemental), "denied-uid");
  EXPECT_EQ(OutcomeOf(of_files), "denied-uid");
}

// What is no list of numbers is for the API server to refuse.
TEST(Decision, APodsOtherGroupsAreItsOwn) {
  for (const Json& groups :
       {Json::array({1336, 13370}), Json::array(), Json(nullptr), Json("1337")}) {
    Json pod = SmallPod();
    pod["spec"]["securityContext"] = {{"supplementalGroups", groups}, {"fsGroup", 2000}};
    EXPECT_NE(OutcomeOf(pod), "denied-uid") << groups;
  }
}

TEST(Decision, WhoDeclaresAPortOfOursIsRefusedUnlessAnAnnotationMovesIt) {
  const std::map<int, const char*> movers = {
      {15000, "admin-port"}, {15001, "forward-port"}, {15053, "dns-port"}, {15020, "status-port"}};
  for (const auto& [port, mover] : movers) {
    Json pod = SmallPod();
    pod["spec"]["containers"][0]["ports"] = Json::array({{{"containerPort", port}}});
    EXPECT_THAT(MessageOf(AnswerPod(pod)),
                HasSubstr(fmt::format("container app declares port {}: the sidecar listens there, "
                                      "unless the annotation portolan.dev/{} moves it",
                                      port, mover)));
    pod["metadata"]["annotations"][fmt::format("portolan.dev/{}", mover)] = "16000";
    EXPECT_EQ(OutcomeOf(pod), "injected") << port;
  }
  Json reserved = SmallPod();
  reserved["spec"]["initContainers"] =
      Json::array({{{"name", "i"}, {"ports", Json::array({{{"containerPort", 15006}}})}}});
  EXPECT_THAT(MessageOf(AnswerPod(reserved)), HasSubstr("container i declares port 15006"));
  EXPECT_EQ(OutcomeOf(reserved), "denied-port");
}

TEST(Decision, OurNamesAreNobodyElses) {
  Json container = SmallPod(), init = SmallPod(), volume = SmallPod();
  container["spec"]["containers"][0]["name"] = "portolan-proxy";
  init["spec"]["initContainers"] = Json::array({{{"name", "portolan-init"}}});
  volume["spec"]["volumes"] = Json::array({{{"name", "portolan-ca"}}});
  EXPECT_THAT(MessageOf(AnswerPod(container)), HasSubstr("has the name portolan-proxy"));
  EXPECT_EQ(OutcomeOf(container), "denied-name");
  EXPECT_EQ(OutcomeOf(init), "denied-name");
  EXPECT_EQ(OutcomeOf(volume), "denied-name");
}

TEST(Decision, OurStateAndTokenAreMountedByNobodyElse) {
  for (const char* volume : {"portolan-state", "portolan-token"}) {
    for (const char* list : {"containers", "initContainers"}) {
      Json pod = SmallPod();
      pod["spec"][list] = Json::array(
          {{{"name", "c"},
            {"volumeMounts", Json::array({{{"name", volume}, {"mountPath", "/stolen"}}})}}});
      EXPECT_EQ(OutcomeOf(pod), "denied-name");
      EXPECT_THAT(
          MessageOf(AnswerPod(pod)),
          HasSubstr(fmt::format("container 'c' mounts {}, which is the sidecar's alone", volume)));
    }
  }
}

Json TokenVolume(const char* name, const char* audience) {
  const Json token = {{"serviceAccountToken", {{"audience", audience}, {"path", "token"}}}};
  const Json root = {{"configMap", {{"name", "kube-root-ca.crt"}}}};
  return {{"name", name}, {"projected", {{"sources", Json::array({root, token})}}}};
}

TEST(Decision, ATokenForTheControlPlaneIsMountedByNobodyElseWhateverItsVolumeIsCalled) {
  for (const char* list : {"containers", "initContainers"}) {
    Json pod = SmallPod();
    pod["spec"]["volumes"] = Json::array({TokenVolume("t", "portolan")});
    EXPECT_EQ(OutcomeOf(pod), "injected") << "nobody mounts it";
    pod["spec"][list] = Json::array(
        {{{"name", "c"}, {"volumeMounts", Json::array({{{"name", "t"}, {"mountPath", "/t"}}})}}});
    EXPECT_EQ(OutcomeOf(pod), "denied-name");
    EXPECT_EQ(MessageOf(AnswerPod(pod)),
              "portolan: container 'c' mounts t with a token for the control plane, which is the "
              "sidecar's alone");
    pod["spec"]["volumes"] = Json::array({TokenVolume("t", "vault")});
    EXPECT_EQ(OutcomeOf(pod), "injected") << "a token for somebody else";
  }
}

// What is no projected volume is for the API server to refuse.
TEST(Decision, AVolumeThatIsNoneHoldsNoToken) {
  for (const Json& projected : {Json("x"), Json::array(), Json{{"sources", "x"}},
                                Json{{"sources", {"x", nullptr, {{"serviceAccountToken", 1}}}}}}) {
    Json pod = SmallPod();
    pod["spec"]["volumes"] = Json::array({{{"name", "t"}, {"projected", projected}}});
    pod["spec"]["containers"][0]["volumeMounts"] =
        Json::array({{{"name", "t"}, {"mountPath", "/t"}}});
    EXPECT_EQ(OutcomeOf(pod), "injected") << projected;
  }
}

TEST(Decision, ABadValueIsRefusedByTheNameOfItsAnnotation) {
  EXPECT_EQ(MessageOf(AnswerPod(PodWith("concurrency", "99"))),
            "portolan: annotation portolan.dev/concurrency: '99' is not a number from 1 to 64");
  EXPECT_EQ(MessageOf(AnswerPod(PodWith("capture", "al"))),
            "portolan: annotation portolan.dev/capture: 'al' is not cluster or all, did you mean "
            "'all'?");
  EXPECT_THAT(MessageOf(AnswerPod(PodWith("memory-request", "1Gi"))),
              HasSubstr("memory-request 1Gi is above memory-limit 256Mi"));
  EXPECT_EQ(OutcomeOf(PodWith("image", "a b")), "denied-annotation");
}

TEST(Decision, AnUnknownAnnotationIsAWarningWithTheNearestOne) {
  const Answered answered = AnswerPod(PodWith("log-levle", "debug"));
  EXPECT_EQ(answered.reviewed.outcome, Outcome::kInjected);
  EXPECT_THAT(WarningsOf(answered),
              ElementsAre("portolan: annotation portolan.dev/log-levle: no such setting, did you "
                          "mean 'log-level'?"));
}

// The API server drops those with a line break.
TEST(Decision, WarningsAreOneLineAndBounded) {
  Json pod = SmallPod();
  for (int i = 0; i < 100; ++i) {
    pod["metadata"]["annotations"][fmt::format("portolan.dev/x\n{}{}", i, std::string(300, 'y'))] =
        "";
  }
  const auto warnings = WarningsOf(AnswerPod(pod));
  EXPECT_EQ(warnings.size(), 16u);
  for (const std::string& warning : warnings) {
    EXPECT_LE(warning.size(), 256u);
    EXPECT_EQ(warning.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace portolan::injector
