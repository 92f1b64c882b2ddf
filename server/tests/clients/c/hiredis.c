/* hiredis against a node, unchanged: run by scripts/test-clients with the node's port. */

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static redisContext *redis, *listener;

#define expect(held, reply)                                                                        \
    if (!(held)) {                                                                                 \
        redisReply *found = (reply);                                                               \
        fprintf(stderr, "line %d: expected %s; found type %d, number %lld, text %s\n", __LINE__,   \
                #held, found ? found->type : -1, found ? found->integer : 0,                       \
                found && found->str ? found->str : "none");                                        \
        exit(1);                                                                                   \
    }
#define is_text(reply, text) ((reply) && (reply)->str && !strcmp((reply)->str, (text)))
#define is_error(reply, words) ((reply) && (reply)->type == REDIS_REPLY_ERROR && strstr((reply)->str, (words)))
#define is_null(reply) ((reply) && (reply)->type == REDIS_REPLY_NIL)
#define number(expected, ...)                                                                      \
    do {                                                                                           \
        redisReply *reply = redisCommand(redis, __VA_ARGS__);                                      \
        expect(reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == (expected), reply);\
        freeReplyObject(reply);                                                                    \
    } while (0)

static redisReply *ask(const char *command) { return redisCommand(redis, command); }
static redisReply *heard(void) {
    redisReply *reply = NULL;
    redisGetReply(listener, (void **)&reply);
    return reply;
}
static redisContext *connected(int port) {
    redisContext *context = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){10, 0});
    if (!context || context->err || redisSetTimeout(context, (struct timeval){10, 0}) != REDIS_OK) {
        fprintf(stderr, "no connection: %s\n", context ? context->errstr : "no memory");
        exit(1);
    }
    return context;
}

static void counts(void) {
    number(1, "INCR c");
    number(11, "INCRBY c 10");
    number(10, "DECR c");
    number(-10, "DECRBY c 20");
    number(-15, "INCRBY c -5");
    number(9223372036854775807LL, "INCRBY c:large 9223372036854775807");
    expect(is_error(ask("INCR c:large"), "overflow"), ask("INCR c:large"));
    expect(is_text(ask("GET c:large"), "9223372036854775807"), ask("GET c:large"));
}

static void tells_what_nobody_touched(void) {
    expect(is_null(ask("GET c:nobody")), ask("GET c:nobody"));
    redisReply *both = ask("MGET c c:nobody");
    expect(both && both->elements == 2 && is_text(both->element[0], "-15") && is_null(both->element[1]), both);
    number(1, "EXISTS c c:nobody");
}

static void takes_any_name(void) {
    number(1, "INCR %s", "c:größe 数 \"q\" and spaces");
    redisReply *got = redisCommand(redis, "GET %s", "c:größe 数 \"q\" and spaces");
    expect(is_text(got, "1"), got);
}

static void pipelines(void) {
    for (int n = 1; n <= 5000; n++) redisAppendCommand(redis, "INCR c:pipeline");
    for (int n = 1; n <= 5000; n++) {
        redisReply *reply = NULL;
        redisGetReply(redis, (void **)&reply);
        expect(reply && reply->integer == n, reply);
        freeReplyObject(reply);
    }
}

static void transacts(void) {
    ask("MULTI"), ask("INCR c:tx"), ask("DECRBY c:tx 3"), ask("GET c:tx");
    redisReply *all = ask("EXEC");
    expect(all && all->elements == 3 && all->element[0]->integer == 1 && all->element[1]->integer == -2, all);
    expect(is_text(all->element[2], "-2"), all->element[2]);
}

static void turns_refusals_into_errors(void) {
    expect(is_error(ask("APPEND c 1"), "APPEND is refused: "), ask("APPEND c 1"));
    expect(is_error(ask("RENAME c d"), "RENAME is refused: "), ask("RENAME c d"));
    expect(is_error(ask("INCRBY c x"), "not an integer"), ask("INCRBY c x"));
    expect(is_text(ask("PING still"), "still"), ask("PING still"));
}

static void scans(void) {
    int found = 0;
    char cursor[24] = "0";
    for (int n = 0; n < 100; n++) number(1, "INCR c:scan:%d", n);
    do {
        redisReply *step = redisCommand(redis, "SCAN %s MATCH c:scan:* COUNT 7", cursor);
        expect(step && step->elements == 2, step);
        snprintf(cursor, sizeof cursor, "%s", step->element[0]->str);
        found += step->element[1]->elements;
    } while (strcmp(cursor, "0"));
    expect(found == 100, NULL);
}

static void listens(void) {
    redisAppendCommand(listener, "SUBSCRIBE counter:c:heard");
    redisAppendCommand(listener, "PSUBSCRIBE counter:c:hear*");
    redisReply *one = heard(), *two = heard();
    expect(one && one->elements == 3 && is_text(one->element[0], "subscribe"), one);
    expect(two && two->elements == 3 && is_text(two->element[0], "psubscribe"), two);
    number(5, "INCRBY c:heard 5");
    one = heard(), two = heard();
    expect(one && one->elements == 3 && is_text(one->element[0], "message") && is_text(one->element[2], "5"), one);
    expect(two && two->elements == 4 && is_text(two->element[0], "pmessage") && is_text(two->element[3], "5"), two);
}

static void reconnects(void) {
    puts("restart"), fflush(stdout), getchar();
    expect(!ask("INCR c:again"), NULL);
    expect(redisReconnect(redis) == REDIS_OK, NULL);
    number(1, "INCR c:again");
    expect(is_text(ask("GET c"), "-15"), ask("GET c"));
}

int main(int count, char **words) {
    int port = count > 1 ? atoi(words[1]) : 6380;
    redis = connected(port), listener = connected(port);
    counts(), tells_what_nobody_touched(), takes_any_name(), pipelines(), transacts();
    turns_refusals_into_errors(), scans(), listens(), reconnects();
    puts("all as expected");
}
