#include "injector/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"

namespace portolan::injector {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string ErrorOf(const std::string& text) {
  const auto read = ParseTemplate(text);
  return read.ok() ? "" : std::string(Message(read.status()));
}

TEST(Template, AnEmptyFileIsTheDefaults) {
  const auto read = ParseTemplate("");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->defaults.image, "");
  EXPECT_EQ(read->defaults.status_port, 15020);
  EXPECT_THAT(read->control, ElementsAre("portolan-control.portolan-system.svc:15012"));
  EXPECT_THAT(read->service_cidrs, IsEmpty());
  EXPECT_EQ(read->hash, Template().hash);
}

TEST(Template, AListMayBeYamlOrHaveCommas) {
  const auto read = ParseTemplate(
      "service-cidrs: [10.43.0.0/16, 'fd00::/112']\n"
      "pod-cidrs: 10.42.0.0/16, 10.44.0.0/16\n"
      "exclude-ports:\n- 22\n- 9000\n"
      "cluster-dns: ['10.42.0.2:53', '[fd00::2]:53']\n");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->service_cidrs.size(), 2u);
  EXPECT_EQ(read->pod_cidrs.size(), 2u);
  EXPECT_THAT(read->defaults.exclude_ports, ElementsAre(22, 9000));
  EXPECT_EQ(read->cluster_dns[1].ToString(), "[fd00::2]:53");
}

TEST(Template, DefaultsOfAnnotationsAreReadAsAnnotationsAre) {
  const auto read = ParseTemplate(
      "image: registry.example/portolan:1@sha256:0a\nconcurrency: 4\ncpu-limit: none\nudp: "
      "tproxy\n");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->defaults.image, "registry.example/portolan:1@sha256:0a");
  EXPECT_EQ(read->defaults.concurrency, 4);
  EXPECT_EQ(read->defaults.resources.cpu_limit, "");
  EXPECT_EQ(read->defaults.udp, "tproxy");
}

TEST(Template, ErrorsNameLineKeyAndTheNearestWord) {
  EXPECT_EQ(ErrorOf("image: a\nlog-leve: info\n"),
            "2: log-leve: no such setting, did you mean 'log-level'?");
  EXPECT_EQ(ErrorOf("image: a\n\nlog-level: inf\n"),
            "3: log-level: 'inf' is not debug or info or warn or error, did you mean 'info'?");
  EXPECT_EQ(ErrorOf("pod-cidrs: [10.0.0.0/8, 10.0.0.0/99]\n"),
            "1: pod-cidrs: '10.0.0.0/99' is no address and no CIDR");
  EXPECT_EQ(ErrorOf("scrape: {a: b}\n"), "1: scrape: is not a string");
  EXPECT_EQ(ErrorOf("- image\n"), "1: is not a map");
  EXPECT_EQ(ErrorOf("image: a\n---\nimage: b\n"), "3: more than one document");
  EXPECT_THAT(ErrorOf("image: [\n"), HasSubstr("2: "));
}

TEST(Template, WhatNoPodCouldStartWithIsRefused) {
  EXPECT_EQ(ErrorOf("cpu-request: 3\n"), "1: cpu-request 3 is above cpu-limit 2");
  EXPECT_EQ(ErrorOf("memory-limit: 16Mi\n"), "1: memory-request 32Mi is above memory-limit 16Mi");
  EXPECT_EQ(ErrorOf("dns-port: 15001\n"),
            "1: two of admin-port, forward-port, dns-port and status-port are 15001");
  EXPECT_THAT(ErrorOf("service-cidrs: 0.0.0.0/0\n"), HasSubstr("every address"));
}

TEST(Template, TheHashIsThatOfTheText) {
  const auto one = ParseTemplate("concurrency: 1\n"), two = ParseTemplate("concurrency: 2\n");
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->hash.size(), 16u);
  EXPECT_NE(one->hash, two->hash);
}

}  // namespace
}  // namespace portolan::injector
