// Reviews for tests: read from files or made, answered, and their patches applied as an API server
// does.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/escaping.h"
#include "common/ip.h"
#include "injector/injector.h"
#include "injector/pod.h"

namespace portolan::injector {

// From tests/injector; empty, and a failed test, where there is none.
inline std::string ReadTestFile(const std::string& name) {
  std::ifstream in("injector/" + name);
  EXPECT_TRUE(in) << "injector/" << name << ": run in tests/";
  return {std::istreambuf_iterator<char>(in), {}};
}

inline ClusterFacts SmallCluster() {
  ClusterFacts facts;
  facts.version = KubernetesVersion{1, 36};
  facts.service_cidrs = {*Cidr::Parse("10.43.0.0/16"), *Cidr::Parse("fd00:10:43::/112")};
  facts.pod_cidrs = {*Cidr::Parse("10.42.0.0/16")};
  facts.control_pods = {*SocketAddress::Parse("10.42.0.9:15012"),
                        *SocketAddress::Parse("10.42.1.9:15012")};
  facts.dns_endpoints = {*SocketAddress::Parse("10.42.0.2:53")};
  facts.image = "registry.example/portolan:0.1.0";
  return facts;
}

// Each of its namespaces demands that all is captured.
inline ClusterFacts DemandingCluster() {
  ClusterFacts facts = SmallCluster();
  facts.demands_all = [](std::string_view) { return true; };
  return facts;
}

inline Json ReviewOf(Json pod, const std::string& name_space = "yard") {
  return {{"kind", "AdmissionReview"},
          {"apiVersion", "admission.k8s.io/v1"},
          {"request",
           {{"uid", "4f1c"},
            {"kind", {{"group", ""}, {"version", "v1"}, {"kind", "Pod"}}},
            {"resource", {{"group", ""}, {"version", "v1"}, {"resource", "pods"}}},
            {"namespace", name_space},
            {"operation", "CREATE"},
            {"object", std::move(pod)},
            {"oldObject", nullptr},
            {"dryRun", false}}}};
}

inline Json SmallPod() {
  return {{"metadata", {{"name", "app-1"}}},
          {"spec", {{"containers", Json::array({{{"name", "app"}, {"image", "app:1"}}})}}}};
}

// A pod with an annotation of ours.
inline Json PodWith(const std::string& setting, const std::string& value) {
  Json pod = SmallPod();
  pod["metadata"]["annotations"]["portolan.dev/" + setting] = value;
  return pod;
}

struct Answered {
  Reviewed reviewed;
  Json response;  // of the answer
  Json patch;     // [] where there is none
  Json patched;   // the pod with it
};

inline Answered AnswerReview(const Json& review, const ClusterFacts& facts = SmallCluster(),
                             const Template& settings = {}) {
  Answered answered;
  answered.reviewed = Review(review.dump(), settings, facts, "portolan-system");
  const Json body = Json::parse(answered.reviewed.body, nullptr, false);
  EXPECT_FALSE(body.is_discarded()) << answered.reviewed.body;
  if (body.is_discarded()) return answered;
  EXPECT_EQ(body["apiVersion"], "admission.k8s.io/v1");
  EXPECT_EQ(body["kind"], "AdmissionReview");
  answered.response = body["response"];
  EXPECT_EQ(answered.response["uid"], review["request"]["uid"]);
  answered.patch = Json::array();
  EXPECT_EQ(answered.response.contains("patch"), answered.response.contains("patchType"));
  if (answered.response.contains("patch")) {
    std::string patch;
    EXPECT_TRUE(absl::Base64Unescape(answered.response["patch"].get<std::string>(), &patch));
    answered.patch = Json::parse(patch);
    EXPECT_EQ(answered.response["patchType"], "JSONPatch");
  }
  answered.patched = review["request"]["object"].patch(answered.patch);
  return answered;
}

inline Answered AnswerPod(Json pod, const ClusterFacts& facts = SmallCluster(),
                          const Template& settings = {}) {
  return AnswerReview(ReviewOf(std::move(pod)), facts, settings);
}

// The argument that begins with "FLAG=", without that; "(absent)".
inline std::string ArgumentOf(const Json& container, const std::string& flag) {
  for (const auto& argument : container["args"]) {
    const std::string text = argument.get<std::string>();
    if (text.starts_with(flag + "=")) return text.substr(flag.size() + 1);
  }
  return "(absent)";
}

}  // namespace portolan::injector
