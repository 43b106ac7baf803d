/* The floor under every fan-out server: a plain loop of `send` over all sockets.
 *
 *     send_loop PORT RATE EVENTS
 *
 * It accepts subscribers and answers their request with an event stream's head until SIGUSR1 comes;
 * then it sends EVENTS events to all of them, RATE a second, and sleeps until it is killed. It keeps
 * nothing, resumes nobody, and one slow reader holds up all others: it is no server, it is what the
 * kernel charges for the writes. */
#define _GNU_SOURCE
#include "net.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>

#define MOST_SUBSCRIBERS 20000

static const char HEAD[] = "HTTP/1.1 200 OK\r\n"
                           "Content-Type: text/event-stream\r\n"
                           "Cache-Control: no-cache\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n";

static volatile sig_atomic_t started;

static void on_start(int number)
{
    (void)number;
    started = 1;
}

/* Read the request head; the subscribers send nothing after it. */
static bool read_request(int fd)
{
    char request[4096];
    size_t length = 0;
    while (length < sizeof request) {
        ssize_t got = recv(fd, request + length, sizeof request - length, 0);
        if (got <= 0)
            return false;
        length += (size_t)got;
        if (memmem(request, length, "\r\n\r\n", 4))
            return true;
    }
    return false;
}

static size_t accept_subscribers(int listener, int *subscribers)
{
    size_t count = 0;
    /* SIGUSR1 is let in only inside ppoll: else it could come between the test and the wait. */
    sigset_t blocked, open;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &open);
    sigdelset(&open, SIGUSR1);
    struct pollfd incoming = {.fd = listener, .events = POLLIN};
    while (!started && count < MOST_SUBSCRIBERS) {
        if (ppoll(&incoming, 1, NULL, &open) <= 0)
            continue;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            die("accept");
        send_at_once(fd);
        if (read_request(fd) && send_all(fd, HEAD, sizeof HEAD - 1))
            subscribers[count++] = fd;
        else
            close(fd);
    }
    return count;
}

/* One event as one HTTP chunk, in the bytes that the Python servers send too: see peers/ticker.py. */
static size_t make_chunk(char *chunk, size_t size, uint64_t sequence)
{
    char event[256];
    int length = snprintf(event, sizeof event, "id: sendloop-%llu\ndata: %.*s@%010llu %019llu\n\n",
                          (unsigned long long)sequence, 104,
                          "........................................................................................"
                          "................",
                          (unsigned long long)sequence, (unsigned long long)now_ns());
    return (size_t)snprintf(chunk, size, "%x\r\n%s\r\n", (unsigned)length, event);
}

static void sleep_until(uint64_t deadline)
{
    struct timespec at = {.tv_sec = (time_t)(deadline / NS_PER_SECOND), .tv_nsec = (long)(deadline % NS_PER_SECOND)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        die("usage: send_loop PORT RATE EVENTS");
    uint16_t port = (uint16_t)whole_number("PORT", argv[1]);
    uint64_t rate = whole_number("RATE", argv[2]), events = whole_number("EVENTS", argv[3]);
    raise_descriptor_limit();
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_start}, NULL);

    int *subscribers = allocate(MOST_SUBSCRIBERS, sizeof *subscribers);
    size_t count = accept_subscribers(listen_on(port), subscribers);
    uint64_t start = now_ns();
    for (uint64_t sequence = 0; sequence < events; sequence++) {
        char chunk[320];
        sleep_until(start + sequence * NS_PER_SECOND / rate);
        size_t length = make_chunk(chunk, sizeof chunk, sequence);
        for (size_t i = 0; i < count; i++)
            send_all(subscribers[i], chunk, length);
    }
    pause();
    return 0;
}
