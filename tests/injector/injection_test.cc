#include <gmock/gmock.h>

#include "injector/names.h"
#include "tests/injector/reviews.h"

namespace portolan::injector {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> NamesOf(const Json& list) {
  std::vector<std::string> names;
  for (const Json& item : list) names.push_back(item["name"]);
  return names;
}

Json ProxyOf(const Json& pod) { return pod["spec"]["initContainers"][1]; }
Json InitOf(const Json& pod) { return pod["spec"]["initContainers"][0]; }

TEST(Injection, ThePatchAppliesWhateverIsMissingOrNull) {
  for (const char* field : {"/metadata/annotations", "/spec/initContainers", "/spec/volumes",
                            "/spec/containers/0/env", "/spec/imagePullSecrets", "/metadata"}) {
    Json pod = PodWith("service-env", "backend:80");
    pod[Json::json_pointer(field)] = nullptr;
    Template settings;
    settings.image_pull_secrets = {"pull"};
    const Json patched = AnswerPod(pod, SmallCluster(), settings).patched;
    EXPECT_THAT(NamesOf(patched["spec"]["initContainers"]), ElementsAre(kInit, kProxy)) << field;
    EXPECT_THAT(NamesOf(patched["spec"]["volumes"]),
                ElementsAre(kStateVolume, kTokenVolume, kCaVolume));
    EXPECT_THAT(NamesOf(patched["spec"]["imagePullSecrets"]), ElementsAre("pull"));
    EXPECT_TRUE(patched["metadata"]["annotations"].contains(kStatus));
  }
}

TEST(Injection, OursComeBeforeTheContainersThatAreThere) {
  Json pod = SmallPod();
  pod["spec"]["initContainers"] = Json::array({{{"name", "setup"}}, {{"name", "side"}}});
  pod["spec"]["volumes"] = Json::array({{{"name", "data"}, {"emptyDir", Json::object()}}});
  const Json patched = AnswerPod(pod).patched;
  EXPECT_THAT(NamesOf(patched["spec"]["initContainers"]),
              ElementsAre(kInit, kProxy, "setup", "side"));
  EXPECT_THAT(NamesOf(patched["spec"]["volumes"]),
              ElementsAre("data", kStateVolume, kTokenVolume, kCaVolume));
  EXPECT_EQ(patched["spec"]["containers"], pod["spec"]["containers"]);
}

TEST(Injection, OnlyWhatIsMissingIsPutBack) {
  const Json injected = AnswerPod(SmallPod()).patched;
  Json without_init = injected, without_proxy = injected, without_volume = injected;
  without_init["spec"]["initContainers"].erase(0);
  without_proxy["spec"]["initContainers"].erase(1);
  without_proxy["spec"]["initContainers"].push_back({{"name", "late"}});
  without_volume["spec"]["volumes"].erase(1);
  EXPECT_EQ(AnswerPod(without_init).patched, injected);
  EXPECT_THAT(NamesOf(AnswerPod(without_proxy).patched["spec"]["initContainers"]),
              ElementsAre(kInit, kProxy, "late"));
  const Answered volume = AnswerPod(without_volume);
  ASSERT_EQ(volume.patch.size(), 1u);
  EXPECT_EQ(volume.patch[0]["value"]["name"], kTokenVolume);
}

// A webhook that comes after us puts it in front, and the API server asks us again.
TEST(Injection, AnInitContainerThatRunsBeforeTheRulesAreThereIsAWarning) {
  Json pod = AnswerPod(SmallPod()).patched;
  Json& containers = pod["spec"]["initContainers"];
  containers.insert(containers.begin(), Json({{"name", "early"}}));
  const Answered again = AnswerPod(pod);
  EXPECT_EQ(Name(again.reviewed.outcome), "already-injected");
  EXPECT_EQ(again.response["warnings"],
            Json::array({"portolan: init container early runs before portolan-init: nothing that "
                         "it sends is captured"}));
  std::swap(containers[0], containers[2]);  // portolan-proxy, portolan-init, early
  EXPECT_FALSE(AnswerPod(pod).response.contains("warnings"));
}

TEST(Injection, AnInitContainerThatRunsBeforeTheRulesIsDeniedWhereAllIsDemanded) {
  Json pod = AnswerPod(SmallPod(), DemandingCluster()).patched;
  Json& containers = pod["spec"]["initContainers"];
  containers.insert(containers.begin(), Json({{"name", "early"}}));
  const Answered again = AnswerPod(pod, DemandingCluster());
  EXPECT_EQ(Name(again.reviewed.outcome), "denied-capture");
  EXPECT_EQ(again.reviewed.detail,
            "init container early runs before portolan-init, and namespace yard demands "
            "portolan.dev/capture: all of its pods");
  containers.erase(0);
  containers.push_back({{"name", "late"}});
  EXPECT_EQ(Name(AnswerPod(pod, DemandingCluster()).reviewed.outcome), "already-injected");
}

// portolan-init goes in front of all once more.
TEST(Injection, WhereTheRulesAreStillToBePutInNothingRunsBeforeThem) {
  Json pod = AnswerPod(SmallPod()).patched;
  pod["spec"]["initContainers"][0] = {{"name", "early"}};
  const Answered again = AnswerPod(pod);
  EXPECT_THAT(NamesOf(again.patched["spec"]["initContainers"]),
              ElementsAre(kInit, "early", kProxy));
  EXPECT_FALSE(again.response.contains("warnings"));
}

// As a container of another release, or of another webhook that moved ours.
TEST(Injection, ContainersThatAreThereAreNotTouched) {
  Json pod = AnswerPod(SmallPod()).patched;
  pod["spec"]["initContainers"][1]["image"] = "portolan:another";
  pod["spec"]["initContainers"][1]["volumeMounts"].push_back(
      {{"name", "kube-api-access"}, {"mountPath", "/var/run/secrets/kubernetes.io"}});
  std::swap(pod["spec"]["initContainers"][0], pod["spec"]["initContainers"][1]);
  pod["metadata"]["annotations"].erase(std::string(kStatus));
  const Answered again = AnswerPod(pod);
  EXPECT_EQ(Name(again.reviewed.outcome), "already-injected");
  EXPECT_THAT(again.patch, IsEmpty());
  EXPECT_FALSE(again.response.contains("warnings"));
}

TEST(Injection, TheSidecarHasNoRightsAndTheInitContainerTheFewItNeeds) {
  const Json pod = AnswerPod(SmallPod()).patched;
  const Json proxy = ProxyOf(pod)["securityContext"], init = InitOf(pod)["securityContext"];
  for (const Json& context : {proxy, init}) {
    EXPECT_EQ(context["allowPrivilegeEscalation"], false);
    EXPECT_EQ(context["readOnlyRootFilesystem"], true);
    EXPECT_EQ(context["privileged"], false);
    EXPECT_EQ(context["capabilities"]["drop"], Json::array({"ALL"}));
    EXPECT_EQ(context["seccompProfile"]["type"], "RuntimeDefault");
  }
  EXPECT_EQ(proxy["runAsUser"], 1337);
  EXPECT_EQ(proxy["runAsGroup"], 1337);
  EXPECT_EQ(proxy["runAsNonRoot"], true);
  EXPECT_FALSE(proxy["capabilities"].contains("add"));
  EXPECT_EQ(init["capabilities"]["add"], Json::array({"NET_ADMIN", "NET_RAW"}));
  EXPECT_EQ(init["runAsUser"], 0);
  EXPECT_EQ(init["runAsNonRoot"], false);  // or a kubelet starts no pod that says true
}

TEST(Injection, UdpGivesTheSidecarOneCapabilityAndBothTheSameWord) {
  const Json pod = AnswerPod(PodWith("udp", "tproxy")).patched;
  const Json context = ProxyOf(pod)["securityContext"];
  EXPECT_EQ(context["capabilities"]["add"], Json::array({"NET_RAW"}));
  EXPECT_EQ(context["allowPrivilegeEscalation"], true);
  EXPECT_EQ(context["runAsNonRoot"], true);
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--udp"), "tproxy");
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--udp"), "tproxy");
}

TEST(Injection, WhoHasAllCapturedHasUdpCapturedTooUnlessItSaysOtherwise) {
  const Json pod = AnswerPod(PodWith("capture", "all")).patched;
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--udp"), "tproxy");
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--udp"), "tproxy");
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--captured"), "all");
  Json without = PodWith("capture", "all");
  without["metadata"]["annotations"]["portolan.dev/udp"] = "off";
  EXPECT_EQ(ArgumentOf(InitOf(AnswerPod(without).patched), "--udp"), "off");
}

TEST(Injection, ASidecarIsToldThatItSeesAllOnlyWhereNothingIsLeftOut) {
  EXPECT_EQ(ArgumentOf(ProxyOf(AnswerPod(SmallPod()).patched), "--captured"), "(absent)");
  for (const auto& [setting, value] :
       {std::pair("udp", "off"), std::pair("exclude-cidrs", "192.0.2.0/24"),
        std::pair("exclude-ports", "9000"), std::pair("exclude-uids", "1000")}) {
    Json pod = PodWith("capture", "all");
    pod["metadata"]["annotations"][std::string("portolan.dev/") + setting] = value;
    EXPECT_EQ(ArgumentOf(ProxyOf(AnswerPod(pod).patched), "--captured"), "(absent)") << setting;
  }
}

TEST(Injection, ANamespaceMayDemandThatAllIsCaptured) {
  const ClusterFacts facts = DemandingCluster();
  const Json pod = AnswerPod(SmallPod(), facts).patched;
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--capture"), "all");
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--captured"), "all");
  for (const auto& [setting, value] : {std::pair("capture", "cluster"), std::pair("udp", "off"),
                                       std::pair("exclude-cidrs", "192.0.2.0/24"),
                                       std::pair("image", "other.example/portolan:1")}) {
    const Answered answered = AnswerPod(PodWith(setting, value), facts);
    EXPECT_EQ(answered.reviewed.outcome, Outcome::kDeniedAnnotation) << setting;
    EXPECT_THAT(answered.reviewed.detail, HasSubstr(std::string("portolan.dev/") + setting));
  }
  EXPECT_EQ(AnswerPod(PodWith("capture", "all"), facts).reviewed.outcome, Outcome::kInjected);
}

TEST(Injection, AnImageThatIsCalledLikeAHarmlessValueIsAnImageAllTheSame) {
  for (const char* image : {"all", "tproxy"}) {
    EXPECT_EQ(AnswerPod(PodWith("image", image), DemandingCluster()).reviewed.outcome,
              Outcome::kDeniedAnnotation);
  }
}

TEST(Injection, NoPodLeavesANamespaceThatDemandsThatAllIsCapturedAtItsOwnWord) {
  const ClusterFacts facts = DemandingCluster();
  Json labelled = SmallPod(), istio = SmallPod(), linkerd = SmallPod(), ambient = SmallPod();
  labelled["metadata"]["labels"]["portolan.dev/inject"] = "false";
  istio["metadata"]["labels"]["sidecar.istio.io/inject"] = "true";
  linkerd["spec"]["initContainers"] = Json::array({{{"name", "linkerd-init"}}});
  ambient["metadata"]["labels"]["istio.io/dataplane-mode"] = "ambient";
  for (const Json& pod : {PodWith("inject", "false"), labelled, istio, linkerd, ambient}) {
    const Answered answered = AnswerPod(pod, facts);
    EXPECT_EQ(Name(answered.reviewed.outcome), "denied-capture") << pod;
    EXPECT_EQ(answered.response["allowed"], false);
  }
  EXPECT_EQ(AnswerPod(PodWith("inject", "false"), facts).reviewed.detail,
            "annotation portolan.dev/inject: false keeps the sidecar out, and namespace yard "
            "demands portolan.dev/capture: all of its pods");
}

// Its pods have no sidecar whatever they say.
TEST(Injection, ADemandOfANamespaceThatIsNeverInjectedDeniesNothing) {
  Json review = ReviewOf(PodWith("inject", "false"), "kube-system");
  EXPECT_EQ(AnswerReview(review, DemandingCluster()).reviewed.outcome, Outcome::kKubeNamespace);
}

TEST(Injection, SettingsOfTheFirewallReachTheSidecar) {
  for (const auto& [setting, value] :
       {std::pair("on-no-policy", "closed"), std::pair("denied-names", "nxdomain"),
        std::pair("learned-grace", "5m"), std::pair("end-denied-connections", "true"),
        std::pair("check-server-name", "true")}) {
    const Json pod = AnswerPod(PodWith(setting, value)).patched;
    EXPECT_EQ(ArgumentOf(ProxyOf(pod), std::string("--") + setting), value);
  }
}

TEST(Injection, APodMayHaveIngressPolicyEnforced) {
  const Json usual = AnswerPod(SmallPod()).patched;
  EXPECT_EQ(ArgumentOf(InitOf(usual), "--inbound"), "(absent)");
  EXPECT_EQ(ArgumentOf(ProxyOf(usual), "--inbound"), "(absent)");
  const Json pod = AnswerPod(PodWith("enforce-ingress", "true")).patched;
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--inbound"), "tproxy");
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--exclude-inbound-port"), "15020");
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--inbound"), "tproxy");
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--udp"), "off");
  const Json context = ProxyOf(pod)["securityContext"];
  EXPECT_EQ(context["capabilities"]["add"], Json::array({"NET_RAW"}));
  EXPECT_EQ(context["allowPrivilegeEscalation"], true);
}

TEST(Injection, AWrongValueOfIngressPolicyDeniesThePodAndNamesItself) {
  for (const auto& [setting, value] :
       {std::pair("enforce-ingress", "yes"), std::pair("exclude-inbound-ports", "http"),
        std::pair("status-port", "15006")}) {
    const Answered answered = AnswerPod(PodWith(setting, value));
    EXPECT_EQ(answered.reviewed.outcome, Outcome::kDeniedAnnotation) << setting;
    EXPECT_THAT(answered.reviewed.detail, HasSubstr(value));
  }
}

TEST(Injection, APodMayReportNoNames) {
  EXPECT_EQ(ArgumentOf(ProxyOf(AnswerPod(SmallPod()).patched), "--report-names"), "(absent)");
  const Json discreet = AnswerPod(PodWith("report-names", "false")).patched;
  EXPECT_EQ(ArgumentOf(ProxyOf(discreet), "--report-names"), "false");
}

TEST(Injection, TheSidecarIsNativeAndGatesTheApplicationByItsStartupProbeAlone) {
  const Json proxy = ProxyOf(AnswerPod(SmallPod()).patched);
  EXPECT_EQ(proxy["restartPolicy"], "Always");
  EXPECT_EQ(proxy["startupProbe"]["httpGet"]["path"], "/ready");
  EXPECT_EQ(proxy["startupProbe"]["httpGet"]["port"], 15020);
  EXPECT_FALSE(proxy.contains("readinessProbe"));
  EXPECT_FALSE(proxy.contains("livenessProbe"));
}

TEST(Injection, WhatIsKnownOfTheClusterStandsInTheArguments) {
  const Json pod = AnswerPod(SmallPod()).patched;
  const auto args = ProxyOf(pod)["args"].get<std::vector<std::string>>();
  std::vector<std::string> control;
  for (const std::string& arg : args) {
    if (arg.starts_with("--control=")) control.push_back(arg.substr(10));
  }
  EXPECT_THAT(control, ElementsAre("10.42.0.9:15012", "10.42.1.9:15012",
                                   "portolan-control.portolan-system.svc:15012"));
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--cluster-dns"), "10.42.0.2:53");
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--service-cidr"), "10.43.0.0/16");
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--service-cidr"), "10.43.0.0/16");
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--pod-cidr"), "10.42.0.0/16");
}

TEST(Injection, TheTemplateCountsBeforeWhatIsKnownOfTheCluster) {
  Template settings;
  settings.service_cidrs = {*Cidr::Parse("10.96.0.0/12")};
  settings.cluster_dns = {*SocketAddress::Parse("10.1.1.1:53")};
  settings.defaults.image = "mirror.example/portolan:2";
  const Json pod = AnswerPod(SmallPod(), SmallCluster(), settings).patched;
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--service-cidr"), "10.96.0.0/12");
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--service-cidr"), "10.96.0.0/12");
  EXPECT_EQ(ArgumentOf(InitOf(pod), "--pod-cidr"), "10.42.0.0/16");
  EXPECT_EQ(ArgumentOf(ProxyOf(pod), "--cluster-dns"), "10.1.1.1:53");
  EXPECT_EQ(InitOf(pod)["image"], "mirror.example/portolan:2");
}

TEST(Injection, APodThatAsksOtherNameserversIsNotSentToTheClustersDns) {
  for (const char* policy : {"Default", "None"}) {
    Json pod = SmallPod();
    pod["spec"]["dnsPolicy"] = policy;
    EXPECT_EQ(ArgumentOf(ProxyOf(AnswerPod(pod).patched), "--cluster-dns"), "(absent)");
  }
}

TEST(Injection, AMovedPortIsMovedEverywhere) {
  Json pod = PodWith("status-port", "16020");
  pod["metadata"]["annotations"]["portolan.dev/dns-port"] = "16053";
  const Json patched = AnswerPod(pod).patched;
  const Json proxy = ProxyOf(patched);
  EXPECT_EQ(proxy["startupProbe"]["httpGet"]["port"], 16020);
  EXPECT_EQ(proxy["ports"][0]["containerPort"], 16020);
  EXPECT_EQ(patched["metadata"]["annotations"]["prometheus.io/port"], "16020");
  EXPECT_EQ(ArgumentOf(proxy, "--status-listen"), "0.0.0.0:16020");
  EXPECT_EQ(ArgumentOf(proxy, "--dns-listen"), "127.0.0.1:16053");
  EXPECT_EQ(ArgumentOf(proxy, "--forward-listen"), "(absent)");
  EXPECT_EQ(ArgumentOf(InitOf(patched), "--dns-port"), "16053");
}

TEST(Injection, TheSidecarIsToldTheTcpPortsThatContainersDeclare) {
  Json pod = SmallPod();
  pod["spec"]["containers"][0]["ports"] =
      Json::array({{{"containerPort", 9090}},
                   {{"containerPort", 8080}, {"protocol", "TCP"}},
                   {{"containerPort", 53}, {"protocol", "UDP"}},
                   {{"containerPort", 8080}}});
  EXPECT_EQ(ArgumentOf(ProxyOf(AnswerPod(pod).patched), "--app-ports"), "8080,9090");
  EXPECT_EQ(ArgumentOf(ProxyOf(AnswerPod(SmallPod()).patched), "--app-ports"), "(absent)");
}

TEST(Injection, AnnotationsThatAreThereAreLeftAlone) {
  Json pod = SmallPod();
  pod["metadata"]["annotations"] = {{"prometheus.io/scrape", "false"},
                                    {"kubectl.kubernetes.io/default-container", "other"}};
  const Json annotations = AnswerPod(pod).patched["metadata"]["annotations"];
  EXPECT_EQ(annotations["prometheus.io/scrape"], "false");
  EXPECT_FALSE(annotations.contains("prometheus.io/port"));
  EXPECT_EQ(annotations["kubectl.kubernetes.io/default-container"], "other");
  EXPECT_EQ(annotations["kubectl.kubernetes.io/default-logs-container"], "app");
  const Json status = Json::parse(annotations[std::string(kStatus)].get<std::string>());
  EXPECT_EQ(status["template"], Template().hash);
}

TEST(ServiceEnv, StandsInFrontInEveryContainerButOurs) {
  Json pod = PodWith("service-env", "backend:8080 my-db.data:5432");
  pod["spec"]["initContainers"] = Json::array({{{"name", "setup"}}});
  pod["spec"]["containers"][0]["env"] =
      Json::array({{{"name", "URL"}, {"value", "http://$(BACKEND_SERVICE_HOST)"}}});
  const Json patched = AnswerPod(pod).patched;
  const Json env = patched["spec"]["containers"][0]["env"];
  EXPECT_THAT(NamesOf(env), ElementsAre("BACKEND_SERVICE_HOST", "BACKEND_SERVICE_PORT",
                                        "MY_DB_SERVICE_HOST", "MY_DB_SERVICE_PORT", "URL"));
  EXPECT_EQ(env[0]["value"], "backend.yard.svc.cluster.local");
  EXPECT_EQ(env[1]["value"], "8080");
  EXPECT_EQ(env[2]["value"], "my-db.data.svc.cluster.local");
  EXPECT_EQ(patched["spec"]["initContainers"][2]["env"].size(), 4u);
  EXPECT_EQ(ProxyOf(patched)["env"].size(), 5u);
}

TEST(ServiceEnv, WhatTheContainerSetsItselfIsNotSet) {
  const auto env_of = [](const char* name) {
    Json pod = PodWith("service-env", "backend:8080");
    pod["spec"]["containers"][0]["env"] = Json::array({{{"name", name}, {"value", "mine"}}});
    const Json patched = AnswerPod(pod).patched;
    EXPECT_EQ(AnswerPod(patched).reviewed.outcome, Outcome::kAlreadyInjected);
    return NamesOf(patched["spec"]["containers"][0]["env"]);
  };
  EXPECT_THAT(env_of("BACKEND_SERVICE_HOST"), ElementsAre("BACKEND_SERVICE_HOST"));
  EXPECT_THAT(env_of("BACKEND_SERVICE_PORT"),
              ElementsAre("BACKEND_SERVICE_HOST", "BACKEND_SERVICE_PORT"));
}

TEST(ServiceEnv, ThePortIsTheServicesWhereItIsKnown) {
  ClusterFacts facts = SmallCluster();
  facts.service_port = [](std::string_view name_space, std::string_view name) {
    const bool known = name_space == "yard" && name == "backend";
    return known ? std::optional<uint16_t>(8080) : std::nullopt;
  };
  const Answered answered = AnswerPod(PodWith("service-env", "backend"), facts);
  EXPECT_EQ(answered.patched["spec"]["containers"][0]["env"][1]["value"], "8080");
}

// The kubelet's service links set it for Services of the pod's own namespace.
TEST(ServiceEnv, APortThatNobodyWillSetIsAWarning) {
  EXPECT_FALSE(AnswerPod(PodWith("service-env", "backend")).response.contains("warnings"));
  Json without_links = PodWith("service-env", "backend");
  without_links["spec"]["enableServiceLinks"] = false;
  EXPECT_THAT(AnswerPod(without_links).response["warnings"][0].get<std::string>(),
              HasSubstr("BACKEND_SERVICE_PORT is not set"));
  EXPECT_THAT(
      AnswerPod(PodWith("service-env", "db.data")).response["warnings"][0].get<std::string>(),
      HasSubstr("DB_SERVICE_PORT is not set"));
}

}  // namespace
}  // namespace portolan::injector
