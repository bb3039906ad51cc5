#!/bin/sh
# Code size of edge_bridge.h, all four functions together, on the Cortex-M cores of the usual boards.
set -eu
header=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cd "$folder"
for core in cortex-m0 cortex-m3 cortex-m4; do
    arm-none-eabi-gcc -std=c99 -Os -mthumb -mcpu=$core -ffreestanding -I "$header" -x c -c -o $core.o - <<'C'
#include "edge_bridge.h"
size_t hello(eb_encoder *e, const eb_station *s, uint8_t *out, size_t size) {
    return eb_hello(e, s, out, size);
}
size_t data(eb_encoder *e, uint32_t tick, const int32_t *samples, uint8_t n, uint8_t *out, size_t size) {
    return eb_data(e, tick, samples, n, out, size);
}
size_t time(eb_encoder *e, uint32_t tick, uint32_t utc, uint8_t quality, uint8_t satellites, uint8_t *out,
            size_t size) {
    return eb_time(e, tick, utc, quality, satellites, out, size);
}
size_t status(eb_encoder *e, const eb_health *h, uint8_t *out, size_t size) {
    return eb_status(e, h, out, size);
}
C
done
arm-none-eabi-gcc --version | head -n 1
arm-none-eabi-size cortex-m0.o cortex-m3.o cortex-m4.o
