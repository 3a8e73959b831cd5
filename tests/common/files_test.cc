#include "common/files.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/status.h"
#include "tests/common/write_file.h"

namespace portolan {
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  const std::string folder_ = testing::TempDir() + "/portolan_files_test";
};

TEST_F(Files, WhatIsWrittenIsRead) {
  const std::string path = folder_ + "/state";
  ASSERT_TRUE(WriteFile(path, "first").ok());
  ASSERT_TRUE(WriteFile(path, std::string(100000, 'x')).ok());
  EXPECT_EQ(ReadFile(path, 100000)->size(), 100000u);
}

TEST_F(Files, AFileOverTheBoundIsAnErrorThatNamesIt) {
  const std::string path = folder_ + "/big";
  ASSERT_TRUE(WriteFile(path, "12345").ok());
  const auto content = ReadFile(path, 4);
  EXPECT_NE(Message(content.status()).find(path), std::string_view::npos);
}

TEST_F(Files, AFailedWriteLeavesTheOldContent) {
  const std::string path = folder_ + "/taken";
  ASSERT_TRUE(WriteFile(path, "old").ok());
  std::filesystem::create_directory(path + ".next");  // open for writing fails
  EXPECT_FALSE(WriteFile(path, "new").ok());
  EXPECT_EQ(*ReadFile(path, 10), "old");
}

TEST_F(Files, AFileInPiecesTakesThePlaceOfTheOldOneAsAWhole) {
  const std::string path = folder_ + "/pieces";
  ASSERT_TRUE(WriteFile(path, "old").ok());
  ReplacingFile file(path);
  EXPECT_TRUE(file.Append("????, "));
  EXPECT_TRUE(file.Append("world"));
  EXPECT_TRUE(file.Overwrite("hell"));
  EXPECT_EQ(*ReadFile(path, 100), "old");
  ASSERT_TRUE(file.Commit().ok());
  EXPECT_EQ(*ReadFile(path, 100), "hell, world");
}

TEST_F(Files, AFileThatIsNotFinishedLeavesNothing) {
  const std::string path = folder_ + "/unfinished";
  ASSERT_TRUE(WriteFile(path, "old").ok());
  EXPECT_TRUE(ReplacingFile(path).Append("half"));
  EXPECT_EQ(*ReadFile(path, 100), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".next"));
}

}  // namespace
}  // namespace portolan
