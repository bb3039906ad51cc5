/* edge_bridge.h: sends what your digitizer measures to an edge-pick station (bridge protocol, version 1).
 *
 * One header, C99 or C++11, no allocation, no floating point, nothing but <stddef.h> and <stdint.h>.
 *
 *     static eb_encoder encoder;                      all zero: nothing sent yet
 *     static const eb_station station = { ... };      what the hello tells
 *     static uint8_t frame[EB_MAX_FRAME(3, 10)];      3 channels, 10 samples: any frame fits
 *
 *     uart_write_zero();                              one 0x00 at power-on ends whatever came before
 *     uart_write(frame, eb_hello(&encoder, &station, frame, sizeof frame));
 *     ...
 *     uart_write(frame, eb_data(&encoder, tick, samples, 10, frame, sizeof frame));
 *
 * eb_hello   at power-on, every 2 seconds and after every change
 * eb_data    ten times a second is a good rate: each frame delays picks by its own length
 * eb_time    once a second, after the PPS edge
 * eb_status  every 10 seconds or so
 *
 * Each returns how many bytes of `out` to write to the line: one complete frame, its end mark 0x00
 * included. It returns 0, and the encoder stays as it was, if the frame does not fit into `out_size`
 * or an argument is outside the range given below; what is in `out` then is no frame. Nothing is ever
 * written beyond `out_size`. A frame that was made but could not be sent counts as lost at the station,
 * as it should.
 *
 * Tick: a counter of 32 bits that runs freely and wraps, `tick_hz` steps a second; the same one for
 * samples and PPS edges. The station learns its true speed and offset from the time frames, so a plain
 * crystal will do.
 *
 * Interrupts: the functions are not reentrant. In an interrupt only read the tick (of the PPS edge, of
 * the sample) into a variable; make and write the frames in the main loop, with one encoder for all.
 */
#ifndef EDGE_BRIDGE_H
#define EDGE_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#define EB_VERSION 1
#define EB_MAX_CHANNELS 8
#define EB_MAX_BODY 2048 /* payload and checksum of one frame, before COBS */

/* Bytes of the largest body of each kind; with COBS and end mark, of its frame. */
#define EB_HELLO_BODY(channels) (45u + 10u * (channels))
#define EB_DATA_BODY(channels, samples) (13u + (channels) * (4u * (samples) + 1u))
#define EB_TIME_BODY 17u
#define EB_STATUS_BODY 23u
#define EB_FRAME(body) ((body) + ((body) + 253u) / 254u + 1u)

#define EB_LARGER_BODY(channels, samples)                              \
    (EB_DATA_BODY(channels, samples) > EB_HELLO_BODY(channels)         \
         ? EB_DATA_BODY(channels, samples)                             \
         : EB_HELLO_BODY(channels))

/* Size of a buffer for every frame of a station with so many channels and samples per data frame. */
#define EB_MAX_FRAME(channels, samples)                                \
    (EB_LARGER_BODY(channels, samples) > EB_MAX_BODY                   \
         ? EB_FRAME(EB_MAX_BODY)                                       \
         : EB_FRAME(EB_LARGER_BODY(channels, samples)))

/* What one unit of ground motion is: eb_channel.unit. */
enum {
    EB_UNIT_UNKNOWN = 0,
    EB_VELOCITY = 1,     /* m/s */
    EB_ACCELERATION = 2, /* m/s^2 */
    EB_DISPLACEMENT = 3, /* m */
    EB_PRESSURE = 4,     /* Pa */
    EB_VOLTAGE = 5       /* V */
};

/* How the time of an eb_time came about. */
enum {
    EB_NO_FIX = 0,       /* the station does not use it */
    EB_FROM_MESSAGE = 1, /* a GNSS message without PPS, good to 0.1 s */
    EB_FROM_PPS = 2      /* PPS with fix */
};

#define EB_NO_TEMPERATURE INT16_MIN
#define EB_NO_SUPPLY 0
#define EB_NO_POSITION INT32_MIN

typedef struct {
    char code[4];     /* SEED channel code, 3 of A-Z 0-9: "EHZ" */
    uint8_t unit;     /* EB_VELOCITY ... */
    int32_t mantissa; /* sensitivity = mantissa * 10^exponent counts per unit; mantissa 0: unknown. */
    int8_t exponent;  /* Counts must grow when the ground moves up, north or east: else mantissa < 0. */
    uint8_t gain;     /* of the amplifier, already in the sensitivity; 0: unknown */
} eb_channel;

typedef struct {
    uint8_t config;     /* count it up whenever you change anything else in here */
    uint32_t device_id;
    uint32_t tick_hz;   /* nominal ticks per second, 1,000 or more */
    uint32_t rate_mhz;  /* samples per second * 1,000, 1 or more */
    char network[9];    /* 1 to 8 of A-Z 0-9 */
    char station[9];    /* 1 to 8 of A-Z 0-9 */
    char location[9];   /* 0 to 8 of A-Z 0-9 */
    uint8_t channels;   /* 1 ... EB_MAX_CHANNELS */
    eb_channel channel[EB_MAX_CHANNELS]; /* codes distinct, at most 3 begin with the same two letters */
} eb_station;

