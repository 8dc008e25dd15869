// An RTSP reader on LIVE555, the library inside many recorders and set-top boxes.
//
//   live555 URL [--transport tcp|udp|multicast|http] [--user NAME --password SECRET]
//           [--frames N] [--pause-ms N] [--keepalive METHOD --hold-s N]
//           [--from CLOCK [--to CLOCK]] [--scale X]
//
// Plays every track until N video frames have come. With --pause-ms it then pauses, waits, and
// plays until N more have come. With --keepalive it goes on for N seconds more and sends METHOD
// every two seconds. Prints one line, in which key_first=1 says that what came first after each PLAY
// was a key frame: frames=… key_first=… audio=… codec=…
// Ends with 0, or with 1 and what went wrong.

#include "BasicUsageEnvironment.hh"
#include "liveMedia.hh"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Options {
    std::string url, transport = "tcp", user, password, keepalive, from, to;
    unsigned frames = 50, pause_ms = 0, hold_s = 0;
    float scale = 1.0f;
};

Options options;
TaskScheduler* scheduler;
UsageEnvironment* env;
RTSPClient* client;
Authenticator* account;
MediaSession* session;
MediaSubsessionIterator* rest;
MediaSubsession* setting_up;
unsigned video_frames, audio_frames, wanted;
bool key_first = true, between = true, paused_once, holding;
char done;

void fail(char const* what, char const* why) {
    std::printf("failed: %s: %s\n", what, why ? why : "");
    std::fflush(stdout);
    std::exit(1);
}

void played(RTSPClient*, int code, char* text);

void play() {
    if (options.from.empty()) {
        client->sendPlayCommand(*session, played, paused_once ? -1.0 : 0.0, -1.0, options.scale, account);
    } else {
        char const* to = options.to.empty() ? nullptr : options.to.c_str();
        client->sendPlayCommand(*session, played, options.from.c_str(), to, options.scale, account);
    }
}

void torn_down(RTSPClient*, int code, char* text) {
    if (code != 0) fail("TEARDOWN", text);
    done = 1;
}

void finish(void*) { client->sendTeardownCommand(*session, torn_down, account); }

void kept_alive(RTSPClient*, int code, char* text) {
    if (code != 0) fail(options.keepalive.c_str(), text);
    delete[] text;
}

void keep_alive(void*) {
    if (options.keepalive == "OPTIONS") client->sendOptionsCommand(kept_alive, account);
    else if (options.keepalive == "SET_PARAMETER")
        client->sendSetParameterCommand(*session, kept_alive, "ping", "1", account);
    else client->sendGetParameterCommand(*session, kept_alive, nullptr, account);
    scheduler->scheduleDelayedTask(2000000, keep_alive, nullptr);
}

void resume(void*) {
    video_frames = 0;
    between = true;
    play();
}

void paused(RTSPClient*, int code, char* text) {
    if (code != 0) fail("PAUSE", text);
    delete[] text;
    scheduler->scheduleDelayedTask(options.pause_ms * 1000LL, resume, nullptr);
}

// Asked for from the event loop, never from inside a sink.
void enough(void*) {
    if (options.pause_ms && !paused_once) {
        paused_once = true;
        client->sendPauseCommand(*session, paused, account);
    } else if (!options.keepalive.empty() && !holding) {
        holding = true;
        keep_alive(nullptr);
        scheduler->scheduleDelayedTask(options.hold_s * 1000000LL, finish, nullptr);
    } else if (!holding) {
        finish(nullptr);
    }
}

class Counter : public MediaSink {
public:
    explicit Counter(MediaSubsession& of)
        : MediaSink(*env), track(of), video(!strcmp(of.mediumName(), "video")) {}

private:
    Boolean continuePlaying() override {
        if (!fSource) return False;
        fSource->getNextFrame(buffer, sizeof buffer, came, this, onSourceClosure, this);
        return True;
    }
    static void came(void* self, unsigned size, unsigned cut, timeval at, unsigned) {
        static_cast<Counter*>(self)->take(size, cut, at);
    }
    // LIVE555 hands over NAL units; a new presentation time is a new picture.
    void take(unsigned size, unsigned cut, timeval at) {
        if (cut) fail("frame", "it is larger than the buffer");
        if (!video) ++audio_frames;
        else if (size) look(at);
        continuePlaying();
    }
    void look(timeval at) {
        bool const h265 = !strcmp(track.codecName(), "H265");
        unsigned const type = h265 ? (buffer[0] >> 1) & 63 : buffer[0] & 31;
        bool const key = h265 ? type >= 16 && type <= 21 : type == 5;
        bool const slice = h265 ? type < 32 : type >= 1 && type <= 5;
        if (slice && between) { between = false; key_first = key_first && key; }
        if (!slice || (at.tv_sec == last.tv_sec && at.tv_usec == last.tv_usec)) return;
        last = at;
        if (++video_frames == wanted) scheduler->scheduleDelayedTask(0, enough, nullptr);
    }

