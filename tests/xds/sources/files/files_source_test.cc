#include "xds/sources/files/files_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/status.h"

namespace portolan::xds {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string ServiceYaml(const std::string& name, int port = 80) {
  return fmt::format(
      "apiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\n"
      "spec: {{clusterIP: None, ports: [{{port: {}}}]}}\n---\n",
      name, port);
}

class FilesSourceTest : public ::testing::Test {
 protected:
  FilesSourceTest() {
    std::string pattern = fs::temp_directory_path() / "portolan-files-XXXXXX";
    root_ = mkdtemp(pattern.data());
    folder_ = root_ / "manifests";
    fs::create_directory(folder_);
  }
  ~FilesSourceTest() override {
    source_.reset();
    fs::remove_all(root_);
  }

  void Start(FilesSource::Options options = {}) {
    options.folder = folder_;
    source_ = std::make_unique<FilesSource>(loop_, options, directory_, [this](absl::Time) {
      ++changes_;
      directory_.Commit();
    });
    const absl::Status started = source_->Start();
    ASSERT_TRUE(started.ok()) << started;
  }

  // As an editor or `kubectl get -o yaml > file` does.
  void WriteInPlace(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::trunc) << text;
  }
  void MoveIn(const std::string& name, const std::string& text) {
    std::ofstream(root_ / "next", std::ios::trunc) << text;
    fs::rename(root_ / "next", folder_ / name);
  }

  void RunFor(absl::Duration duration) {
    auto timer = loop_.AddTimer([this] { loop_.Stop(); });
    timer.Start(duration);
    loop_.Run();
  }
  // Runs the loop until `done`, at most five seconds.
  bool Until(const std::function<bool()>& done) {
    const absl::Time end = absl::Now() + absl::Seconds(5);
    while (!done()) {
      if (absl::Now() > end) return false;
      RunFor(absl::Milliseconds(2));
    }
    return true;
  }

  const Service* Find(const std::string& name) {
    return directory_.snapshot()->FindService("default/" + name);
  }
  int PortOf(const std::string& name) {
    const Service* service = Find(name);
    return service == nullptr ? -1 : service->ports[0].port;
  }

  fs::path root_;
  fs::path folder_;
  EventLoop loop_;
  Directory directory_;
  int changes_ = 0;
  std::unique_ptr<FilesSource> source_;
};

TEST_F(FilesSourceTest, StartReadsTheWholeFolderBeforeItReturns) {
  WriteInPlace("a.yaml", ServiceYaml("a"));
  WriteInPlace("b.yml", ServiceYaml("b") + ServiceYaml("c"));
  WriteInPlace("notes.txt", "no manifest");
  Start();
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(directory_.snapshot()->service_count(), 3u);
}

TEST_F(FilesSourceTest, FolderThatIsNotThereIsAnErrorAtStart) {
  fs::remove(folder_);
  FilesSource source(loop_, {.folder = folder_}, directory_, [](absl::Time) {});
  EXPECT_THAT(std::string(Message(source.Start())), HasSubstr("No such file"));
}

TEST_F(FilesSourceTest, FilesThatAppearChangeAndVanishAreFollowed) {
  Start();
  MoveIn("a.yaml", ServiceYaml("a", 1));
  EXPECT_TRUE(Until([&] { return PortOf("a") == 1; }));
  WriteInPlace("a.yaml", ServiceYaml("a", 2) + ServiceYaml("b"));
  EXPECT_TRUE(Until([&] { return PortOf("a") == 2 && Find("b") != nullptr; }));
  MoveIn("a.yaml", ServiceYaml("a", 2));
  EXPECT_TRUE(Until([&] { return Find("b") == nullptr; }));
  EXPECT_EQ(PortOf("a"), 2);
  fs::rename(folder_ / "a.yaml", folder_ / "z.yaml");
  RunFor(absl::Milliseconds(50));
  EXPECT_EQ(PortOf("a"), 2);
  fs::remove(folder_ / "z.yaml");
  EXPECT_TRUE(Until([&] { return Find("a") == nullptr; }));
}

TEST_F(FilesSourceTest, AFileIsNotReadWhileItIsBeingWritten) {
  WriteInPlace("a.yaml", ServiceYaml("a") + ServiceYaml("b"));
  Start();
  std::ofstream out(folder_ / "a.yaml", std::ios::trunc);
  out << ServiceYaml("a") << std::flush;
  MoveIn("other.yaml", ServiceYaml("other"));
  EXPECT_TRUE(Until([&] { return Find("other") != nullptr; }));
  EXPECT_NE(Find("b"), nullptr);
  out << ServiceYaml("b", 99);
  out.close();
  EXPECT_TRUE(Until([&] { return PortOf("b") == 99; }));
}

