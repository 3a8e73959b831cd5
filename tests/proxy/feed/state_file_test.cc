#include "proxy/feed/state_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "common/files.h"
#include "tests/common/write_file.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::proxy {
namespace {

std::vector<std::string> FilesIn(const std::string& dir) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    names.push_back(entry.path().filename());
  }
  return names;
}

StateImage EmptyImage() { return {Replica().image(), {}, std::nullopt, absl::Now(), "1.0"}; }

StateWriter::Image TakeEmpty() {
  return [](const std::string& path) { return WriteState(EmptyImage(), path); };
}

struct Counted {
  Counter written, failed;
  operator StateWriter::Counters() { return {written, failed}; }
};

TEST(StateFile, AMissingFileIsNoEvent) {
  TempDir dir;
  EXPECT_TRUE(absl::IsNotFound(LoadState(dir.path() + "/directory.state", "1.0").status()));
  EXPECT_TRUE(FilesIn(dir.path()).empty());
}

TEST(StateFile, ADamagedFileIsRenamedForInspection) {
  TempDir dir;
  const std::string path = dir.path() + "/directory.state";
  ASSERT_TRUE(WriteFile(path, "not ours").ok());
  EXPECT_FALSE(LoadState(path, "1.0").ok());
  EXPECT_THAT(FilesIn(dir.path()),
              testing::ElementsAre(testing::StartsWith("directory.state.bad-")));
}

TEST(StateFile, FilesSetAsideAreBoundedAndTheNewestKept) {
  TempDir dir;
  const std::string path = dir.path() + "/directory.state";
  for (const char* time : {"20200101T000000Z", "20200102T000000Z", "20200103T000000Z"}) {
    ASSERT_TRUE(WriteFile(path + ".bad-" + time, "old").ok());
  }
  ASSERT_TRUE(WriteFile(dir.path() + "/other.bad-1", "not ours").ok());
  ASSERT_TRUE(WriteFile(path, "not ours").ok());
  EXPECT_FALSE(LoadState(path, "1.0").ok());
  EXPECT_THAT(FilesIn(dir.path()),
              testing::UnorderedElementsAre("other.bad-1", "directory.state.bad-20200102T000000Z",
                                            "directory.state.bad-20200103T000000Z",
                                            testing::StartsWith("directory.state.bad-202")));
  EXPECT_FALSE(std::filesystem::exists(path + ".bad-20200101T000000Z"));
}

TEST(StateFile, ManyChangesAreOneWrite) {
  TempDir dir;
  EventLoop loop;
  Counted counted;
  StateWriter writer(loop, dir.path() + "/sub/directory.state", absl::Milliseconds(20), TakeEmpty,
                     counted);
  for (int i = 0; i < 100; ++i) writer.Changed();
  auto timer = loop.AddTimer([&] { loop.Stop(); });
  timer.Start(absl::Milliseconds(300));
  loop.Run();
  EXPECT_EQ(counted.written.value(), 1u);
  writer.Changed();
  writer.Stop();
  EXPECT_EQ(counted.written.value(), 2u) << "Stop writes what changed since";
  EXPECT_TRUE(LoadState(dir.path() + "/sub/directory.state", "1.0").ok());
}

TEST(StateFile, AFailedWriteIsCountedAndHoldsNobodyUp) {
  TempDir dir;
  const std::string in_the_way = dir.path() + "/file";
  ASSERT_TRUE(WriteFile(in_the_way, "x").ok());
  EventLoop loop;
  Counted counted;
  StateWriter writer(loop, in_the_way + "/directory.state", absl::Milliseconds(5), TakeEmpty,
                     counted);
  writer.Changed();
  auto timer = loop.AddTimer([&] { loop.Stop(); });
  timer.Start(absl::Milliseconds(200));
  loop.Run();
  EXPECT_EQ(counted.failed.value(), 1u) << "not tried again at once";
  writer.Stop();
  EXPECT_EQ(counted.written.value(), 0u);
}

TEST(StateFile, AFullDiskKeepsTheOldFile) {
  // /dev/full takes the open and refuses the data.
  TempDir dir;
  const std::string path = dir.path() + "/directory.state";
  ASSERT_TRUE(WriteState(EmptyImage(), path).ok());
  ASSERT_EQ(symlink("/dev/full", (path + ".next").c_str()), 0);
  EventLoop loop;
  Counted counted;
  StateWriter writer(loop, path, absl::Milliseconds(5), TakeEmpty, counted);
  writer.Changed();
  writer.Stop();
  EXPECT_EQ(counted.failed.value(), 1u);
  EXPECT_TRUE(LoadState(path, "1.0").ok());
}

}  // namespace
}  // namespace portolan::proxy
