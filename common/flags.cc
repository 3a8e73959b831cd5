#include "common/flags.h"

#include <yaml-cpp/yaml.h>

#include <iostream>

namespace portolan {
namespace {

class YamlConfig : public CLI::Config {
 public:
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    try {
      const YAML::Node root = YAML::Load(input);
      if (root.IsNull()) return {};
      if (!root.IsMap()) throw CLI::FileError("--config: not a YAML map from flag to value");
      std::vector<CLI::ConfigItem> settings;
      for (const auto& entry : root) {
        CLI::ConfigItem item;
        item.name = entry.first.as<std::string>();
        if (entry.second.IsSequence()) {
          item.inputs = entry.second.as<std::vector<std::string>>();
        } else {
          item.inputs = {entry.second.as<std::string>()};
        }
        settings.push_back(std::move(item));
      }
      return settings;
    } catch (const YAML::Exception& e) {
      throw CLI::FileError(fmt::format("--config: line {}, column {}: {}", e.mark.line + 1,
                                       e.mark.column + 1, e.msg));
    }
  }
};

// "--name=" as "--name" "": CLI11 would take the argument that follows for the value.
std::vector<std::string> WithEmptyValues(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 0; i < argc; ++i) {
    const std::string_view text = argv[i];
    const bool is_empty_value = text.starts_with("--") && text.find('=') == text.size() - 1;
    arguments.emplace_back(is_empty_value ? text.substr(0, text.size() - 1) : text);
    if (is_empty_value) arguments.emplace_back();
  }
  return arguments;
}

}  // namespace

void AddCommonFlags(CLI::App& app, const std::string& version) {
  app.set_version_flag("--version", version);
  app.set_config("--config", "", "YAML file with the same settings as the flags");
  app.config_formatter(std::make_shared<YamlConfig>());
  app.allow_config_extras(CLI::config_extras_mode::error);
}

std::optional<int> ParseFlags(CLI::App& app, int argc, const char* const* argv) {
  const std::vector<std::string> arguments = WithEmptyValues(argc, argv);
  std::vector<const char*> texts;
  texts.reserve(arguments.size());
  for (const std::string& argument : arguments) texts.push_back(argument.c_str());
  try {
    app.parse(static_cast<int>(texts.size()), texts.data());
    return std::nullopt;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kExitOk : kExitUsage;
  }
}

std::optional<int> WrongUsage(std::string_view fault) {
  if (fault.empty()) return std::nullopt;
  std::cerr << fault << "\nRun with --help for more information.\n";
  return kExitUsage;
}

void AddLogFlags(CLI::App& app, std::string& level, std::string& format) {
  app.add_option("--log-level", level, "debug, info, warn or error")->capture_default_str();
  app.add_option("--log-format", format, "text, or json: an object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

CLI::Option* AddFlag(CLI::App& app, const std::string& name, absl::Duration& out,
                     const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [&out, name](const std::string& text) {
            absl::Duration value;
            if (!absl::ParseDuration(text, &value) || value < absl::ZeroDuration()) {
              throw CLI::ValidationError(
                  name, fmt::format("'{}' is not a duration such as 300ms or 10s", text));
            }
            out = value;
          },
          help)
      ->default_str(absl::FormatDuration(out));
}

}  // namespace portolan
