/* Makes frames with edge_bridge.h as standard input says, all with one encoder, C99 and C++11 alike.
 *
 * A request is one letter and its fields, little-endian; `room` is the size of the output buffer:
 *   Q  u16 sequence of the next frame; no answer
 *   M  u8 channels, u8 samples; for a frame, u16 EB_MAX_FRAME
 *   H  u16 room, u8 config, u32 device_id, u32 tick_hz, u32 rate_mhz, char[9] network, station, location,
 *      u8 channels, 8 times (char[4] code, u8 unit, i32 mantissa, i8 exponent, u8 gain)
 *   D  u16 room, u32 tick, u8 n, u8 columns, n * columns i32 samples
 *   T  u16 room, u32 tick, u32 utc_seconds, u8 quality, u8 satellites
 *   S  u16 room, i16 temperature, u16 supply_mv, i32 latitude, i32 longitude, i32 elevation_cm
 * An answer is u16 length of the frame, then the frame. Buffers are exactly as large as said, so that the
 * address sanitizer sees every byte beside them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../../firmware_bridge/c/edge_bridge.h"

static eb_encoder encoder;

static uint8_t read_u8(void) {
    int byte = getchar();
    if (byte == EOF) {
        fputs("a request ends too early\n", stderr);
        exit(2);
    }
    return (uint8_t)byte;
}

static uint16_t read_u16(void) {
    uint16_t low = read_u8();
    return (uint16_t)(low | read_u8() << 8);
}

static uint32_t read_u32(void) {
    uint32_t low = read_u16();
    return low | (uint32_t)read_u16() << 16;
}

static void read_text(char *text, size_t size) {
    size_t k;
    for (k = 0; k < size; k++) {
        text[k] = (char)read_u8();
    }
}

static void write_u16(size_t value) {
    putchar((int)(value & 0xFFu));
    putchar((int)(value >> 8 & 0xFFu));
}

static size_t hello(uint8_t *out, size_t room) {
    eb_station station;
    uint8_t k;
    station.config = read_u8();
    station.device_id = read_u32();
    station.tick_hz = read_u32();
    station.rate_mhz = read_u32();
    read_text(station.network, sizeof station.network);
    read_text(station.station, sizeof station.station);
    read_text(station.location, sizeof station.location);
    station.channels = read_u8();
    for (k = 0; k < EB_MAX_CHANNELS; k++) {
        read_text(station.channel[k].code, sizeof station.channel[k].code);
        station.channel[k].unit = read_u8();
        station.channel[k].mantissa = (int32_t)read_u32();
        station.channel[k].exponent = (int8_t)read_u8();
        station.channel[k].gain = read_u8();
    }
    return eb_hello(&encoder, &station, out, room);
}

static size_t data(uint8_t *out, size_t room) {
    uint32_t tick = read_u32();
    uint8_t n = read_u8();
    size_t count = (size_t)n * read_u8();
    int32_t *samples = (int32_t *)malloc(count * sizeof *samples);
    size_t length;
    size_t k;
    for (k = 0; k < count; k++) {
        samples[k] = (int32_t)read_u32();
    }
    length = eb_data(&encoder, tick, samples, n, out, room);
    free(samples);
    return length;
}

static size_t time_of_pps(uint8_t *out, size_t room) {
    uint32_t tick = read_u32();
    uint32_t utc_seconds = read_u32();
    uint8_t quality = read_u8();
    uint8_t satellites = read_u8();
    return eb_time(&encoder, tick, utc_seconds, quality, satellites, out, room);
}

static size_t status(uint8_t *out, size_t room) {
    eb_health health;
    health.temperature = (int16_t)read_u16();
    health.supply_mv = read_u16();
    health.latitude = (int32_t)read_u32();
    health.longitude = (int32_t)read_u32();
    health.elevation_cm = (int32_t)read_u32();
    return eb_status(&encoder, &health, out, room);
}

static void answer(int request) {
    size_t room = read_u16();
    uint8_t *out = (uint8_t *)malloc(room);
    size_t length = request == 'H'   ? hello(out, room)
                    : request == 'D' ? data(out, room)
                    : request == 'T' ? time_of_pps(out, room)
                                     : status(out, room);
    write_u16(length);
    fwrite(out, 1, length, stdout);
    free(out);
}

int main(void) {
    int request;
    while ((request = getchar()) != EOF) {
        if (request == 'Q') {
            encoder.sequence = read_u16();
        } else if (request == 'M') {
            uint8_t channels = read_u8();
            uint8_t samples = read_u8();
            write_u16(2);
            write_u16(EB_MAX_FRAME(channels, samples));
        } else {
            answer(request);
        }
    }
    return 0;
}
