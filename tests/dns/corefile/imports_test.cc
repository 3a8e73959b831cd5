#include "dns/corefile/imports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/status.h"

namespace portolan::dns::corefile {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Imports : public ::testing::Test {
 protected:
  Imports() : folder_(fs::path(::testing::TempDir()) / "portolan-imports-XXXXXX") {
    std::string name = folder_.string();
    folder_ = mkdtemp(name.data());
    fs::create_directories(folder_ / "root/zones");
    Write("root/Corefile", "");
    Write("root/zones/b.conf", "beta");
    Write("root/zones/a.conf", "alpha");
    Write("root/zones/.hidden.conf", "no");
    Write("secret", "outside");
    fs::create_symlink(folder_ / "secret", folder_ / "root/link");
    fs::create_symlink(folder_ / "root/zones", folder_ / "root/zones-too");
  }
  ~Imports() override { fs::remove_all(folder_); }

  void Write(const std::string& path, std::string_view text) {
    std::ofstream(folder_ / path) << text;
  }
  std::string Path(const std::string& path) const { return (folder_ / path).string(); }

  fs::path folder_;
};

TEST_F(Imports, APatternGivesItsFilesInOrderAndNoHiddenOnes) {
  FolderImports imports(Path("root"));
  auto matches = imports.Match("zones/*.conf", Path("root/Corefile"));
  ASSERT_TRUE(matches.ok()) << matches.status();
  EXPECT_THAT(*matches, ElementsAre(Path("root/zones/a.conf"), Path("root/zones/b.conf")));
  EXPECT_EQ(*imports.Read(matches->front(), 100), "alpha");
}

TEST_F(Imports, AnImportedFileImportsRelativeToItself) {
  FolderImports imports(Path("root"));
  EXPECT_THAT(*imports.Match("b.conf", Path("root/zones/a.conf")),
              ElementsAre(Path("root/zones/b.conf")));
}

TEST_F(Imports, APatternWithoutMatchesIsNoError) {
  FolderImports imports(Path("root"));
  EXPECT_THAT(*imports.Match("zones/*.none", Path("root/Corefile")), ElementsAre());
}

TEST_F(Imports, AMissingFileIsAnErrorThatNamesIt) {
  FolderImports imports(Path("root"));
  auto matches = imports.Match("none.conf", Path("root/Corefile"));
  ASSERT_FALSE(matches.ok());
  EXPECT_THAT(std::string(Message(matches.status())), HasSubstr("none.conf"));
}

TEST_F(Imports, NoPathLeadsOutOfTheFolder) {
  FolderImports imports(Path("root"));
  EXPECT_FALSE(imports.Match("../secret", Path("root/Corefile")).ok());
  EXPECT_FALSE(imports.Match("link", Path("root/Corefile")).ok());
  EXPECT_FALSE(imports.Match("/etc/passwd", Path("root/Corefile")).ok());
  EXPECT_FALSE(imports.Match("../*", Path("root/Corefile")).ok());
  EXPECT_FALSE(imports.Read(Path("secret"), 100).ok());
}

TEST_F(Imports, ALinkThatStaysInsideIsFollowed) {
  FolderImports imports(Path("root"));
  EXPECT_TRUE(imports.Match("zones-too/a.conf", Path("root/Corefile")).ok());
}

TEST_F(Imports, AWildcardStandsInTheFileNameOnly) {
  FolderImports imports(Path("root"));
  EXPECT_FALSE(imports.Match("*/a.conf", Path("root/Corefile")).ok());
}

}  // namespace
}  // namespace portolan::dns::corefile
