/* A model provider that thinks for no time: the answer is ready, and leaves in one write. Or one that takes its time.
 *
 *     upstream PORT [FIRST GAP]
 *
 * FIRST and GAP are in milliseconds: an answer's first event leaves FIRST after the question, each other one GAP
 * after the one before, in a write of its own.
 *
 * POST /v1/chat/completions answers as OpenAI does, POST /v1/messages as Anthropic does; either with
 * 31 events, each in an HTTP chunk of its own as a provider that flushes each event sends them.
 * Connections are kept alive. The first piece of text is the word `Rivers`, which `load.c` times. */
#define _GNU_SOURCE
#include "net.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#define NS_PER_MS 1000000ULL
#define EVENTS 31
#define ANSWER_SIZE 32768
#define REQUEST_SIZE 65536

struct answer {
    size_t length;
    size_t events, ends[EVENTS]; /* where each event ends, the last one with the body */
    char bytes[ANSWER_SIZE];
};

struct connection {
    int fd;
    size_t length;
    const struct answer *telling; /* NULL while nothing is told */
    size_t told, told_bytes;
    uint64_t due; /* when the next event leaves */
    struct connection *next; /* of those that are being told something */
    char request[REQUEST_SIZE];
};

static struct answer openai, anthropic, nothing;
static struct connection *told_to;
static uint64_t first_ns, gap_ns;

static void append(struct answer *answer, const char *bytes, size_t length)
{
    if (answer->length + length > ANSWER_SIZE)
        die("an answer is larger than %d bytes", ANSWER_SIZE);
    memcpy(answer->bytes + answer->length, bytes, length);
    answer->length += length;
}

static void append_head(struct answer *answer)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    append(answer, head, sizeof head - 1);
}

__attribute__((format(printf, 2, 3))) static void append_event(struct answer *answer, const char *format, ...)
{
    char event[1024], size[16];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(event, sizeof event, format, arguments);
    va_end(arguments);
    append(answer, size, (size_t)snprintf(size, sizeof size, "%x\r\n", (unsigned)length + 2));
    append(answer, event, (size_t)length);
    append(answer, "\n\n\r\n", 4);
    answer->ends[answer->events++] = answer->length;
}

static void append_end(struct answer *answer)
{
    append(answer, "0\r\n\r\n", 5);
    answer->ends[answer->events - 1] = answer->length;
}

static const char *word(int index)
{
    static const char *const words[] = {" carry", " their", " water", " past", " the", " turbine", " and", " on"};
    return index ? words[index % 8] : "Rivers";
}

static void append_chunk(struct answer *answer, const char *choices, const char *usage)
{
    append_event(answer,
                 "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
                 "\"model\":\"bench\",\"system_fingerprint\":\"fp_bench\",\"choices\":[%s],\"usage\":%s}",
                 choices, usage);
}

static void make_openai(struct answer *answer)
{
    char choice[256];
    append_head(answer);
    append_chunk(answer,
                 "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                 "\"finish_reason\":null}",
                 "null");
    for (int i = 0; i < EVENTS - 4; i++) {
        snprintf(choice, sizeof choice,
                 "{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}", word(i));
        append_chunk(answer, choice, "null");
    }
    append_chunk(answer, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}", "null");
    append_chunk(answer, "", "{\"prompt_tokens\":9,\"completion_tokens\":27,\"total_tokens\":36}");
    append_event(answer, "data: [DONE]");
    append_end(answer);
}

static void make_anthropic(struct answer *answer)
{
    append_head(answer);
    append_event(answer,
                 "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\","
                 "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,"
                 "\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}");
    append_event(answer, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
                         "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
    append_event(answer, "event: ping\ndata: {\"type\": \"ping\"}");
    for (int i = 0; i < EVENTS - 6; i++)
        append_event(answer,
                     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                     "\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}",
                     word(i));
    append_event(answer, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}");
    append_event(answer, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
                         "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":25}}");
    append_event(answer, "event: message_stop\ndata: {\"type\":\"message_stop\"}");
    append_end(answer);
}

