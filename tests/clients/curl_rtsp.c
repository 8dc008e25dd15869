/* An RTSP reader on libcurl, as small tools and health checks of networks use it.
 *
 *   curl_rtsp URL FRAMES [--account NAME:SECRET] [--pause-ms N] [--keepalive METHOD --hold-s N]
 *
 * OPTIONS, DESCRIBE, SETUP of the first track over TCP, PLAY; reads until FRAMES packets with the
 * marker have come; with --pause-ms pauses and plays on until FRAMES more; with --keepalive goes on
 * for N seconds and sends METHOD every two. Prints `frames=...` and ends with 0, or says what failed.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static CURL *curl;
static char description[65536];
static size_t described;
static unsigned frames;

static size_t keep(char *bytes, size_t size, size_t count, void *unused)
{
    (void)unused;
    size_t length = size * count;
    if (described + length < sizeof description) {
        memcpy(description + described, bytes, length);
        described += length;
    }
    return length;
}

/* One interleaved frame: '$', channel, two octets of length, then RTP or RTCP. */
static size_t take(char *bytes, size_t size, size_t count, void *unused)
{
    (void)unused;
    unsigned char *frame = (unsigned char *)bytes;
    if (size * count > 6 && frame[1] == 0 && frame[5] & 0x80)
        frames++;
    return size * count;
}

static void ask(long request, const char *url, const char *name)
{
    curl_easy_setopt(curl, CURLOPT_RTSP_STREAM_URI, url);
    curl_easy_setopt(curl, CURLOPT_RTSP_REQUEST, request);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || (request != CURL_RTSPREQ_RECEIVE && status != 200)) {
        printf("failed: %s: %s, status %ld\n", name, curl_easy_strerror(code), status);
        exit(1);
    }
}

static void read_frames(const char *url, unsigned wanted)
{
    time_t late = time(NULL) + 40;
    for (frames = 0; frames < wanted;) {
        ask(CURL_RTSPREQ_RECEIVE, url, "RECEIVE");
        if (time(NULL) > late) {
            printf("failed: only %u frames came\n", frames);
            exit(1);
        }
    }
}

static void hold(const char *url, const char *method, int seconds)
{
    long request = !strcmp(method, "OPTIONS")         ? CURL_RTSPREQ_OPTIONS
                   : !strcmp(method, "SET_PARAMETER") ? CURL_RTSPREQ_SET_PARAMETER
                                                      : CURL_RTSPREQ_GET_PARAMETER;
    time_t end = time(NULL) + seconds, next = 0;
    while (time(NULL) < end) {
        if (time(NULL) >= next) {
            next = time(NULL) + 2;
            if (request == CURL_RTSPREQ_SET_PARAMETER)
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "ping: 1\r\n");
            else
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS, NULL);
            ask(request, url, method);
        }
        unsigned before = frames;
        ask(CURL_RTSPREQ_RECEIVE, url, "RECEIVE");
        frames = frames < before ? before : frames;
    }
}

int main(int count, char **words)
{
    const char *url = words[1], *keepalive = NULL;
    unsigned wanted = count > 2 ? (unsigned)atoi(words[2]) : 0;
    int pause_ms = 0, hold_s = 0;
    if (wanted == 0) {
        printf("usage: curl_rtsp URL FRAMES [--account NAME:SECRET] ...\n");
        return 1;
    }
    curl_global_init(CURL_GLOBAL_ALL);
    curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_INTERLEAVEFUNCTION, take);
    for (int i = 3; i + 1 < count; i += 2) {
        if (!strcmp(words[i], "--account")) {
            curl_easy_setopt(curl, CURLOPT_USERPWD, words[i + 1]);
            curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_DIGEST);
        } else if (!strcmp(words[i], "--pause-ms"))
            pause_ms = atoi(words[i + 1]);
        else if (!strcmp(words[i], "--keepalive"))
            keepalive = words[i + 1];
        else if (!strcmp(words[i], "--hold-s"))
            hold_s = atoi(words[i + 1]);
    }
    ask(CURL_RTSPREQ_OPTIONS, url, "OPTIONS");
    ask(CURL_RTSPREQ_DESCRIBE, url, "DESCRIBE");
    char track[1024];
    char *control = strstr(description, "m=") ? strstr(strstr(description, "m="), "a=control:") : NULL;
    if (!control || sscanf(control + 10, "%511[^\r\n]", track + 512) != 1) {
        printf("failed: the description names no track\n");
        return 1;
    }
    char target[2048];
    snprintf(target, sizeof target, "%s/%s", url, track + 512);
    curl_easy_setopt(curl, CURLOPT_RTSP_TRANSPORT, "RTP/AVP/TCP;unicast;interleaved=0-1");
    ask(CURL_RTSPREQ_SETUP, target, "SETUP");
    curl_easy_setopt(curl, CURLOPT_RANGE, "npt=0.000-");
    ask(CURL_RTSPREQ_PLAY, url, "PLAY");
    read_frames(url, wanted);
    if (pause_ms) {
        ask(CURL_RTSPREQ_PAUSE, url, "PAUSE");
        struct timespec wait = {pause_ms / 1000, pause_ms % 1000 * 1000000L};
        nanosleep(&wait, NULL);
        curl_easy_setopt(curl, CURLOPT_RANGE, NULL);
        ask(CURL_RTSPREQ_PLAY, url, "PLAY");
        read_frames(url, wanted);
    }
    if (keepalive)
        hold(url, keepalive, hold_s);
    ask(CURL_RTSPREQ_TEARDOWN, url, "TEARDOWN");
    printf("frames=%u\n", frames);
    return 0;
}
