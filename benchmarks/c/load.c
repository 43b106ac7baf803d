/* The callers of a relay: keep-alive connections that POST and read each streamed answer to its end.
 *
 *     load --port N --path /api/chat --body JSON --token TEXT --end TEXT
 *          [--connections 10] [--rate N] [--warmup 1] [--seconds 5]
 *
 * An answer counts if it has status 200, is complete by its HTTP framing, and has TEXT of `--end`
 * in its body; anything else is a failure. `--token` is the first piece of the model's text, so that
 * the time to the first token is that, and not the time to a head sent before the upstream answered.
 *
 * Without `--rate` each connection asks again as soon as it has its answer (closed loop). With it, N
 * questions a second fall due whatever the server does, and a wait for a free connection is part of
 * their time. What is measured begins after `warmup` seconds; `asked` counts from the first question to
 * the last, for whoever measures the server's CPU time around the whole. */
#define _GNU_SOURCE
#include "net.h"

#include "histogram.h"

#include <getopt.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define ANSWER_SIZE 65536
#define LAST_ANSWERS (3 * NS_PER_SECOND)

struct options {
    uint16_t port;
    const char *path, *body, *token, *end;
    uint64_t connections, rate, warmup, seconds;
};

struct connection {
    int fd;
    bool busy;
    uint64_t asked; /* when the question fell due */
    bool token_seen;
    size_t length;   /* of the raw answer so far */
    size_t parsed;   /* how much of it has been taken apart */
    bool chunked;
    size_t declared; /* the body's length, where it is not chunked */
    size_t body_length;
    char raw[ANSWER_SIZE + 1];
    char body[ANSWER_SIZE + 1];
};

struct run {
    struct options options;
    struct connection *connections;
    char *question;
    size_t question_length;
    int epoll;
    uint64_t began, measured_from, measured_until;
    uint64_t due; /* questions that have fallen due, with --rate */
    uint64_t asked;
    uint64_t answers, failed, reconnects;
    uint64_t fewest_events, most_events;
    struct histogram first_token, whole;
};

enum progress { UNFINISHED, FINISHED, BROKEN };