static void make_nothing(struct answer *answer)
{
    static const char head[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    append(answer, head, sizeof head - 1);
}

/* Returns the length of the first complete request, 0 where there is none yet. */
static size_t complete_request(struct connection *connection)
{
    char *request = connection->request;
    request[connection->length] = '\0';
    char *end = strstr(request, "\r\n\r\n");
    if (!end)
        return 0;
    size_t head = (size_t)(end - request) + 4;
    if (!strncmp(request, "GET ", 4))
        return head;
    char *declared = strcasestr(request, "\r\ncontent-length:");
    if (!declared || declared > end)
        die("this upstream needs a Content-Length: %.*s", (int)(end - request), request);
    size_t whole = head + strtoul(declared + 17, NULL, 10);
    return connection->length >= whole ? whole : 0;
}

static const struct answer *answer_for(const char *request)
{
    if (!strncmp(request, "POST /v1/chat/completions ", 26))
        return &openai;
    if (!strncmp(request, "POST /v1/messages ", 18))
        return &anthropic;
    if (!strncmp(request, "GET ", 4)) /* some gateways ask for a list of models first */
        return &nothing;
    die("this upstream does not know: %.60s", request);
}

static void stop_telling(struct connection *connection)
{
    struct connection **link = &told_to;
    while (*link && *link != connection)
        link = &(*link)->next;
    if (*link)
        *link = connection->next;
    connection->telling = NULL;
}

static void begin_telling(struct connection *connection, const struct answer *answer)
{
    if (connection->telling)
        die("a question while another is answered");
    connection->telling = answer;
    connection->told = connection->told_bytes = 0;
    connection->due = now_ns() + first_ns;
    connection->next = told_to;
    told_to = connection;
}

/* All that is due by now leaves in one write: who was asleep at the time cannot make up for it. */
static void tell(struct connection *connection, uint64_t now)
{
    const struct answer *answer = connection->telling;
    size_t end = connection->told_bytes;
    for (; connection->told < answer->events && connection->due <= now; connection->due += gap_ns)
        end = answer->ends[connection->told++];
    /* A peer that is gone is found by the reading side. */
    bool there = send_all(connection->fd, answer->bytes + connection->told_bytes, end - connection->told_bytes);
    connection->told_bytes = end;
    if (!there || connection->told == answer->events)
        stop_telling(connection);
}

static void tell_due(int timer)
{
    uint64_t now = now_ns(), earliest = 0;
    for (struct connection *connection = told_to, *next; connection; connection = next) {
        next = connection->next;
        if (connection->due <= now)
            tell(connection, now);
        if (connection->telling && (!earliest || connection->due < earliest))
            earliest = connection->due;
    }
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(earliest / NS_PER_SECOND),
                                         .tv_nsec = (long)(earliest % NS_PER_SECOND)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static bool reply(struct connection *connection, const struct answer *answer)
{
    if (!answer->events || !(first_ns || gap_ns))
        return send_all(connection->fd, answer->bytes, answer->length);
    begin_telling(connection, answer);
    return true;
}

/* Returns false when the peer is gone. */
static bool serve(struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->request + connection->length,
                       REQUEST_SIZE - 1 - connection->length, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    connection->length += (size_t)got;
    size_t used;
    while ((used = complete_request(connection))) {
        if (!reply(connection, answer_for(connection->request)))
            return false;
        connection->length -= used;
        memmove(connection->request, connection->request + used, connection->length);
    }
    return true;
}

static void accept_one(int listener, int epoll)
{
    struct connection *connection = allocate(1, sizeof *connection);
    connection->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection->fd < 0)
        die("accept");
    send_at_once(connection->fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 4)
        die("usage: upstream PORT [FIRST GAP]");
    if (argc == 4) {
        first_ns = whole_number("FIRST", argv[2]) * NS_PER_MS;
        gap_ns = whole_number("GAP", argv[3]) * NS_PER_MS;
    }
    make_openai(&openai);
    make_anthropic(&anthropic);
    make_nothing(&nothing);
    int listener = listen_on((uint16_t)whole_number("PORT", argv[1])), epoll = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    struct epoll_event timing = {.events = EPOLLIN, .data.ptr = &told_to};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening);
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &timing);
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection) {
                accept_one(listener, epoll);
            } else if (events[i].data.ptr != &told_to && !serve(connection)) {
                stop_telling(connection);
                close(connection->fd);
                free(connection);
            }
        }
        tell_due(timer);
    }
}
