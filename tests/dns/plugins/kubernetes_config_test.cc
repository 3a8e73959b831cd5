#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dns/plugins/kubernetes.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;
using testing::ElementsAre;
using testing::HasSubstr;

Token Word(std::string text, int line) {
  return {std::move(text), std::make_shared<const std::string>("Corefile"), line, 5};
}

Directive Line(int line, const std::vector<std::string>& words) {
  Directive made{Word(words[0], line), {}, {}};
  for (size_t i = 1; i < words.size(); ++i) made.arguments.push_back(Word(words[i], line));
  return made;
}

Directive Kubernetes(const std::vector<std::vector<std::string>>& lines) {
  Directive made = Line(1, {"kubernetes", "cluster.local", "in-addr.arpa", "ip6.arpa"});
  int line = 1;
  for (const auto& words : lines) made.block.push_back(Line(++line, words));
  return made;
}

std::string ErrorOf(const std::vector<std::vector<std::string>>& lines) {
  return std::string(Message(ParseKubernetes(Kubernetes(lines), {}, nullptr).status()));
}

TEST(KubernetesConfig, TheSeedsBlockIsRead) {
  std::vector<std::string> notes;
  const auto config = ParseKubernetes(
      Kubernetes(
          {{"pods", "insecure"}, {"fallthrough", "in-addr.arpa", "ip6.arpa"}, {"ttl", "30"}}),
      {}, &notes);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->zones.size(), 3u);
  EXPECT_EQ(config->primary->text, "cluster.local.");
  EXPECT_EQ(config->pods, KubernetesConfig::Pods::kInsecure);
  EXPECT_EQ(config->ttl, 30u);
  EXPECT_EQ(config->fallthrough.size(), 2u);
  EXPECT_TRUE(notes.empty());
}

TEST(KubernetesConfig, DefaultsAreCoreDnssAndZonesComeFromTheBlock) {
  const auto config =
      ParseKubernetes(Line(1, {"kubernetes"}), {*wire::Zone::Parse("example.org")}, nullptr);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->zones[0].text, "example.org.");
  EXPECT_EQ(config->ttl, 5u);
  EXPECT_EQ(config->pods, KubernetesConfig::Pods::kDisabled);
  EXPECT_TRUE(config->fallthrough.empty());
}

TEST(KubernetesConfig, FallthroughWithoutZonesMeansAll) {
  const auto config = ParseKubernetes(Kubernetes({{"fallthrough"}}), {}, nullptr);
  EXPECT_EQ(config->fallthrough.size(), 3u);
}

TEST(KubernetesConfig, ErrorsNameThePlace) {
  EXPECT_THAT(ErrorOf({{"ttl", "3601"}}), HasSubstr("Corefile:2:5: '3601' is not a number"));
  EXPECT_THAT(ErrorOf({{"ttl", "5s"}}), HasSubstr("from 0 to 3600"));
  EXPECT_THAT(ErrorOf({{"ttl"}}), HasSubstr("takes one number"));
  EXPECT_THAT(ErrorOf({{"pods", "insecure"}, {"pods", "secure"}}), HasSubstr("Corefile:3:5:"));
  EXPECT_THAT(ErrorOf({{"podz", "insecure"}}),
              HasSubstr("unknown option 'podz' of kubernetes, did you mean 'pods'?"));
  EXPECT_THAT(ErrorOf({{"fallthrough", "a..b"}}), HasSubstr("empty label"));
}

TEST(KubernetesConfig, EveryArgumentOfCoreDnsIsRead) {
  std::vector<std::string> notes;
  const auto config = ParseKubernetes(Kubernetes({{"namespaces", "a", "b"},
                                                  {"labels", "tier", "in", "(front,", "back),app"},
                                                  {"endpoint_pod_names"},
                                                  {"noendpoints"},
                                                  {"zonal"},
                                                  {"multicluster", "cluster.local"},
                                                  {"ignore", "empty_service"},
                                                  {"pods", "verified"}}),
                                      {}, &notes);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->namespaces, ElementsAre("a", "b"));
  EXPECT_TRUE(config->labels->Matches({{"app", "x"}, {"tier", "back"}}));
  EXPECT_EQ(config->naming, EndpointNaming::kPod);
  EXPECT_FALSE(config->endpoints);
  EXPECT_TRUE(config->zonal);
  EXPECT_EQ(config->multicluster.size(), 1u);
  EXPECT_TRUE(config->ignore_empty_service);
  EXPECT_EQ(config->pods, KubernetesConfig::Pods::kVerified);
  EXPECT_TRUE(notes.empty());
}

TEST(KubernetesConfig, WhatAddressesAnApiServerIsNotedByNameAndPlace) {
  std::vector<std::string> notes;
  ASSERT_TRUE(
      ParseKubernetes(Kubernetes({{"kubeconfig", "file"}, {"startup_timeout", "5s"}}), {}, &notes)
          .ok());
  EXPECT_THAT(notes,
              ElementsAre(HasSubstr("Corefile:2:5: kubernetes: 'kubeconfig': not needed here"),
                          HasSubstr("Corefile:3:5: kubernetes: 'startup_timeout': not needed")));
}

TEST(KubernetesConfig, WhatCannotBeMeantIsAnError) {
  EXPECT_THAT(ErrorOf({{"namespaces"}}), HasSubstr("at least one name"));
  EXPECT_THAT(ErrorOf({{"namespaces", "a"}, {"namespace_labels", "b"}}), HasSubstr("not both"));
  EXPECT_THAT(ErrorOf({{"labels"}}), HasSubstr("labels needs a label selector"));
  EXPECT_THAT(ErrorOf({{"zonal", "yes"}}), HasSubstr("'yes': zonal takes no arguments"));
  EXPECT_THAT(ErrorOf({{"multicluster", "other.local"}}),
              HasSubstr("'other.local': multicluster takes zones of the kubernetes directive"));
  EXPECT_THAT(ErrorOf({{"ignore", "empty_services"}}), HasSubstr("did you mean 'empty_service'?"));
  EXPECT_THAT(ErrorOf({{"pods", "verifed"}}), HasSubstr("did you mean 'verified'?"));
  const auto reverse = ParseKubernetes(Line(1, {"kubernetes", "in-addr.arpa"}), {}, nullptr);
  EXPECT_THAT(std::string(Message(reverse.status())), HasSubstr("not a reverse zone"));
}

}  // namespace
}  // namespace portolan::dns
