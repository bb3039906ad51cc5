#pragma once

#include <stdint.h>

enum { MSBFIRST = 1, SPI_MODE1 = 1 };

struct SPISettings {
    SPISettings(uint32_t hz, uint8_t order, uint8_t mode);
};

class SPIClass {
  public:
    void begin();
    void beginTransaction(SPISettings settings);
    uint8_t transfer(uint8_t byte);
};

extern SPIClass SPI;
