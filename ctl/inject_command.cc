#include "ctl/inject_command.h"

#include <iostream>
#include <memory>
#include <vector>

#include "common/files.h"
#include "common/flags.h"
#include "ctl/inject.h"
#include "ctl/manifest.h"
#include "ctl/output.h"
#include "ctl/terminal.h"

namespace portolan::ctl {
namespace {

// What is given here goes before what the Template says.
struct Flags {
  std::string file;
  std::string template_file;
  std::string ns = "default";
  std::string image;
  std::vector<Cidr> service_cidrs;
  std::vector<Cidr> pod_cidrs;
};

absl::StatusOr<injector::Template> TemplateOf(const Flags& flags) {
  injector::Template settings;
  if (!flags.template_file.empty()) {
    const auto text = ReadFile(flags.template_file, injector::kMaxTemplateBytes);
    if (!text.ok()) return text.status();
    auto read = injector::ParseTemplate(*text);
    if (!read.ok()) return InvalidArgument("{}:{}", flags.template_file, Message(read.status()));
    settings = *std::move(read);
  }
  if (!flags.image.empty()) settings.defaults.image = flags.image;
  if (!flags.service_cidrs.empty()) settings.service_cidrs = flags.service_cidrs;
  if (!flags.pod_cidrs.empty()) settings.pod_cidrs = flags.pod_cidrs;
  return settings;
}

int Inject(const Flags& flags) {
  const auto settings = TemplateOf(flags);
  if (!settings.ok()) return Fail(settings.status());
  const auto text = ReadManifestText(flags.file);
  if (!text.ok()) return Fail(text.status());
  const auto injected = InjectManifest(*text, *settings, flags.ns);
  const std::string file = flags.file == "-" ? "standard input" : flags.file;
  if (!injected.ok()) return Fail(InvalidArgument("{}:{}", file, Message(injected.status())));
  for (const std::string& note : injected->notes) std::cerr << Printable(note) << "\n";
  for (const std::string& denial : injected->denials) {
    std::cerr << Printable(fmt::format("{}:{}", file, denial)) << "\n";
  }
  return injected->denials.empty() ? Print(injected->text) : kExitFailed;
}

}  // namespace

Run AddInject(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("-f,--filename", flags->file, "YAML or JSON; -: standard input")->required();
  command.add_option("-n,--namespace", flags->ns, "of objects that name none")
      ->capture_default_str();
  command.add_option("--template", flags->template_file,
                     "the injector's injection.yaml; default: an empty one");
  command.add_option("--image", flags->image, "instead of the Template's");
  AddFlag(command, "--service-cidr", flags->service_cidrs,
          "Service range of the cluster, which a file cannot know")
      ->allow_extra_args(false);
  AddFlag(command, "--pod-cidr", flags->pod_cidrs, "pod range of the cluster")
      ->allow_extra_args(false);
  return [flags](Session&) { return Inject(*flags); };
}

}  // namespace portolan::ctl
