/* The readers of a fan-out: many connections that count events, check their order and time them.
 *
 *     subscribers --port N --path /events/x [--connections 1000] [--events M] [--first F]
 *                 [--header 'Name: value'] [--window 1000] [--timeout 60]
 *
 * Each connection must get the events F to F+M-1, each once and in order. An event is recognised by
 * the end of its data, `@<10 digits sequence> <19 digits CLOCK_MONOTONIC>` and a line end; nothing
 * else is parsed, since a client that costs much would hide what the server can do.
 *
 * Prints `{"ready":N}` when every connection has its response head, and a report when each has all its
 * events or `timeout` seconds are over. With `--events 0` it holds the connections until it is killed. */
#define _GNU_SOURCE
#include "net.h"

#include "histogram.h"

#include <getopt.h>
#include <sys/epoll.h>

#define MARK_LENGTH 31                  /* '@', 10 digits, a space, 19 digits */
#define RECORD_LENGTH (MARK_LENGTH + 1) /* and the line end, which says that the data is complete */
#define CARRY_SIZE 1536                 /* what a read may leave behind: a response head at most */
#define READ_SIZE (256 * 1024)
#define SOURCES 8 /* source addresses, see connect_from */

struct options {
    uint16_t port;
    const char *path, *header;
    uint64_t connections, events, first, window, timeout;
};

struct connection {
    int fd;
    bool streaming; /* the response head has been read */
    bool lost;
    uint64_t next; /* the sequence number that must come next */
    size_t carried;
    char carry[CARRY_SIZE];
};

struct run {
    struct options options;
    struct connection *connections;
    int epoll;
    uint64_t opened, ready, complete, lost;
    uint64_t events, wrong, bytes;
    uint64_t began, first_stamp, last_arrival;
    struct histogram delays, served;
};

