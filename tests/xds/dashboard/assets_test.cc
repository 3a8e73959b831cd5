#include "xds/dashboard/assets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/common/http/served.h"

namespace portolan::xds {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class AssetsTest : public ::testing::Test {
 protected:
  std::string Get(std::string_view target, std::string_view fields = {}) {
    return http::Fetch(served.address(), "GET", target, fields);
  }

  http::Served served{AddAssets};
};

TEST_F(AssetsTest, ThePageIsServedGzippedAndAskedForEachTime) {
  const std::string answer = Get("/");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/html; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_THAT(answer, HasSubstr("Cache-Control: no-cache\r\n"));
  EXPECT_THAT(http::BodyOf(answer), StartsWith("\x1f\x8b"));
}

TEST_F(AssetsTest, WhatTheBrowserHasIsNotSentAgain) {
  const std::string etag(Assets().front().etag);
  const std::string answer = Get(Assets().front().path, "If-None-Match: " + etag + "\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 304 "));
  EXPECT_THAT(answer, HasSubstr("ETag: " + etag + "\r\n"));
  EXPECT_EQ(http::BodyOf(answer), "");
}

TEST_F(AssetsTest, FilesNamedByTheirContentAreKept) {
  size_t kept = 0;
  for (const Asset& asset : Assets()) {
    EXPECT_EQ(asset.immutable, asset.path.starts_with("/assets/")) << asset.path;
    if (!asset.immutable) continue;
    ++kept;
    EXPECT_THAT(Get(asset.path),
                HasSubstr("Cache-Control: public, max-age=31536000, immutable\r\n"));
  }
  EXPECT_GE(kept, 3u);  // script, style, icon
}

TEST_F(AssetsTest, NothingButOurOwnFilesMayRunOnThePage) {
  for (const Asset& asset : Assets()) {
    const std::string answer = Get(asset.path);
    EXPECT_THAT(answer, HasSubstr("Content-Security-Policy: default-src 'self'; "));
    EXPECT_THAT(answer, HasSubstr("frame-ancestors 'none'"));
    EXPECT_THAT(answer, Not(HasSubstr("unsafe-")));
    EXPECT_THAT(answer, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
    EXPECT_THAT(answer, HasSubstr("Referrer-Policy: no-referrer\r\n"));
    EXPECT_THAT(answer, HasSubstr("Cross-Origin-Opener-Policy: same-origin\r\n"));
  }
}

TEST_F(AssetsTest, AnUnknownFileIsNotFound) {
  EXPECT_THAT(Get("/assets/other.js"), StartsWith("HTTP/1.1 404 "));
}

// All of it together: what a first visit costs.
TEST(Assets, TheDashboardIsSmall) {
  size_t bytes = 0;
  for (const Asset& asset : Assets()) bytes += asset.gzip.size();
  EXPECT_LT(bytes, 60'000u);
}

}  // namespace
}  // namespace portolan::xds
