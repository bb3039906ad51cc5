/* Three geophones on an ADS1256, GNSS with PPS: a digitizer for edge-pick on an ESP32 (Arduino core).
 *
 * Copy edge_bridge.h beside this file, set what stands between the lines, flash. USB goes to the station.
 * Geophones, biased to 2.5 V: Z between AIN0 and AIN1, N between AIN2 and AIN3, E between AIN4 and AIN5, the
 * side that goes up with the ground on the even input. The GNSS receiver sends RMC and GGA only, so that RMC
 * is complete before the next edge.
 *
 * The ADS1256 has one converter behind a multiplexer, so the three components are not quite simultaneous,
 * as the protocol wants them: they are converted in turn, 0.76 ms apart, a thirteenth of a sample. The tick
 * sent is the middle of the three.
 */
#include <Arduino.h>
#include <SPI.h>

#include "edge_bridge.h"

// --------------------------------------------------------------------------------------------------
const int CHIP_SELECT = 5, PPS = 15, GNSS_RX = 16, GNSS_TX = 17;
const uint32_t BAUD = 115200, GNSS_BAUD = 9600;
const uint8_t CHANNELS = 3, SAMPLES = 10;  // of a data frame: 0.1 s
const uint32_t TICK_HZ = 1000000;          // micros()
const uint32_t SAMPLE_TICKS = 10000;       // 100 samples a second

// 28.8 V/(m/s) * 2^23 counts / (5 V / gain 16) = 773,094,113 counts per m/s; -773094113 for a geophone whose
// counts fall when the ground moves up, north or east.
const eb_station STATION = {
    1,  // config: count it up whenever you change a line of this
    0x20260001,
    TICK_HZ,
    1000 * (TICK_HZ / SAMPLE_TICKS),
    "XX",
    "SHED",
    "00",
    CHANNELS,
    {
        {"EHZ", EB_VELOCITY, 773094113, 0, 16},
        {"EHN", EB_VELOCITY, 773094113, 0, 16},
        {"EHE", EB_VELOCITY, 773094113, 0, 16},
    },
};
// Temperature, supply, latitude, longitude, elevation; a surveyed place is 479876543 for 47.9876543 degrees.
const eb_health HEALTH = {EB_NO_TEMPERATURE, EB_NO_SUPPLY, EB_NO_POSITION, EB_NO_POSITION, EB_NO_POSITION};
// --------------------------------------------------------------------------------------------------

const uint8_t ADS_WAKEUP = 0x00, ADS_RDATA = 0x01, ADS_SDATAC = 0x0F, ADS_WREG = 0x50;
const uint8_t ADS_SELFCAL = 0xF0, ADS_SYNC = 0xFC, ADS_RESET = 0xFE;
const uint8_t ADS_STATUS = 0, ADS_MUX = 1;
const uint8_t INPUTS[CHANNELS] = {0x01, 0x23, 0x45};  // plus and minus side, four bits each
const uint32_t SETTLING_US = 700;                     // 680 at 2,000 conversions a second
const uint32_t COMPONENT_TICKS = SETTLING_US + 60;    // with the transfers
// A conversion averages over its settling time, so three in a row stand for the middle of them all.
const uint32_t MIDDLE_TICKS = 3 * COMPONENT_TICKS / 2;
const SPISettings ADS_SPI(1800000, MSBFIRST, SPI_MODE1);

eb_encoder encoder;
uint8_t frame[EB_MAX_FRAME(CHANNELS, SAMPLES)];
int32_t samples[SAMPLES * CHANNELS];
uint8_t gathered;      // samples so far
uint32_t first_tick;   // of them
uint32_t next_sample;  // when the next is due
uint32_t last_hello_ms, last_status_ms;
char sentence[96];  // NMEA, as far as it has come
uint8_t sentence_length;
uint8_t satellites;

volatile uint32_t pps_tick;
volatile bool pps_seen;

void IRAM_ATTR on_pps() {
    pps_tick = micros();
    pps_seen = true;
}

void write_frame(size_t length) {
    Serial.write(frame, length);
}

// ---- ADS1256

void ads_command(uint8_t command) {
    digitalWrite(CHIP_SELECT, LOW);
    SPI.transfer(command);
    delayMicroseconds(4);  // 24 periods of its 7.68 MHz clock
    digitalWrite(CHIP_SELECT, HIGH);
}

void ads_begin() {
    pinMode(CHIP_SELECT, OUTPUT);
    digitalWrite(CHIP_SELECT, HIGH);
    SPI.begin();
    SPI.beginTransaction(ADS_SPI);
    ads_command(ADS_RESET);
    delay(50);
    ads_command(ADS_SDATAC);
    digitalWrite(CHIP_SELECT, LOW);
    SPI.transfer(ADS_WREG | ADS_STATUS);
    SPI.transfer(4 - 1);
    SPI.transfer(0x02);  // STATUS: input buffer on
    SPI.transfer(INPUTS[0]);
    SPI.transfer(0x04);  // ADCON: clock output off, gain 16
    SPI.transfer(0xB0);  // DRATE: 2,000 a second
    digitalWrite(CHIP_SELECT, HIGH);
    delayMicroseconds(4);
    ads_command(ADS_SELFCAL);
    delay(50);
}

