// kubeconfig files, as kubectl reads them, and the way to the API server that they give.
// https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/,
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
//
// Read: the current context's cluster (server, certificate-authority, tls-server-name,
// insecure-skip-tls-verify, proxy-url) and user (client-certificate and client-key, token,
// tokenFile, username and password, exec). Paths in a file are relative to its folder. What would
// be another identity than the file asks for is an error: impersonation, auth-provider. Other
// contexts, and fields not named here, are not looked at.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/kubernetes/access.h"
#include "common/kubernetes/exec_credentials.h"

namespace portolan {

// A field that holds bytes, or names the file that does.
struct DataOrFile {
  std::string data;
  std::string path;    // read when it is used; empty if `data` counts
  std::string origin;  // for messages: the path, or the field

  bool given() const { return !data.empty() || !path.empty(); }
};

// The current context, put together.
struct Kubeconfig {
  std::string server;
  std::string tls_server_name;
  std::string proxy;
  bool verified = true;
  DataOrFile ca;

  DataOrFile client_certificate;
  DataOrFile client_key;
  std::string token;
  std::string token_file;
  std::string username;
  std::string password;
  std::optional<ExecCommand> exec;
};

struct KubeconfigFile {
  std::string path;
  std::string text;
};

// Any thread. Of an entry or current-context that stands in several files, the first counts;
// `context` goes before current-context where it is not empty. An error names file, line, field,
// and the context, cluster or user: "config:12: users[1].user.exec. command: is missing (user
// 'admin')".
absl::StatusOr<Kubeconfig> ParseKubeconfig(const std::vector<KubeconfigFile>& files,
                                           const std::string& context = {});

// The files of `paths`, separated by colons as in the variable KUBECONFIG. Where one does not
// exist the others count; one has to.
absl::StatusOr<Kubeconfig> LoadKubeconfig(const std::string& paths,
                                          const std::string& context = {});

// The files that it names are read at each request, so that they may be replaced; the kubeconfig
// itself is not read again. Over plain http the user's credentials are left out, as by kubectl. The
// loop's thread.
std::unique_ptr<AccessSource> MakeAccessSource(EventLoop& loop, Kubeconfig config);

}  // namespace portolan
