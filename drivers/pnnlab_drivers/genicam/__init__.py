"""What cameras share that speak GenICam, whatever library reaches them; the drivers are `basler` and `aravis`."""
