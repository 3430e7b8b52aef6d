"""GigE Vision and USB3 Vision cameras of any vendor, by Aravis."""
