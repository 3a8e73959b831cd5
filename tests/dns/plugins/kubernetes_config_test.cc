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
  EXPECT_THAT(ErrorOf({{"ttl", "3601"}}), HasSubstr("Corefile:2:5: ttl '3601'"));
  EXPECT_THAT(ErrorOf({{"ttl", "5s"}}), HasSubstr("from 0 to 3600"));
  EXPECT_THAT(ErrorOf({{"ttl"}}), HasSubstr("takes one number"));
  EXPECT_THAT(ErrorOf({{"pods", "insecure"}, {"pods", "secure"}}), HasSubstr("Corefile:3:5:"));
  EXPECT_THAT(ErrorOf({{"podz", "insecure"}}), HasSubstr("does not know 'podz'"));
  EXPECT_THAT(ErrorOf({{"fallthrough", "a..b"}}), HasSubstr("empty label"));
}

TEST(KubernetesConfig, WhatIsAcceptedWithoutEffectIsNotedByNameAndPlace) {
  std::vector<std::string> notes;
  ASSERT_TRUE(ParseKubernetes(Kubernetes({{"kubeconfig", "file"}, {"zonal"}}), {}, &notes).ok());
  EXPECT_THAT(notes, ElementsAre(HasSubstr("Corefile:2:5: kubernetes: 'kubeconfig' is not needed"),
                                 HasSubstr("Corefile:3:5: kubernetes: 'zonal' is not yet active")));
}

}  // namespace
}  // namespace portolan::dns
