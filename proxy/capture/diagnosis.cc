#include "proxy/capture/diagnosis.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <string>
#include <vector>

#include "common/status.h"

namespace portolan::proxy {
namespace {

constexpr size_t kMaxQuoted = 400;

bool HasAny(std::string_view text, std::initializer_list<std::string_view> needles) {
  for (std::string_view needle : needles) {
    if (text.find(needle) != std::string_view::npos) return true;
  }
  return false;
}

// The complaint as one line of bounded length, without the usage hint that follows it.
std::string OneLine(std::string_view complaint) {
  complaint = complaint.substr(0, complaint.find("\nTry `"));
  std::string line;
  for (char c : complaint.substr(0, kMaxQuoted)) {
    if (c == '\n') {
      if (!line.empty() && !line.ends_with("; ")) line += "; ";
    } else {
      line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  while (line.ends_with("; ")) line.resize(line.size() - 2);
  return line;
}

// What stands between `before` and `after` in `text`; empty if they do not.
std::string_view Between(std::string_view text, std::string_view before, std::string_view after) {
  const size_t start = text.find(before);
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start + before.size());
  const size_t end = text.find(after);
  return end == std::string_view::npos ? std::string_view{} : text.substr(0, end);
}

// The line of `input` that the complaint names ("line 12 failed", "line: 3"); empty if none.
std::string_view NamedLine(std::string_view complaint, std::string_view input) {
  size_t at = complaint.find("line ");
  if (at == std::string_view::npos) at = complaint.find("line: ");
  if (at == std::string_view::npos) return {};
  at = complaint.find_first_of("0123456789", at);
  if (at == std::string_view::npos) return {};
  int number = 0;
  std::from_chars(complaint.data() + at, complaint.data() + complaint.size(), number);
  for (int line = 1; !input.empty(); ++line) {
    const std::string_view text = input.substr(0, input.find('\n'));
    if (line == number) return text;
    input.remove_prefix(std::min(text.size() + 1, input.size()));
  }
  return {};
}

// The modules behind the matches and targets of a rule: "-m owner ... -j CT" needs two.
std::string ModulesOf(std::string_view rule) {
  std::vector<std::string> modules;
  auto add = [&](std::string module) {
    for (const std::string& known : modules) {
      if (known == module) return;
    }
    modules.push_back(std::move(module));
  };
  std::string_view previous;
  while (!rule.empty()) {
    const std::string_view word = rule.substr(0, rule.find(' '));
    rule.remove_prefix(std::min(word.size() + 1, rule.size()));
    if (previous == "-m") {
      add(word == "tcp" || word == "udp" ? "xt_tcpudp" : fmt::format("xt_{}", word));
    }
    if (previous == "-j" && (word == "CT" || word == "REDIRECT" || word == "TPROXY")) {
      add(fmt::format("xt_{}", word));
    }
    if (previous == "-j" && word == "MARK") add("xt_mark");
    if (previous == "-j" && word == "CONNMARK") add("xt_connmark");
    previous = word;
  }
  return fmt::format("{}", fmt::join(modules, ", "));
}

std::string TableModule(Backend backend, IpFamily family, std::string_view table) {
  if (backend == Backend::kNft) return table == "nat" ? "nft_chain_nat" : "nf_tables";
  return fmt::format("{}_{}", family == IpFamily::kIpv4 ? "iptable" : "ip6table", table);
}

absl::Status KernelLacks(std::string_view tool, const std::string& what,
                         const std::string& modules) {
  return absl::UnavailableError(
      fmt::format("{}: {}: the node's kernel lacks {}: load it there with modprobe, or choose the "
                  "other back end with --backend",
                  tool, what, modules));
}

}  // namespace

absl::Status Diagnose(std::string_view tool, Backend backend, IpFamily family,
                      std::string_view complaint, std::string_view input) {
  const std::string what = OneLine(complaint);
  if (HasAny(complaint, {"can't open lock file"})) {
    return absl::InternalError(fmt::format(
        "{}: {}: give the container a writable /run (an emptyDir) or set XTABLES_LOCKFILE to a "
        "path it can write",
        tool, what));
  }
  if (HasAny(complaint, {"Permission denied", "Operation not permitted", "must be root"})) {
    return absl::PermissionDeniedError(
        fmt::format("{}: {}: the container must run as root with the capability {}", tool, what,
                    backend == Backend::kNft ? "NET_ADMIN"
                                             : "NET_ADMIN and, for the legacy back end, NET_RAW"));
  }
  if (HasAny(complaint, {"Couldn't load match", "Couldn't load target"})) {
    return absl::NotFoundError(fmt::format(
        "{}: {}: the iptables installed in the image is incomplete: install the whole package",
        tool, what));
  }
  for (std::string_view after : {" revision", " is not supported"}) {
    const std::string_view extension = Between(complaint, "Extension ", after);
    if (!extension.empty() && extension.find(' ') == std::string_view::npos) {
      return KernelLacks(tool, what, fmt::format("xt_{} (and nft_compat)", extension));
    }
  }
  // The legacy tool says the same for a missing module and for a missing capability.
  std::string_view table = Between(complaint, "unable to initialize table '", "'");
  if (table.empty()) table = Between(complaint, "tables table `", "'");
  if (!table.empty()) {
    absl::Status lacks = KernelLacks(tool, what, TableModule(backend, family, table));
    return absl::UnavailableError(
        fmt::format("{} (or the container lacks the capability NET_RAW)", Message(lacks)));
  }
  if (HasAny(complaint, {"generation id", "initialize nft", "nftables layer", "insmod"})) {
    return KernelLacks(
        tool, what, backend == Backend::kNft ? "nf_tables" : TableModule(backend, family, "nat"));
  }
  const std::string_view line = NamedLine(complaint, input);
  const std::string modules = ModulesOf(line);
  const bool lacking = HasAny(complaint, {"No such file or directory", "by that name",
                                          "not supported", "Protocol wrong type"});
  if (lacking && line.starts_with(":")) {
    return KernelLacks(tool, fmt::format("{} at '{}'", what, line),
                       TableModule(backend, family, "nat"));
  }
  if (lacking && !modules.empty()) {
    return KernelLacks(tool, fmt::format("{} at '{}'", what, line), "one of " + modules);
  }
  if (!line.empty()) {
    return absl::InternalError(fmt::format("{}: {} at '{}'", tool, what, line));
  }
  return absl::InternalError(fmt::format("{}: {}", tool, what.empty() ? "failed" : what));
}

}  // namespace portolan::proxy
