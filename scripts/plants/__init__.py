"""What lies between real drivers where no real instrument is: displays in memory, physics that joins them."""
