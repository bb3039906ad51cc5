/* What must hold at compile time, in C99 and C++11 alike: an array of negative size stops the compiler. */
#include "../../../firmware_bridge/c/edge_bridge.h"

#define HOLDS(name, condition) typedef char name[(condition) ? 1 : -1]

/* A hello ends 10 bytes per channel behind byte 41; then the checksum. */
HOLDS(hello_of_one_channel, EB_HELLO_BODY(1) == 3 + 1 + 4 + 4 + 4 + 24 + 1 + 10 + 4);
HOLDS(hello_of_eight_channels, EB_HELLO_BODY(8) == 3 + 1 + 4 + 4 + 4 + 24 + 1 + 80 + 4);
/* Samples begin at byte 9; a channel has 5 bytes and, at the loudest, 4 for each sample but the first. */
HOLDS(data_of_one_sample, EB_DATA_BODY(1, 1) == 9 + 5 + 4);
HOLDS(data_of_three_channels, EB_DATA_BODY(3, 10) == 9 + 3 * (5 + 9 * 4) + 4);
HOLDS(time_body, EB_TIME_BODY == 3 + 4 + 4 + 1 + 1 + 4);
HOLDS(status_body, EB_STATUS_BODY == 3 + 2 + 2 + 4 + 4 + 4 + 4);

/* COBS adds a byte for every 254 begun, the end mark is one more. */
HOLDS(frame_of_a_short_body, EB_FRAME(7) == 9);
HOLDS(frame_of_one_full_block, EB_FRAME(254) == 256);
HOLDS(frame_of_one_byte_more, EB_FRAME(255) == 258);
HOLDS(frame_of_the_largest_body, EB_FRAME(EB_MAX_BODY) == 2058);

HOLDS(data_is_the_larger, EB_MAX_FRAME(3, 10) == EB_FRAME(136));
HOLDS(hello_is_the_larger, EB_MAX_FRAME(3, 1) == EB_FRAME(75));
HOLDS(no_frame_is_longer, EB_MAX_FRAME(8, 255) == 2058);
HOLDS(time_always_fits, EB_FRAME(EB_TIME_BODY) < EB_MAX_FRAME(1, 1));
HOLDS(status_always_fits, EB_FRAME(EB_STATUS_BODY) < EB_MAX_FRAME(1, 1));

HOLDS(state_is_small, sizeof(eb_encoder) == 4);
HOLDS(names_have_room_for_their_nul, sizeof(((eb_station *)0)->network) == 9);
HOLDS(codes_have_room_for_their_nul, sizeof(((eb_channel *)0)->code) == 4);

static uint8_t frame[EB_MAX_FRAME(3, 10)]; /* the macro is a constant */
HOLDS(frame_has_that_size, sizeof(frame) == 138);