typedef struct {
    int16_t temperature;  /* 0.01 degrees Celsius, or EB_NO_TEMPERATURE */
    uint16_t supply_mv;   /* mV, or EB_NO_SUPPLY */
    int32_t latitude;     /* 1e-7 degrees north, or EB_NO_POSITION */
    int32_t longitude;    /* 1e-7 degrees east, or EB_NO_POSITION */
    int32_t elevation_cm; /* cm above sea level, or EB_NO_POSITION */
} eb_health;

typedef struct {
    uint16_t sequence; /* of the next frame; 0 only before the first */
    uint8_t config;    /* of the last hello */
    uint8_t channels;  /* of the last hello; 0 before the first */
} eb_encoder;

/* One frame in the making. COBS and checksum go byte by byte, so that `out` is the only buffer. */
typedef struct {
    uint8_t *out;
    size_t size;  /* of out */
    size_t used;  /* length of the frame so far, counted on where it has outgrown out */
    size_t block; /* place of the open COBS block's code */
    size_t body;  /* bytes before COBS */
    uint32_t crc;
    uint8_t code; /* of the open block: 1 + bytes in it */
} eb_writer;

static inline void eb_store(eb_writer *w, size_t place, uint8_t byte) {
    if (place < w->size) {
        w->out[place] = byte;
    }
}

static inline void eb_next_block(eb_writer *w) {
    eb_store(w, w->block, w->code);
    w->block = w->used++;
    w->code = 1;
}

static inline void eb_put(eb_writer *w, uint8_t byte) {
    uint8_t k;
    w->body++;
    w->crc ^= byte;
    for (k = 0; k < 8; k++) {
        w->crc = (w->crc >> 1) ^ ((w->crc & 1u) ? 0xEDB88320u : 0u);
    }
    /* A full block is closed only when a byte follows, so that no empty one ends the frame. */
    if (w->code == 0xFF) {
        eb_next_block(w);
    }
    if (byte == 0) {
        eb_next_block(w);
    } else {
        eb_store(w, w->used++, byte);
        w->code++;
    }
}

static inline void eb_put_u16(eb_writer *w, uint16_t value) {
    eb_put(w, (uint8_t)(value & 0xFFu));
    eb_put(w, (uint8_t)(value >> 8));
}

static inline void eb_put_u32(eb_writer *w, uint32_t value) {
    eb_put_u16(w, (uint16_t)(value & 0xFFFFu));
    eb_put_u16(w, (uint16_t)(value >> 16));
}

static inline void eb_open(eb_writer *w, const eb_encoder *encoder, uint8_t type, uint8_t *out,
                           size_t out_size) {
    w->out = out;
    w->size = out_size;
    w->used = 1;
    w->block = 0;
    w->body = 0;
    w->crc = 0xFFFFFFFFu;
    w->code = 1;
    eb_put(w, (uint8_t)(EB_VERSION << 4 | type));
    eb_put_u16(w, encoder->sequence);
}

static inline size_t eb_close(eb_writer *w, eb_encoder *encoder) {
    eb_put_u32(w, ~w->crc);
    eb_store(w, w->block, w->code);
    eb_store(w, w->used++, 0);
    if (w->used > w->size || w->body > EB_MAX_BODY) {
        return 0;
    }
    encoder->sequence = encoder->sequence == 0xFFFFu ? 1u : (uint16_t)(encoder->sequence + 1u);
    return w->used;
}

/* Puts `width` bytes, NUL behind the text; 0 unless the text is `least` to `width` of A-Z 0-9. */
static inline int eb_put_code(eb_writer *w, const char *text, uint8_t least, uint8_t width) {
    uint8_t length = 0;
    uint8_t k;
    while (length < width
           && ((text[length] >= 'A' && text[length] <= 'Z') || (text[length] >= '0' && text[length] <= '9'))) {
        eb_put(w, (uint8_t)text[length++]);
    }
    for (k = length; k < width; k++) {
        eb_put(w, 0);
    }
    return length >= least && text[length] == '\0';
}

/* Whether channel k differs from those before it, and at most two of them are of its instrument. */
static inline int eb_channel_fits(const eb_station *station, uint8_t k) {
    const char *code = station->channel[k].code;
    uint8_t siblings = 0;
    uint8_t j;
    for (j = 0; j < k; j++) {
        const char *other = station->channel[j].code;
        if (other[0] == code[0] && other[1] == code[1]) {
            siblings++;
            if (other[2] == code[2]) {
                return 0;
            }
        }
    }
    return siblings < 3;
}

