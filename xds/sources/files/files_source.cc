#include "xds/sources/files/files_source.h"

#include <cerrno>

#include "common/files.h"
#include "common/log.h"
#include "common/status.h"
#include "xds/sources/into_directory.h"

namespace portolan::xds {
namespace {

bool IsManifest(const std::string& name) {
  return !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"));
}

// Namespaces that the objects lie in without this text declaring them.
void AddImpliedNamespaces(std::map<ObjectId, std::shared_ptr<const Manifest>>& objects,
                          absl::Time arrived) {
  std::set<std::string> names;
  for (const auto& [id, manifest] : objects) {
    if (!id.name.ns.empty()) names.insert(id.name.ns);
  }
  for (const std::string& name : names) {
    const ObjectId id{ObjectKind::kNamespace, {"", name}};
    if (objects.contains(id)) continue;
    auto implied = std::make_shared<Manifest>();
    implied->id = id;
    Namespace ns;
    ns.name = name;
    ns.origin.arrived = arrived;
    implied->object = std::move(ns);
    objects.emplace(id, std::move(implied));
  }
}

}  // namespace

FilesSource::FilesSource(EventLoop& loop, Options options, Directory& directory, OnChange on_change)
    : loop_(loop),
      options_(std::move(options)),
      directory_(directory),
      on_change_(std::move(on_change)),
      self_(std::make_shared<FilesSource*>(this)) {
  timer_ = loop_.AddTimer([this] {
    scheduled_ = false;
    Step();
  });
  parser_ = std::thread([this] { parser_loop_.Run(); });
}

FilesSource::~FilesSource() {
  ending_ = true;
  parser_loop_.Stop();
  parser_.join();
}

absl::Status FilesSource::Start() {
  // Watching begins first, so that nothing that happens during the read is missed.
  watch_ = std::make_unique<FolderWatch>(
      loop_, options_.folder, options_.watch,
      [this](const FolderWatch::Changes& changes) { OnFolderChange(changes); });
  const auto listed = ListFolder(options_.folder);
  if (!listed.has_value()) return ErrnoError(errno, options_.folder);
  pending_.everything = true;
  const absl::Time now = absl::Now();
  for (const auto& [name, stamp] : TakePending()) {
    files_[name].stamp = *stamp;
    Apply(name, ++reads_, Parse(name, now));
  }
  on_change_(now);
  return absl::OkStatus();
}

std::vector<std::string> FilesSource::errors() const {
  std::vector<std::string> errors;
  for (const auto& [name, file] : files_) {
    if (!file.error.empty()) errors.push_back(file.error);
  }
  return errors;
}

void FilesSource::AddMetrics(MetricFamilies& families) const {
  AddGaugeSample(families, "portolan_source_files", "Manifest files in the folder.", {},
                 static_cast<double>(files_.size()));
  AddGaugeSample(families, "portolan_source_invalid_files",
                 "Those of them whose last good state is in force, or nothing.", {},
                 static_cast<double>(errors().size()));
}

nlohmann::json FilesSource::Describe() const {
  return {{"type", "files"},
          {"folder", options_.folder},
          {"files", files_.size()},
          {"errors", errors()}};
}

void FilesSource::OnFolderChange(const FolderWatch::Changes& changes) {
  if (pending_.files.empty() && !pending_.everything) pending_since_ = absl::Now();
  untold_since_ = std::min(untold_since_, pending_since_);
  pending_.files.insert(changes.files.begin(), changes.files.end());
  pending_.everything |= changes.everything;
  Schedule();
}

void FilesSource::Schedule() {
  if (scheduled_) return;
  const absl::Duration since = absl::Now() - last_step_;
  // A clock set back must not hold changes up.
  if (since >= options_.gather || since < absl::ZeroDuration()) return Step();
  scheduled_ = true;
  timer_.Start(options_.gather - since);
}

void FilesSource::Step() {
  Reload();
  last_step_ = absl::Now();
  const absl::Time since = std::exchange(untold_since_, absl::InfiniteFuture());
  if (directory_.dirty()) on_change_(since);
}

std::map<std::string, std::optional<FileStamp>> FilesSource::TakePending() {
  const FolderWatch::Changes pending = std::exchange(pending_, {});
  std::map<std::string, std::optional<FileStamp>> looked_at;
  for (const std::string& name : pending.files) {
    if (IsManifest(name)) looked_at[name] = FileStamp::Of(options_.folder + "/" + name);
  }
  if (pending.everything) {
    const auto listed = ListFolder(options_.folder);
    if (!listed.has_value()) {
      log::warn("{}: cannot be read; what was read from it stays in force", options_.folder);
      return {};
    }
    for (const auto& [name, file] : files_) {
      if (!listed->contains(name)) looked_at[name] = std::nullopt;
    }
    for (const auto& [name, stamp] : *listed) {
      if (!IsManifest(name)) continue;
      const auto known = files_.find(name);
      if (known == files_.end() || known->second.stamp != stamp) looked_at[name] = stamp;
    }
  }
  size_t places = files_.size() > options_.max_files ? 0 : options_.max_files - files_.size();
  std::erase_if(looked_at, [&](const auto& file) {
    if (files_.contains(file.first)) return false;
    if (!file.second.has_value()) return true;
    if (places > 0) {
      --places;
      return false;
    }
    log::error("{}: not read, the folder holds more than {} manifest files", file.first,
               options_.max_files);
    return true;
  });
  return looked_at;
}

void FilesSource::Reload() {
  const absl::Time arrived = pending_since_;
  const auto looked_at = TakePending();
  size_t bytes_left = options_.max_bytes_on_loop;
  bool elsewhere = false;
  for (const auto& [name, stamp] : looked_at) {
    if (!stamp.has_value()) continue;
    File& file = files_[name];
    file.stamp = *stamp;
    const uint64_t read = ++reads_;
    *file.latest_read = read;
    // New here: what is still being parsed of an earlier file of this name does not count.
    if (file.applied_read == 0) file.applied_read = read - 1;
    const auto bytes = static_cast<size_t>(stamp->bytes);
    if (bytes <= bytes_left) {
      bytes_left -= bytes;
      Apply(name, read, Parse(name, arrived));
    } else {
      elsewhere = true;
      ParseElsewhere(name, read, arrived);
    }
  }
  for (const auto& [name, stamp] : looked_at) {
    if (stamp.has_value()) continue;
    const uint64_t read = ++reads_;
    *files_[name].latest_read = read;
    if (elsewhere) {
      ForgetAfterParsing(name, read);
    } else {
      Forget(name);
    }
  }
}

// A large file that was renamed must not vanish before it appears again under its new name.
void FilesSource::ForgetAfterParsing(const std::string& name, uint64_t read) {
  parser_loop_.Post([this, name, read, self = std::weak_ptr(self_)] {
    loop_.Post([name, read, self] {
      const auto alive = self.lock();
      if (alive == nullptr) return;
      FilesSource& source = **alive;
      const auto file = source.files_.find(name);
      if (file == source.files_.end() || *file->second.latest_read != read) return;
      source.Forget(name);
      source.Schedule();
    });
  });
}

FilesSource::Parsed FilesSource::Parse(const std::string& name, absl::Time arrived) const {
  const auto text = ReadFile(options_.folder + "/" + name, options_.max_file_bytes);
  if (!text.ok()) return text.status();
  return ReadManifests(name, *text, arrived);
}

void FilesSource::ParseElsewhere(const std::string& name, uint64_t read, absl::Time arrived) {
  parser_loop_.Post(
      [this, name, read, arrived, latest = files_[name].latest_read, self = std::weak_ptr(self_)] {
        if (ending_ || *latest != read) return;
        auto parsed = std::make_shared<Parsed>(Parse(name, arrived));
        loop_.Post([name, read, arrived, parsed, self] {
          const auto alive = self.lock();
          if (alive == nullptr) return;
          FilesSource& source = **alive;
          const auto file = source.files_.find(name);
          if (file == source.files_.end() || file->second.applied_read > read) return;
          source.untold_since_ = std::min(source.untold_since_, arrived);
          source.Apply(name, read, std::move(*parsed));
          source.Schedule();
        });
      });
}

void FilesSource::Apply(const std::string& name, uint64_t read, Parsed parsed) {
  File& file = files_[name];
  file.applied_read = read;
  if (!parsed.ok()) {
    file.error = Message(parsed.status());
    log::error("{}; {}", file.error,
               file.objects.empty() ? "nothing is taken from this file"
                                    : "the file's last good state stays in force");
    return;
  }
  if (!file.error.empty()) log::info("{}: valid again", name);
  file.error.clear();
  std::map<ObjectId, ManifestPtr> objects;
  const absl::Time arrived = absl::Now();
  for (Manifest& manifest : parsed->objects) {
    const ObjectId id = manifest.id;
    const int line = manifest.line;
    const auto [first, is_new] =
        objects.emplace(id, std::make_shared<const Manifest>(std::move(manifest)));
    if (is_new) continue;
    log::warn("{}:{}: {} stands already in line {}; the first one counts", name, line,
              id.ToString(), first->second->line);
  }
  AddImpliedNamespaces(objects, arrived);
  std::set<std::string> notes(parsed->notes.begin(), parsed->notes.end());
  for (const std::string& note : notes) {
    if (!file.notes.contains(note)) log::info("{}", note);
  }
  file.notes = std::move(notes);
  Replace(name, file, std::move(objects));
}

void FilesSource::Replace(const std::string& name, File& file,
                          std::map<ObjectId, ManifestPtr> objects) {
  for (auto& [id, manifest] : objects) {
    const auto old = file.objects.find(id);
    if (old != file.objects.end() && old->second->digest == manifest->digest) {
      manifest = old->second;  // the same content, which arrived earlier
    } else {
      Claim(id, name, manifest);
    }
  }
  for (const auto& [id, manifest] : file.objects) {
    if (!objects.contains(id)) Unclaim(id, name);
  }
  file.objects = std::move(objects);
}

void FilesSource::Forget(const std::string& name) {
  const auto file = files_.find(name);
  if (file == files_.end()) return;
  Replace(name, file->second, {});
  files_.erase(file);
}

void FilesSource::Claim(const ObjectId& id, const std::string& file, ManifestPtr manifest) {
  Claims& claims = claims_[id];
  const Standing standing = manifest->digest == 0 ? Standing::kImplied : Standing::kDeclared;
  // The same file may have declared before what it now only implies, or the other way round.
  claims.erase({standing == Standing::kImplied ? Standing::kDeclared : Standing::kImplied, file});
  const bool is_new = claims.insert_or_assign({standing, file}, std::move(manifest)).second;
  if (is_new && standing == Standing::kDeclared) {
    for (const auto& [other, defined] : claims) {
      if (other.first == Standing::kImplied || other.second == file) continue;
      log::warn("{} is defined in {} and in {}; the first by file name counts", id.ToString(),
                std::min(file, other.second), std::max(file, other.second));
    }
  }
  Put(directory_, claims.begin()->second->object);
}

void FilesSource::Unclaim(const ObjectId& id, const std::string& file) {
  const auto found = claims_.find(id);
  if (found == claims_.end()) return;
  Claims& claims = found->second;
  claims.erase({Standing::kDeclared, file});
  claims.erase({Standing::kImplied, file});
  if (claims.empty()) {
    claims_.erase(found);
    Remove(directory_, id);
  } else {
    Put(directory_, claims.begin()->second->object);
  }
}

}  // namespace portolan::xds
