#include "proxy/capture/diagnosis.h"

#include <gmock/gmock.h>

#include <string>

#include "common/status.h"

namespace portolan::proxy {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kInput =
    "*raw\n"
    ":PORTOLAN_ZONE - [0:0]\n"
    "-A PORTOLAN_ZONE -m owner --uid-owner 1337 -j RETURN\n"
    "-A PORTOLAN_ZONE -d 10.43.0.10/32 -j CT --zone-orig 15053\n"
    "COMMIT\n";

absl::Status Of(Backend backend, std::string_view complaint, std::string_view input = kInput) {
  return Diagnose("iptables-restore", backend, IpFamily::kIpv4, complaint, input);
}

TEST(CaptureDiagnosis, MissingCapabilityIsNamed) {
  const auto status = Of(Backend::kNft,
                         "iptables-nft-restore v1.8.9 (nf_tables): Could not fetch rule set "
                         "generation id: Permission denied (you must be root)\n");
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_THAT(Message(status), AllOf(HasSubstr("NET_ADMIN"), Not(HasSubstr("NET_RAW"))));
  EXPECT_THAT(Message(Of(Backend::kLegacy, "Permission denied (you must be root)")),
              HasSubstr("NET_RAW"));
}

TEST(CaptureDiagnosis, LegacyTableWithoutItsModuleIsNamedInBothSpellings) {
  auto status = Of(Backend::kLegacy,
                   "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table "
                   "'raw'\n\nError occurred at line: 1\nTry `iptables-restore -h' for more\n");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(Message(status), AllOf(HasSubstr("iptable_raw"), HasSubstr("modprobe"),
                                     HasSubstr("NET_RAW"), Not(HasSubstr("Try `"))));
  status = Diagnose("ip6tables-restore", Backend::kLegacy, IpFamily::kIpv6,
                    "can't initialize ip6tables table `nat': Table does not exist (do you need to "
                    "insmod?)",
                    kInput);
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(Message(status), HasSubstr("ip6table_nat"));
}

TEST(CaptureDiagnosis, KernelWithoutNftablesIsNamed) {
  const auto status =
      Of(Backend::kNft, "iptables: Failed to initialize nft: Protocol not supported\n", "");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(Message(status), AllOf(HasSubstr("nf_tables"), HasSubstr("--backend")));
}

TEST(CaptureDiagnosis, ExtensionUnknownToTheKernelIsNamed) {
  const auto status = Of(Backend::kNft,
                         "Warning: Extension CT revision 0 not supported, missing kernel module?\n"
                         "iptables-restore v1.8.9 (nf_tables): line 4: RULE_APPEND failed (No such "
                         "file or directory): rule in chain PORTOLAN_ZONE\n");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(Message(status), HasSubstr("xt_CT"));
}

TEST(CaptureDiagnosis, RuleThatTheKernelRefusesLeadsToItsModules) {
  const auto status = Of(Backend::kNft,
                         "iptables-restore v1.8.9 (nf_tables): line 3: RULE_APPEND failed (No such "
                         "file or directory): rule in chain PORTOLAN_ZONE");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(Message(status),
              AllOf(HasSubstr("xt_owner"), Not(HasSubstr("xt_CT")), HasSubstr("--uid-owner 1337")));
}

TEST(CaptureDiagnosis, IncompletePackageIsNotTheKernelsFault) {
  const auto status = Of(Backend::kNft, "Couldn't load match `owner':No such file or directory\n");
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(Message(status), HasSubstr("whole package"));
}

TEST(CaptureDiagnosis, LockFileThatCannotBeMadeIsNamed) {
  EXPECT_THAT(Message(Of(Backend::kLegacy,
                         "Fatal: can't open lock file /run/xtables.lock: Read-only file system")),
              HasSubstr("XTABLES_LOCKFILE"));
}

TEST(CaptureDiagnosis, AnythingElseIsQuotedOnOneBoundedLine) {
  auto status = Of(Backend::kNft, "first\n\nsecond\x1b[31m\n" + std::string(5000, 'x'));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Message(status), HasSubstr("first; second [31m; xxx"));
  EXPECT_LT(Message(status).size(), 600u);
  EXPECT_EQ(Message(Of(Backend::kNft, "")), "iptables-restore: failed");
  // A line number beyond the input, or none that can be read, names no line.
  EXPECT_EQ(Message(Of(Backend::kNft, "line 99999999999 failed")),
            "iptables-restore: line 99999999999 failed");
}

}  // namespace
}  // namespace portolan::proxy
