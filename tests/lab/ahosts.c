/* `getent ahosts NAME`, to be linked with musl: the resolver of Alpine's images. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char** argv) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  if (argc != 2 || getaddrinfo(argv[1], NULL, &hints, &found) != 0) return 2;
  for (; found != NULL; found = found->ai_next) {
    char text[64];
    getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    puts(text);
  }
  return 0;
}
