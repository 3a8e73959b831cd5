#include "common/resolv_conf.h"

#include <algorithm>
#include <charconv>

#include "common/files.h"
#include "common/status.h"
#include "common/text.h"

namespace portolan {
namespace {

constexpr int kMaxNdots = 15;  // RES_MAXNDOTS

class Reader {
 public:
  explicit Reader(std::string_view file_name) : file_name_(file_name) {}

  void ReadLine(std::string_view line) {
    ++line_;
    const auto words = SplitBlanks(line.substr(0, line.find_first_of("#;")));
    if (words.size() < 2) return;
    if (words[0] == "nameserver") return AddNameserver(words[1]);
    if (words[0] == "search" || words[0] == "domain") return SetSearch(words);
    if (words[0] == "options") return SetOptions(words);
  }

  ResolvConf Finish() && { return std::move(out_); }

 private:
  void Skip(std::string_view what, std::string_view why) {
    out_.skipped.push_back(fmt::format("{}:{}: {}: {}", file_name_, line_, what, why));
  }

  void AddNameserver(std::string_view text) {
    const std::string what = fmt::format("nameserver {}", text);
    if (text.find('%') != std::string_view::npos) {
      return Skip(what, "addresses with a zone are not supported");
    }
    auto ip = IpAddress::Parse(text);
    if (!ip.ok()) return Skip(what, Message(ip.status()));
    const SocketAddress server{*ip, kDnsPort};
    auto& servers = out_.nameservers;
    if (std::find(servers.begin(), servers.end(), server) != servers.end()) return;
    if (servers.size() == kMaxNameservers) return Skip(what, "too many nameservers");
    servers.push_back(server);
  }

  void SetSearch(const std::vector<std::string_view>& words) {
    out_.search.clear();
    for (size_t i = 1; i < words.size(); ++i) {
      if (out_.search.size() == kMaxSearchDomains) return Skip(words[i], "too many domains");
      out_.search.emplace_back(words[i]);
    }
  }

  void SetOptions(const std::vector<std::string_view>& words) {
    constexpr std::string_view kNdots = "ndots:";
    for (std::string_view word : words) {
      if (!word.starts_with(kNdots)) continue;
      const std::string_view number = word.substr(kNdots.size());
      int ndots = 0;
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), ndots);
      if (error != std::errc() || end != number.data() + number.size() || ndots < 0) {
        Skip(word, "not a number");
        continue;
      }
      out_.ndots = std::min(ndots, kMaxNdots);
    }
  }

  std::string_view file_name_;
  int line_ = 0;
  ResolvConf out_;
};

}  // namespace

ResolvConf ParseResolvConf(std::string_view text, std::string_view file_name) {
  Reader reader(file_name);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    reader.ReadLine(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return std::move(reader).Finish();
}

absl::StatusOr<ResolvConf> ReadResolvConf(const std::string& path) {
  auto text = ReadFile(path, kMaxResolvConfBytes);
  if (!text.ok()) return text.status();
  return ParseResolvConf(*text, path);
}

}  // namespace portolan
