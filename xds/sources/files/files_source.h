// A folder of Kubernetes manifests as the source of a Directory: what `--source files:DIR` means.
//
// All *.yaml and *.yml directly in the folder are read, and followed from then on (FolderWatch).
// The first change leaves at once; changes that follow within 10 ms leave together. Files above
// 64 KB are parsed on a thread of their own, so that a small file never waits for a large one.
//
// A file that turns invalid is logged with file, line, object and field, and its last good state
// stays in force. An object that stands in two files is taken from the first by file name, and the
// log says so. A namespace exists when a manifest declares it or an object lies in it, as it would
// have to in a cluster. A folder that is away keeps its last state until it is back.
//
// Belongs to the loop's thread, and writes to `directory` on it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/folder_watch.h"
#include "directory/directory.h"
#include "xds/sources/manifests.h"
#include "xds/sources/source.h"

namespace portolan::xds {

class FilesSource : public Source {
 public:
  struct Options {
    std::string folder = {};
    FolderWatch::Means watch = FolderWatch::Means::kInotify;
    size_t max_file_bytes = 16u << 20;
    size_t max_files = 10'000;
    // How much is parsed on the loop in one step; what is more goes to the other thread.
    size_t max_bytes_on_loop = 64u << 10;
    absl::Duration gather = absl::Milliseconds(10);
  };

  // `on_change` is called on the loop when `directory` holds changes to commit.
  FilesSource(EventLoop& loop, Options options, Directory& directory, OnChange on_change);
  // Waits for the parse that is under way.
  ~FilesSource() override;

  // Reads the whole folder before it returns and calls on_change once, then follows it. An error
  // if the folder cannot be read; a file that is invalid from the start is logged and left out.
  absl::Status Start() override;

  // One for each file whose content is not in force, by file name.
  std::vector<std::string> errors() const;

  // None: Start has read it all.
  std::vector<std::string> missing() const override { return {}; }
  void AddMetrics(MetricFamilies& families) const override;
  nlohmann::json Describe() const override;

 private:
  using ManifestPtr = std::shared_ptr<const Manifest>;
  struct File {
    FileStamp stamp;
    // Numbers of reads, which rise over all files. The parser thread skips a read that is no longer
    // the latest, and a result counts if no later one was applied before it.
    std::shared_ptr<std::atomic<uint64_t>> latest_read = std::make_shared<std::atomic<uint64_t>>(0);
    uint64_t applied_read = 0;
    std::map<ObjectId, ManifestPtr> objects;
    std::set<std::string> notes;
    std::string error;
  };
  // Who defines an object, the one that counts first: declared before implied, then by file name.
  enum class Standing : uint8_t { kDeclared, kImplied };
  using Claims = std::map<std::pair<Standing, std::string>, ManifestPtr>;
  using Parsed = absl::StatusOr<Manifests>;

  void OnFolderChange(const FolderWatch::Changes& changes);
  // Runs Step now, or once `gather` has passed since the last one.
  void Schedule();
  void Step();
  void Reload();
  // The files to look at, with their stamps; a file that is gone has none.
  std::map<std::string, std::optional<FileStamp>> TakePending();
  Parsed Parse(const std::string& name, absl::Time arrived) const;
  void ParseElsewhere(const std::string& name, uint64_t read, absl::Time arrived);
  void ForgetAfterParsing(const std::string& name, uint64_t read);

  void Apply(const std::string& name, uint64_t read, Parsed parsed);
  void Replace(const std::string& name, File& file, std::map<ObjectId, ManifestPtr> objects);
  void Forget(const std::string& name);
  void Claim(const ObjectId& id, const std::string& file, ManifestPtr manifest);
  void Unclaim(const ObjectId& id, const std::string& file);

  EventLoop& loop_;
  const Options options_;
  Directory& directory_;
  const OnChange on_change_;

  std::map<std::string, File> files_;
  absl::flat_hash_map<ObjectId, Claims> claims_;

  uint64_t reads_ = 0;
  FolderWatch::Changes pending_;
  absl::Time pending_since_;
  // When the first of the events arrived that on_change was not told of.
  absl::Time untold_since_ = absl::InfiniteFuture();
  bool scheduled_ = false;
  absl::Time last_step_ = absl::InfinitePast();
  EventLoop::Timer timer_;
  std::unique_ptr<FolderWatch> watch_;

  // Tasks that come back from the other thread hold a weak pointer to it.
  std::shared_ptr<FilesSource*> self_;
  std::atomic<bool> ending_{false};
  EventLoop parser_loop_;
  std::thread parser_;
};

}  // namespace portolan::xds
