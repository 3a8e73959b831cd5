#include "common/kubernetes/kubeconfig.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "common/document/yaml.h"
#include "common/files.h"
#include "common/status.h"
#include "common/tls_files.h"
#include "common/token_file.h"

namespace portolan {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = 4u << 20;
constexpr std::array<std::string_view, 2> kExecVersions = {"client.authentication.k8s.io/v1",
                                                           "client.authentication.k8s.io/v1beta1"};
// The extension of a cluster that is handed to exec commands.
constexpr std::string_view kExecExtension = "client.authentication.k8s.io/exec";

struct File {
  std::string path;
  Value root;
};

// `path` as the file that it stands in means it.
std::string Resolved(const File& file, const std::string& path) {
  if (path.empty() || path.front() == '/') return path;
  return (std::filesystem::path(file.path).parent_path() / path).lexically_normal();
}

json ToJson(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return nullptr;
    case Value::Kind::kText:
      return value.text;
    case Value::Kind::kPlain: {
      // A number or a boolean is written the same in JSON; anything else is a string.
      json plain = json::parse(value.text, nullptr, false);
      return plain.is_primitive() && !plain.is_discarded() ? plain : json(value.text);
    }
    case Value::Kind::kSequence: {
      json list = json::array();
      for (const auto& item : value.items) list.push_back(ToJson(*item));
      return list;
    }
    case Value::Kind::kMap: {
      json map = json::object();
      for (const auto& [key, child] : value.fields) map[key] = ToJson(*child);
      return map;
    }
  }
  return nullptr;
}

std::string RequiredString(const Field& field) {
  std::string text = field.String();
  if (text.empty()) field.Fail("is missing");
  return text;
}

// `name` and `name`-data, of which the latter wins.
DataOrFile ReadDataOrFile(const File& file, const Field& parent, const std::string& name) {
  const std::string data_name = name + "-data";
  const Field data = parent[data_name];
  const Field path = parent[name];
  DataOrFile out;
  if (data.present()) {
    out.origin = fmt::format("{} of {}", data_name, file.path);
    if (!absl::Base64Unescape(data.String(), &out.data)) data.Fail("is not base64");
    if (!out.data.empty()) return out;
  }
  out.path = Resolved(file, path.String());
  out.origin = out.path;
  return out;
}

// Without its last slashes.
std::string ReadServer(const Field& field) {
  std::string server = RequiredString(field);
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), curl_url_cleanup);
  const CURLUcode error = curl_url_set(url.get(), CURLUPART_URL, server.c_str(), 0);
  const auto has = [&](CURLUPart which) {
    char* text = nullptr;
    const bool found = curl_url_get(url.get(), which, &text, 0) == CURLUE_OK;
    curl_free(text);
    return found;
  };
  const bool is_http = server.starts_with("https://") || server.starts_with("http://");
  if (!server.empty() && (error != CURLUE_OK || !is_http)) {
    field.Fail(fmt::format("'{}' is no URL that begins with https:// or http://", server));
  } else if (has(CURLUPART_USER) || has(CURLUPART_QUERY) || has(CURLUPART_FRAGMENT)) {
    field.Fail("holds more than the address of a server");
  }
  while (server.ends_with('/')) server.pop_back();
  return server;
}

std::string ReadProxy(const Field& field) {
  std::string proxy = field.String();
  if (proxy.empty()) return proxy;
  for (const std::string_view scheme : {"http://", "https://", "socks5://", "socks5h://"}) {
    if (!proxy.starts_with(scheme)) continue;
    // kubectl lets a SOCKS proxy resolve names; libcurl calls that socks5h.
    return scheme == "socks5://" ? "socks5h://" + proxy.substr(scheme.size()) : proxy;
  }
  field.Fail(fmt::format("'{}' begins with none of http://, https:// and socks5://", proxy));
  return {};
}

void ReadCluster(const File& file, const Field& cluster, Kubeconfig& out) {
  out.server = ReadServer(cluster["server"]);
  out.tls_server_name = cluster["tls-server-name"].String();
  out.verified = !cluster["insecure-skip-tls-verify"].Bool(false);
  out.proxy = ReadProxy(cluster["proxy-url"]);
  out.ca = ReadDataOrFile(file, cluster, "certificate-authority");
  if (!out.verified && out.ca.given()) {
    cluster.Fail("certificate-authority and insecure-skip-tls-verify exclude each other");
  }
}

