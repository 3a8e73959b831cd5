#include "proxy/dns_config.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/files.h"
#include "common/log.h"
#include "common/status.h"
#include "dns/corefile/parser.h"
#include "dns/corefile/words.h"

namespace portolan::proxy {
namespace {

using dns::corefile::Corefile;

constexpr size_t kMaxCorefileBytes = 1 << 20;
constexpr std::string_view kBuiltIn = "built-in";
constexpr std::string_view kFromControlPlane = "control plane";

// Of the words, after imports: comments and blanks do not count.
std::string HashOf(const Corefile& corefile) {
  const std::string words = WordsOf(corefile);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(words.data(), words.size(), digest, &size, EVP_sha512(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace

DnsConfig::DnsConfig(EventLoop& loop, std::string own_file, std::function<void()> on_change)
    : own_file_(std::move(own_file)),
      on_change_(std::move(on_change)),
      random_(std::random_device{}()),
      reload_timer_(loop.AddTimer([this] { Reload(); })),
      files_timer_(loop.AddTimer([this] { LookAtFiles(); })) {}

absl::Status DnsConfig::UseOwn() {
  if (own_file_.empty()) return Use(std::string(dns::kDefaultCorefile), std::string(kBuiltIn));
  auto text = ReadFile(own_file_, kMaxCorefileBytes);
  if (!text.ok()) return text.status();
  return Use(*text, own_file_);
}

absl::Status DnsConfig::UseControlPlanes(const std::string& text) {
  return Use(text, std::string(kFromControlPlane));
}

absl::StatusOr<Corefile> DnsConfig::Parse(const std::string& text, const std::string& name) const {
  // What came over the network sees neither the pod's environment nor its files.
  const dns::corefile::FolderImports imports(std::filesystem::absolute(name).parent_path());
  dns::corefile::ParseOptions options;
  if (name != kFromControlPlane) {
    options.environment = dns::corefile::ProcessEnvironment;
    options.imports = &imports;
  }
  return dns::corefile::ParseCorefile(text, name, options);
}

absl::Status DnsConfig::Use(const std::string& text, const std::string& name) {
  auto words = Parse(text, name);
  if (!words.ok()) return words.status();
  std::string hash = HashOf(*words);
  // The same words mean something else where the environment and imports are to be had.
  if (config_ != nullptr && hash == hash_ && name == source_) {
    text_ = text;
    return absl::OkStatus();
  }
  auto config = dns::LoadConfig(*words, {});
  if (!config.ok()) return config.status();
  text_ = text;
  source_ = name;
  words_ = *std::move(words);
  hash_ = std::move(hash);
  for (const std::string& note : (*config)->notes()) log::warn("{}", note);
  PutInForce(*std::move(config));
  return absl::OkStatus();
}

void DnsConfig::PutInForce(std::shared_ptr<const dns::Config> config) {
  config_ = std::move(config);
  refused_.clear();
  const dns::FollowedFiles& followed = config_->followed();
  reload_timer_.Cancel();
  if (followed.reload.has_value() && source_ == own_file_) {
    std::uniform_real_distribution<double> part(-0.5, 0.5);
    reload_timer_.Start(followed.reload->interval + followed.reload->jitter * part(random_));
  }
  files_timer_.Cancel();
  if (!followed.files.empty()) files_timer_.Start(followed.ShortestInterval());
  on_change_();
}

void DnsConfig::Reload() {
  reload_timer_.Start(config_->followed().reload->interval);
  const std::string before = hash_;
  const absl::Status status = UseOwn();
  if (!status.ok()) return Refuse(status);
  refused_.clear();
  if (hash_ != before) log::info("{} has changed and is in force", own_file_);
}

void DnsConfig::Refuse(const absl::Status& why) {
  if (refused_ == Message(why)) return;
  refused_ = std::string(Message(why));
  failed_reloads_.Add();
  log::error("{}; the Corefile in force stays", refused_);
}

void DnsConfig::LookAtFiles() {
  const dns::FollowedFiles& followed = config_->followed();
  files_timer_.Start(followed.ShortestInterval());
  const bool changed =
      std::any_of(followed.files.begin(), followed.files.end(), [](const auto& file) {
        // One that is away may be about to be replaced; what it said stays.
        const auto stamp = FileStamp::Of(file.path);
        return stamp.has_value() && stamp != file.stamp;
      });
  if (!changed) return;
  auto config = dns::LoadConfig(words_, {});
  if (!config.ok()) return Refuse(config.status());
  if ((*config)->notes() != config_->notes()) {
    for (const std::string& note : (*config)->notes()) log::warn("{}", note);
  }
  log::info("the files that the Corefile names are read again");
  PutInForce(*std::move(config));
}

nlohmann::json DnsConfig::Dump() const {
  return {{"corefile", text_},
          {"corefileSource", source_},
          {"corefileNotes", config_->notes()},
          {"corefileRefused", refused_}};
}

void DnsConfig::CollectMetrics(MetricFamilies& families) const {
  if (!config_->followed().reload.has_value()) return;
  AddCounterSample(families, "coredns_reload_failed_total",
                   "Changed Corefiles that could not be put in force.", {},
                   static_cast<double>(failed_reloads_.value()));
  AddGaugeSample(families, "coredns_reload_version_info", "The Corefile in force.",
                 {{"hash", "sha512"}, {"value", hash_}}, 1);
}

}  // namespace portolan::proxy
