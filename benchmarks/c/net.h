/* What the four programs share: the clock, giving up and sockets on loopback.
 *
 * Everything is `static`: each program is one translation unit, compiled by one gcc call. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000ULL

#define UNUSED __attribute__((unused))

/* The caller cannot go on: a benchmark that limps on measures something else. */
__attribute__((noreturn, format(printf, 1, 2))) UNUSED static void die(const char *format, ...)
{
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, error ? " (%s)\n" : "\n", strerror(error));
    exit(1);
}

/* The clock of Python's time.monotonic_ns(), so that a server's stamp and our reading compare. */
UNUSED static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

UNUSED static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

UNUSED static uint64_t whole_number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno || end == text || *end)
        die("%s wants a whole number, not '%s'", option, text);
    return value;
}

UNUSED static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        die("out of memory");
    return memory;
}

/* One descriptor for each connection: the soft limit is often 1024. */
UNUSED static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

UNUSED static struct sockaddr_in loopback(uint32_t host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host);
    return address;
}

/* Servers send each event as soon as they have it; so do we. */
UNUSED static void send_at_once(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

UNUSED static int listen_on(uint16_t port)
{
    struct sockaddr_in address = loopback(0, port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096))
        die("cannot listen on port %u", port);
    return fd;
}

/* Start a non-blocking connection from 127.0.0.1 + `source`: each source address has its own
 * range of ephemeral ports, so that connections in TIME_WAIT never use it up. */
UNUSED static int connect_from(uint32_t source, uint16_t port)
{
    struct sockaddr_in from = loopback(source, 0), to = loopback(0, port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("cannot open a socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from))
        die("cannot bind a source address");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        die("cannot connect to port %u", port);
    send_at_once(fd);
    return fd;
}

/* Send all of it, waiting where the socket is full. Returns false when the peer is gone. */
UNUSED static bool send_all(int fd, const char *bytes, size_t length)
{
    while (length) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

#endif
