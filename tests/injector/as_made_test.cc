// What has our names in a pod whose namespace demands that all is captured.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "injector/names.h"
#include "tests/injector/reviews.h"

namespace portolan::injector {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json InjectedPod() { return AnswerPod(SmallPod(), DemandingCluster()).patched; }

// The detail of the denial; empty, and a failed test, where it is none.
std::string DenialOf(const Json& pod) {
  const Answered answered = AnswerPod(pod, DemandingCluster());
  EXPECT_EQ(Name(answered.reviewed.outcome), "denied-capture") << pod.dump(1);
  EXPECT_EQ(answered.response["allowed"], false);
  EXPECT_THAT(answered.patch, IsEmpty());
  return answered.reviewed.detail;
}

// As it comes back from the API server: with defaults, the service account's token, and what the
// built-in admission AlwaysPullImages and LimitRanger set.
Json Defaulted(Json pod) {
  for (Json& container : pod["spec"]["initContainers"]) {
    container["imagePullPolicy"] = "Always";
    container["terminationMessagePath"] = "/dev/termination-log";
    container["resources"]["limits"]["ephemeral-storage"] = "1Gi";
    container["resources"]["limits"]["cpu"] = "1000m";
    container["resizePolicy"] =
        Json::array({{{"resourceName", "cpu"}, {"restartPolicy", "NotRequired"}}});
    container["volumeMounts"].push_back(
        {{"name", "kube-api-access-x"},
         {"mountPath", "/var/run/secrets/kubernetes.io/serviceaccount"},
         {"readOnly", true}});
    for (Json& variable : container["env"]) {
      if (variable.contains("valueFrom")) variable["valueFrom"]["fieldRef"]["apiVersion"] = "v1";
    }
    if (!container.contains("startupProbe")) continue;
    container["startupProbe"]["successThreshold"] = 1;
    container["startupProbe"]["httpGet"]["scheme"] = "HTTP";
  }
  for (Json& volume : pod["spec"]["volumes"]) {
    if (volume.contains("emptyDir")) volume["emptyDir"]["sizeLimit"] = "67108864";
    for (const char* kind : {"configMap", "projected"}) {
      if (volume.contains(kind)) volume[kind]["defaultMode"] = 420;
    }
  }
  return pod;
}

TEST(AsMade, WhatTheApiServerMadeOfOurOwnPasses) {
  for (const auto& entry : std::filesystem::directory_iterator("injector/recordings")) {
    const std::string name = entry.path().stem();
    SCOPED_TRACE(name);
    Json review = Json::parse(ReadTestFile("recordings/" + name + ".json"));
    const Answered first = AnswerReview(review, DemandingCluster());
    if (first.reviewed.outcome != Outcome::kInjected) continue;
    review["request"]["object"] = Defaulted(first.patched);
    const Answered again = AnswerReview(review, DemandingCluster());
    EXPECT_EQ(Name(again.reviewed.outcome), "already-injected") << again.reviewed.detail;
    EXPECT_THAT(again.patch, IsEmpty());
  }
}

TEST(AsMade, SettingsThatLeaveAllCapturedPass) {
  for (const auto& [setting, value] :
       {std::pair("enforce-ingress", "true"), std::pair("status-port", "16020"),
        std::pair("log-format", "json"), std::pair("dns-capture", "all"),
        std::pair("capture", "all"), std::pair("cpu-limit", "none")}) {
    const Json pod = Defaulted(AnswerPod(PodWith(setting, value), DemandingCluster()).patched);
    const Answered again = AnswerPod(pod, DemandingCluster());
    EXPECT_EQ(Name(again.reviewed.outcome), "already-injected") << again.reviewed.detail;
  }
}

// Another replica of the injector answers, or a webhook between the calls adds a container.
TEST(AsMade, WhatWasKnownAtAnotherMomentPasses) {
  const Json pod = InjectedPod();
  ClusterFacts facts = DemandingCluster();
  std::swap(facts.control_pods[0], facts.control_pods[1]);
  facts.pod_cidrs.push_back(*Cidr::Parse("10.44.0.0/16"));
  facts.service_cidrs.clear();
  facts.dns_endpoints.push_back(*SocketAddress::Parse("10.42.0.3:53"));
  EXPECT_EQ(Name(AnswerPod(pod, facts).reviewed.outcome), "already-injected");
  Json another = pod;
  another["spec"]["containers"].push_back(
      {{"name", "added"}, {"ports", Json::array({{{"containerPort", 9090}}})}});
  EXPECT_EQ(Name(AnswerPod(another, facts).reviewed.outcome), "already-injected");
}

// As portolanctl injects a pod that asks for nothing.
TEST(AsMade, APodThatWasInjectedForLessIsDenied) {
  const Json pod = AnswerPod(SmallPod()).patched;
  EXPECT_EQ(Name(AnswerPod(pod).reviewed.outcome), "already-injected");
  EXPECT_EQ(DenialOf(pod),
            "container portolan-init (args) is not as the injector makes it, and namespace yard "
            "demands portolan.dev/capture: all of its pods");
}

TEST(AsMade, AContainerOfOurNameThatRunsSomethingElseIsDenied) {
  const auto with = [](int index, const char* field, const Json& value) {
    Json pod = InjectedPod();
    pod["spec"]["initContainers"][index][field] = value;
    return pod;
  };
  const Json exec = {{"exec", {{"command", Json::array({"/x"})}}}};
  EXPECT_THAT(DenialOf(with(0, "image", "other:1")), HasSubstr("portolan-init (image)"));
  EXPECT_THAT(DenialOf(with(1, "image", "other:1")), HasSubstr("portolan-proxy (image)"));
  EXPECT_THAT(DenialOf(with(0, "command", Json::array({"/usr/local/bin/portolan-proxy"}))),
              HasSubstr("(command)"));
  EXPECT_THAT(DenialOf(with(0, "args", Json::array({"clean"}))), HasSubstr("(args)"));
  EXPECT_THAT(DenialOf(with(0, "args", nullptr)), HasSubstr("(args)"));
  EXPECT_THAT(DenialOf(with(0, "restartPolicy", "Always")), HasSubstr("(restartPolicy)"));
  EXPECT_THAT(DenialOf(with(1, "restartPolicy", nullptr)), HasSubstr("(restartPolicy)"));
  EXPECT_THAT(DenialOf(with(1, "securityContext", {{"runAsUser", 0}})),
              HasSubstr("(securityContext)"));
  EXPECT_THAT(DenialOf(with(1, "lifecycle", {{"postStart", exec}})), HasSubstr("(lifecycle)"));
  EXPECT_THAT(DenialOf(with(1, "livenessProbe", exec)), HasSubstr("(livenessProbe)"));
  EXPECT_THAT(DenialOf(with(1, "startupProbe", exec)), HasSubstr("(startupProbe)"));
  EXPECT_THAT(DenialOf(with(0, "envFrom", Json::array({{{"prefix", "LD_"}}}))),
              HasSubstr("(envFrom)"));
  EXPECT_THAT(DenialOf(with(0, "terminationMessagePath", "/usr/sbin/ip6tables-nft-restore")),
              HasSubstr("(terminationMessagePath)"));
}

TEST(AsMade, WhatIsAddedToAListOfOursIsDenied) {
  const auto with = [](int index, const char* list, const Json& item) {
    Json pod = InjectedPod();
    pod["spec"]["initContainers"][index][list].push_back(item);
    return pod;
  };
  const Json over = {{"name", "x"}, {"mountPath", "/usr/local/bin"}};
  EXPECT_THAT(DenialOf(with(0, "args", "--exclude-cidr=0.0.0.0/0")), HasSubstr("(args)"));
  EXPECT_THAT(DenialOf(with(1, "args", "--control=192.0.2.1:15012")), HasSubstr("(args)"));
  EXPECT_THAT(DenialOf(with(1, "args", "--control=elsewhere.example:15012")), HasSubstr("(args)"));
  EXPECT_THAT(DenialOf(with(1, "args", "--cluster-dns=192.0.2.1:53")), HasSubstr("(args)"));
  EXPECT_THAT(DenialOf(with(1, "args", 1)), HasSubstr("(args)"));
  EXPECT_THAT(DenialOf(with(0, "env", {{"name", "LD_PRELOAD"}, {"value", "/x/y.so"}})),
              HasSubstr("(env)"));
  EXPECT_THAT(DenialOf(with(0, "volumeMounts", over)), HasSubstr("(volumeMounts)"));
  EXPECT_THAT(DenialOf(with(1, "volumeMounts", over)), HasSubstr("(volumeMounts)"));
}

// Without its token, CAs or state the sidecar never comes to know a policy, or forgets it.
TEST(AsMade, AMountOfOursThatIsAnotherOneIsDenied) {
  const auto with = [](int mount, const char* field, const Json& value) {
    Json pod = InjectedPod();
    pod["spec"]["initContainers"][1]["volumeMounts"][mount][field] = value;
    return pod;
  };
  EXPECT_THAT(DenialOf(with(1, "subPath", "nothing")), HasSubstr("portolan-proxy (volumeMounts)"));
  EXPECT_THAT(DenialOf(with(1, "subPathExpr", "$(X)")), HasSubstr("(volumeMounts)"));
  EXPECT_THAT(DenialOf(with(2, "subPath", "ca.crt")), HasSubstr("(volumeMounts)"));
  EXPECT_THAT(DenialOf(with(0, "readOnly", true)), HasSubstr("(volumeMounts)"));
}

TEST(AsMade, WhatIsAddedToAnObjectOfOursIsDenied) {
  const auto with = [](const char* pointer, const Json& value) {
    Json pod = InjectedPod();
    pod["spec"]["initContainers"][1][Json::json_pointer(pointer)] = value;
    return pod;
  };
  EXPECT_THAT(DenialOf(with("/securityContext/seLinuxOptions/level", "s0:c1,c2")),
              HasSubstr("portolan-proxy (securityContext)"));
  EXPECT_THAT(DenialOf(with("/startupProbe/httpGet/host", "192.0.2.1")),
              HasSubstr("portolan-proxy (startupProbe)"));
  EXPECT_THAT(DenialOf(with("/startupProbe/httpGet/scheme", "HTTPS")), HasSubstr("(startupProbe)"));
}

// By name alone the control plane is where the pod's nameservers and hostAliases say.
TEST(AsMade, ASidecarThatIsToldNoAddressOfTheControlPlaneIsDenied) {
  const auto without = [](Json pod, std::string_view flag) {
    Json& args = pod["spec"]["initContainers"][1]["args"];
    for (size_t i = args.size(); i-- > 0;) {
      if (args[i].get<std::string>().starts_with(flag)) args.erase(i);
    }
    return pod;
  };
  Json own_dns = SmallPod();
  own_dns["spec"]["dnsPolicy"] = "None";
  own_dns["spec"]["dnsConfig"]["nameservers"] = Json::array({"192.0.2.1"});
  for (const Json& asked : {SmallPod(), own_dns}) {
    const Json pod = AnswerPod(asked, DemandingCluster()).patched;
    const Json one = without(pod, "--control=10.42.0.9:");
    EXPECT_EQ(Name(AnswerPod(one, DemandingCluster()).reviewed.outcome), "already-injected");
    EXPECT_THAT(DenialOf(without(pod, "--control=10.42.")), HasSubstr("portolan-proxy (args)"));
  }
  ClusterFacts none_known = DemandingCluster();
  none_known.control_pods.clear();
  const Json pod = AnswerPod(own_dns, none_known).patched;
  EXPECT_EQ(Name(AnswerPod(pod, none_known).reviewed.outcome), "already-injected");
}

// By the Services' ranges the sidecar knows what it may not judge by address.
TEST(AsMade, ASidecarThatIsNotToldTheRangesOfServicesIsDenied) {
  Json pod = InjectedPod();
  Json& args = pod["spec"]["initContainers"][1]["args"];
  args.erase(std::find(args.begin(), args.end(), "--service-cidr=10.43.0.0/16"));
  EXPECT_THAT(DenialOf(pod), HasSubstr("portolan-proxy (args)"));
}

TEST(AsMade, WhatIsMissingFromOursIsDenied) {
  Json mount = InjectedPod(), argument = InjectedPod();
  mount["spec"]["initContainers"][1]["volumeMounts"].erase(1);
  EXPECT_THAT(DenialOf(mount), HasSubstr("portolan-proxy (volumeMounts)"));
  Json& args = argument["spec"]["initContainers"][1]["args"];
  for (size_t i = args.size(); i-- > 0;) {
    if (args[i].get<std::string>().starts_with("--control=")) args.erase(i);
  }
  EXPECT_THAT(DenialOf(argument), HasSubstr("portolan-proxy (args)"));
}

TEST(AsMade, AVolumeOfOurNameWithSomethingElseInItIsDenied) {
  Json ca = InjectedPod(), state = InjectedPod(), token = InjectedPod();
  state["spec"]["volumes"][0] = {{"name", kStateVolume}, {"hostPath", {{"path", "/tmp"}}}};
  token["spec"]["volumes"][1] = {{"name", kTokenVolume}, {"emptyDir", Json::object()}};
  ca["spec"]["volumes"][2]["configMap"]["name"] = "mine";
  EXPECT_THAT(DenialOf(state), HasSubstr("volume portolan-state is not as the injector makes it"));
  EXPECT_THAT(DenialOf(token), HasSubstr("volume portolan-token"));
  EXPECT_THAT(DenialOf(ca), HasSubstr("volume portolan-ca"));
}

TEST(AsMade, WhatIsAddedToAVolumeOfOursIsDenied) {
  const auto with = [](int volume, const char* pointer, const Json& value) {
    Json pod = InjectedPod();
    pod["spec"]["volumes"][volume][Json::json_pointer(pointer)] = value;
    return pod;
  };
  const Json items = Json::array({{{"key", "mine"}, {"path", "ca.crt"}}});
  EXPECT_THAT(DenialOf(with(2, "/configMap/items", items)), HasSubstr("volume portolan-ca"));
  EXPECT_THAT(DenialOf(with(2, "/configMap/optional", true)), HasSubstr("volume portolan-ca"));
  EXPECT_THAT(DenialOf(with(1, "/projected/defaultMode", 0)), HasSubstr("volume portolan-token"));
  EXPECT_THAT(DenialOf(with(0, "/emptyDir/medium", "Memory")), HasSubstr("volume portolan-state"));
}

// The status annotation alone makes a pod one that was injected.
TEST(AsMade, OneOfOursThatIsThereIsLookedAtWhereTheOtherIsMissing) {
  Json pod = SmallPod();
  pod["metadata"]["annotations"][std::string(kStatus)] = "{}";
  pod["spec"]["initContainers"] = Json::array({{{"name", kInit}, {"image", "other:1"}}});
  EXPECT_THAT(DenialOf(pod), HasSubstr("container portolan-init ("));
}

TEST(AsMade, WithoutADemandOursAreWhoeversTheyAre) {
  Json pod = InjectedPod();
  pod["spec"]["initContainers"][1]["image"] = "other:1";
  EXPECT_EQ(Name(AnswerPod(pod).reviewed.outcome), "already-injected");
}

}  // namespace
}  // namespace portolan::injector