// Of the cluster, for exec commands; empty if there is none.
std::string ReadExecConfig(const Field& cluster) {
  std::string config;
  const Field extensions = cluster["extensions"];
  extensions.ForEachItem([&](const Field& item) {
    const Field extension = item["extension"];
    if (item["name"].String() != kExecExtension || !extension.present()) return;
    config = ToJson(*extension.value()).dump(-1, ' ', false, json::error_handler_t::replace);
  });
  return config;
}

void ReadExecMode(const Field& exec, const std::string& api_version) {
  const Field mode = exec["interactiveMode"];
  const std::string word = mode.String();
  if (word == "Always") {
    mode.Fail("is Always, but a control plane has no terminal to ask at");
  } else if (word.empty()) {
    if (api_version == kExecVersions[0]) mode.Fail("is missing: Never or IfAvailable");
  } else if (word != "Never" && word != "IfAvailable") {
    mode.Fail(fmt::format("'{}' is none of Never, IfAvailable and Always", word));
  }
}

ExecCommand ReadExec(const File& file, const Field& exec) {
  ExecCommand out;
  const Field command = exec["command"];
  out.command = RequiredString(command);
  // One with a slash is a path, and relative to the file as all are.
  if (out.command.find('/') != std::string::npos) out.command = Resolved(file, out.command);
  const Field args = exec["args"];
  args.ForEachItem([&](const Field& item) { out.args.push_back(item.String()); });
  const Field env = exec["env"];
  env.ForEachItem([&](const Field& item) {
    out.env.emplace_back(RequiredString(item["name"]), item["value"].String());
  });
  const Field version = exec["apiVersion"];
  out.api_version = version.String();
  if (std::find(kExecVersions.begin(), kExecVersions.end(), out.api_version) ==
      kExecVersions.end()) {
    version.Fail(fmt::format("'{}' is neither {} nor {}", out.api_version, kExecVersions[0],
                             kExecVersions[1]));
  }
  ReadExecMode(exec, out.api_version);
  out.install_hint = exec["installHint"].String();
  out.provide_cluster_info = exec["provideClusterInfo"].Bool(false);
  return out;
}

std::string ReadStaticToken(const Field& field) {
  std::string token = field.String();
  if (!token.empty() && !IsToken(token)) field.Fail("holds a blank or control character");
  return token;
}

void ReadUser(const File& file, const Field& user, Kubeconfig& out) {
  for (const std::string_view other : {"as", "as-uid", "as-groups", "as-user-extra"}) {
    const Field field = user[other];
    if (field.present()) field.Fail("is not supported: nobody is impersonated");
  }
  const Field provider = user["auth-provider"];
  if (provider.present()) {
    provider.Fail("was taken out of Kubernetes in 1.26; an exec credential takes its place");
  }
  out.client_certificate = ReadDataOrFile(file, user, "client-certificate");
  out.client_key = ReadDataOrFile(file, user, "client-key");
  if (out.client_certificate.given() != out.client_key.given()) {
    user.Fail("client-certificate and client-key: one is of no use without the other");
  }
  out.token = ReadStaticToken(user["token"]);
  out.token_file = Resolved(file, user["tokenFile"].String());
  out.username = user["username"].String();
  out.password = user["password"].String();
  const bool has_token = !out.token.empty() || !out.token_file.empty();
  if (has_token && !out.username.empty()) {
    user.Fail("token and username: only one of them can say who we are");
  }
  const Field exec = user["exec"];
  if (exec.present()) out.exec = ReadExec(file, exec);
}

