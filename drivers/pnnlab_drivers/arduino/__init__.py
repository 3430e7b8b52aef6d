"""DAC-ADC boards of laboratories: an Arduino or Teensy between good converters and a serial line."""
