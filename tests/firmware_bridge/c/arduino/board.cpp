/* The example sketch on a board that is simulated: ADS1256, and a GNSS receiver whose PPS comes every second.
 *
 * Runs for 4 seconds and writes what the sketch sends to standard output.
 * Time passes only in calls of the core. The converter gives, at its k-th reading, k on Z, -k on N and -2^23
 * on E, or 1 where it is read before it has settled. The first edge is 0.25 s after power-on and begins
 * 2024-02-29T23:59:58Z, but there is no fix yet; each is told 0.2 s later, once damaged and once whole.
 */
#include <stdio.h>

#include <string>

#include "../../../../firmware_bridge/c/examples/ads1256/ads1256.ino"

namespace {

const uint64_t START_US = 0xFFFFFFFF - 1500000;  // the tick wraps after 1.5 s
const uint64_t FIRST_EDGE_US = START_US + 250000;
const uint64_t SETTLED_US = 680;
uint64_t now_us = START_US;
uint64_t edges;     // so far
uint64_t messages;  // so far
std::string to_sketch;
void (*on_edge)();

std::string nmea(const std::string &content) {
    uint8_t sum = 0;
    for (char letter : content) {
        sum ^= (uint8_t)letter;
    }
    char end[6];
    snprintf(end, sizeof end, "*%02X\r\n", sum);
    return "$" + content + end;
}

void pass(uint64_t us) {
    now_us += us;
    if (now_us >= FIRST_EDGE_US + edges * 1000000) {
        edges++;
        on_edge();
    }
    if (now_us >= FIRST_EDGE_US + messages * 1000000 + 200000) {
        const char *const moments[] = {"235958.00", "235959.00", "000000.00", "000001.00"};
        std::string time = moments[messages];
        std::string place = "4807.04,N,01131.00,E,";
        std::string date = messages < 2 ? "290224" : "010324";
        std::string fix = messages == 0 ? ",V," : ",A,";
        std::string rmc = nmea("GNRMC," + time + fix + place + "0.0,," + date + ",,,A");
        std::string damaged = rmc;
        damaged[8] ^= 1;
        to_sketch += nmea("GNGGA," + time + "," + place + "1,07,0.9,545.4,M,46.9,M,,") + damaged + rmc;
        messages++;
    }
}

struct Converter {
    int place;  // of the byte in the command
    uint8_t command;
    uint8_t inputs;
    uint64_t restarted_us;
    int32_t readings;

    uint8_t transfer(uint8_t byte) {
        if (place == 0) {
            command = byte;
            if (byte == 0x00) {
                restarted_us = now_us;
            }
        }
        if (command == 0x51 && place == 2) {
            inputs = byte;
        }
        if (command == 0x01 && place == 1 && inputs == 0x01) {
            readings++;
        }
        int shift = 24 - 8 * place++;
        return command == 0x01 ? (uint8_t)((uint32_t)counts() >> (shift & 31)) : 0;
    }

    int32_t counts() const {
        if (now_us - restarted_us < SETTLED_US) {
            return 1;
        }
        return inputs == 0x01 ? readings : inputs == 0x23 ? -readings : -(1 << 23);
    }
} converter;

}  // namespace

HardwareSerial Serial, Serial2;
SPIClass SPI;

void pinMode(int, int) {}
void digitalWrite(int pin, int level) {
    if (pin == CHIP_SELECT && level == LOW) {
        converter.place = 0;
    }
}
int digitalPinToInterrupt(int pin) { return pin; }
void attachInterrupt(int, void (*routine)(), int) { on_edge = routine; }
void noInterrupts() {}
void interrupts() {}
uint32_t micros() {
    static bool within;  // the interrupt reads the clock too
    if (!within) {
        within = true;
        pass(1);
        within = false;
    }
    return (uint32_t)now_us;
}
uint32_t millis() { return (uint32_t)((now_us - START_US) / 1000); }
void delay(uint32_t ms) { pass(ms * 1000); }
void delayMicroseconds(uint32_t us) { pass(us); }

size_t HardwareSerial::setTxBufferSize(size_t size) { return size; }
void HardwareSerial::begin(unsigned long, uint32_t, int, int) {}
int HardwareSerial::available() { return (int)to_sketch.size(); }
int HardwareSerial::read() {
    char letter = to_sketch[0];
    to_sketch.erase(0, 1);
    return (uint8_t)letter;
}
size_t HardwareSerial::write(uint8_t byte) { return fwrite(&byte, 1, 1, stdout); }
size_t HardwareSerial::write(const uint8_t *bytes, size_t length) { return fwrite(bytes, 1, length, stdout); }

SPISettings::SPISettings(uint32_t, uint8_t, uint8_t) {}
void SPIClass::begin() {}
void SPIClass::beginTransaction(SPISettings) {}
uint8_t SPIClass::transfer(uint8_t byte) {
    pass(4);
    return converter.transfer(byte);
}

int main() {
    setup();
    while (now_us < START_US + 4000000) {
        loop();
    }
    return 0;
}