TEST_F(FilesSourceTest, AFileThatTurnsInvalidKeepsItsLastGoodState) {
  WriteInPlace("a.yaml", ServiceYaml("a", 1) + ServiceYaml("b"));
  Start();
  MoveIn("a.yaml", ServiceYaml("a", 2) + ServiceYaml("b", 70000));
  EXPECT_TRUE(Until([&] { return !source_->errors().empty(); }));
  EXPECT_THAT(source_->errors(),
              ElementsAre("a.yaml:9: Service default/b: spec.ports[0].port: 70000 is not a port"));
  EXPECT_EQ(PortOf("a"), 1);
  EXPECT_NE(Find("b"), nullptr);
  MoveIn("a.yaml", ServiceYaml("a", 3));
  EXPECT_TRUE(Until([&] { return PortOf("a") == 3 && Find("b") == nullptr; }));
  EXPECT_THAT(source_->errors(), IsEmpty());
}

TEST_F(FilesSourceTest, AFileInvalidFromTheStartLeavesTheOthersInForce) {
  WriteInPlace("a.yaml", "{");
  WriteInPlace("b.yaml", ServiceYaml("b"));
  Start();
  EXPECT_NE(Find("b"), nullptr);
  EXPECT_THAT(source_->errors(), ElementsAre(HasSubstr("a.yaml:")));
}

TEST_F(FilesSourceTest, AnObjectInTwoFilesIsTakenFromTheFirstByName) {
  WriteInPlace("b.yaml", ServiceYaml("x", 2));
  WriteInPlace("c.yaml", ServiceYaml("x", 3));
  Start();
  EXPECT_EQ(PortOf("x"), 2);
  MoveIn("a.yaml", ServiceYaml("x", 1));
  EXPECT_TRUE(Until([&] { return PortOf("x") == 1; }));
  fs::remove(folder_ / "a.yaml");
  EXPECT_TRUE(Until([&] { return PortOf("x") == 2; }));
  fs::remove(folder_ / "b.yaml");
  EXPECT_TRUE(Until([&] { return PortOf("x") == 3; }));
}

TEST_F(FilesSourceTest, ANamespaceExistsWhenDeclaredOrLivedIn) {
  WriteInPlace("a.yaml", ServiceYaml("a"));
  WriteInPlace("b.yaml", ServiceYaml("b"));
  Start();
  ASSERT_NE(directory_.snapshot()->FindNamespace("default"), nullptr);
  MoveIn("z.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {a: b}}\n");
  EXPECT_TRUE(
      Until([&] { return !directory_.snapshot()->FindNamespace("default")->labels.empty(); }));
  fs::remove(folder_ / "z.yaml");
  EXPECT_TRUE(
      Until([&] { return directory_.snapshot()->FindNamespace("default")->labels.empty(); }));
  fs::remove(folder_ / "a.yaml");
  EXPECT_TRUE(Until([&] { return Find("a") == nullptr; }));
  EXPECT_NE(directory_.snapshot()->FindNamespace("default"), nullptr);
  fs::remove(folder_ / "b.yaml");
  EXPECT_TRUE(Until([&] { return directory_.snapshot()->FindNamespace("default") == nullptr; }));
}

TEST_F(FilesSourceTest, AConfigMapsLinkSwapIsFollowed) {
  fs::create_directory(folder_ / "..v1");
  std::ofstream(folder_ / "..v1" / "a.yaml") << ServiceYaml("a", 1);
  fs::create_directory_symlink("..v1", folder_ / "..data");
  fs::create_symlink("..data/a.yaml", folder_ / "a.yaml");
  Start();
  EXPECT_EQ(PortOf("a"), 1);
  fs::create_directory(folder_ / "..v2");
  std::ofstream(folder_ / "..v2" / "a.yaml") << ServiceYaml("a", 2);
  fs::create_directory_symlink("..v2", folder_ / "..data_tmp");
  fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  EXPECT_TRUE(Until([&] { return PortOf("a") == 2; }));
}

TEST_F(FilesSourceTest, AReplacedFolderIsFollowedAndAnAbsentOneKeepsItsState) {
  WriteInPlace("a.yaml", ServiceYaml("a", 1));
  Start();
  fs::rename(folder_, root_ / "old");
  RunFor(absl::Milliseconds(50));
  EXPECT_EQ(PortOf("a"), 1);
  fs::create_directory(root_ / "new");
  std::ofstream(root_ / "new" / "b.yaml") << ServiceYaml("b");
  fs::rename(root_ / "new", folder_);
  EXPECT_TRUE(Until([&] { return Find("b") != nullptr && Find("a") == nullptr; }));
  MoveIn("c.yaml", ServiceYaml("c"));
  EXPECT_TRUE(Until([&] { return Find("c") != nullptr; }));
}

