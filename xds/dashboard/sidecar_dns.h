// What a sidecar's DNS answers, without a sidecar: the chains that a Corefile makes, asked in
// place, over the part of the directory that the question is about. What the pages show is thereby
// made by the code that answers.
//
// Of the Corefile the directives count that answer or change a question: kubernetes, hosts,
// template, rewrite, acl and their like. What would be asked of another server (`forward`, the
// cluster DNS) is asked nowhere; nor are files read that are the sidecar's, nor the arguments of
// directives that do not count. The loop's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/event_loop.h"
#include "directory/directory.h"
#include "dns/chains.h"
#include "dns/cluster_data.h"
#include "dns/questions.h"
#include "dns/server/routes.h"
#include "dns/upstream/upstream.h"

namespace portolan::xds {

class SidecarDns {
 public:
  struct Record {
    std::string name;  // "backend.default.svc.cluster.local.", here and in `data`
    std::string type;  // "A"
    uint32_t ttl = 0;  // seconds
    std::string data;  // as in a zone file
    friend auto operator<=>(const Record&, const Record&) = default;
  };
  struct Reply {
    std::string rcode;  // "NOERROR"; empty: no reply at all
    std::vector<Record> answers;
    std::string by;  // the directive that answered; empty: none did
  };
  // What keeps a question for a cluster's name from `kubernetes`.
  struct Shadow {
    std::string by;       // the directive; empty: its server block has no `kubernetes`
    std::string renamed;  // what `rewrite` makes of the name; empty where it is answered
  };

  // Answers as a sidecar without a Corefile of its own.
  explicit SidecarDns(EventLoop& loop);
  ~SidecarDns();
  SidecarDns(const SidecarDns&) = delete;
  SidecarDns& operator=(const SidecarDns&) = delete;

  // After an error, which names file, line and column, the one before stays.
  absl::Status SetCorefile(std::string_view text);
  // That of sidecars that are given none.
  absl::Status SetBuiltInCorefile();

  // Answers from now on come out of a directory's first commit.
  void Hold(const Directory::Committed& committed);

  // `name` in presentation form, with or without its final dot. An rcode of FORMERR: it is none.
  Reply Ask(std::string_view name, uint16_t type);

  // False: no Corefile in force has anything that could.
  bool may_shadow() const { return may_shadow_; }
  // Whether a question for the address of `name` comes to `kubernetes` as it is.
  std::optional<Shadow> FindShadow(std::string_view name);

 private:
  struct Asked;
  Reply ReadReply(std::span<const uint8_t> bytes) const;

  EventLoop& loop_;
  dns::ClusterDataHolder cluster_;
  dns::upstream::Upstream upstream_;
  dns::ZoneCounterTable counters_;
  std::unique_ptr<dns::Routes> routes_;
  bool may_shadow_ = false;
  dns::Questions questions_;
  std::vector<uint8_t> room_;
};

}  // namespace portolan::xds
