"""The drivers that ship with pnnlab, found through the entry-point group `pnnlab.drivers`."""