    MediaSubsession& track;
    bool const video;
    timeval last{};
    unsigned char buffer[4 << 20];
};

void set_up_next();

void was_set_up(RTSPClient*, int code, char* text) {
    if (code != 0) fail("SETUP", text);
    delete[] text;
    setting_up->sink = new Counter(*setting_up);
    setting_up->sink->startPlaying(*setting_up->readSource(), nullptr, nullptr);
    set_up_next();
}

void played(RTSPClient*, int code, char* text) {
    if (code != 0) fail("PLAY", text);
    delete[] text;
}

void set_up_next() {
    setting_up = rest->next();
    if (!setting_up) return play();
    if (!setting_up->initiate()) return fail("initiate", env->getResultMsg());
    bool const tcp = options.transport == "tcp";
    bool const multicast = options.transport == "multicast";
    client->sendSetupCommand(*setting_up, was_set_up, False, tcp, multicast, account);
}

void described(RTSPClient*, int code, char* text) {
    if (code != 0) fail("DESCRIBE", text);
    session = MediaSession::createNew(*env, text);
    delete[] text;
    if (!session || !session->hasSubsessions()) fail("SDP", env->getResultMsg());
    rest = new MediaSubsessionIterator(*session);
    set_up_next();
}

void too_late(void*) {
    char text[64];
    std::snprintf(text, sizeof text, "%u video and %u audio frames came", video_frames, audio_frames);
    fail("time", text);
}

void read_options(int count, char** words) {
    if (count < 2) fail("usage", "live555 URL [--transport tcp] ...");
    options.url = words[1];
    for (int i = 2; i + 1 < count; i += 2) {
        std::string const name = words[i], value = words[i + 1];
        if (name == "--transport") options.transport = value;
        else if (name == "--user") options.user = value;
        else if (name == "--password") options.password = value;
        else if (name == "--frames") options.frames = std::stoul(value);
        else if (name == "--pause-ms") options.pause_ms = std::stoul(value);
        else if (name == "--keepalive") options.keepalive = value;
        else if (name == "--hold-s") options.hold_s = std::stoul(value);
        else if (name == "--from") options.from = value;
        else if (name == "--to") options.to = value;
        else if (name == "--scale") options.scale = std::stof(value);
        else fail("usage", words[i]);
    }
}

// The port of an rtsp:// URL; the tunnel is on the same one.
unsigned port_of(std::string const& url) {
    auto const host = url.find("://") + 3;
    auto const colon = url.find(':', url.find('@', host) == std::string::npos ? host : url.find('@', host));
    return colon == std::string::npos ? 554 : std::stoul(url.substr(colon + 1));
}

} // namespace

int main(int count, char** words) {
    read_options(count, words);
    wanted = options.frames;
    scheduler = BasicTaskScheduler::createNew();
    env = BasicUsageEnvironment::createNew(*scheduler);
    portNumBits const tunnel = options.transport == "http" ? port_of(options.url) : 0;
    client = RTSPClient::createNew(*env, options.url.c_str(), 0, "live555", tunnel);
    if (!client) fail("client", env->getResultMsg());
    account = new Authenticator(options.user.c_str(), options.password.c_str());
    scheduler->scheduleDelayedTask((40LL + options.hold_s) * 1000000, too_late, nullptr);
    client->sendDescribeCommand(described, account);
    scheduler->doEventLoop(&done);
    MediaSubsessionIterator all(*session);
    std::string codecs;
    while (MediaSubsession* track = all.next()) codecs += std::string(codecs.empty() ? "" : ",") + track->codecName();
    std::printf("frames=%u key_first=%d audio=%u codec=%s\n", video_frames, key_first, audio_frames, codecs.c_str());
    return 0;
}
