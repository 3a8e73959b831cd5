// setsockopt(2) of the options that are numbers. Any thread.
#pragma once

#include <sys/socket.h>

namespace portolan {

// False, and errno says why.
inline bool SetOption(int fd, int level, int option, int value = 1) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

}  // namespace portolan