static void connect_one(struct run *run, struct connection *connection)
{
    connection->fd = connect_from(1, run->options.port);
    connection->busy = false;
    struct pollfd writable = {.fd = connection->fd, .events = POLLOUT};
    poll(&writable, 1, -1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(run->epoll, EPOLL_CTL_ADD, connection->fd, &event);
}

static void reconnect(struct run *run, struct connection *connection)
{
    close(connection->fd);
    run->reconnects++;
    connect_one(run, connection);
}

static void ask(struct run *run, struct connection *connection, uint64_t due)
{
    connection->busy = true;
    connection->asked = due;
    connection->token_seen = false;
    connection->length = connection->parsed = connection->body_length = 0;
    run->asked++;
    /* A connection that the server has closed meanwhile shows as end of file in `receive`. */
    send_all(connection->fd, run->question, run->question_length);
}

static bool measured(const struct run *run, uint64_t at)
{
    return at >= run->measured_from && at < run->measured_until;
}

static uint64_t events_in(const char *body)
{
    uint64_t count = 0;
    while ((body = strstr(body, "\n\n"))) {
        count++;
        body += 2;
    }
    return count;
}

static void finish(struct run *run, struct connection *connection, enum progress progress)
{
    uint64_t now = now_ns();
    connection->busy = false;
    if (progress == BROKEN || !connection->token_seen || !strstr(connection->body, run->options.end)) {
        run->failed++;
        if (run->failed == 1)
            fprintf(stderr, "the first answer that failed:\n%.*s\n", 2000, connection->raw);
        reconnect(run, connection);
    } else if (measured(run, now)) {
        uint64_t events = events_in(connection->body);
        run->answers++;
        record(&run->whole, now - connection->asked);
        if (!run->fewest_events || events < run->fewest_events)
            run->fewest_events = events;
        if (events > run->most_events)
            run->most_events = events;
    }
}

static enum progress parse_head(struct connection *connection)
{
    char *end = strstr(connection->raw, "\r\n\r\n");
    if (!end)
        return UNFINISHED;
    *end = '\0'; /* so that the search below ends with the head */
    bool well = !strncmp(connection->raw, "HTTP/1.1 200", 12);
    const char *length = strcasestr(connection->raw, "\r\ncontent-length:");
    connection->chunked = strcasestr(connection->raw, "\r\ntransfer-encoding: chunked");
    connection->declared = length ? strtoul(length + 17, NULL, 10) : 0;
    *end = '\r';
    if (!well || !(connection->chunked || length))
        return BROKEN;
    connection->parsed = (size_t)(end - connection->raw) + 4;
    return UNFINISHED;
}

/* Moves the payload of each complete chunk to the body. The raw text ends in NUL, so a chunk size
 * that is cut is seen by the line end that it lacks. */
static enum progress parse_chunks(struct connection *connection)
{
    for (;;) {
        char *line = connection->raw + connection->parsed, *end;
        size_t size = strtoul(line, &end, 16);
        if (strncmp(end, "\r\n", 2))
            return *end && *end != '\r' ? BROKEN : UNFINISHED;
        size_t payload = (size_t)(end - connection->raw) + 2;
        if (connection->length < payload + size + 2)
            return UNFINISHED;
        memcpy(connection->body + connection->body_length, connection->raw + payload, size);
        connection->body_length += size;
        connection->body[connection->body_length] = '\0';
        connection->parsed = payload + size + 2;
        if (!size)
            return FINISHED;
    }
}

/* A server that has the whole answer at once may say how long it is. */
static enum progress parse_whole(struct connection *connection)
{
    connection->body_length = connection->length - connection->parsed;
    if (connection->body_length > connection->declared)
        return BROKEN;
    memcpy(connection->body, connection->raw + connection->parsed, connection->body_length);
    connection->body[connection->body_length] = '\0';
    return connection->body_length == connection->declared ? FINISHED : UNFINISHED;
}

static enum progress parse(struct run *run, struct connection *connection)
{
    enum progress progress = UNFINISHED;
    if (!connection->parsed)
        progress = parse_head(connection);
    if (!connection->parsed || progress == BROKEN)
        return progress;
    progress = connection->chunked ? parse_chunks(connection) : parse_whole(connection);
    if (!connection->token_seen && connection->body_length && strstr(connection->body, run->options.token)) {
        uint64_t now = now_ns();
        connection->token_seen = true;
        if (measured(run, now))
            record(&run->first_token, now - connection->asked);
    }
    return progress;
}

/* Returns true when the connection may ask again. */
static bool receive(struct run *run, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->raw + connection->length, ANSWER_SIZE - connection->length, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0 && !connection->busy) { /* the server may close an idle connection */
        reconnect(run, connection);
        return false;
    }
    enum progress progress = BROKEN;
    if (got > 0) {
        connection->length += (size_t)got;
        connection->raw[connection->length] = '\0';
        progress = parse(run, connection);
    }
    if (progress == UNFINISHED)
        return false;
    finish(run, connection, progress);
    return true;
}

/* Give what is due to the connections that are free; with --rate the rest waits for one. */
static void ask_due(struct run *run)
{
    for (uint64_t i = 0; i < run->options.connections && run->asked < run->due; i++)
        if (!run->connections[i].busy)
            ask(run, &run->connections[i], run->began + run->asked * NS_PER_SECOND / run->options.rate);
}

static int start_timer(struct run *run)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    uint64_t interval = NS_PER_SECOND / run->options.rate;
    struct timespec each = {.tv_sec = (time_t)(interval / NS_PER_SECOND), .tv_nsec = (long)(interval % NS_PER_SECOND)};
    struct itimerspec schedule = {.it_interval = each, .it_value = each};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (timer < 0 || timerfd_settime(timer, 0, &schedule, NULL) || epoll_ctl(run->epoll, EPOLL_CTL_ADD, timer, &event))
        die("cannot start a timer");
    return timer;
}

