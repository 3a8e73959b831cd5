#include "xds/dashboard/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/text.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr char kControlPlane[] = "controlPlane";
constexpr char kSidecar[] = "sidecar";
constexpr char kClusterDns[] = "clusterDns";

constexpr size_t kMostAgeBytes = 32;

// Of anything; null if it is not there.
const json& Field(const json& from, const char* key) {
  static const json kNull;
  if (!from.is_object()) return kNull;
  const auto found = from.find(key);
  return found == from.end() ? kNull : *found;
}
std::string Text(const json& from, const char* key) {
  const json& field = Field(from, key);
  return field.is_string() ? field.get<std::string>() : std::string();
}
const json& List(const json& from, const char* key) {
  static const json kEmpty = json::array();
  const json& field = Field(from, key);
  return field.is_array() ? field : kEmpty;
}

// "A 10.43.0.7": what is compared of a record.
using Records = std::set<std::string>;

std::string RecordOf(const json& answer) {
  if (answer.is_object()) return Text(answer, "type") + ' ' + Lower(Text(answer, "data"));
  if (!answer.is_string()) return {};
  // name ttl class type data...
  const auto words = SplitBlanks(answer.get_ref<const std::string&>());
  if (words.size() < 5) return {};
  std::string data;
  for (size_t i = 4; i < words.size(); ++i) data += ' ' + Lower(words[i]);
  return std::string(words[3]) + data;
}

struct Lookup {
  std::string name;
  std::string rcode;
  std::string error;  // instead
  Records records;
  json said;  // all of it

  bool has_answer() const { return rcode == "NOERROR" && !records.empty(); }
};

struct Side {
  std::string word;     // as in "between"
  std::string subject;  // in sentences
  std::vector<Lookup> lookups;

  const Lookup* Find(const std::string& name) const {
    const auto found = std::find_if(lookups.begin(), lookups.end(),
                                    [&](const Lookup& one) { return one.name == name; });
    return found == lookups.end() ? nullptr : &*found;
  }
  // Where the resolver stops; null: it finds nothing.
  const Lookup* End() const {
    const auto found = std::find_if(lookups.begin(), lookups.end(),
                                    [](const Lookup& one) { return one.has_answer(); });
    return found == lookups.end() ? nullptr : &*found;
  }
};

Lookup ReadLookup(const json& said, const char* records) {
  Lookup lookup;
  lookup.name = Lower(Text(said, "name"));
  if (!lookup.name.ends_with('.')) lookup.name.push_back('.');
  lookup.rcode = Text(said, "rcode");
  lookup.error = Text(said, "error");
  for (const json& answer : List(said, records)) {
    if (lookup.records.size() == kMostRecords) break;
    std::string record = RecordOf(answer);
    if (!record.empty()) lookup.records.insert(std::move(record));
  }
  lookup.said = said;
  return lookup;
}

Side ReadSide(const char* word, const char* subject, const json& said) {
  Side side{word, subject, {}};
  for (const json& lookup : List(said, "lookups")) {
    if (side.lookups.size() == kMostLookups) break;
    side.lookups.push_back(ReadLookup(lookup, "answers"));
  }
  if (!Field(said, "lookups").is_array() && !Text(said, "rcode").empty()) {
    side.lookups.push_back(ReadLookup(said, "records"));
  }
  return side;
}

bool IsTrue(const json& flag) { return flag.is_boolean() && flag.get<bool>(); }

// "", or why the sidecar's feed is to blame.
std::string FeedFault(const json& sidecar) {
  const json& feed = Field(sidecar, "feed");
  if (!feed.is_object() || IsTrue(Field(feed, "inSync"))) return {};
  // As often as there are differences.
  return fmt::format("the sidecar's feed is not in sync (age {}): it goes on with what it had",
                     Text(feed, "age").substr(0, kMostAgeBytes));
}

