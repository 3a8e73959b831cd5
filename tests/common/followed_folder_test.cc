#include "common/followed_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

#include "common/status.h"

namespace portolan {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr size_t kMaxBytes = 100;

class FollowedFolderTest : public ::testing::Test {
 protected:
  FollowedFolderTest() {
    std::string pattern = fs::temp_directory_path() / "portolan-folder-XXXXXX";
    root_ = mkdtemp(pattern.data());
    folder_ = root_ / "corefiles";
  }
  ~FollowedFolderTest() override {
    followed_.reset();
    fs::remove_all(root_);
  }

  absl::Status Start() {
    followed_ = std::make_unique<FollowedFolder>(
        loop_, folder_, kMaxBytes,
        [this](const std::string& name, const std::optional<std::string>& content) {
          ++calls_;
          if (content.has_value()) {
            held_[name] = *content;
          } else {
            held_.erase(name);
          }
        });
    return followed_->Start();
  }
  // The next version of the mounted ConfigMap, as a kubelet swaps it in.
  void Mount(const std::map<std::string, std::string>& keys) {
    const fs::path version = folder_ / ("..version" + std::to_string(++versions_));
    fs::create_directories(version);
    for (const auto& [key, text] : keys) {
      std::ofstream(version / key) << text;
      if (!fs::is_symlink(folder_ / key)) fs::create_symlink("..data/" + key, folder_ / key);
    }
    fs::remove(folder_ / "..next");
    fs::create_directory_symlink(version.filename(), folder_ / "..next");
    fs::rename(folder_ / "..next", folder_ / "..data");
  }
  bool Until(const std::function<bool()>& done) {
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (!done() && absl::Now() < end) {
      auto timer = loop_.AddTimer([this] { loop_.Stop(); });
      timer.Start(absl::Milliseconds(2));
      loop_.Run();
    }
    return done();
  }

  EventLoop loop_;
  fs::path root_;
  fs::path folder_;
  std::unique_ptr<FollowedFolder> followed_;
  std::map<std::string, std::string> held_;
  int calls_ = 0;
  int versions_ = 0;
};

TEST_F(FollowedFolderTest, KeysOfAConfigMapAreReadAndFollowed) {
  Mount({{"default", "one"}, {"quiet", "two"}});
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(held_, ElementsAre(Pair("default", "one"), Pair("quiet", "two")));
  Mount({{"default", "one"}, {"quiet", "three"}, {"loud", "four"}});
  ASSERT_TRUE(Until([&] { return held_.contains("loud"); }));
  EXPECT_EQ(held_["quiet"], "three");
  EXPECT_EQ(calls_, 4) << "what stayed the same was given again";
  Mount({{"default", "one"}});
  ASSERT_TRUE(Until([&] { return held_.size() == 1; }));
}

TEST_F(FollowedFolderTest, WhatCannotBeReadKeepsItsLastContentAndHarmsNoOther) {
  Mount({{"a", "one"}, {"b", "two"}});
  ASSERT_TRUE(Start().ok());
  Mount({{"a", std::string(kMaxBytes + 1, 'x')}, {"b", "three"}});
  ASSERT_TRUE(Until([&] { return held_["b"] == "three"; }));
  EXPECT_EQ(held_["a"], "one");
  fs::rename(folder_, root_ / "away");
  Mount({{"b", "four"}});
  ASSERT_TRUE(Until([&] { return held_["b"] == "four"; }));
}

TEST_F(FollowedFolderTest, AtTheStartTheFolderHasToBeThere) {
  const absl::Status status = Start();
  EXPECT_THAT(std::string(Message(status)), HasSubstr("corefiles: no such folder"));
  EXPECT_THAT(held_, IsEmpty());
}

}  // namespace
}  // namespace portolan
