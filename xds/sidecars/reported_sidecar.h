// What sidecars say of themselves, and the way to ask them: all that the API needs to know of
// Sidecars (sidecars.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "portolan/v1/sidecars.pb.h"
#include "xds/sidecars/asked_names.h"

namespace portolan::xds {

// A report comes every api::kReportEvery (sidecar_limits.h) where anything changed: what it counts
// beyond the one before happened since then, but no longer than that before it came, and what
// happened since it came, if that is longer ago, is nothing.
struct ReportedSidecar {
  std::string node_id;  // NAMESPACE/POD
  absl::Time started;
  absl::Time reported;                              // when the last report came
  std::shared_ptr<const v1::SidecarReport> report;  // null: none yet
  // The one before on the same stream.
  absl::Time previous_reported = absl::InfinitePast();
  std::shared_ptr<const v1::SidecarReport> previous = nullptr;  // null: none
};

// How the policies that select its pod are in force, those in audit included.
//   kUnknown   it has not reported, is of a version that does not tell, or knows no policies yet
//   kNone      no policy selects the pod
//   kPartly    what the pod captures leaves something out that they speak of
//   kEnforced  in full
enum class PolicyState : uint8_t { kUnknown, kNone, kPartly, kEnforced };
inline constexpr size_t kPolicyStates = 4;
PolicyState PolicyStateOf(const ReportedSidecar& sidecar);
// "unknown", "none", "partly", "enforced"
std::string_view Word(PolicyState state);

class AskedSidecars {
 public:
  // JSON as the sidecar's admin interface has it, or:
  //   kNotFound            it is not connected
  //   kDeadlineExceeded    no answer in time
  //   kResourceExhausted   it has not answered kMaxOpenQuestions earlier ones
  //   kFailedPrecondition  it refused, with its words
  using Done = std::function<void(const absl::StatusOr<std::string>&)>;

  virtual ~AskedSidecars() = default;
  // On the loop. `question` gets its id here. `done` is called once, before it returns or later on
  // the loop.
  virtual void Ask(std::string_view node_id, v1::Question question, Done done) = 0;
  // Any thread. Nothing: not connected.
  virtual std::optional<ReportedSidecar> Find(std::string_view node_id) const = 0;
  // Any thread. All that are connected, by name.
  virtual std::vector<ReportedSidecar> All() const = 0;
  // Any thread. Who asked for a Service (NAMESPACE/NAME), and of those at most `most_pods` by name.
  virtual AskedBy AskedFor(std::string_view service_key, size_t most_pods) const = 0;
};

}  // namespace portolan::xds