static void open_one(struct run *run)
{
    uint64_t index = run->opened++;
    struct connection *connection = &run->connections[index];
    connection->fd = connect_from((uint32_t)(1 + index % SOURCES), run->options.port);
    connection->next = run->options.first;
    /* EPOLLOUT fires once the connection is there; the request goes out then. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = connection};
    epoll_ctl(run->epoll, EPOLL_CTL_ADD, connection->fd, &event);
}

static void request(struct run *run, struct connection *connection)
{
    char text[1024];
    const char *header = run->options.header;
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: text/event-stream\r\n%s%s\r\n",
                          run->options.path, run->options.port, header ? header : "", header ? "\r\n" : "");
    if (!send_all(connection->fd, text, (size_t)length))
        die("a connection was lost before its request was sent");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(run->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void lose(struct run *run, struct connection *connection)
{
    if (!connection->streaming)
        die("a connection ended before its response head was complete");
    connection->lost = true;
    run->lost++;
    close(connection->fd);
}

/* Fixed width, so no scanning: a wrong character shows as a wrong number. */
static uint64_t digits(const char *text, size_t length)
{
    uint64_t value = 0;
    while (length--)
        value = value * 10 + (uint64_t)(*text++ - '0');
    return value;
}

static void count(struct run *run, struct connection *connection, const char *mark, uint64_t arrival)
{
    uint64_t sequence = digits(mark + 1, 10), stamp = digits(mark + 12, 19);
    run->events++;
    run->last_arrival = arrival;
    if (!run->first_stamp || stamp < run->first_stamp)
        run->first_stamp = stamp;
    record(&run->delays, arrival > stamp ? arrival - stamp : 0);
    if (sequence != connection->next)
        run->wrong++; /* a hole, a repetition or disorder: each is a failure of the server */
    connection->next = sequence + 1;
    if (connection->next == run->options.first + run->options.events) {
        run->complete++;
        record(&run->served, arrival - run->began);
    }
}

/* Returns how much of the text was used. */
static size_t read_head(struct run *run, struct connection *connection, const char *text, size_t length)
{
    const char *end = memmem(text, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(text, "HTTP/1.1 200", 12) != 0)
        die("the server answered: %.*s", (int)(end - text), text);
    connection->streaming = true;
    run->ready++;
    return (size_t)(end - text) + 4;
}

/* Returns how much of the text was used: all, but for a record that is not complete. */
static size_t read_events(struct run *run, struct connection *connection, const char *text, size_t length)
{
    uint64_t arrival = now_ns();
    const char *at = text, *end = text + length;
    while ((at = memchr(at, '@', (size_t)(end - at)))) {
        if (end - at < RECORD_LENGTH)
            return (size_t)(at - text);
        if (at[MARK_LENGTH] != '\n' && at[MARK_LENGTH] != '\r')
            die("an event does not end where it should: %.*s", RECORD_LENGTH, at);
        count(run, connection, at, arrival);
        at += RECORD_LENGTH;
    }
    return length;
}

static void receive(struct run *run, struct connection *connection)
{
    static char buffer[CARRY_SIZE + READ_SIZE];
    memcpy(buffer, connection->carry, connection->carried);
    ssize_t got = recv(connection->fd, buffer + connection->carried, READ_SIZE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lose(run, connection);
        return;
    }
    run->bytes += (uint64_t)got;
    size_t length = connection->carried + (size_t)got, used = 0;
    if (!connection->streaming)
        used = read_head(run, connection, buffer, length);
    if (connection->streaming)
        used += read_events(run, connection, buffer + used, length - used);
    connection->carried = length - used;
    if (connection->carried > CARRY_SIZE)
        die("a response head is larger than %d bytes", CARRY_SIZE);
    memcpy(connection->carry, buffer + used, connection->carried);
}

static void handle(struct run *run, const struct epoll_event *event)
{
    struct connection *connection = event->data.ptr;
    if (connection->lost)
        return;
    if (event->events & EPOLLOUT)
        request(run, connection);
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(run, connection);
}

/* At most `window` requests wait for their answer, so that the accept queue never overflows:
 * a dropped SYN costs a second, which would be the kernel's figure and not the server's. */
static void open_more(struct run *run)
{
    while (run->opened < run->options.connections && run->opened - run->ready < run->options.window)
        open_one(run);
}

static bool finished(const struct run *run)
{
    return run->options.events && run->complete + run->lost >= run->options.connections;
}

static void follow(struct run *run)
{
    struct epoll_event events[512];
    uint64_t deadline = run->began + run->options.timeout * NS_PER_SECOND;
    bool announced = false;
    while (!finished(run) && now_ns() < deadline) {
        open_more(run);
        int count = epoll_wait(run->epoll, events, 512, 100);
        for (int i = 0; i < count; i++)
            handle(run, &events[i]);
        if (!announced && run->ready == run->options.connections) {
            announced = true;
            printf("{\"ready\":%llu}\n", (unsigned long long)run->ready);
            fflush(stdout);
        }
    }
}

static void report(const struct run *run)
{
    uint64_t elapsed = run->last_arrival > run->first_stamp ? run->last_arrival - run->first_stamp : 0;
    printf("{\"connections\":%llu,\"complete\":%llu,\"lost\":%llu,\"events\":%llu,\"wrong\":%llu,\"bytes\":%llu,",
           (unsigned long long)run->options.connections, (unsigned long long)run->complete,
           (unsigned long long)run->lost, (unsigned long long)run->events, (unsigned long long)run->wrong,
           (unsigned long long)run->bytes);
    printf("\"seconds\":%.6f,\"cpu_seconds\":%.6f,", (double)elapsed / 1e9, cpu_seconds());
    print_percentiles("delay_us", &run->delays);
    printf(",");
    print_percentiles("served_us", &run->served);
    printf("}\n");
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, 0, 'p'},   {"path", required_argument, 0, 'u'},
        {"header", required_argument, 0, 'h'}, {"connections", required_argument, 0, 'c'},
        {"events", required_argument, 0, 'e'}, {"first", required_argument, 0, 'f'},
        {"window", required_argument, 0, 'w'}, {"timeout", required_argument, 0, 't'},
        {0, 0, 0, 0},
    };
    struct options options = {.connections = 1000, .window = 1000, .timeout = 60};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'p': options.port = (uint16_t)whole_number("--port", optarg); break;
        case 'u': options.path = optarg; break;
        case 'h': options.header = optarg; break;
        case 'c': options.connections = whole_number("--connections", optarg); break;
        case 'e': options.events = whole_number("--events", optarg); break;
        case 'f': options.first = whole_number("--first", optarg); break;
        case 'w': options.window = whole_number("--window", optarg); break;
        case 't': options.timeout = whole_number("--timeout", optarg); break;
        default: exit(2);
        }
    }
    if (!options.port || !options.path)
        die("--port and --path are needed");
    return options;
}

int main(int argc, char **argv)
{
    static struct run run;
    run.options = parse(argc, argv);
    raise_descriptor_limit();
    run.connections = allocate(run.options.connections, sizeof *run.connections);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.began = now_ns();
    follow(&run);
    report(&run);
    return 0;
}
