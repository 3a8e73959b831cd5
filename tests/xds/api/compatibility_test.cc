// What a release said on the wire and wrote to disk, the next one says and reads as well: fields,
// enum values and methods are only ever added. releases/VERSION.txt is what each release had.
//
// At a release: build/tests/api_compatibility_test --print > tests/xds/api/releases/VERSION.txt
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "portolan/v1/config.pb.h"
#include "portolan/v1/directory.pb.h"
#include "portolan/v1/sidecars.pb.h"
#include "portolan/v1/state.pb.h"

namespace portolan {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using Lines = std::set<std::string>;

constexpr char kReleases[] = "xds/api/releases";

std::string TypeOf(const FieldDescriptor& field) {
  if (field.message_type() != nullptr) return field.message_type()->full_name();
  if (field.enum_type() != nullptr) return field.enum_type()->full_name();
  return field.type_name();
}

void Describe(const EnumDescriptor& type, Lines& lines) {
  for (int i = 0; i < type.value_count(); ++i) {
    lines.insert(fmt::format("{} {} = {}", type.full_name(), type.value(i)->name(),
                             type.value(i)->number()));
  }
}

void Describe(const Descriptor& type, Lines& lines) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    lines.insert(fmt::format("{} {}{} {} = {}", type.full_name(),
                             field.is_repeated() ? "repeated " : "", TypeOf(field), field.name(),
                             field.number()));
  }
  for (int i = 0; i < type.nested_type_count(); ++i) Describe(*type.nested_type(i), lines);
  for (int i = 0; i < type.enum_type_count(); ++i) Describe(*type.enum_type(i), lines);
}

void Describe(const FileDescriptor& file, Lines& lines) {
  for (int i = 0; i < file.message_type_count(); ++i) Describe(*file.message_type(i), lines);
  for (int i = 0; i < file.enum_type_count(); ++i) Describe(*file.enum_type(i), lines);
  for (int i = 0; i < file.service_count(); ++i) {
    for (int k = 0; k < file.service(i)->method_count(); ++k) {
      const auto& method = *file.service(i)->method(k);
      lines.insert(fmt::format(
          "{} ({}{}) returns ({}{})", method.full_name(),
          method.client_streaming() ? "stream " : "", method.input_type()->full_name(),
          method.server_streaming() ? "stream " : "", method.output_type()->full_name()));
    }
  }
}

Lines DescribeApi() {
  Lines lines;
  for (const FileDescriptor* file :
       {v1::Service::descriptor()->file(), v1::ProxyConfig::descriptor()->file(),
        v1::SavedState::descriptor()->file(), v1::Hello::descriptor()->file()}) {
    Describe(*file, lines);
  }
  return lines;
}

Lines ReadLines(const std::filesystem::path& path) {
  std::ifstream file(path);
  Lines lines;
  for (std::string line; std::getline(file, line);) lines.insert(line);
  return lines;
}

TEST(ApiCompatibility, NothingThatAReleaseHadIsRemovedOrRenumbered) {
  const Lines now = DescribeApi();
  size_t releases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kReleases)) {
    ++releases;
    for (const std::string& line : ReadLines(entry.path())) {
      EXPECT_TRUE(now.contains(line))
          << entry.path().filename() << " has\n  " << line << "\nwhich is gone or another now";
    }
  }
  EXPECT_GE(releases, 1u);
}

}  // namespace
}  // namespace portolan

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--print") {
    for (const std::string& line : portolan::DescribeApi()) std::cout << line << "\n";
    return 0;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
