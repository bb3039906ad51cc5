/* As much of the ESP32's Arduino core as the example sketch uses, on a simulated board (board.cpp). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define IRAM_ATTR
#define SERIAL_8N1 0

enum { LOW, HIGH };
enum { INPUT, OUTPUT };
enum { RISING = 1 };

void pinMode(int pin, int mode);
void digitalWrite(int pin, int level);
int digitalPinToInterrupt(int pin);
void attachInterrupt(int interrupt, void (*routine)(), int edge);
void noInterrupts();
void interrupts();
uint32_t micros();
uint32_t millis();
void delay(uint32_t ms);
void delayMicroseconds(uint32_t us);

class HardwareSerial {
  public:
    size_t setTxBufferSize(size_t size);
    void begin(unsigned long baud, uint32_t config = SERIAL_8N1, int rx = -1, int tx = -1);
    int available();
    int read();
    size_t write(uint8_t byte);
    size_t write(const uint8_t *bytes, size_t length);
};

extern HardwareSerial Serial, Serial2;
