// The directive `template`: answers written in the Corefile, filled in from the question.
//
//   template CLASS TYPE [ZONE...] {
//       match REGEX...
//       answer|additional|authority RR...     Go templates (go_template.h)
//       rcode CODE
//       ederror CODE [REASON]
//       fallthrough [ZONE...]
//   }
//
// https://coredns.io/plugins/template/. A question of the class, the type and a zone is answered
// where one of the expressions matches its name, or there are none; where none does it goes on with
// `fallthrough` and is SERVFAIL without. A CNAME in the answer to an A or AAAA question is followed
// (Verdict::kAlias). Records without parts to fill in are read at load, the others for each
// question, by ldns, which is the one place here that takes the heap; what comes out and is no
// record is SERVFAIL, counted; blanks are no record and no error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/metrics.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/go_template.h"
#include "dns/plugins/load_context.h"
#include "dns/plugins/rr_text.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

struct TemplateConfig {
  static constexpr uint16_t kAnyClass = 255;

  struct Record {
    wire::Section section;
    GoTemplate text;
    std::string source;  // as in the Corefile
    std::optional<ParsedRecord> constant;
  };

  std::vector<wire::Zone> zones;
  uint16_t rclass = wire::kClassIn;  // kAnyClass: all
  uint16_t type = 0;                 // kAny: all
  std::vector<NamePattern> patterns;
  std::vector<Record> records;  // by section
  uint16_t rcode = 0;
  std::optional<uint16_t> extended_error;
  std::string extended_reason;
  std::vector<wire::Zone> fallthrough;
};

absl::StatusOr<TemplateConfig> ParseTemplate(const corefile::Directive& directive,
                                             const std::vector<wire::Zone>& block_zones,
                                             std::vector<std::string>* notes);

absl::Status LoadTemplate(const corefile::Directive& directive, LoadContext& context);

class Template : public Plugin {
 public:
  // Of one record's text.
  static constexpr size_t kMaxTextBytes = 4096;

  // `server`: CoreDNS's label of its metrics.
  Template(TemplateConfig config, std::string server);

  std::string_view name() const override { return "template"; }
  Verdict OnQuery(Exchange& exchange) override;
  nlohmann::json Explain(const Exchange& exchange) const override;
  bool TakesChaos() const override { return config_.rclass != wire::kClassIn; }
  // coredns_template_matches_total, _template_failures_total and _rr_failures_total. The labels
  // class and type are the directive's: those of the question could be any.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  // Of a zone.
  struct Counters {
    struct OfRecord {
      Counter template_failures, record_failures;
    };

    Counter matched;
    std::unique_ptr<OfRecord[]> records;
  };

  bool Asks(const wire::Query& query) const;
  const wire::Zone* ZoneOf(const wire::Query& query) const;
  bool Match(std::string_view name, TemplateData& data) const;
  Verdict Answer(Exchange& exchange, const TemplateData& data, Counters& counters);
  // False if what comes out is no record.
  bool AddRecord(const TemplateConfig::Record& record, const TemplateData& data,
                 Counters::OfRecord& counters, wire::ReplyWriter& reply);
  Verdict Fail(Exchange& exchange, wire::Rcode rcode);

  const TemplateConfig config_;
  const std::string server_;
  const std::string type_name_;
  bool ends_in_cname_ = false;                  // of the answer that is written
  const std::unique_ptr<Counters[]> counters_;  // by zone
};

}  // namespace portolan::dns