static void on_timer(struct run *run, int timer)
{
    uint64_t ticks;
    if (read(timer, &ticks, sizeof ticks) == sizeof ticks)
        run->due = (now_ns() - run->began) * run->options.rate / NS_PER_SECOND + 1;
}

static bool any_busy(const struct run *run)
{
    for (uint64_t i = 0; i < run->options.connections; i++)
        if (run->connections[i].busy)
            return true;
    return false;
}

static void drive(struct run *run)
{
    struct epoll_event events[256];
    int timer = run->options.rate ? start_timer(run) : -1;
    bool asking = true;
    run->due = 1;
    if (run->options.rate)
        ask_due(run);
    for (uint64_t i = 0; !run->options.rate && i < run->options.connections; i++)
        ask(run, &run->connections[i], now_ns());
    /* At the end the answers under way are read, though not measured: a server whose callers hang up
     * has other work, and complains. */
    while (asking || (any_busy(run) && now_ns() < run->measured_until + LAST_ANSWERS)) {
        int count = epoll_wait(run->epoll, events, 256, 100);
        asking = now_ns() < run->measured_until;
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection)
                on_timer(run, timer);
            else if (receive(run, connection) && asking && !run->options.rate)
                ask(run, connection, now_ns());
        }
        if (asking && run->options.rate)
            ask_due(run);
    }
}

static void report(const struct run *run)
{
    printf("{\"asked\":%llu,\"answers\":%llu,\"failed\":%llu,\"reconnects\":%llu,",
           (unsigned long long)run->asked, (unsigned long long)run->answers, (unsigned long long)run->failed,
           (unsigned long long)run->reconnects);
    printf("\"fewest_events\":%llu,\"most_events\":%llu,", (unsigned long long)run->fewest_events,
           (unsigned long long)run->most_events);
    printf("\"seconds\":%llu,\"cpu_seconds\":%.6f,", (unsigned long long)run->options.seconds, cpu_seconds());
    print_percentiles("first_token_us", &run->first_token);
    printf(",");
    print_percentiles("whole_us", &run->whole);
    printf("}\n");
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, 0, 'p'},   {"path", required_argument, 0, 'u'},
        {"body", required_argument, 0, 'b'},   {"token", required_argument, 0, 't'},
        {"end", required_argument, 0, 'e'},    {"connections", required_argument, 0, 'c'},
        {"rate", required_argument, 0, 'r'},   {"warmup", required_argument, 0, 'w'},
        {"seconds", required_argument, 0, 's'}, {0, 0, 0, 0},
    };
    struct options options = {.connections = 10, .warmup = 1, .seconds = 5};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'p': options.port = (uint16_t)whole_number("--port", optarg); break;
        case 'u': options.path = optarg; break;
        case 'b': options.body = optarg; break;
        case 't': options.token = optarg; break;
        case 'e': options.end = optarg; break;
        case 'c': options.connections = whole_number("--connections", optarg); break;
        case 'r': options.rate = whole_number("--rate", optarg); break;
        case 'w': options.warmup = whole_number("--warmup", optarg); break;
        case 's': options.seconds = whole_number("--seconds", optarg); break;
        default: exit(2);
        }
    }
    if (!options.port || !options.path || !options.body || !options.token || !options.end)
        die("--port, --path, --body, --token and --end are needed");
    return options;
}

int main(int argc, char **argv)
{
    static struct run run;
    run.options = parse_options(argc, argv);
    raise_descriptor_limit();
    int length = asprintf(&run.question,
                          "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                          "Accept: text/event-stream\r\nContent-Length: %zu\r\n\r\n%s",
                          run.options.path, run.options.port, strlen(run.options.body), run.options.body);
    run.question_length = (size_t)length;
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.connections = allocate(run.options.connections, sizeof *run.connections);
    for (uint64_t i = 0; i < run.options.connections; i++)
        connect_one(&run, &run.connections[i]);
    run.began = now_ns();
    run.measured_from = run.began + run.options.warmup * NS_PER_SECOND;
    run.measured_until = run.measured_from + run.options.seconds * NS_PER_SECOND;
    drive(&run);
    report(&run);
    return 0;
}
