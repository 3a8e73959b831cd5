// portolanctl as its users run it.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace portolan::ctl {

struct Ran {
  int status;
  std::string output;  // both streams
};

// By a shell; `before`: what stands in front of the program.
inline Ran Invoke(const std::string& arguments, const std::string& before = "") {
  FILE* pipe = popen((before + PORTOLANCTL " " + arguments + " 2>&1").c_str(), "r");
  Ran ran{-1, {}};
  std::array<char, 4096> buffer{};
  size_t n = 0;
  while ((n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0)
    ran.output.append(buffer.data(), n);
  ran.status = WEXITSTATUS(pclose(pipe));
  return ran;
}

}  // namespace portolan::ctl
