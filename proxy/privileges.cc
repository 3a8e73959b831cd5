#include "proxy/privileges.h"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <cerrno>
#include <memory>

#include "common/status.h"

namespace portolan::proxy {
namespace {

struct FreeCapabilities {
  void operator()(cap_t capabilities) const { cap_free(capabilities); }
};
using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCapabilities>;

bool IsPermitted(const Capabilities& own, cap_value_t capability) {
  cap_flag_value_t value = CAP_CLEAR;
  return cap_get_flag(own.get(), capability, CAP_PERMITTED, &value) == 0 && value == CAP_SET;
}

absl::Status MakeEffective(const Capabilities& own, cap_value_t capability) {
  if (cap_set_flag(own.get(), CAP_EFFECTIVE, 1, &capability, CAP_SET) != 0 ||
      cap_set_proc(own.get()) != 0) {
    return ErrnoError(errno, "raise a capability");
  }
  return absl::OkStatus();
}

void EmptyBoundingSet(const Capabilities& own) {
  if (!IsPermitted(own, CAP_SETPCAP) || !MakeEffective(own, CAP_SETPCAP).ok()) return;
  for (cap_value_t capability = 0; capability < cap_max_bits(); ++capability) {
    cap_drop_bound(capability);
  }
}

}  // namespace

absl::Status RaiseNetRaw() {
  const Capabilities own(cap_get_proc());
  if (own == nullptr) return ErrnoError(errno, "cap_get_proc");
  if (IsPermitted(own, CAP_NET_RAW)) return MakeEffective(own, CAP_NET_RAW);
  return absl::PermissionDeniedError(
      "--udp tproxy and --inbound tproxy need the capability CAP_NET_RAW. Either the program file "
      "has it (setcap cap_net_raw+p portolan-proxy) and the container's securityContext lets it "
      "have effect (capabilities: {drop: [ALL], add: [NET_RAW]}, allowPrivilegeEscalation: true); "
      "or the process is started with it (setpriv --inh-caps +net_raw --ambient-caps +net_raw)");
}

absl::Status DropPrivileges(Kept kept) {
  const Capabilities own(cap_get_proc());
  const Capabilities left(cap_init());
  if (own == nullptr || left == nullptr) return ErrnoError(errno, "cap_get_proc");
  EmptyBoundingSet(own);
  const cap_value_t net_raw = CAP_NET_RAW;
  if (kept == Kept::kNetRaw &&
      (cap_set_flag(left.get(), CAP_PERMITTED, 1, &net_raw, CAP_SET) != 0 ||
       cap_set_flag(left.get(), CAP_EFFECTIVE, 1, &net_raw, CAP_SET) != 0)) {
    return ErrnoError(errno, "keep CAP_NET_RAW");
  }
  if (cap_reset_ambient() != 0 || cap_set_proc(left.get()) != 0) {
    return ErrnoError(errno, "drop capabilities");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ErrnoError(errno, "no_new_privs");
  return absl::OkStatus();
}

}  // namespace portolan::proxy