int32_t ads_read(uint8_t inputs) {
    digitalWrite(CHIP_SELECT, LOW);
    SPI.transfer(ADS_WREG | ADS_MUX);
    SPI.transfer(1 - 1);
    SPI.transfer(inputs);
    digitalWrite(CHIP_SELECT, HIGH);
    ads_command(ADS_SYNC);
    ads_command(ADS_WAKEUP);
    delayMicroseconds(SETTLING_US);
    digitalWrite(CHIP_SELECT, LOW);
    SPI.transfer(ADS_RDATA);
    delayMicroseconds(7);  // 50 periods of its clock
    uint32_t counts = (uint32_t)SPI.transfer(0) << 16;
    counts |= (uint32_t)SPI.transfer(0) << 8;
    counts |= SPI.transfer(0);
    digitalWrite(CHIP_SELECT, HIGH);
    return (int32_t)(counts ^ 0x800000) - 0x800000;  // 24 bits, with sign
}

// ---- GNSS: NMEA sentences RMC (time, date, whether there is a fix) and GGA (satellites)

bool checksum_good() {
    uint8_t sum = 0;
    uint8_t k = 1;
    while (k < sentence_length && sentence[k] != '*') {
        sum ^= (uint8_t)sentence[k++];
    }
    return k < sentence_length && strtoul(sentence + k + 1, NULL, 16) == sum;
}

// The text behind the comma of that number, or an empty text.
const char *field(uint8_t number) {
    const char *text = sentence;
    while (number > 0 && *text != '\0') {
        if (*text++ == ',') {
            number--;
        }
    }
    return text;
}

uint32_t two_digits(const char *text) {
    return (uint32_t)(text[0] - '0') * 10 + (uint32_t)(text[1] - '0');
}

// Seconds since 1970 of hhmmss and ddmmyy, years 2000 to 2099.
uint32_t utc_seconds(const char *hhmmss, const char *ddmmyy) {
    const uint16_t DAYS_BEFORE[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    uint32_t month = two_digits(ddmmyy + 2), years = two_digits(ddmmyy + 4);
    uint32_t days = 10957 + 365 * years + (years + 3) / 4;
    days += DAYS_BEFORE[(month - 1) % 12] + two_digits(ddmmyy) - 1;
    if (years % 4 == 0 && month > 2) {
        days++;
    }
    return ((days * 24 + two_digits(hhmmss)) * 60 + two_digits(hhmmss + 2)) * 60 + two_digits(hhmmss + 4);
}

// An RMC tells the second that began at the PPS edge before it. Second 60, the leap second, is not sent.
void on_rmc() {
    noInterrupts();
    uint32_t tick = pps_tick;
    bool seen = pps_seen;
    pps_seen = false;
    interrupts();
    const char *hhmmss = field(1), *ddmmyy = field(9);
    bool fix = *field(2) == 'A' && strlen(ddmmyy) >= 6;
    if (seen && micros() - tick < TICK_HZ && fix && two_digits(hhmmss + 4) < 60) {
        uint32_t utc = utc_seconds(hhmmss, ddmmyy);
        write_frame(eb_time(&encoder, tick, utc, EB_FROM_PPS, satellites, frame, sizeof frame));
    }
}

void on_sentence() {
    if (sentence_length < 6 || !checksum_good()) {
        return;
    }
    if (strncmp(sentence + 3, "GGA", 3) == 0) {
        satellites = (uint8_t)atoi(field(7));
    } else if (strncmp(sentence + 3, "RMC", 3) == 0) {
        on_rmc();
    }
}

void read_gnss() {
    while (Serial2.available() > 0) {
        char letter = (char)Serial2.read();
        if (letter == '\r' || sentence_length == sizeof sentence - 1) {
            sentence[sentence_length] = '\0';
            on_sentence();
            sentence_length = 0;
        } else {
            if (letter == '$') {
                sentence_length = 0;
            }
            sentence[sentence_length++] = letter;
        }
    }
}

// ---- Arduino

void setup() {
    Serial.setTxBufferSize(1024);  // so that writing never waits, and sampling never does
    Serial.begin(BAUD);
    Serial2.begin(GNSS_BAUD, SERIAL_8N1, GNSS_RX, GNSS_TX);
    pinMode(PPS, INPUT);
    attachInterrupt(digitalPinToInterrupt(PPS), on_pps, RISING);
    ads_begin();
    Serial.write((uint8_t)0);  // ends what the boot loader has written
    write_frame(eb_hello(&encoder, &STATION, frame, sizeof frame));
    next_sample = micros();
}

void loop() {
    if (micros() - next_sample >= 0x80000000u) {
        return;  // not due: the difference is negative
    }
    if (gathered == 0) {
        first_tick = next_sample + MIDDLE_TICKS;
    }
    for (uint8_t k = 0; k < CHANNELS; k++) {
        samples[gathered * CHANNELS + k] = ads_read(INPUTS[k]);
    }
    next_sample += SAMPLE_TICKS;

    // Everything else is done in the 7 ms before the next sample is due.
    if (++gathered == SAMPLES) {
        gathered = 0;
        write_frame(eb_data(&encoder, first_tick, samples, SAMPLES, frame, sizeof frame));
    }
    read_gnss();
    if (millis() - last_hello_ms >= 2000) {
        last_hello_ms = millis();
        write_frame(eb_hello(&encoder, &STATION, frame, sizeof frame));
    }
    if (millis() - last_status_ms >= 10000) {
        last_status_ms = millis();
        write_frame(eb_status(&encoder, &HEALTH, frame, sizeof frame));
    }
}
