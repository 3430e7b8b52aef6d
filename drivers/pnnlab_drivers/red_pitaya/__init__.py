"""The STEMlab boards of Red Pitaya, through their SCPI server."""
