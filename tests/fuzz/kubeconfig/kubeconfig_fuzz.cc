// Any bytes as a kubeconfig, and as what a credential plugin printed: an error that names the file,
// or something that can be used.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/kubernetes/exec_credentials.h"
#include "common/kubernetes/kubeconfig.h"
#include "common/status.h"
#include "common/token_file.h"

namespace portolan {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void AsKubeconfig(const std::string& text) {
  const auto config = ParseKubeconfig({{"/k/config", text}});
  if (!config.ok()) return Require(Message(config.status()).starts_with("/k/config:"));
  Require(config->server.starts_with("http") && !config->server.ends_with('/'));
  Require(config->token.empty() || IsToken(config->token));
  Require(config->client_certificate.given() == config->client_key.given());
}

void AsCredential(const std::string& text) {
  const auto credential = ParseExecCredential(text, "client.authentication.k8s.io/v1");
  if (!credential.ok()) return;
  Require(IsToken(credential->token) || !credential->client_certificate.empty());
}

}  // namespace
}  // namespace portolan

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  portolan::AsKubeconfig(text);
  portolan::AsCredential(text);
  return 0;
}