// The line of the configuration that answers in front of the cluster's names.
std::string AnsweredBy(const Lookup& lookup) {
  const std::string plugin = Text(lookup.said, "plugin");
  for (const json& step : List(lookup.said, "steps")) {
    if (Text(step, "plugin") != plugin || Text(step, "at").empty()) continue;
    return fmt::format("`{}` ({})", plugin, Text(step, "at"));
  }
  return fmt::format("`{}`", plugin);
}

bool IsUpstream(const Lookup& lookup) {
  const std::string plugin = Text(lookup.said, "plugin");
  return plugin == "forward" || plugin == "cache";
}

std::string LikelyOfFeed(const json& sidecar, const Lookup& at_control, const Lookup& at_sidecar) {
  if (std::string fault = FeedFault(sidecar); !fault.empty()) return fault;
  const std::string plugin = Text(at_sidecar.said, "plugin");
  if (!plugin.empty() && plugin != "kubernetes") {
    return fmt::format("the sidecar's Corefile has {} answer it", AnsweredBy(at_sidecar));
  }
  if (at_control.has_answer() && !at_sidecar.has_answer()) {
    return "the Service is not exported to the pod's namespace (portolan.dev/export-to), or the "
           "change is on its way: ask again";
  }
  return "the change is on its way: ask again";
}

std::string LikelyOfClusterDns(const json& sidecar, const Lookup& at_sidecar,
                               const Lookup& at_cluster) {
  if (std::string fault = FeedFault(sidecar); !fault.empty()) return fault;
  const std::string plugin = Text(at_sidecar.said, "plugin");
  if (IsUpstream(at_sidecar)) {
    return at_sidecar.has_answer() && at_cluster.has_answer()
               ? "a name outside the cluster, whose addresses may differ from answer to answer"
               : fmt::format("the sidecar has it from {}, another server or an earlier moment",
                             AnsweredBy(at_sidecar));
  }
  if (!plugin.empty() && plugin != "kubernetes") {
    return fmt::format("the sidecar's Corefile has {} answer it, the cluster DNS's has not",
                       AnsweredBy(at_sidecar));
  }
  if (at_sidecar.has_answer()) {
    return "the cluster DNS answers out of its cache, up to 30 s late, or hides the Service";
  }
  return "the cluster DNS has it from its own Corefile (hosts, rewrite, template), its cache still "
         "has what was deleted, or the Service is not exported to the pod's namespace "
         "(portolan.dev/export-to)";
}

class Comparison {
 public:
  explicit Comparison(const json& explanation)
      : sidecar_json_(Field(explanation, kSidecar)),
        control_json_(Field(explanation, kControlPlane)),
        control_(ReadSide(kControlPlane, "the control plane", control_json_)),
        sidecar_(ReadSide(kSidecar, "the sidecar", sidecar_json_)),
        cluster_(ReadSide(kClusterDns, "the cluster DNS", Field(sidecar_json_, kClusterDns))) {}

  json Differences() {
    CompareObjects();
    for (const Lookup& mine : sidecar_.lookups) {
      if (const Lookup* theirs = control_.Find(mine.name)) {
        CompareLookups(control_, *theirs, sidecar_, mine,
                       LikelyOfFeed(sidecar_json_, *theirs, mine));
      }
    }
    for (const Lookup& theirs : cluster_.lookups) {
      if (const Lookup* mine = sidecar_.Find(theirs.name)) {
        CompareLookups(sidecar_, *mine, cluster_, theirs,
                       LikelyOfClusterDns(sidecar_json_, *mine, theirs));
      }
    }
    CompareSearch();
    return std::move(differences_);
  }

 private:
  void Add(const Side& first, const Side& second, const std::string& name, const char* kind,
           std::string what, std::string likely) {
    differences_.push_back({{"between", {first.word, second.word}},
                            {"name", name},
                            {"kind", kind},
                            {"what", std::move(what)},
                            {"likely", std::move(likely)}});
  }