TEST_F(FilesSourceTest, PollingFollowsToo) {
  WriteInPlace("a.yaml", ServiceYaml("a", 1));
  Start({.watch = FolderWatch::Means::kPolling});
  WriteInPlace("a.yaml", ServiceYaml("a", 22));
  EXPECT_TRUE(Until([&] { return PortOf("a") == 22; }));
  fs::remove(folder_ / "a.yaml");
  EXPECT_TRUE(Until([&] { return Find("a") == nullptr; }));
}

TEST_F(FilesSourceTest, ABurstLeavesInFewChangesAndTheFirstAtOnce) {
  Start();
  const absl::Time begin = absl::Now();
  MoveIn("first.yaml", ServiceYaml("first"));
  EXPECT_TRUE(Until([&] { return Find("first") != nullptr; }));
  EXPECT_LT(absl::Now() - begin, absl::Milliseconds(100));
  const int before = changes_;
  for (int i = 0; i < 200; ++i) MoveIn("x.yaml", ServiceYaml("x", i + 1));
  EXPECT_TRUE(Until([&] { return PortOf("x") == 200; }));
  EXPECT_LE(changes_ - before, 20);
}

TEST_F(FilesSourceTest, ASmallFileDoesNotWaitForALargeOne) {
  Start();
  std::string large;
  for (int i = 0; i < 20'000; ++i) large += ServiceYaml(fmt::format("large-{}", i));
  MoveIn("large.yaml", large);
  RunFor(absl::Milliseconds(5));
  MoveIn("small.yaml", ServiceYaml("small"));
  EXPECT_TRUE(Until([&] { return Find("small") != nullptr; }));
  EXPECT_EQ(Find("large-0"), nullptr);
  // Replaced while it is being parsed: the newer text counts.
  MoveIn("large.yaml", ServiceYaml("large-0", 7));
  RunFor(absl::Milliseconds(20));
  EXPECT_EQ(PortOf("large-0"), 7);
  RunFor(absl::Seconds(2));
  EXPECT_EQ(PortOf("large-0"), 7);
  EXPECT_EQ(Find("large-1"), nullptr);
}

TEST_F(FilesSourceTest, ALargeFileThatNeverRestsIsFollowedAllTheSame) {
  Start();
  std::string large;
  for (int i = 0; i < 800; ++i) large += ServiceYaml(fmt::format("large-{}", i));
  const absl::Time end = absl::Now() + absl::Seconds(1);
  int applied = 0;
  int last = -1;
  int port = 1;
  while (absl::Now() < end) {
    MoveIn("large.yaml", large + ServiceYaml("x", ++port));
    RunFor(absl::Milliseconds(10));
    if (PortOf("x") != last) ++applied;
    last = PortOf("x");
  }
  EXPECT_GT(applied, 1);
  EXPECT_TRUE(Until([&] { return PortOf("x") == port; }));
}

TEST_F(FilesSourceTest, ALargeFileThatIsRenamedDoesNotVanishMeanwhile) {
  WriteInPlace("a.yaml", ServiceYaml("a"));
  Start({.max_bytes_on_loop = 0});
  bool vanished = false;
  fs::rename(folder_ / "a.yaml", folder_ / "b.yaml");
  const uint64_t before = directory_.snapshot()->generation();
  EXPECT_TRUE(Until([&] {
    vanished |= Find("a") == nullptr;
    return directory_.snapshot()->generation() > before;
  }));
  RunFor(absl::Milliseconds(50));
  EXPECT_FALSE(vanished);
  EXPECT_NE(Find("a"), nullptr);
}

TEST_F(FilesSourceTest, SizesAreBounded) {
  WriteInPlace("a.yaml", ServiceYaml("a"));
  WriteInPlace("b.yaml", std::string(2000, '#'));
  WriteInPlace("c.yaml", ServiceYaml("c"));
  Start({.max_file_bytes = 1000, .max_files = 2});
  EXPECT_NE(Find("a"), nullptr);
  EXPECT_EQ(Find("c"), nullptr);
  EXPECT_THAT(source_->errors(), ElementsAre(HasSubstr("larger than 1000 bytes")));
}

}  // namespace
}  // namespace portolan::xds