// All files, and what is looked for in them.
class Files {
 public:
  absl::Status Read(const std::vector<KubeconfigFile>& files) {
    for (const KubeconfigFile& file : files) {
      File parsed{file.path, {}};
      const absl::Status status = ReadYaml(file.text, [&](const Value& root, int) -> absl::Status {
        if (parsed.root.kind != Value::Kind::kNull) {
          return InvalidArgument("{}: a second document", root.line);
        }
        parsed.root = root;
        return absl::OkStatus();
      });
      if (!status.ok()) return InvalidArgument("{}:{}", file.path, Message(status));
      names_ += (names_.empty() ? "" : ":") + file.path;
      files_.push_back(std::move(parsed));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> CurrentContext() const {
    for (const File& file : files_) {
      FieldErrors errors;
      const Field root(file.root, errors);
      std::string context = root["current-context"].String();
      if (!errors.ok()) return Fault(file, errors, {});
      if (!context.empty()) return context;
    }
    return InvalidArgument("{}: current-context is not set{}", names_, Known("contexts"));
  }

  // Calls read(file, entry) for the first entry called `name` in `list`; `kind` for messages.
  template <typename F>
  absl::Status WithEntry(std::string_view list, std::string_view kind, const std::string& name,
                         F read) const {
    for (const File& file : files_) {
      FieldErrors errors;
      const Field root(file.root, errors);
      const Field entries = root[list];
      bool found = false;
      entries.ForEachItem([&](const Field& item) {
        if (found || item["name"].String() != name) return;
        found = true;
        const Field entry = item[kind];
        if (!entry.present()) return entry.Fail("is missing");
        read(file, entry);
      });
      if (!errors.ok()) return Fault(file, errors, fmt::format(" ({} '{}')", kind, name));
      if (found) return absl::OkStatus();
    }
    return InvalidArgument("{}: no {} '{}'{}", names_, kind, name, Known(list));
  }

 private:
  static absl::Status Fault(const File& file, const FieldErrors& errors, std::string_view of) {
    const FieldError& first = errors.first();
    return InvalidArgument("{}:{}: {}: {}{}", file.path, first.line,
                           first.path.empty() ? "the file" : first.path, first.what, of);
  }

  // "; there are: dev, prod"
  std::string Known(std::string_view list) const {
    constexpr size_t kMost = 10;
    std::vector<std::string> names;
    for (const File& file : files_) {
      FieldErrors ignored;
      const Field root(file.root, ignored);
      const Field entries = root[list];
      entries.ForEachItem([&](const Field& item) { names.push_back(item["name"].String()); });
    }
    if (names.empty()) return fmt::format("; there are no {}", list);
    const bool more = names.size() > kMost;
    names.resize(std::min(names.size(), kMost));
    return fmt::format("; there are: {}{}", fmt::join(names, ", "), more ? ", ..." : "");
  }

  std::vector<File> files_;
  std::string names_;
};

// What of the cluster and the user is in files is read here, each time.
class KubeconfigAccess : public AccessSource {
 public:
  KubeconfigAccess(EventLoop& loop, Kubeconfig config) : config_(std::move(config)) {
    if (config_.exec.has_value()) exec_.emplace(loop, *config_.exec);
  }

  void Get(Take take) override {
    auto access = std::make_shared<Access>();
    if (absl::Status status = ReadCluster(*access); !status.ok()) return take(status);
    // As kubectl does: who we are is not shown to everyone on the way.
    if (!config_.server.starts_with("https://")) return take(AccessPtr(std::move(access)));
    if (absl::Status status = ReadUser(*access); !status.ok()) return take(status);
    if (!exec_.has_value() || !access->authorization.empty()) {
      return take(AccessPtr(std::move(access)));
    }
    const Access& cluster = *access;
    exec_->Get(cluster, [access, take](const absl::StatusOr<ExecCredential>& credential) {
      if (!credential.ok()) return take(credential.status());
      if (!credential->token.empty()) access->authorization = "Bearer " + credential->token;
      if (!credential->client_certificate.empty()) {
        access->client_certificate = credential->client_certificate;
        access->client_key = credential->client_key;
      }
      take(AccessPtr(access));
    });
  }

  void OnUnauthorized(const Access& refused) override {
    if (!exec_.has_value() || exec_->held() == nullptr) return;
    // Not what another request was refused with before this one was made.
    const ExecCredential& held = *exec_->held();
    const bool is_of_held =
        refused.authorization == "Bearer " + held.token ||
        (held.token.empty() && refused.client_certificate == held.client_certificate);
    if (is_of_held) exec_->Forget();
  }

 private:
  static absl::StatusOr<std::string> Content(const DataOrFile& from) {
    if (from.path.empty()) return from.data;
    return ReadFile(from.path, kMaxFileBytes);
  }

  absl::Status ReadCluster(Access& access) const {
    access.server = config_.server;
    access.tls_server_name = config_.tls_server_name;
    access.verified = config_.verified;
    access.proxy = config_.proxy;
    access.ca_origin = config_.ca.origin;
    auto ca = config_.ca.path.empty() ? config_.ca.data : LoadTlsRoots(config_.ca.path);
    if (!ca.ok()) return ca.status();
    access.ca = *std::move(ca);
    return absl::OkStatus();
  }

  absl::Status ReadUser(Access& access) const {
    auto certificate = Content(config_.client_certificate);
    if (!certificate.ok()) return certificate.status();
    auto key = Content(config_.client_key);
    if (!key.ok()) return key.status();
    access.client_certificate = *std::move(certificate);
    access.client_key = *std::move(key);
    if (!config_.token_file.empty()) {
      auto token = ReadToken(config_.token_file);
      if (!token.ok()) return token.status();
      access.authorization = "Bearer " + *token;
    } else if (!config_.token.empty()) {
      access.authorization = "Bearer " + config_.token;
    } else if (!config_.username.empty()) {
      access.authorization =
          "Basic " + absl::Base64Escape(config_.username + ":" + config_.password);
    }
    return absl::OkStatus();
  }

  const Kubeconfig config_;
  std::optional<ExecCredentials> exec_;
};

}  // namespace

absl::StatusOr<Kubeconfig> ParseKubeconfig(const std::vector<KubeconfigFile>& texts,
                                           const std::string& wanted_context) {
  Files files;
  if (absl::Status status = files.Read(texts); !status.ok()) return status;
  const auto context =
      wanted_context.empty() ? files.CurrentContext() : absl::StatusOr<std::string>(wanted_context);
  if (!context.ok()) return context.status();
  std::string cluster_name;
  std::string user_name;
  absl::Status status =
      files.WithEntry("contexts", "context", *context, [&](const File&, const Field& entry) {
        cluster_name = RequiredString(entry["cluster"]);
        user_name = entry["user"].String();
      });
  if (!status.ok()) return status;

  Kubeconfig config;
  std::string exec_config;
  status = files.WithEntry("clusters", "cluster", cluster_name,
                           [&](const File& file, const Field& entry) {
                             ReadCluster(file, entry, config);
                             exec_config = ReadExecConfig(entry);
                           });
  if (!status.ok()) return status;
  if (user_name.empty()) return config;
  status = files.WithEntry("users", "user", user_name, [&](const File& file, const Field& entry) {
    ReadUser(file, entry, config);
    if (!config.exec.has_value()) return;
    config.exec->origin = fmt::format("user '{}' in {}", user_name, file.path);
    config.exec->cluster_config = exec_config;
  });
  if (!status.ok()) return status;
  return config;
}

absl::StatusOr<Kubeconfig> LoadKubeconfig(const std::string& paths, const std::string& context) {
  std::vector<KubeconfigFile> files;
  absl::Status missing = InvalidArgument("no kubeconfig is named");
  for (size_t at = 0; at <= paths.size();) {
    const size_t end = std::min(paths.find(':', at), paths.size());
    const std::string path = paths.substr(at, end - at);
    at = end + 1;
    if (path.empty()) continue;
    auto text = ReadFile(path, kMaxFileBytes);
    if (text.ok()) {
      files.push_back({path, *std::move(text)});
    } else if (std::filesystem::exists(path)) {
      return text.status();
    } else {
      missing = text.status();
    }
  }
  if (files.empty()) return missing;
  return ParseKubeconfig(files, context);
}

std::unique_ptr<AccessSource> MakeAccessSource(EventLoop& loop, Kubeconfig config) {
  return std::make_unique<KubeconfigAccess>(loop, std::move(config));
}

}  // namespace portolan