  void CompareLookups(const Side& first, const Lookup& a, const Side& second, const Lookup& b,
                      const std::string& likely) {
    if (a.rcode.empty() || b.rcode.empty()) {
      // Not asked, or not the control plane's to say.
      if (a.error.empty() && b.error.empty()) return;
      const bool first_failed = a.rcode.empty() && !a.error.empty();
      return Add(first, second, a.name, "unanswered",
                 fmt::format("{} gave no answer: {}", (first_failed ? first : second).subject,
                             first_failed ? a.error : b.error),
                 first_failed && b.rcode.empty()
                     ? "nobody answers"
                     : "its server is down or slow, or a network policy is in the way");
    }
    if (a.rcode != b.rcode || a.has_answer() != b.has_answer()) {
      return Add(
          first, second, a.name, "rcode",
          fmt::format("{} says {}, {} {}", first.subject, Result(a), second.subject, Result(b)),
          likely);
    }
    const auto only = [](const Records& in, const Records& not_in) {
      std::vector<std::string> records;
      std::set_difference(in.begin(), in.end(), not_in.begin(), not_in.end(),
                          std::back_inserter(records));
      return records;
    };
    const auto lacks = only(a.records, b.records);
    const auto has = only(b.records, a.records);
    if (!lacks.empty()) {
      Add(first, second, a.name, "missing",
          fmt::format("{} lacks {}, which {} has", second.subject, absl::StrJoin(lacks, ", "),
                      first.subject),
          likely);
    }
    if (!has.empty()) {
      Add(first, second, a.name, "extra",
          fmt::format("{} has {}, which {} lacks", second.subject, absl::StrJoin(has, ", "),
                      first.subject),
          likely);
    }
  }

  static std::string Result(const Lookup& lookup) {
    if (lookup.rcode != "NOERROR") return lookup.rcode;
    if (lookup.records.empty()) return "NODATA";
    return absl::StrJoin(lookup.records, ", ");
  }

  // With the names that both were asked for alike, one search may still end elsewhere.
  void CompareSearch() {
    if (cluster_.lookups.empty() || sidecar_.lookups.empty()) return;
    const Lookup* mine = sidecar_.End();
    const Lookup* theirs = cluster_.End();
    if (mine == nullptr || theirs == nullptr || mine->name == theirs->name) return;
    Add(sidecar_, cluster_, mine->name, "search",
        fmt::format("the search ends at {} with the sidecar, at {} with the cluster DNS",
                    mine->name, theirs->name),
        "follows from the difference before: the resolver takes the first name that is there");
  }

  void CompareObjects() {
    std::map<std::string, const json*> theirs;
    for (const json& object : List(control_json_, "objects")) {
      if (!Text(object, "resourceVersion").empty()) theirs.emplace(NameOf(object), &object);
    }
    for (const Lookup& lookup : sidecar_.lookups) {
      size_t looked_at = 0;
      for (const json& mine : List(lookup.said, "objects")) {
        if (++looked_at > kMostObjects) break;
        const auto same = theirs.find(NameOf(mine));
        if (same == theirs.end() || Text(mine, "resourceVersion").empty()) continue;
        if (Text(mine, "resourceVersion") != Text(*same->second, "resourceVersion")) {
          AddStale(lookup, mine, *same->second);
        }
      }
    }
  }

  static std::string NameOf(const json& object) {
    return fmt::format("{} {}/{}", Text(object, "kind"), Text(object, "namespace"),
                       Text(object, "name"));
  }

  void AddStale(const Lookup& lookup, const json& mine, const json& theirs) {
    const std::string fault = FeedFault(sidecar_json_);
    Add(control_, sidecar_, lookup.name, "stale",
        fmt::format("the sidecar has {} as of resourceVersion {}, the control plane {}",
                    NameOf(mine), Text(mine, "resourceVersion"), Text(theirs, "resourceVersion")),
        fault.empty() ? "the change is on its way, or left what sidecars are told as it was"
                      : fault);
  }

  const json& sidecar_json_;
  const json& control_json_;
  const Side control_;
  const Side sidecar_;
  const Side cluster_;
  json differences_ = json::array();
};

}  // namespace

json Compare(const json& explanation) { return Comparison(explanation).Differences(); }

}  // namespace portolan::xds