/* Who sends, and what: the first frame after power-on, then every 2 seconds and after every change. */
static inline size_t eb_hello(eb_encoder *encoder, const eb_station *station, uint8_t *out, size_t out_size) {
    eb_writer w;
    size_t length;
    uint8_t k;
    if (station->tick_hz < 1000u || station->rate_mhz == 0 || station->channels == 0
        || station->channels > EB_MAX_CHANNELS) {
        return 0;
    }
    eb_open(&w, encoder, 0, out, out_size);
    eb_put(&w, station->config);
    eb_put_u32(&w, station->device_id);
    eb_put_u32(&w, station->tick_hz);
    eb_put_u32(&w, station->rate_mhz);
    if (!eb_put_code(&w, station->network, 1, 8) || !eb_put_code(&w, station->station, 1, 8)
        || !eb_put_code(&w, station->location, 0, 8)) {
        return 0;
    }
    eb_put(&w, station->channels);
    for (k = 0; k < station->channels; k++) {
        const eb_channel *channel = &station->channel[k];
        if (!eb_put_code(&w, channel->code, 3, 3) || !eb_channel_fits(station, k)
            || channel->unit > EB_VOLTAGE) {
            return 0;
        }
        eb_put(&w, channel->unit);
        eb_put_u32(&w, (uint32_t)channel->mantissa);
        eb_put(&w, (uint8_t)channel->exponent);
        eb_put(&w, channel->gain);
    }
    length = eb_close(&w, encoder);
    if (length != 0) {
        encoder->config = station->config;
        encoder->channels = station->channels;
    }
    return length;
}

/* Sample i of a channel less the one before, modulo 2^32. */
static inline uint32_t eb_difference(const int32_t *samples, uint8_t i, uint8_t stride) {
    return (uint32_t)samples[(size_t)i * stride] - (uint32_t)samples[((size_t)i - 1u) * stride];
}

static inline void eb_put_channel(eb_writer *w, const int32_t *samples, uint8_t n, uint8_t stride) {
    uint32_t zigzags = 0;
    uint8_t bits = 0;
    uint8_t byte = 0;
    uint8_t filled = 0;
    uint8_t i;
    uint8_t k;
    for (i = 1; i < n; i++) {
        /* 0, -1, 1, -2 ... as 0, 1, 2, 3 ...: as long as the shortest two's complement of the difference */
        uint32_t difference = eb_difference(samples, i, stride);
        zigzags |= (difference << 1) ^ ((difference >> 31) ? 0xFFFFFFFFu : 0u);
    }
    for (; zigzags != 0; zigzags >>= 1) {
        bits++;
    }
    eb_put(w, bits);
    eb_put_u32(w, (uint32_t)samples[0]);
    for (i = 1; i < n; i++) {
        uint32_t difference = eb_difference(samples, i, stride);
        for (k = 0; k < bits; k++) {
            byte = (uint8_t)(byte | ((difference >> k & 1u) << filled));
            if (++filled == 8) {
                eb_put(w, byte);
                byte = 0;
                filled = 0;
            }
        }
    }
    if (filled != 0) {
        eb_put(w, byte);
    }
}

/* `samples`: counts, channels together (Z0 N0 E0 Z1 N1 E1 ...) in the order of the last hello, n (1 ... 255)
 * of each; `tick`: of the first. Needs a hello before. The louder the signal, the longer the frame: 0 where
 * it would exceed EB_MAX_BODY, which cannot happen if EB_DATA_BODY(channels, n) does not. */
static inline size_t eb_data(eb_encoder *encoder, uint32_t tick, const int32_t *samples, uint8_t n,
                             uint8_t *out, size_t out_size) {
    eb_writer w;
    uint8_t k;
    if (encoder->channels == 0 || n == 0) {
        return 0;
    }
    eb_open(&w, encoder, 1, out, out_size);
    eb_put(&w, encoder->config);
    eb_put_u32(&w, tick);
    eb_put(&w, n);
    for (k = 0; k < encoder->channels; k++) {
        eb_put_channel(&w, samples + k, n, encoder->channels);
    }
    return eb_close(&w, encoder);
}

/* `tick` at the PPS edge, and which second began there: `utc_seconds` since 1970 as POSIX counts them.
 * `quality`: EB_FROM_PPS ... Needs a hello before. Send none during a leap second (23:59:60). */
static inline size_t eb_time(eb_encoder *encoder, uint32_t tick, uint32_t utc_seconds, uint8_t quality,
                             uint8_t satellites, uint8_t *out, size_t out_size) {
    eb_writer w;
    if (encoder->channels == 0 || quality > EB_FROM_PPS) {
        return 0;
    }
    eb_open(&w, encoder, 2, out, out_size);
    eb_put_u32(&w, tick);
    eb_put_u32(&w, utc_seconds);
    eb_put(&w, quality);
    eb_put(&w, satellites);
    return eb_close(&w, encoder);
}

/* How and where the digitizer is. Needs a hello before. */
static inline size_t eb_status(eb_encoder *encoder, const eb_health *health, uint8_t *out, size_t out_size) {
    eb_writer w;
    if (encoder->channels == 0) {
        return 0;
    }
    eb_open(&w, encoder, 3, out, out_size);
    eb_put_u16(&w, (uint16_t)health->temperature);
    eb_put_u16(&w, health->supply_mv);
    eb_put_u32(&w, (uint32_t)health->latitude);
    eb_put_u32(&w, (uint32_t)health->longitude);
    eb_put_u32(&w, (uint32_t)health->elevation_cm);
    return eb_close(&w, encoder);
}

#endif
